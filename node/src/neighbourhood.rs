//! Whom a node knows, as its API tells it: every peer once, and the row of the table it stands in.

use std::collections::BTreeMap;

use chordage_api::types::{PeerStatus, RowStatus, Side};
use chordage_dht::{AnyMetric, Direction, Finger, Key, Metric, NodeId, Row};

use crate::address::{api_id, api_key, dial_order, peer_id};
use crate::driver::View;

/// The peers of a view, nearest first.
pub(crate) fn peers(view: &View, metric: AnyMetric) -> Vec<PeerStatus> {
    struct Known<'a> {
        finger: &'a Finger,
        leaf: bool,
        row: Option<Row>,
    }
    let leaves = view.leaf_set.iter().map(|finger| Known { finger, leaf: true, row: None });
    let mut known: BTreeMap<NodeId, Known<'_>> = leaves.map(|leaf| (leaf.finger.peer.id(), leaf)).collect();
    for (row, finger) in view.rows.iter().flat_map(|row| row.fingers.iter().map(|finger| (row.row, finger))) {
        known.entry(finger.peer.id()).or_insert(Known { finger, leaf: false, row: None }).row = Some(row);
    }

    let me = view.local.id();
    let distance = |id: &NodeId| metric.distance(me.key(), id.key());
    let mut known: Vec<(NodeId, Known<'_>)> = known.into_iter().collect();
    known.sort_by_key(|(id, _)| distance(id));
    let status = |(id, known): (NodeId, Known<'_>)| {
        let peer = peer_id(known.finger.peer.public_key());
        PeerStatus {
            id: api_id(id),
            peer_id: peer.map(|id| id.to_string()).unwrap_or_default(),
            addrs: dial_order(&known.finger.peer).iter().map(ToString::to_string).collect(),
            connected: peer.is_some_and(|id| view.connections.peers.contains(&id)),
            warm: peer.is_some_and(|id| view.connections.warm.contains(&id)),
            leaf: known.leaf,
            finger: known.row.is_some(),
            row: known.row.map(|row| row_status(metric, me.key(), row, view.digit_bits)),
            rtt_ms: known.finger.rtt.map(|rtt| rtt.as_secs_f64() * 1e3),
            distance_bits: distance(&id).bits(),
        }
    };
    known.into_iter().map(status).collect()
}

fn row_status(metric: AnyMetric, me: &Key, row: Row, digit_bits: u32) -> RowStatus {
    let (first, last) = arc(metric, me, row, digit_bits);
    RowStatus {
        direction: match row.direction {
            Direction::Clockwise => Side::Clockwise,
            Direction::Counterclockwise => Side::Counterclockwise,
            Direction::Both => Side::Both,
        },
        level: row.level,
        digit: row.digit,
        first: api_key(first),
        last: api_key(last),
    }
}

/// The first and the last id of a row, clockwise: under every metric a row is one arc of the circle of ids.
fn arc(metric: AnyMetric, me: &Key, row: Row, digit_bits: u32) -> (Key, Key) {
    let at = |random: &Key| metric.key_in_row(me, row, random, digit_bits);
    let (low, high) = (Key::from_bytes([0; 32]), Key::from_bytes([0xff; 32]));
    match (metric, row.direction) {
        // The lower digits are combined with our own, which these cancel.
        (AnyMetric::Xor, _) => (at(me), at(&Key::from_bytes(me.as_bytes().map(|byte| !byte)))),
        (_, Direction::Counterclockwise) => (at(&high), at(&low)),
        (_, Direction::Clockwise | Direction::Both) => (at(&low), at(&high)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BITS: u32 = 2;

    /// Ids between the ends of an arc, clockwise.
    fn holds((first, last): (Key, Key), id: &Key) -> bool {
        if first <= last { first <= *id && *id <= last } else { first <= *id || *id <= last }
    }

    fn beside(key: &Key, step: i8) -> Key {
        let mut bytes = *key.as_bytes();
        for byte in bytes.iter_mut().rev() {
            let (sum, carry) = if step > 0 { byte.overflowing_add(1) } else { byte.overflowing_sub(1) };
            *byte = sum;
            if !carry {
                break;
            }
        }
        Key::from_bytes(bytes)
    }

    proptest! {
        #[test]
        fn an_arc_holds_its_row_and_ends_where_the_row_does(
            me in any::<[u8; 32]>(),
            other in any::<[u8; 32]>(),
            common in 0_usize..30,
            ring in any::<bool>(),
        ) {
            let metric = if ring { AnyMetric::Ring } else { AnyMetric::Xor };
            let mut other = other;
            other[..common].copy_from_slice(&me[..common]);
            let (me, other) = (Key::from_bytes(me), Key::from_bytes(other));
            let Some(row) = metric.row(&me, &other, BITS) else { return Ok(()) };
            let (first, last) = arc(metric, &me, row, BITS);
            prop_assert!(holds((first, last), &other));
            for inside in [&first, &last] {
                prop_assert_eq!(metric.row(&me, inside, BITS), Some(row));
            }
            for outside in [beside(&first, -1), beside(&last, 1)] {
                prop_assert_ne!(metric.row(&me, &outside, BITS), Some(row));
            }
        }
    }
}
