#![allow(clippy::unwrap_used)]

use alloc::{sync::Arc, vec, vec::Vec};

use proptest::prelude::*;

use super::*;
use crate::{Address, AnyMetric, PeerInfo};

fn peer(number: u16) -> Peer {
    let mut public_key = [0; 32];
    public_key[..2].copy_from_slice(&number.to_be_bytes());
    Arc::new(PeerInfo::new(public_key, vec![Address::new(b"x").unwrap()], 1).unwrap())
}

/// Where the first of them stands.
fn origin(metric: AnyMetric) -> Origin<AnyMetric> {
    Origin::new(metric, *peer(0).id().key())
}

fn metrics() -> impl Strategy<Value = AnyMetric> {
    prop_oneof![Just(AnyMetric::Ring), Just(AnyMetric::Xor)]
}

/// The members as somebody who sorts everybody would choose them.
fn chosen(origin: &Origin<AnyMetric>, capacity: usize, mut ids: Vec<NodeId>) -> Vec<NodeId> {
    ids.sort_by_key(|id| origin.offset(id.key()));
    ids.dedup();
    if ids.len() > capacity {
        match origin.shape() {
            Shape::Circle => {
                ids.drain(capacity / 2..ids.len() - capacity / 2);
            }
            Shape::Tree => ids.truncate(capacity),
        }
    }
    ids
}

proptest! {
    /// Whoever comes and goes in whatever order, the members are the nearest of those inserted since.
    #[test]
    fn members_are_the_nearest(metric in metrics(), numbers in prop::collection::vec(1u16..200, 0..80)) {
        let origin = origin(metric);
        let mut leaves = LeafSet::new(8);
        let mut offered = Vec::new();
        for number in numbers {
            let peer = peer(number);
            let wanted = leaves.wants(&origin, peer.id_ref());
            if wanted {
                let displaced = leaves.insert(&origin, Leaf::new(peer.clone(), Time::ZERO, Rtt::default()));
                prop_assert!(displaced.is_none_or(|displaced| displaced.peer.id() != peer.id()));
            }
            offered.push(peer.id());
            let members: Vec<NodeId> = leaves.as_slice().iter().map(|leaf| leaf.peer.id()).collect();
            prop_assert_eq!(&members, &chosen(&origin, 8, offered.clone()));
            prop_assert_eq!(leaves.get(&origin, peer.id_ref()).is_some(), members.contains(peer.id_ref()));
        }
    }

    /// What it claims to cover, it really covers: the nearest of all nodes are members, or this node.
    #[test]
    fn covered_keys_are_known_exactly(
        metric in metrics(), nodes in 2u16..120, key in any::<[u8; 32]>(), near in any::<bool>(), count in 1usize..6,
    ) {
        let origin = origin(metric);
        let me = *origin.key();
        let mut key = key;
        if near {
            key[0] = me.as_bytes()[0];
        }
        let key = Key::from_bytes(key);
        let mut leaves = LeafSet::new(16);
        let everybody: Vec<Peer> = (0..nodes).map(peer).collect();
        for peer in &everybody[1..] {
            if leaves.wants(&origin, peer.id_ref()) {
                leaves.insert(&origin, Leaf::new(peer.clone(), Time::ZERO, Rtt::default()));
            }
        }
        if leaves.covers(&origin, &key, count) {
            let mut ids: Vec<NodeId> = everybody.iter().map(|peer| peer.id()).collect();
            ids.sort_by(|a, b| metric.closer(&key, a, b));
            for id in ids.iter().take(count) {
                prop_assert!(id.key() == &me || leaves.get(&origin, id).is_some());
            }
        }
    }

    /// Members die, strangers take their seats, and another node tells whom it knows: coverage is never claimed in
    /// vain.
    #[test]
    fn covered_keys_are_known_after_losses_and_hearsay(
        metric in metrics(), nodes in 20u16..200, dead in prop::collection::btree_set(1u16..200, 0..12),
        strangers in prop::collection::vec(1u16..200, 0..4), tellers in prop::collection::vec(1u16..200, 0..4),
        keys in prop::collection::vec(any::<[u8; 32]>(), 40), count in 1usize..4,
    ) {
        let origin = origin(metric);
        let me = *origin.key();
        let fill = |at: &Origin<AnyMetric>, numbers: &mut dyn Iterator<Item = u16>| {
            let mut leaves = LeafSet::new(8);
            for peer in numbers.map(peer).filter(|peer| peer.id_ref().key() != at.key()) {
                if leaves.wants(at, peer.id_ref()) {
                    leaves.insert(at, Leaf::new(peer, Time::ZERO, Rtt::default()));
                }
            }
            leaves
        };
        let mut leaves = fill(&origin, &mut (0..nodes));
        for number in &dead {
            leaves.remove(&origin, peer(*number).id_ref());
        }
        let living = || (0..nodes).filter(|number| !dead.contains(number));
        let alive = |number: &&u16| **number < nodes && !dead.contains(*number);
        let meet = |leaves: &mut LeafSet, id: &NodeId| {
            if let Some(peer) = living().skip(1).map(peer).find(|peer| peer.id_ref() == id)
                && leaves.wants(&origin, id)
            {
                leaves.insert(&origin, Leaf::new(peer, Time::ZERO, Rtt::default()));
            }
        };
        for stranger in strangers.iter().filter(alive) {
            meet(&mut leaves, peer(*stranger).id_ref());
        }
        for teller in tellers.iter().filter(alive).map(|number| peer(*number)) {
            let at = Origin::new(metric, *teller.id_ref().key());
            let theirs = fill(&at, &mut living());
            let wanted = theirs.wanted_at(&metric, &me);
            let named: Vec<NodeId> = theirs
                .as_slice()
                .iter()
                .map(|leaf| leaf.peer.id())
                .filter(|id| id.key() != &me && wanted.contains(origin.offset(id.key())))
                .collect();
            let reach = theirs.reach(&at).unwrap_or([Distance::MAX; 2]);
            let told = leaves.told(&origin, teller.id_ref(), reach, &named);
            for id in named.iter().chain([teller.id_ref()]) {
                meet(&mut leaves, id);
            }
            if let Some(told) = told {
                leaves.extend(&origin, told);
            }
        }
        for mut key in keys {
            if key[1] > 100 {
                key[0] = me.as_bytes()[0].wrapping_add(key[2] % 64).wrapping_sub(32);
            }
            let key = Key::from_bytes(key);
            if leaves.covers(&origin, &key, count) {
                let mut ids: Vec<NodeId> = living().map(|number| peer(number).id()).collect();
                ids.sort_by(|a, b| metric.closer(&key, a, b));
                for id in ids.iter().take(count) {
                    prop_assert!(id.key() == &me || leaves.get(&origin, id).is_some());
                }
            }
        }
    }

    /// Walking out from a key meets the members in the order of their distance.
    #[test]
    fn walks_are_sorted(metric in metrics(), numbers in prop::collection::btree_set(1u16..500, 0..40), key in any::<[u8; 32]>()) {
        let origin = origin(metric);
        let key = Key::from_bytes(key);
        let mut leaves = LeafSet::new(40);
        for number in &numbers {
            leaves.insert(&origin, Leaf::new(peer(*number), Time::ZERO, Rtt::default()));
        }
        let mut met = Vec::new();
        leaves.walk(&origin, &key, &mut |distance, leaf: &Leaf| {
            assert_eq!(distance, metric.distance(leaf.peer.id_ref().key(), &key));
            met.push(leaf.peer.id());
            true
        });
        let mut sorted: Vec<NodeId> = numbers.iter().map(|number| peer(*number).id()).collect();
        sorted.sort_by(|a, b| metric.closer(&key, a, b));
        prop_assert_eq!(met, sorted);
    }
}

#[test]
fn digests_tell_changes() {
    let origin = origin(AnyMetric::Ring);
    let mut leaves = LeafSet::new(8);
    let empty = leaves.digest();
    leaves.insert(&origin, Leaf::new(peer(1), Time::ZERO, Rtt::default()));
    let one = leaves.digest();
    leaves.insert(&origin, Leaf::new(peer(2), Time::ZERO, Rtt::default()));
    assert!(empty != one && one != leaves.digest());
    leaves.remove(&origin, peer(2).id_ref());
    assert_eq!(leaves.digest(), one);
    let newer = Arc::new(peer(1).with_addresses(vec![Address::new(b"y").unwrap()], 2).unwrap());
    leaves.get_mut(&origin, newer.id_ref()).unwrap().peer = newer.clone();
    assert_ne!(leaves.digest(), one);
}

#[test]
fn a_leaf_is_small() {
    assert_eq!(size_of::<Leaf>(), 40);
}

/// A full set of a circle that has lost somebody: of those who lie beyond its end only the two nearest are met, one of
/// them in case the other is dead, and under XOR all.
#[test]
fn a_free_seat_is_not_offered_to_everybody() {
    for metric in [AnyMetric::Ring, AnyMetric::Xor] {
        let origin = origin(metric);
        let mut everybody: Vec<Peer> = (1..200).map(peer).collect();
        everybody.sort_by_key(|peer| origin.offset_of(peer));
        let mut leaves = LeafSet::new(8);
        for peer in everybody.iter().take(4).chain(everybody.iter().rev().take(4)) {
            leaves.insert(&origin, Leaf::new(peer.clone(), Time::ZERO, Rtt::default()));
        }
        leaves.remove(&origin, everybody[1].id_ref());
        let mut meeting = Vec::new();
        for peer in &everybody[4..20] {
            assert!(leaves.wants(&origin, peer.id_ref()));
            if leaves.has_seat(&origin, peer.id_ref(), &meeting) {
                meeting.push(peer.id());
            }
        }
        let expected = if metric == AnyMetric::Ring { 2 } else { 16 };
        let named: Vec<NodeId> = everybody[4..4 + expected].iter().map(|peer| peer.id()).collect();
        assert_eq!(meeting, named, "{metric}");
    }
}
