//! Who is in the network, as a node's API tells it.

use std::collections::BTreeMap;
use std::time::Duration;

use chordage_api::types::{MemberRole, MemberState, MemberStatus, SuperPeerStatus};
use chordage_dht::{DownReason, Finger, NodeId, PeerInfo};
use tokio::time::Instant;

use crate::address::{api_id, peer_id};
use crate::driver::{Departed, View};

/// The node itself, those in its tables by id, those it has only been told of, and those it lost.
pub(crate) fn members(view: &View, uptime_seconds: f64) -> Vec<MemberStatus> {
    let now = Instant::now();
    let age = |since: Instant| now.saturating_duration_since(since).as_secs_f64();
    let mut present: BTreeMap<NodeId, (&Finger, bool)> = BTreeMap::new();
    for finger in view.rows.iter().flat_map(|row| &row.fingers) {
        present.insert(finger.peer.id(), (finger, false));
    }
    // What is known of a leaf is newer: it is probed.
    present.extend(view.leaf_set.iter().map(|leaf| (leaf.peer.id(), (leaf, true))));

    let me = MemberStatus {
        is_self: true,
        age_seconds: uptime_seconds,
        ..member(&view.local, MemberState::Alive)
    };
    let here = present.iter().map(|(id, (finger, leaf))| MemberStatus {
        age_seconds: view.roster.since(id).map_or(0.0, age),
        rtt_ms: finger.rtt.map(|rtt| rtt.as_secs_f64() * 1e3),
        leaf: *leaf,
        ..member(&finger.peer, if finger.missed == 0 { MemberState::Alive } else { MemberState::Suspect })
    });
    // Whom this daemon itself has lost is gone, until it is listed anew.
    let gone: BTreeMap<NodeId, &Departed> = view
        .roster
        .departed()
        .filter(|gone| {
            let id = gone.peer.id();
            let listed = view.listed.binary_search_by_key(&id, |member| member.peer.id());
            let anew = listed.is_ok_and(|index| view.listed[index].peer.seq() > gone.peer.seq());
            !anew && !present.contains_key(&id)
        })
        .map(|gone| (gone.peer.id(), gone))
        .collect();
    let is_told_elsewhere =
        |id: &NodeId| present.contains_key(id) || gone.contains_key(id) || *id == view.local.id();
    let listed = view.listed.iter().filter(|member| !is_told_elsewhere(&member.peer.id())).map(|listed| {
        let since = view.listed_since + Duration::from_micros(listed.since.as_micros());
        let state = if listed.missed == 0 { MemberState::Alive } else { MemberState::Suspect };
        MemberStatus { age_seconds: age(since), ..member(&listed.peer, state) }
    });
    let gone = gone.values().map(|gone| {
        let state = match gone.why {
            DownReason::Left | DownReason::Client => MemberState::Left,
            DownReason::Failed | DownReason::Displaced => MemberState::Dead,
            DownReason::Excluded => MemberState::Revoked,
        };
        MemberStatus {
            age_seconds: gone.at.duration_since(gone.since).as_secs_f64(),
            gone_seconds: Some(now.duration_since(gone.at).as_secs_f64()),
            ..member(&gone.peer, state)
        }
    });
    let mut members: Vec<MemberStatus> = std::iter::once(me).chain(here).chain(listed).chain(gone).collect();
    let super_peers: BTreeMap<_, Option<f64>> =
        view.super_peers.iter().map(|known| (api_id(known.peer.id()), known.score)).collect();
    for member in members.iter_mut().filter(|member| member.role == MemberRole::Ordinary) {
        if let Some(score) = super_peers.get(&member.id) {
            member.role = MemberRole::SuperPeer;
            member.score = *score;
        }
    }
    members
}

/// The super-peers that the node knows.
pub(crate) fn super_peers(view: &View) -> Vec<SuperPeerStatus> {
    let now = Instant::now();
    let known = view.super_peers.iter().map(|known| {
        let since = view.listed_since + Duration::from_micros(known.since.as_micros());
        SuperPeerStatus {
            id: api_id(known.peer.id()),
            peer_id: peer_id(known.peer.public_key()).map(|id| id.to_string()).unwrap_or_default(),
            state: if known.missed == 0 { MemberState::Alive } else { MemberState::Suspect },
            age_seconds: now.saturating_duration_since(since).as_secs_f64(),
            seat_ends_seconds: known.seat_ends_in.as_secs(),
            rtt_ms: known.rtt.map(|rtt| rtt.as_secs_f64() * 1e3),
            score: known.score,
            is_self: known.peer.id() == view.local.id(),
        }
    });
    known.collect()
}

fn member(peer: &PeerInfo, state: MemberState) -> MemberStatus {
    MemberStatus {
        id: api_id(peer.id()),
        peer_id: peer_id(peer.public_key()).map(|id| id.to_string()).unwrap_or_default(),
        state,
        role: if peer.is_reachable() { MemberRole::Ordinary } else { MemberRole::Client },
        zone: peer.zone().map(ToString::to_string),
        incarnation: peer.seq(),
        age_seconds: 0.0,
        gone_seconds: None,
        rtt_ms: None,
        score: None,
        is_self: false,
        leaf: false,
    }
}
