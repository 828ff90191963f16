//! What a daemon knows of its ring, put in order. Also the JSON of `chordage ring`.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use chordage_api::types::{DaemonRole, NodeId, PeerStatus, RowStatus, Side, Status, SuperPeerStatus};
use serde::Serialize;

/// A daemon's view of the ring.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct RingView {
    /// Its node id.
    pub(crate) id: NodeId,
    /// `member`, or `client`: then it has no place in the ring, and this is where it would be.
    pub(crate) role: DaemonRole,
    /// Whether it has a seat as a super-peer.
    pub(crate) super_peer: bool,
    /// Super-peers that it knows, itself included, whether they are in its tables or not.
    pub(crate) super_peers: usize,
    /// The metric of the network.
    pub(crate) metric: String,
    /// How many nodes it believes the network to have, itself included unless it is a client.
    pub(crate) network_nodes: u64,
    /// Whether that is a count.
    pub(crate) network_nodes_exact: bool,
    /// The leaf set, clockwise from the farthest before the daemon to the farthest after it.
    pub(crate) leaf_set: Vec<Seat>,
    /// The rows of the finger table that have entries, from the farthest to the nearest, counterclockwise ones first.
    pub(crate) rows: Vec<Row>,
}

/// A peer and where it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Seat {
    /// Its node id.
    pub(crate) id: NodeId,
    /// How far it is clockwise from the daemon, as a share of the circle of ids; negative: counterclockwise.
    pub(crate) offset: f64,
    /// Smoothed round trip, milliseconds, when measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rtt_ms: Option<f64>,
    /// Whether a connection is open.
    pub(crate) connected: bool,
    /// Whether it is in the leaf set.
    pub(crate) leaf: bool,
    /// Whether it is listed as a super-peer.
    pub(crate) super_peer: bool,
}

/// A row of the finger table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Row {
    /// `clockwise`, `counterclockwise`, or `both` where the metric has no sides.
    pub(crate) direction: Side,
    /// Position of the leading base-4 digit of its distances.
    pub(crate) level: u8,
    /// That digit.
    pub(crate) digit: u8,
    /// Where its arc begins, clockwise from the daemon, as a share of the circle from 0 to 1.
    pub(crate) start: f64,
    /// How long its arc is, as a share of the circle.
    pub(crate) length: f64,
    /// Its entries, in clockwise order.
    pub(crate) fingers: Vec<Seat>,
}

impl RingView {
    /// Puts in order what a daemon says of itself, its peers and the super-peers it knows.
    pub(crate) fn new(status: Status, peers: &[PeerStatus], super_peers: &[SuperPeerStatus]) -> Self {
        let me = status.identity.id.first_half();
        let seats: BTreeSet<NodeId> = super_peers.iter().map(|known| known.id).collect();
        let seat = |peer: &PeerStatus| seat(me, peer, seats.contains(&peer.id));
        let by_offset = |a: &Seat, b: &Seat| a.offset.partial_cmp(&b.offset).unwrap_or(Ordering::Equal);
        let mut leaf_set: Vec<Seat> = peers.iter().filter(|peer| peer.leaf).map(seat).collect();
        leaf_set.sort_by(by_offset);

        let mut by_row: BTreeMap<&RowStatus, Vec<Seat>> = BTreeMap::new();
        for peer in peers {
            if let Some(row) = &peer.row {
                by_row.entry(row).or_default().push(seat(peer));
            }
        }
        let mut rows: Vec<Row> = by_row
            .into_iter()
            .map(|(row, mut fingers)| {
                fingers.sort_by(by_offset);
                let (first, last) = (row.first.first_half(), row.last.first_half());
                Row {
                    direction: row.direction,
                    level: row.level,
                    digit: row.digit,
                    start: share(first.wrapping_sub(me)),
                    length: share(last.wrapping_sub(first)),
                    fingers,
                }
            })
            .collect();
        rows.sort_by_key(|row| {
            (row.direction == Side::Clockwise, std::cmp::Reverse(row.level), std::cmp::Reverse(row.digit))
        });
        RingView {
            id: status.identity.id,
            role: status.membership.role,
            super_peer: super_peers.iter().any(|known| known.is_self),
            super_peers: super_peers.len(),
            metric: status.membership.metric,
            network_nodes: status.overlay.network_nodes,
            network_nodes_exact: status.overlay.network_nodes_exact,
            leaf_set,
            rows,
        }
    }

    /// All entries of the finger table.
    pub(crate) fn fingers(&self) -> impl Iterator<Item = &Seat> + Clone {
        self.rows.iter().flat_map(|row| &row.fingers)
    }

    /// All peers, each once.
    pub(crate) fn peers(&self) -> impl Iterator<Item = &Seat> + Clone {
        self.leaf_set.iter().chain(self.fingers().filter(|finger| !finger.leaf))
    }

    /// The share of the circle that the leaf set spans, the daemon between the two ends.
    pub(crate) fn leaf_span(&self) -> f64 {
        let reach = |sign: f64| self.leaf_set.iter().map(|leaf| leaf.offset * sign).fold(0.0, f64::max);
        reach(1.0) + reach(-1.0)
    }
}

impl Seat {
    /// Where it is on the circle, clockwise from the daemon, from 0 to 1.
    pub(crate) fn turn(&self) -> f64 {
        self.offset.rem_euclid(1.0)
    }
}

/// The median of measured round trips.
pub(crate) fn median_rtt<'a>(peers: impl Iterator<Item = &'a Seat>) -> Option<f64> {
    let mut times: Vec<f64> = peers.filter_map(|peer| peer.rtt_ms).collect();
    times.sort_by(f64::total_cmp);
    times.get(times.len().saturating_sub(1) / 2).copied()
}

/// Milliseconds in at most six characters.
pub(crate) fn milliseconds(ms: f64) -> String {
    match ms {
        ms if ms < 9.95 => format!("{ms:.1} ms"),
        ms if ms < 999.5 => format!("{ms:.0} ms"),
        ms => format!("{:.1} s", ms / 1e3),
    }
}

fn seat(me: u128, peer: &PeerStatus, super_peer: bool) -> Seat {
    let clockwise = peer.id.first_half().wrapping_sub(me);
    // The shorter way round.
    let offset = if clockwise >> 127 == 0 { share(clockwise) } else { -share(clockwise.wrapping_neg()) };
    let PeerStatus { id, rtt_ms, connected, leaf, .. } = *peer;
    Seat { id, offset, rtt_ms, connected, leaf, super_peer }
}

/// A stretch as a share of the circle.
fn share(stretch: u128) -> f64 {
    stretch as f64 / 2f64.powi(128)
}

#[cfg(test)]
pub(super) mod tests {
    use chordage_api::types::{RepairStatus, ScrubStatus};

    use super::*;

    /// The 256 bits that begin so.
    fn at<T: From<[u8; 32]>>(place: u128) -> T {
        let bytes = place.to_be_bytes();
        std::array::from_fn(|position| bytes.get(position).copied().unwrap_or_default()).into()
    }

    /// A view with 20 leaves on either side and so many fingers, of a network of about so many nodes.
    pub(in crate::ring) fn view(nodes: u64, fingers: u32, metric: &str) -> RingView {
        let me: u128 = 0xf123_4567_89ab_cdef_0123_4567_89ab_cdef;
        let peer = |offset: i128, leaf: bool, row: Option<RowStatus>| PeerStatus {
            id: at(me.wrapping_add_signed(offset)),
            peer_id: String::new(),
            addrs: Vec::new(),
            connected: leaf || offset % 3 == 0,
            warm: leaf,
            leaf,
            finger: row.is_some(),
            row,
            rtt_ms: Some(0.3 + (offset.unsigned_abs() % 2_500) as f64 / 10.0),
            distance_bits: 0,
        };
        let gap = (u128::MAX / u128::from(nodes.max(50))) as i128;
        let mut peers: Vec<PeerStatus> =
            (-20..=20).filter(|step| *step != 0).map(|step| peer(step * gap, true, None)).collect();
        for finger in 0..fingers {
            let row = finger / 8;
            let (side, number) = (row % 2, row / 2);
            let (level, digit) =
                if number == 0 { (127, 1) } else { (127 - number.div_ceil(3), 1 + number % 3) };
            // Levels of the upper half of an id: 64 digits of two bits.
            let unit = 1u128 << (2 * (level - 64));
            let start = u128::from(digit) * unit;
            let distance = (start + unit / 9 * u128::from(finger % 8)) as i128;
            let (direction, first, last) = match (metric, side) {
                ("xor", _) => (Side::Both, me.wrapping_add(start), me.wrapping_add(start + unit - 1)),
                (_, 0) => (Side::Clockwise, me.wrapping_add(start), me.wrapping_add(start + unit - 1)),
                _ => (Side::Counterclockwise, me.wrapping_sub(start + unit - 1), me.wrapping_sub(start)),
            };
            let row = RowStatus {
                direction,
                level: level as u8,
                digit: digit as u8,
                first: at(first),
                last: at(last),
            };
            peers.push(peer(
                if direction == Side::Counterclockwise { -distance } else { distance },
                false,
                Some(row),
            ));
        }
        RingView::new(status(at(me), metric, nodes), &peers, &[])
    }

    /// The same view where the first leaf, the first finger, the daemon itself and one that is in no table are
    /// super-peers, and connected.
    pub(in crate::ring) fn with_super_peers(view: RingView) -> RingView {
        let is_drawn = [view.leaf_set[0].id, view.rows[0].fingers[0].id];
        let mark = |seat: Seat| match is_drawn.contains(&seat.id) {
            true => Seat { super_peer: true, connected: true, ..seat },
            false => seat,
        };
        let rows = view.rows.into_iter();
        let rows = rows.map(|row| Row { fingers: row.fingers.into_iter().map(mark).collect(), ..row });
        RingView {
            super_peer: true,
            super_peers: 4,
            leaf_set: view.leaf_set.into_iter().map(mark).collect(),
            rows: rows.collect(),
            ..view
        }
    }

    #[test]
    fn super_peers_are_those_that_the_daemon_lists() {
        let plain = view(1_000, 0, "ring");
        let listed = |id: NodeId, is_self: bool| -> SuperPeerStatus {
            serde_json::from_value(serde_json::json!({
                "id": id, "peer_id": "", "state": "alive", "age_seconds": 1.0, "seat_ends_seconds": 60, "is_self": is_self,
            }))
            .unwrap()
        };
        let peer = |seat: &Seat| PeerStatus {
            id: seat.id,
            peer_id: String::new(),
            addrs: Vec::new(),
            connected: true,
            warm: true,
            leaf: true,
            finger: false,
            row: None,
            rtt_ms: None,
            distance_bits: 0,
        };
        let peers: Vec<PeerStatus> = plain.leaf_set.iter().map(peer).collect();
        let known = [listed(plain.leaf_set[7].id, false), listed(at(42), false)];
        let view = RingView::new(status(plain.id, "ring", 1_000), &peers, &known);
        let marked: Vec<usize> = (0..40).filter(|leaf| view.leaf_set[*leaf].super_peer).collect();
        assert_eq!((marked, view.super_peers, view.super_peer), (vec![7], 2, false));
        let view = RingView::new(status(plain.id, "ring", 1_000), &peers, &[listed(plain.id, true)]);
        assert!(view.super_peer);
        assert_eq!(serde_json::to_value(&view).unwrap()["leaf_set"][7]["super_peer"], false);
    }

    fn status(id: NodeId, metric: &str, nodes: u64) -> Status {
        serde_json::from_value(serde_json::json!({
            "id": id, "peer_id": "", "version": "", "pid": 1, "state": "joined", "listen": [], "metric": metric,
            "uptime_seconds": 1.0, "network_nodes": nodes, "network_nodes_exact": false, "leaf_set": 40, "fingers": 0,
            "connections": 0, "connections_warm": 0, "connections_cold": 0, "connections_strangers": 0,
            "connections_max": 0, "dialling": 0, "repair": RepairStatus::default(), "scrub": ScrubStatus::default(),
            "shards": 0, "stored_bytes": 0, "quota_bytes": 0, "rss_bytes": 0, "rss_peak_bytes": 0,
            "cpu_seconds": 0.0, "damaged_shards": 0, "default_redundancy": "1/1",
        }))
        .unwrap()
    }

    #[test]
    fn the_circle_is_cut_where_the_rows_say() {
        let view = view(1_000, 16, "ring");
        let [before, after] = view.rows.as_slice() else { panic!("{:?}", view.rows) };
        assert_eq!((before.direction, after.direction), (Side::Counterclockwise, Side::Clockwise));
        assert!((after.start - 0.25).abs() < 1e-9 && (after.length - 0.25).abs() < 1e-9, "{after:?}");
        assert!((before.start - 0.5).abs() < 1e-9 && (before.length - 0.25).abs() < 1e-9, "{before:?}");
        assert!(after.fingers.iter().all(|finger| (0.25..0.5).contains(&finger.offset)));
        assert!(before.fingers.iter().all(|finger| (-0.5..=-0.25).contains(&finger.offset)));
    }

    #[test]
    fn leaves_are_in_clockwise_order_around_the_daemon() {
        let view = view(1_000, 0, "ring");
        assert!(view.leaf_set.is_sorted_by(|a, b| a.offset < b.offset));
        assert_eq!(view.leaf_set.iter().filter(|leaf| leaf.offset < 0.0).count(), 20);
        assert!((view.leaf_span() - 0.04).abs() < 1e-6, "{}", view.leaf_span());
    }

    #[test]
    fn a_time_takes_six_characters() {
        for ms in [0.0, 0.04, 9.94, 9.96, 99.6, 999.4, 1234.0, 99_000.0] {
            assert!(milliseconds(ms).len() <= 6, "{}", milliseconds(ms));
        }
    }
}
