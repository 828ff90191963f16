//! Maps in the book of what a writer keeps, on a disk that loses power: their rows are those of the state that they
//! name, and no chunk of it is ever said to be free.

#![allow(clippy::unwrap_used)]

#[path = "harness/disk.rs"]
#[allow(dead_code, unreachable_pub)]
mod disk;

use std::collections::BTreeMap;

use chordage_storage::ChunkId;
use chordage_storage::lease::{Keeps, Kept, KeptMap, KeptState, MapStep, ObjectChunk};
use chordage_storage::repair::Moment;
use disk::Disk;
use proptest::prelude::*;

const VOLUME: [u8; 32] = [9; 32];
const N: u8 = 3;

fn chunk(number: u8) -> ChunkId {
    ChunkId([number; 32])
}

fn object(root: ChunkId, chunks: u64) -> Kept {
    Kept {
        root,
        state: KeptState::Kept,
        put: true,
        since: Moment(1),
        bytes: 0,
        stored_bytes: 0,
        until: None,
        retained_until: Moment(0),
        chunks,
        confirmed: true,
    }
}

/// Which chunks a state needs, and how often.
type State = BTreeMap<u8, u64>;

fn name(state: &State) -> Vec<u8> {
    state.iter().flat_map(|(chunk, times)| [*chunk, *times as u8]).collect()
}

/// A step to `to`, which exchanges chunks with the object `exchange`.
fn step(from: Option<(KeptMap, &State)>, to: &State, map: ChunkId, exchange: u8) -> MapStep {
    let old = from.as_ref().map(|(_, state)| (*state).clone()).unwrap_or_default();
    let times = |state: &State, chunk: &u8| state.get(chunk).copied().unwrap_or(0);
    let more = to.iter().filter(|(chunk, uses)| **uses > times(&old, chunk));
    let less = old.iter().filter(|(chunk, uses)| **uses > times(to, chunk));
    MapStep {
        volume: VOLUME,
        from: from.map(|(map, _)| map),
        to: KeptMap { object: map, state: name(to) },
        exchange: chunk(exchange),
        more: more.map(|(number, uses)| (chunk(*number), uses - times(&old, number))).collect(),
        less: less.map(|(number, uses)| (chunk(*number), uses - times(to, number))).collect(),
    }
}

/// Keeps what a step needs, as is done before its state is published.
fn offer(keeps: &Keeps, step: &MapStep) -> std::io::Result<()> {
    let chunks: Vec<(ChunkId, u8)> = step.more.iter().map(|(chunk, _)| (*chunk, N)).collect();
    keeps.keep(&object(step.exchange, chunks.len() as u64), &chunks)
}

fn rows(keeps: &Keeps, root: ChunkId) -> Vec<ObjectChunk> {
    let rows = keeps.chunks_of(root, None, 1000).unwrap();
    if let Some(kept) = keeps.get(root).unwrap() {
        assert_eq!(kept.chunks, rows.len() as u64);
    }
    rows
}

fn numbers(rows: &[ObjectChunk]) -> Vec<u8> {
    rows.iter().map(|row| row.chunk.0[0]).collect()
}

fn state(needed: &[(u8, u64)]) -> State {
    needed.iter().copied().collect()
}

#[test]
fn a_chunk_goes_when_the_last_use_of_it_does_and_is_kept_a_while_for_readers() {
    let keeps = Keeps::open_files(Box::new(Disk::new(1))).unwrap();
    assert_eq!(keeps.map_of(VOLUME).unwrap(), None);
    let states =
        [state(&[(1, 1), (2, 2), (3, 1)]), state(&[(2, 1), (3, 1), (4, 1)]), state(&[(3, 1), (1, 1)])];
    let map = chunk(100);
    let mut before: Option<&State> = None;
    for (number, (next, left)) in states.iter().zip([&[][..], &[1], &[2, 4]]).enumerate() {
        let from = before.map(|state| (keeps.map_of(VOLUME).unwrap().unwrap(), state));
        let step = step(from, next, map, 101 + number as u8);
        offer(&keeps, &step).unwrap();
        assert!(keeps.step(&step).unwrap());
        assert_eq!(keeps.map_of(VOLUME).unwrap(), Some(step.to.clone()));
        assert_eq!(numbers(&rows(&keeps, map)), next.keys().copied().collect::<Vec<_>>());
        assert_eq!(numbers(&rows(&keeps, step.exchange)), left, "step {number}");
        assert!(!keeps.step(&step).unwrap(), "once only");
        before = Some(next);
    }
    // What was left over is forgotten; 1 has come back meanwhile.
    for (exchange, expected) in [(102, vec![]), (103, vec![2, 4])] {
        keeps.begin_forgetting(chunk(exchange)).unwrap().unwrap();
        let free: Vec<ObjectChunk> =
            rows(&keeps, chunk(exchange)).into_iter().filter(|row| row.free).collect();
        assert_eq!(numbers(&free), expected);
    }
    // When the map itself is forgotten, nothing of it is gone on from.
    keeps.begin_forgetting(map).unwrap().unwrap();
    assert_eq!(keeps.map_of(VOLUME).unwrap(), None);
    assert!(rows(&keeps, map).iter().all(|row| row.free && row.n == N));
}

#[test]
fn a_map_goes_from_nowhere_else_and_to_nothing_that_is_not_kept() {
    let keeps = Keeps::open_files(Box::new(Disk::new(1))).unwrap();
    let (first, second) = (state(&[(1, 1)]), state(&[(1, 2), (2, 1)]));
    let begin = step(None, &first, chunk(100), 101);
    assert!(!keeps.step(&begin).unwrap(), "its chunks are not kept");
    offer(&keeps, &begin).unwrap();
    assert!(keeps.step(&begin).unwrap());
    let on = step(Some((begin.to.clone(), &first)), &second, chunk(100), 102);
    keeps.keep(&object(on.exchange, 1), &[(chunk(1), N)]).unwrap();
    assert!(!keeps.step(&on).unwrap(), "one of its chunks is not kept");
    offer(&keeps, &on).unwrap();
    let elsewhere = KeptMap { object: chunk(100), state: b"another".to_vec() };
    assert!(!keeps.step(&MapStep { from: Some(elsewhere), ..on.clone() }).unwrap());
    assert!(
        !keeps.step(&MapStep { from: None, ..on.clone() }).unwrap(),
        "an object that is there is no new one"
    );
    keeps.begin_forgetting(on.exchange).unwrap();
    assert!(!keeps.step(&on).unwrap(), "what is needed is being forgotten");
    assert_eq!(keeps.map_of(VOLUME).unwrap(), Some(begin.to));
    assert_eq!(numbers(&rows(&keeps, chunk(100))), [1]);
    offer(&keeps, &on).unwrap();
    keeps.begin_forgetting(chunk(100)).unwrap();
    assert!(!keeps.step(&on).unwrap(), "the map is being forgotten");
    // It is begun again as another object.
    let again = step(None, &second, chunk(110), 102);
    offer(&keeps, &again).unwrap();
    assert!(keeps.step(&again).unwrap());
    assert_eq!(keeps.map_of(VOLUME).unwrap(), Some(again.to));
    assert!(rows(&keeps, chunk(110)).iter().all(|row| !row.free));
}

#[test]
fn what_holders_were_not_asked_to_keep_for_long_is_asked_for_as_the_maps() {
    let keeps = Keeps::open_files(Box::new(Disk::new(1))).unwrap();
    let step = step(None, &state(&[(1, 1)]), chunk(100), 101);
    keeps.keep(&Kept { confirmed: false, ..object(chunk(101), 1) }, &[(chunk(1), N)]).unwrap();
    assert!(keeps.step(&step).unwrap());
    assert!(keeps.unconfirmed(None, 10).unwrap().contains(&chunk(100)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// States follow each other with power failures in, and between, all steps; what is left over is forgotten now and
    /// then.
    #[test]
    fn no_power_failure_leaves_a_needed_chunk_free_or_an_unneeded_one_behind(
        seed: u64,
        states in prop::collection::vec(
            (prop::collection::btree_map(0u8..12, 1u64..4, 1..8), prop::option::of(0u64..40), any::<bool>()),
            1..12,
        ),
    ) {
        let disk = Disk::new(seed);
        let mut keeps = Keeps::open_files(Box::new(disk.clone())).unwrap();
        let map = chunk(100);
        let mut current: Option<State> = None;
        for (number, (next, power, forget)) in states.into_iter().enumerate() {
            let from = current.as_ref().map(|state| (keeps.map_of(VOLUME).unwrap().unwrap(), state));
            let step = step(from, &next, map, 101 + number as u8);
            if let Some(after) = power {
                disk.fail_power_after(after);
            }
            let offered = offer(&keeps, &step).is_ok();
            let stepped = offered && keeps.step(&step).unwrap_or(false);
            if power.is_some() {
                drop(keeps);
                disk.power_cycle();
                keeps = Keeps::open_files(Box::new(disk.clone())).unwrap();
            } else {
                prop_assert!(stepped);
            }
            let is_new = keeps.map_of(VOLUME).unwrap().is_some_and(|kept| kept.state == name(&next));
            prop_assert!(is_new || !stepped);
            if offered {
                // Whether or not its head was published in time, everything that the state needs is kept.
                let needed = keeps.chunks(None, 1000).unwrap();
                prop_assert!(next.keys().all(|number| needed.iter().any(|found| found.chunk == chunk(*number))));
            }
            if is_new {
                current = Some(next);
            }
            let Some(state) = &current else { continue };
            let found = rows(&keeps, map);
            prop_assert_eq!(numbers(&found), state.keys().copied().collect::<Vec<_>>());
            prop_assert!(found.iter().all(|row| !row.free && row.n == N));
            if forget {
                let _ = keeps.begin_forgetting(step.exchange).unwrap();
                for row in rows(&keeps, step.exchange) {
                    prop_assert!(!row.free || !state.contains_key(&row.chunk.0[0]));
                }
            }
        }
    }
}
