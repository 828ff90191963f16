#![allow(clippy::unwrap_used)]

use alloc::{format, sync::Arc, vec, vec::Vec};

use proptest::prelude::*;

use super::*;
use crate::{Address, AnyMetric, PeerInfo};

fn peer(number: u16) -> Peer {
    let mut public_key = [0; 32];
    public_key[..2].copy_from_slice(&number.to_be_bytes());
    Arc::new(PeerInfo::new(public_key, vec![Address::new(b"x").unwrap()], 1).unwrap())
}

proptest! {
    /// Whatever the peers answer, and whoever is dead: it ends, never has too many questions under way, and returns
    /// its peers sorted, those known to be dead left out.
    #[test]
    fn ends_and_stays_within_its_limits(
        metric in prop_oneof![Just(AnyMetric::Ring), Just(AnyMetric::Xor)],
        key in any::<[u8; 32]>(),
        need in 1usize..6,
        parallel in 1usize..5,
        paths in 1u8..=8,
        names in prop::collection::vec(prop::collection::vec(0u16..100, 0..20), 100),
        fates in prop::collection::vec(0u8..4, 100),
    ) {
        let key = Key::from_bytes(key);
        let deadline = Time::from_micros(u64::MAX);
        let mut lookup = Progress::new(Owner::Check, key, 10, need, parallel, Time::ZERO, deadline).over_paths(paths);
        let number = |id: &NodeId| (0..100u16).find(|n| peer(*n).id_ref() == id).unwrap();
        for n in 0..5 {
            lookup.add(&metric, &peer(n), State::Named, None);
        }
        let mut under_way: Vec<Peer> = Vec::new();
        let mut dead = Vec::new();
        let mut rounds = 0;
        let ended = loop {
            rounds += 1;
            prop_assert!(rounds < 1000);
            match lookup.step(60) {
                Step::Ask(peer) => {
                    under_way.push(peer);
                    let usual = parallel.max(usize::from(paths)).next_multiple_of(usize::from(paths));
                    let hedges = if paths == 1 { dead.len().min(HEDGES) } else { 0 };
                    prop_assert!(usize::from(lookup.in_flight.iter().sum::<u8>()) <= usual + hedges);
                }
                Step::Wait => {
                    if under_way.is_empty() {
                        prop_assert_eq!(lookup.messages, 60);
                        break Step::Wait;
                    }
                    let asked = under_way.remove(0);
                    let n = number(asked.id_ref());
                    if fates[usize::from(n)] == 0 {
                        lookup.late(&metric, asked.id_ref());
                        lookup.failed(&metric, asked.id_ref());
                        dead.push(asked.id());
                        continue;
                    }
                    let (_, namer) = lookup.answered(&metric, asked.id_ref(), Duration::ZERO).unwrap();
                    for name in &names[usize::from(n)] {
                        lookup.add(&metric, &peer(*name), State::Named, Some(namer));
                    }
                }
                end => break end,
            }
        };
        prop_assert!(lookup.messages <= 60);
        let result = lookup.result(Time::ZERO);
        prop_assert!(result.closest.is_sorted_by(|a, b| metric.closer(&key, a.id_ref(), b.id_ref()).is_lt()));
        prop_assert!(result.closest.iter().all(|peer| !dead.contains(peer.id_ref())));
        if ended == Step::Done {
            prop_assert!(result.confirmed >= need.min(result.closest.len()));
        }
        for hop in &result.trace {
            prop_assert_eq!(hop.named_by.is_none(), hop.depth == 1);
        }
    }
}

/// A slow peer does not hold up the others, and its late answer still counts.
#[test]
fn late_answers_count() {
    let metric = AnyMetric::Ring;
    let near = peer(1);
    let mut lookup = Progress::new(Owner::Check, *near.id().key(), 1, 1, 1, Time::ZERO, Time::ZERO);
    lookup.add(&metric, &near, State::Named, None);
    lookup.add(&metric, &peer(2), State::Named, None);
    assert_eq!(lookup.step(60), Step::Ask(near.clone()));
    assert_eq!(lookup.step(60), Step::Wait);
    lookup.late(&metric, near.id_ref());
    assert_eq!(lookup.step(60), Step::Ask(peer(2)));
    lookup.answered(&metric, near.id_ref(), Duration::ZERO);
    assert_eq!(lookup.step(60), Step::Done);
}

/// Peers sorted by their distance to a key.
fn by_distance(key: &Key, count: u16) -> Vec<Peer> {
    let mut peers: Vec<Peer> = (0..count).map(peer).collect();
    peers.sort_by_key(|peer| AnyMetric::Ring.distance(peer.id_ref().key(), key));
    peers
}

#[test]
fn does_not_wait_for_a_dead_name_that_the_keys_neighbourhood_does_not_know() {
    let key = Key::from_bytes([7; 32]);
    let peers = by_distance(&key, 10);
    let (dead, owner, neighbour) = (&peers[0], &peers[1], &peers[5]);
    let metric = AnyMetric::Ring;
    let mut lookup =
        Progress::new(Owner::Check, key, 3, 1, 2, Time::ZERO, Time::from_micros(u64::MAX)).over_paths(1);
    lookup.add(&metric, dead, State::Named, None);
    lookup.add(&metric, neighbour, State::Named, None);
    assert_eq!(lookup.step(60), Step::Ask(dead.clone()));
    assert_eq!(lookup.step(60), Step::Ask(neighbour.clone()));
    let (_, namer) = lookup.answered(&metric, neighbour.id_ref(), Duration::ZERO).unwrap();
    lookup.add(&metric, owner, State::Named, Some(namer));
    lookup.covered(&metric, neighbour.id_ref(), &[owner.clone(), peers[2].clone()]);
    assert_eq!(lookup.step(60), Step::Ask(owner.clone()));
    assert_eq!(lookup.step(60), Step::Wait);
    lookup.answered(&metric, owner.id_ref(), Duration::ZERO).unwrap();
    assert_eq!(lookup.step(60), Step::Done, "the dead one is asked, not waited for");
    assert_eq!(lookup.result(Time::ZERO).closest[0], *owner);
}

#[test]
fn a_name_that_the_neighbourhood_does_not_know_counts_when_it_answers_in_time() {
    let key = Key::from_bytes([7; 32]);
    let peers = by_distance(&key, 10);
    let (newcomer, owner) = (&peers[0], &peers[1]);
    let metric = AnyMetric::Ring;
    let mut lookup = Progress::new(Owner::Check, key, 3, 1, 2, Time::ZERO, Time::from_micros(u64::MAX));
    lookup.add(&metric, newcomer, State::Named, None);
    lookup.add(&metric, owner, State::Named, None);
    assert_eq!(lookup.step(60), Step::Ask(newcomer.clone()));
    assert_eq!(lookup.step(60), Step::Ask(owner.clone()));
    lookup.answered(&metric, newcomer.id_ref(), Duration::ZERO).unwrap();
    lookup.answered(&metric, owner.id_ref(), Duration::ZERO).unwrap();
    lookup.covered(&metric, owner.id_ref(), &[peers[2].clone()]);
    assert_eq!(lookup.step(60), Step::Done);
    assert_eq!(lookup.result(Time::ZERO).closest[0], *newcomer);
}

/// A liar says that it sees all of the key's neighbourhood, and leaves the nearest peer out, which is slow.
#[test]
fn over_disjoint_paths_nobody_is_believed_about_others() {
    let key = Key::from_bytes([7; 32]);
    let peers = by_distance(&key, 10);
    let (honest, accomplice, liar) = (&peers[0], &peers[1], &peers[5]);
    let metric = AnyMetric::Ring;
    for (paths, onlooker, believed) in
        [(1, false, true), (1, true, true), (2, false, false), (2, true, false)]
    {
        let mut lookup = Progress::new(Owner::Check, key, 3, 1, 2, Time::ZERO, Time::from_micros(u64::MAX))
            .over_paths(paths)
            .for_onlooker(onlooker);
        lookup.add(&metric, honest, State::Named, None);
        lookup.add(&metric, liar, State::Named, None);
        assert_eq!(lookup.step(60), Step::Ask(honest.clone()));
        assert_eq!(lookup.step(60), Step::Ask(liar.clone()));
        lookup.late(&metric, honest.id_ref());
        let (_, namer) = lookup.answered(&metric, liar.id_ref(), Duration::ZERO).unwrap();
        lookup.add(&metric, accomplice, State::Named, Some(namer));
        lookup.covered(&metric, liar.id_ref(), &[accomplice.clone(), peers[2].clone()]);
        assert_eq!(lookup.step(60), Step::Ask(accomplice.clone()));
        lookup.answered(&metric, accomplice.id_ref(), Duration::ZERO).unwrap();
        let case = format!("{paths} paths, onlooker: {onlooker}");
        assert_eq!(lookup.step(60), if believed { Step::Done } else { Step::Wait }, "{case}");
        let nearest = if believed { accomplice } else { honest };
        assert_eq!(lookup.clone().result(Time::ZERO).closest[0], *nearest, "{case}");
        lookup.answered(&metric, honest.id_ref(), Duration::ZERO).unwrap();
        assert_eq!(lookup.step(60), Step::Done, "{case}");
        assert_eq!(lookup.result(Time::ZERO).closest[0], *honest, "{case}");
    }
}

/// Whoever is silent is made up for, and the first two by one question more, since the next may be dead too. Several
/// paths are wide enough.
#[test]
fn the_first_two_that_are_silent_are_hedged_on_one_path_and_nobody_on_several() {
    let key = Key::from_bytes([7; 32]);
    let metric = AnyMetric::Ring;
    for (paths, at_first, after_each) in [(1, 2, [2, 2, 1, 1]), (2, 2, [1, 1, 1, 1])] {
        for dead in [false, true] {
            let mut lookup =
                Progress::new(Owner::Check, key, 3, 1, 2, Time::ZERO, Time::from_micros(u64::MAX))
                    .over_paths(paths);
            for peer in by_distance(&key, 40) {
                lookup.add(&metric, &peer, State::Named, None);
            }
            let mut under_way = Vec::new();
            let mut ask = |lookup: &mut Progress, silent: Option<usize>| {
                if let Some(silent) = silent {
                    let peer: &Peer = &under_way[silent];
                    lookup.late(&metric, peer.id_ref());
                    if dead {
                        lookup.failed(&metric, peer.id_ref());
                    }
                }
                let before = under_way.len();
                while let Step::Ask(peer) = lookup.step(60) {
                    under_way.push(peer);
                }
                under_way.len() - before
            };
            assert_eq!(ask(&mut lookup, None), at_first);
            let asked = [0, 1, 2, 3].map(|silent| ask(&mut lookup, Some(silent)));
            assert_eq!(asked, after_each, "{paths} paths, dead: {dead}");
        }
    }
}
