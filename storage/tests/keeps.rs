//! The book of what a writer keeps on a disk that loses power: what is kept is renewed, and what a kept object needs is
//! never said to be free.

#![allow(clippy::unwrap_used)]

#[path = "harness/disk.rs"]
#[allow(dead_code, unreachable_pub)]
mod disk;

use std::collections::{BTreeMap, BTreeSet};

use chordage_storage::ChunkId;
use chordage_storage::lease::{Keeps, Kept, KeptState, ObjectChunk, RECOVERED};
use chordage_storage::repair::Moment;
use disk::Disk;
use proptest::prelude::*;

fn chunk(number: u8) -> ChunkId {
    ChunkId([number; 32])
}

fn one_kept(root: u8) -> Kept {
    Kept {
        root: chunk(root),
        state: KeptState::Kept,
        put: true,
        since: Moment(1),
        bytes: 1,
        stored_bytes: 2,
        until: None,
        retained_until: Moment(0),
        chunks: 3,
        confirmed: true,
    }
}

#[test]
fn what_is_kept_is_unconfirmed_until_its_holders_keep_it_for_a_whole_lease() {
    let disk = Disk::new(1);
    let keeps = Keeps::open_files(Box::new(disk.clone())).unwrap();
    let object = |root| Kept { root: chunk(root), confirmed: false, ..one_kept(1) };
    for root in [7, 8, 9] {
        keeps.keep(&object(root), &[(chunk(1), 6)]).unwrap();
    }
    keeps.confirmed(chunk(8)).unwrap();
    keeps.begin_forgetting(chunk(9)).unwrap().unwrap();
    assert_eq!(keeps.unconfirmed(None, 10).unwrap(), [chunk(7)]);
    assert_eq!(keeps.unconfirmed(Some(chunk(7)), 10).unwrap(), []);
    assert!(!keeps.get(chunk(7)).unwrap().unwrap().confirmed);
    assert!(keeps.list(None, 10).unwrap()[1].confirmed);
    // It is asked for again rather than forgotten.
    drop(keeps);
    disk.power_cycle();
    let keeps = Keeps::open_files(Box::new(disk)).unwrap();
    assert!(keeps.unconfirmed(None, 10).unwrap().contains(&chunk(7)));
}

#[test]
fn an_object_has_all_the_names_it_was_put_under_until_it_is_forgotten() {
    let disk = Disk::new(1);
    let keeps = Keeps::open_files(Box::new(disk.clone())).unwrap();
    for (root, name, at) in [(1, "b", 1), (2, "other", 2), (1, "a", 3), (1, "b", 4)] {
        keeps.keep(&one_kept(root), &[(chunk(1), 6)]).unwrap();
        keeps.name(chunk(root), name, Moment(at)).unwrap();
    }
    drop(keeps);
    disk.power_cycle();
    let keeps = Keeps::open_files(Box::new(disk)).unwrap();
    assert_eq!(keeps.names(chunk(1)).unwrap(), ["a", "b"], "the one it was put under last is last");
    keeps.begin_forgetting(chunk(1)).unwrap().unwrap();
    assert_eq!(keeps.names(chunk(1)).unwrap().len(), 2, "it is listed while holders are told");
    keeps.told(chunk(1), Moment(1000)).unwrap();
    assert_eq!(keeps.names(chunk(1)).unwrap(), [""; 0]);
    assert_eq!(keeps.names(chunk(2)).unwrap(), ["other"]);
    for number in 0..20 {
        keeps.name(chunk(2), &format!("{number}{}", "ä".repeat(200)), Moment(10 + number)).unwrap();
    }
    let names = keeps.names(chunk(2)).unwrap();
    assert!(names.len() == 16 && names[15].starts_with("19") && names[0].starts_with('4'), "{names:?}");
    assert!(names.iter().all(|name| name.len() <= 255 && name.len() > 250), "{names:?}");
    // What is kept again after it was forgotten has no names from before.
    keeps.begin_forgetting(chunk(2)).unwrap().unwrap();
    keeps.keep(&one_kept(2), &[(chunk(1), 6)]).unwrap();
    assert_eq!(keeps.names(chunk(2)).unwrap(), [""; 0]);
}

#[test]
fn what_a_writer_says_is_numbered_by_its_book_and_never_by_its_clock() {
    let disk = Disk::new(1);
    let keeps = Keeps::open_files(Box::new(disk.clone())).unwrap();
    assert_eq!(keeps.reserve_said(1000, 10).unwrap(), 1000);
    drop(keeps);
    disk.power_cycle();
    // The clock was set back, then far ahead: the numbers go on from where they were.
    let keeps = Keeps::open_files(Box::new(disk)).unwrap();
    assert_eq!(keeps.reserve_said(7, 10).unwrap(), 1010);
    assert_eq!(keeps.reserve_said(1_000_000, 10).unwrap(), 1020);
    // A holder has heard of numbers that an older copy of the book does not know of.
    keeps.raise_said(500).unwrap();
    assert_eq!(keeps.reserve_said(7, 10).unwrap(), 1030);
    keeps.raise_said(5000).unwrap();
    assert_eq!(keeps.reserve_said(7, 10).unwrap(), 5000);
}

#[test]
fn what_only_holders_know_of_is_kept_as_an_object_of_its_own() {
    let keeps = Keeps::open_files(Box::new(Disk::new(1))).unwrap();
    keeps.keep(&one_kept(9), &[(chunk(1), 6)]).unwrap();
    keeps.keep(&one_kept(8), &[(chunk(2), 6)]).unwrap();
    keeps.begin_forgetting(chunk(8)).unwrap().unwrap();
    let all = [chunk(1), chunk(2), chunk(3), chunk(4)];
    assert_eq!(keeps.unknown(&all).unwrap(), [chunk(3), chunk(4)], "what is being forgotten is known");
    keeps.recover(Moment(5), &[(chunk(3), 6)]).unwrap();
    keeps.recover(Moment(6), &[(chunk(4), 6)]).unwrap();
    assert!(keeps.unknown(&all).unwrap().is_empty());
    let recovered = keeps.get(RECOVERED).unwrap().unwrap();
    assert_eq!((recovered.chunks, recovered.since, recovered.confirmed), (2, Moment(5), true));
    let renewed: Vec<ChunkId> = keeps.chunks(None, 10).unwrap().iter().map(|part| part.chunk).collect();
    assert_eq!(renewed, [chunk(1), chunk(3), chunk(4)]);
}

#[test]
fn what_is_forgotten_is_remembered_for_who_was_absent_and_listed_nowhere_else() {
    let disk = Disk::new(1);
    let keeps = Keeps::open_files(Box::new(disk.clone())).unwrap();
    let object = one_kept(9);
    let parts = [(chunk(1), 6), (chunk(2), 6), (chunk(3), 6)];
    keeps.keep(&object, &parts).unwrap();
    keeps.told(chunk(9), Moment(70)).unwrap();
    assert_eq!(keeps.list(None, 10).unwrap(), [object], "what is kept cannot be told to be forgotten");
    keeps.begin_forgetting(chunk(9)).unwrap().unwrap();
    keeps.told(chunk(9), Moment(70)).unwrap();
    drop(keeps);
    disk.power_cycle();
    let keeps = Keeps::open_files(Box::new(disk)).unwrap();
    assert!(keeps.list(None, 10).unwrap().is_empty());
    assert!(keeps.chunks(None, 10).unwrap().is_empty());
    assert_eq!(keeps.begin_forgetting(chunk(9)).unwrap(), None, "it is not kept");
    let unkept = keeps.unkept(None, 10).unwrap();
    assert_eq!((unkept.len(), unkept[0].until), (1, Some(Moment(70))));
    let page = keeps.chunks_of(chunk(9), Some(chunk(1)), 1).unwrap();
    assert_eq!(page, [ObjectChunk { chunk: chunk(2), n: 6, free: true }]);
    // Put again: nobody is told any more.
    keeps.keep(&object, &parts).unwrap();
    assert!(keeps.unkept(None, 10).unwrap().is_empty());
    assert_eq!(keeps.list(None, 10).unwrap(), [object]);
}

/// Who forgot it goes on with what was listed before it was kept again.
#[test]
fn what_is_kept_again_while_it_is_being_forgotten_loses_nothing() {
    let keeps = Keeps::open_files(Box::new(Disk::new(1))).unwrap();
    let parts = [(chunk(1), 6), (chunk(2), 6), (chunk(3), 6)];
    keeps.keep(&one_kept(9), &parts).unwrap();
    keeps.begin_forgetting(chunk(9)).unwrap().unwrap();
    keeps.forgot(chunk(9), &[chunk(1)]).unwrap();
    keeps.keep(&one_kept(9), &parts).unwrap();
    keeps.forgot(chunk(9), &[chunk(2), chunk(3)]).unwrap();
    let renewed: Vec<ChunkId> = keeps.chunks(None, 10).unwrap().iter().map(|part| part.chunk).collect();
    assert_eq!(renewed, [chunk(1), chunk(2), chunk(3)]);
    assert_eq!(keeps.chunks_of(chunk(9), None, 10).unwrap().len(), 3);
    assert_eq!(keeps.get(chunk(9)).unwrap(), Some(one_kept(9)));
}

#[test]
fn what_is_kept_again_is_kept_at_least_as_long_as_before() {
    let keeps = Keeps::open_files(Box::new(Disk::new(1))).unwrap();
    let kept = |until: Option<u64>, retained| Kept {
        until: until.map(Moment),
        retained_until: Moment(retained),
        ..one_kept(9)
    };
    for (asked, granted) in [
        (kept(Some(70), 50), kept(Some(70), 50)),
        (kept(Some(60), 40), kept(Some(70), 50)),
        (kept(Some(80), 60), kept(Some(80), 60)),
        (kept(None, 0), kept(None, 60)),
        (kept(Some(90), 0), kept(None, 60)),
    ] {
        keeps.keep(&asked, &[(chunk(1), 6)]).unwrap();
        assert_eq!(keeps.get(chunk(9)).unwrap(), Some(granted));
    }
}

#[test]
fn a_chunk_of_several_objects_is_kept_as_long_as_any_of_them_needs_it() {
    let keeps = Keeps::open_files(Box::new(Disk::new(1))).unwrap();
    for (root, until, retained) in [(7, 70, 50), (8, 80, 60), (9, 60, 40)] {
        let object = Kept { until: Some(Moment(until)), retained_until: Moment(retained), ..one_kept(root) };
        keeps.keep(&object, &[(chunk(1), 6), (chunk(root), 6)]).unwrap();
    }
    let shared = keeps.chunks(None, 1).unwrap()[0];
    assert_eq!((shared.until, shared.retained_until), (Some(Moment(80)), Moment(60)));
    keeps.keep(&one_kept(6), &[(chunk(1), 6)]).unwrap();
    assert_eq!(keeps.chunks(None, 1).unwrap()[0].until, None);
    assert_eq!(keeps.own_chunks(chunk(8)).unwrap(), 1, "forgetting one of them frees what is its own alone");
}

/// Which chunks each object consists of.
const PARTS: [&[u8]; 4] = [&[0, 1], &[1, 2, 3], &[3], &[0, 1, 2, 3, 4]];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Objects that share chunks are kept and forgotten with power failures between, and in, all steps.
    #[test]
    fn nothing_that_a_kept_object_needs_is_ever_free(
        seed in any::<u64>(),
        steps in prop::collection::vec((0u8..4, any::<bool>(), prop::option::weighted(0.2, 0u64..12)), 1..40),
    ) {
        let disk = Disk::new(seed);
        let mut keeps = Keeps::open_files(Box::new(disk.clone())).unwrap();
        let mut kept: BTreeMap<u8, BTreeSet<u8>> = BTreeMap::new();
        // Of which a call failed: they may be kept or not.
        let mut unknown: BTreeSet<u8> = BTreeSet::new();
        for (object, keep, power) in steps {
            if let Some(after) = power {
                disk.fail_power_after(after);
            }
            // An object's chunks never change: its address depends on them.
            let parts = BTreeSet::from_iter(PARTS[usize::from(object)].iter().copied());
            if keep {
                let new = Kept { chunks: parts.len() as u64, ..one_kept(100 + object) };
                let chunks: Vec<(ChunkId, u8)> = parts.iter().map(|part| (chunk(*part), 6)).collect();
                match keeps.keep(&new, &chunks) {
                    Ok(()) => { kept.insert(object, parts); unknown.remove(&object); }
                    Err(_) => drop(unknown.insert(object)),
                }
            } else {
                match keeps.begin_forgetting(chunk(100 + object)) {
                    Ok(_) => { kept.remove(&object); unknown.remove(&object); }
                    Err(_) => { kept.remove(&object); unknown.insert(object); }
                }
                while let Ok(some) = keeps.chunks_of(chunk(100 + object), None, 2) {
                    for ObjectChunk { chunk: part, free, .. } in &some {
                        let needed = kept.values().any(|parts| parts.iter().any(|p| chunk(*p) == *part));
                        prop_assert!(!(needed && *free), "{part:?} is needed");
                        prop_assert!(needed || *free || !unknown.is_empty(), "{part:?} is not needed");
                    }
                    let parts: Vec<ChunkId> = some.iter().map(|part| part.chunk).collect();
                    if some.is_empty() || unknown.contains(&object) || keeps.forgot(chunk(100 + object), &parts).is_err() {
                        break;
                    }
                }
            }
            if disk.is_off() {
                drop(keeps);
                disk.disarm();
                disk.power_cycle();
                keeps = Keeps::open_files(Box::new(disk.clone())).unwrap();
            }
            disk.disarm();
            let mut renewed = BTreeSet::new();
            let mut after = None;
            loop {
                let some = keeps.chunks(after, 2).unwrap();
                let Some(last) = some.last() else { break };
                after = Some(last.chunk);
                renewed.extend(some.iter().map(|part| part.chunk));
            }
            for part in kept.values().flatten() {
                prop_assert!(renewed.contains(&chunk(*part)));
            }
            if unknown.is_empty() {
                let needed: BTreeSet<ChunkId> = kept.values().flatten().map(|part| chunk(*part)).collect();
                prop_assert_eq!(&renewed, &needed);
            }
        }
    }
}
