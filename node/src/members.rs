//! Who is in the network, as a node's API tells it.

use std::collections::BTreeMap;

use chordage_dht::{DownReason, Finger, NodeId, PeerInfo};
use tokio::time::Instant;

use crate::api::types::MemberStatus;
use crate::driver::View;
use crate::wire::peer::peer_id;

/// The node itself, those in its tables by id, and those it lost.
pub(crate) fn members(view: &View, uptime_seconds: f64) -> Vec<MemberStatus> {
    let now = Instant::now();
    let mut present: BTreeMap<NodeId, (&Finger, bool)> = BTreeMap::new();
    for finger in view.rows.iter().flat_map(|row| &row.fingers) {
        present.insert(finger.peer.id(), (finger, false));
    }
    // What is known of a leaf is newer: it is probed.
    present.extend(view.leaf_set.iter().map(|leaf| (leaf.peer.id(), (leaf, true))));

    let me = MemberStatus { is_self: true, age_seconds: uptime_seconds, ..member(&view.local, "alive") };
    let here = present.iter().map(|(id, (finger, leaf))| MemberStatus {
        age_seconds: view.roster.since(id).map_or(0.0, |since| now.duration_since(since).as_secs_f64()),
        rtt_ms: finger.rtt.map(|rtt| rtt.as_secs_f64() * 1e3),
        leaf: *leaf,
        ..member(&finger.peer, if finger.missed == 0 { "alive" } else { "suspect" })
    });
    let gone = view.roster.departed().filter(|gone| !present.contains_key(&gone.peer.id())).map(|gone| {
        let state = if gone.why == DownReason::Left { "left" } else { "dead" };
        MemberStatus {
            age_seconds: gone.at.duration_since(gone.since).as_secs_f64(),
            gone_seconds: Some(now.duration_since(gone.at).as_secs_f64()),
            ..member(&gone.peer, state)
        }
    });
    std::iter::once(me).chain(here).chain(gone).collect()
}

fn member(peer: &PeerInfo, state: &str) -> MemberStatus {
    MemberStatus {
        id: peer.id().to_string(),
        peer_id: peer_id(peer.public_key()).map(|id| id.to_string()).unwrap_or_default(),
        state: state.to_owned(),
        role: "ordinary".to_owned(),
        incarnation: peer.seq(),
        age_seconds: 0.0,
        gone_seconds: None,
        rtt_ms: None,
        is_self: false,
        leaf: false,
    }
}
