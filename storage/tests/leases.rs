//! A holder's book of claims on a disk that loses power, against a model.
//!
//! The rule: a claim that was promised is there, and its chunk is not freed.

#![allow(clippy::unwrap_used)]

#[path = "harness/disk.rs"]
#[allow(dead_code, unreachable_pub)]
mod disk;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chordage_storage::lease::{
    Claim, Claims, Dropped, Limits, Listed, NewClaim, ORPHAN, Reading, Rejected, Totals,
};
use chordage_storage::repair::Moment;
use chordage_storage::{ChunkId, Writer};
use disk::Disk;
use proptest::prelude::*;

fn chunk(number: u8) -> ChunkId {
    ChunkId([number; 32])
}

fn writer(number: u8) -> Writer {
    Writer([number; 32])
}

fn claim(number: u8, by: u8, lease_seconds: u32, retain_seconds: u32) -> NewClaim {
    let claim = Claim { writer: writer(by), lease_seconds, retain_seconds };
    NewClaim {
        chunk: chunk(number),
        claim,
        bytes: 100,
        held_before: 0,
        written: true,
        hearsay: false,
        said: 0,
    }
}

/// How long nobody claims what nobody else does.
const GRACE: Duration = Duration::from_secs(1000);
/// How long a claim of nobody's lasts after a drop: longer than any here.
const NOBODYS: Duration = Duration::from_secs(10_000);

fn seconds(seconds: u64) -> Moment {
    Moment(seconds * 1000)
}

#[test]
fn a_chunk_is_freed_when_its_last_claim_has_ended() {
    let claims = Claims::open_files(Box::new(Disk::new(1))).unwrap();
    claims.enter(seconds(0), &[claim(1, 1, 10, 0), claim(1, 2, 20, 0)], GRACE).unwrap();
    assert_eq!(claims.expire(seconds(9), 10).unwrap(), 0);
    assert_eq!(claims.expire(seconds(10), 10).unwrap(), 1);
    assert!(claims.to_free(10).unwrap().is_empty());
    assert_eq!(claims.of_writer(writer(2)).unwrap(), Totals { claims: 1, bytes: 100 });
    assert_eq!(claims.expire(seconds(20), 10).unwrap(), 1);
    assert_eq!(claims.to_free(10).unwrap(), [chunk(1)]);
    assert!(claims.writers(10).unwrap().is_empty());
    // Put again before it was freed: it is needed.
    claims.enter(seconds(21), &[claim(1, 3, 10, 0)], GRACE).unwrap();
    assert!(claims.to_free(10).unwrap().is_empty());
}

#[test]
fn a_renewal_lengthens_and_never_shortens() {
    let claims = Claims::open_files(Box::new(Disk::new(1))).unwrap();
    claims.enter(seconds(0), &[claim(1, 1, 100, 50)], GRACE).unwrap();
    claims.enter(seconds(10), &[claim(1, 1, 5, 0)], GRACE).unwrap();
    let state = claims.of(&[chunk(1)]).unwrap()[0][0];
    assert_eq!((state.until, state.retained_until, state.bytes), (seconds(100), seconds(50), 200));
    // What others say of the writer changes nothing about its claim.
    let heard = NewClaim { hearsay: true, bytes: 0, ..claim(1, 1, 10_000, 10_000) };
    claims.enter(seconds(10), &[heard], GRACE).unwrap();
    assert_eq!(claims.of(&[chunk(1)]).unwrap()[0], [state]);
    let left = state.left(Moment(10_001));
    assert_eq!((left.lease_seconds, left.retain_seconds), (90, 40), "rounded up");
}

#[test]
fn a_retained_claim_is_not_dropped_before_its_date_by_anybody() {
    let claims = Claims::open_files(Box::new(Disk::new(1))).unwrap();
    claims.enter(seconds(0), &[claim(1, 1, 10, 100), claim(2, 1, 10, 0)], GRACE).unwrap();
    let all = [chunk(1), chunk(2), chunk(3)];
    let dropped = claims.drop_claims(seconds(1), writer(1), 0, NOBODYS, &all).unwrap();
    assert_eq!(dropped, Dropped { dropped: 1, retained: 1, unknown: 1, overtaken: 0 });
    assert_eq!(claims.to_free(10).unwrap(), [chunk(2)]);
    claims.drop_claims(seconds(99), writer(1), 0, NOBODYS, &all).unwrap();
    claims.expire(seconds(99), 10).unwrap();
    assert_eq!(claims.to_free(10).unwrap(), [chunk(2)]);
    assert_eq!(claims.expire(seconds(100), 10).unwrap(), 1, "the drop counts once the date is there");
    assert_eq!(claims.to_free(10).unwrap(), [chunk(1), chunk(2)]);
}

#[test]
fn what_a_writer_has_claimed_is_listed_page_by_page() {
    let claims = Claims::open_files(Box::new(Disk::new(1))).unwrap();
    let all: Vec<_> = (0..200).map(|number| claim(number, 1 + number % 2, 10, 0)).collect();
    claims.enter(seconds(0), &all, GRACE).unwrap();
    let (mut found, mut after, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = claims.listed(writer(2), after, 30).unwrap();
        assert!(page.claims.len() <= 30);
        found.extend(page.claims.iter().map(|(chunk, _)| *chunk));
        pages += 1;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(found, (0..200).filter(|number| number % 2 == 1).map(chunk).collect::<Vec<_>>());
    assert_eq!(pages, 4);
    // However few it has, no page looks through everything; and nothing is looked through for who has none.
    claims.enter(seconds(0), &[claim(199, 3, 10, 0)], GRACE).unwrap();
    let page = claims.listed(writer(3), None, 2).unwrap();
    assert_eq!((page.claims.len(), page.next), (0, Some(chunk(63))));
    assert_eq!(claims.listed(writer(4), None, 2).unwrap(), Listed::default());
}

#[test]
fn another_writers_claim_is_not_dropped() {
    let claims = Claims::open_files(Box::new(Disk::new(1))).unwrap();
    claims.enter(seconds(0), &[claim(1, 1, 10, 0)], GRACE).unwrap();
    let dropped = claims.drop_claims(seconds(1), writer(2), 0, NOBODYS, &[chunk(1)]).unwrap();
    assert_eq!(dropped, Dropped { unknown: 1, ..Dropped::default() });
    assert!(claims.to_free(10).unwrap().is_empty());
}

#[test]
fn what_nobody_claims_is_kept_for_a_while() {
    let claims = Claims::open_files(Box::new(Disk::new(1))).unwrap();
    claims.enter(seconds(0), &[claim(1, 1, 10, 0), claim(3, 1, 1, 0)], GRACE).unwrap();
    claims.expire(seconds(1), 10).unwrap();
    let held = [(chunk(1), 7), (chunk(2), 7), (chunk(3), 7)];
    // The third is being freed: it is no orphan.
    assert_eq!(claims.adopt(seconds(1), &held, Duration::from_secs(50)).unwrap(), 1);
    assert_eq!(claims.of(&[chunk(2)]).unwrap()[0][0].writer, ORPHAN);
    claims.expire(seconds(50), 10).unwrap();
    assert!(!claims.to_free(10).unwrap().contains(&chunk(2)));
    claims.expire(seconds(51), 10).unwrap();
    assert!(claims.to_free(10).unwrap().contains(&chunk(2)));
}

#[test]
fn a_claim_on_what_a_crash_left_unclaimed_is_not_its_last() {
    let disk = Disk::new(1);
    let claims = Claims::open_files(Box::new(disk.clone())).unwrap();
    claims.flush(Reading::default()).unwrap();
    // The shard is on disk, and the power fails before the claim is.
    claims.enter(seconds(0), &[claim(1, 1, 500, 0)], GRACE).unwrap();
    disk.fail_power_after(0);
    drop(claims);
    disk.disarm();
    disk.power_cycle();
    let claims = Claims::open_files(Box::new(disk)).unwrap();
    assert!(claims.of(&[chunk(1)]).unwrap()[0].is_empty());
    let second = NewClaim { held_before: 100, ..claim(1, 2, 10, 0) };
    assert_eq!(claims.enter(seconds(1), &[second], GRACE).unwrap(), [true]);
    claims.drop_claims(seconds(2), writer(2), 0, NOBODYS, &[chunk(1)]).unwrap();
    claims.expire(seconds(999), 10).unwrap();
    assert!(claims.to_free(10).unwrap().is_empty(), "the first writer has had no time to renew");
    claims.expire(seconds(1001), 10).unwrap();
    assert_eq!(claims.to_free(10).unwrap(), [chunk(1)]);
    assert_eq!(claims.freeing(10).unwrap(), Totals { claims: 1, bytes: 100 });
}

/// Otherwise a crash would put the chunk back on the list, and what was acknowledged would be deleted.
#[test]
fn a_claim_on_a_chunk_that_waits_to_be_freed_survives_a_crash() {
    let disk = Disk::new(1);
    let claims = Claims::open_files(Box::new(disk.clone())).unwrap();
    claims.enter(seconds(0), &[claim(1, 1, 10, 0)], GRACE).unwrap();
    assert_eq!(claims.expire(seconds(10), 10).unwrap(), 1);
    claims.enter(seconds(11), &[claim(1, 2, 500, 0)], GRACE).unwrap();
    disk.fail_power_after(0);
    drop(claims);
    disk.power_cycle();
    let claims = Claims::open_files(Box::new(disk)).unwrap();
    assert!(claims.to_free(10).unwrap().is_empty());
    assert_eq!(claims.of(&[chunk(1)]).unwrap()[0][0].writer, writer(2));
}

/// A crash may have taken the claim of the very writer that drops now: what is nobody's does not stay for it, and
/// whoever else it may stand for has time to renew.
#[test]
fn what_is_nobodys_ends_soon_after_anybody_has_dropped_it() {
    let claims = Claims::open_files(Box::new(Disk::new(1))).unwrap();
    claims.adopt(seconds(0), &[(chunk(1), 7), (chunk(2), 7)], GRACE).unwrap();
    claims.enter(seconds(0), &[NewClaim { said: 9, ..claim(2, 1, 500, 0) }], GRACE).unwrap();
    let soon = Duration::from_secs(50);
    let all = [chunk(1), chunk(2)];
    let dropped = claims.drop_claims(seconds(1), writer(1), 8, soon, &all).unwrap();
    assert_eq!(dropped, Dropped { unknown: 1, overtaken: 1, ..Dropped::default() });
    // A later drop does not lengthen what an earlier one has shortened.
    claims.drop_claims(seconds(2), writer(1), 8, soon, &all).unwrap();
    claims.expire(seconds(50), 10).unwrap();
    assert!(claims.to_free(10).unwrap().is_empty(), "another writer has time to renew");
    claims.expire(seconds(51), 10).unwrap();
    assert_eq!(claims.to_free(10).unwrap(), [chunk(1)]);
    let end = claims.of(&[chunk(2)]).unwrap()[0].iter().map(|state| state.until).collect::<Vec<_>>();
    assert_eq!(end, [seconds(1000), seconds(500)], "a drop that was overtaken shortens nothing");
}

#[test]
fn a_book_from_before_claims_ended_is_lengthened_once_and_a_new_one_never() {
    let disk = Disk::new(1);
    let claims = Claims::open_files(Box::new(disk.clone())).unwrap();
    claims.enter(seconds(0), &[claim(1, 1, 10, 0)], GRACE).unwrap();
    assert_eq!(claims.lengthen_all(seconds(99)).unwrap(), 0);
    assert_eq!(claims.anew_until().unwrap(), seconds(0));
    claims.begin_anew(seconds(77)).unwrap();
    drop(claims);
    disk.power_cycle();
    let claims = Claims::open_files(Box::new(disk)).unwrap();
    assert_eq!(claims.anew_until().unwrap(), seconds(77));
    assert_eq!(claims.of(&[chunk(1)]).unwrap()[0][0].until, seconds(10));

    // Two chunks were claimed for 30 days.
    let dir = tempfile::tempdir().unwrap();
    let before = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/claims-before-expiry.redb");
    std::fs::copy(before, dir.path().join("claims.redb")).unwrap();
    let year = seconds(365 * 86_400);
    for lengthened in [2, 0] {
        let claims = Claims::open(dir.path()).unwrap().unwrap();
        assert_eq!(claims.lengthen_all(year).unwrap(), lengthened);
        assert_eq!(claims.expire(Moment(year.0 - 1), 10).unwrap(), 0, "nothing ends before");
    }
    let claims = Claims::open(dir.path()).unwrap().unwrap();
    assert_eq!(claims.expire(year, 10).unwrap(), 2);
    assert_eq!(claims.to_free(10).unwrap().len(), 2);
}

#[test]
fn a_drop_that_a_claim_has_overtaken_counts_for_nothing() {
    let claims = Claims::open_files(Box::new(Disk::new(1))).unwrap();
    let said = |said| NewClaim { said, ..claim(1, 1, 10, 0) };
    claims.enter(seconds(0), &[said(5), said(3)], GRACE).unwrap();
    let dropped = claims.drop_claims(seconds(1), writer(1), 4, NOBODYS, &[chunk(1)]).unwrap();
    assert_eq!(dropped, Dropped { overtaken: 1, ..Dropped::default() });
    let dropped = claims.drop_claims(seconds(1), writer(1), 6, NOBODYS, &[chunk(1)]).unwrap();
    assert_eq!(dropped, Dropped { dropped: 1, ..Dropped::default() });
}

#[test]
fn hearsay_does_not_keep_out_who_comes_in_person() {
    let claims = Claims::open_files(Box::new(Disk::new(1))).unwrap();
    let heard = |by| NewClaim { hearsay: true, ..claim(1, by, 10, 0) };
    let entered = claims.enter(seconds(0), &(100..200).map(heard).collect::<Vec<_>>(), GRACE).unwrap();
    assert_eq!(entered.iter().filter(|entered| **entered).count(), 32);
    let in_person =
        claims.enter(seconds(0), &(1..40).map(|by| claim(1, by, 10, 0)).collect::<Vec<_>>(), GRACE);
    assert_eq!(in_person.unwrap().iter().filter(|entered| **entered).count(), 32);
}

#[test]
fn nobody_locks_a_disk_for_longer_than_its_owner_allows() {
    let limits = Limits { lease_max: Duration::from_secs(100), retain_max: Duration::from_secs(10) };
    let ask = |lease_seconds, retain_seconds| Claim { writer: writer(1), lease_seconds, retain_seconds };
    assert_eq!(limits.check(&ask(100, 10)), Ok(()));
    assert_eq!(limits.check(&ask(101, 0)), Err(Rejected::LeaseTooLong));
    assert_eq!(limits.check(&ask(1, u32::MAX)), Err(Rejected::RetentionTooLong));
    assert_eq!(limits.cut(ask(u32::MAX, u32::MAX)), ask(100, 10));
}

#[test]
fn the_clock_is_written_down_and_a_damaged_book_is_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    let reading = Reading { lease: Moment(5), wall: Moment(9) };
    let claims = Claims::open(dir.path()).unwrap().unwrap();
    assert!(Claims::open(dir.path()).unwrap().is_none(), "open twice");
    assert_eq!(claims.reading().unwrap(), Reading::default());
    claims.flush(reading).unwrap();
    drop(claims);
    let claims = Claims::open(dir.path()).unwrap().unwrap();
    assert_eq!((claims.reading().unwrap(), claims.begun_anew()), (reading, 0));
    drop(claims);
    std::fs::write(dir.path().join("claims.redb"), [0x5a; 9000]).unwrap();
    let claims = Claims::open(dir.path()).unwrap().unwrap();
    assert_eq!((claims.reading().unwrap(), claims.begun_anew()), (Reading::default(), 1));
    claims.flush(reading).unwrap();
    drop(claims);
    let file = std::fs::File::options().write(true).open(dir.path().join("claims.redb")).unwrap();
    file.set_len(file.metadata().unwrap().len() / 2).unwrap();
    let claims = Claims::open(dir.path()).unwrap().unwrap();
    assert_eq!((claims.reading().unwrap(), claims.begun_anew()), (Reading::default(), 1));
}

#[derive(Clone, Debug)]
enum Action {
    Enter { chunk: u8, by: u8, lease: u32, retain: u32 },
    Drop { chunk: u8, by: u8 },
    Wait(u64),
    Free,
    Flush,
    PowerFailure,
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        6 => (0u8..5, 1u8..4, 1u32..40, prop_oneof![Just(0), 0u32..40]).prop_map(
            |(chunk, by, lease, retain)| Action::Enter { chunk, by, lease, retain }
        ),
        3 => (0u8..5, 1u8..4).prop_map(|(chunk, by)| Action::Drop { chunk, by }),
        3 => (1u64..30).prop_map(Action::Wait),
        2 => Just(Action::Free),
        1 => Just(Action::Flush),
        1 => Just(Action::PowerFailure),
    ]
}

/// Ends that were promised, as until and retained until; those of `pending` only once something is durable.
#[derive(Default)]
struct Model {
    promised: BTreeMap<(u8, u8), (u64, u64)>,
    pending: Vec<((u8, u8), (u64, u64))>,
}

impl Model {
    fn durable(&mut self) {
        for (key, (until, retained)) in std::mem::take(&mut self.pending) {
            let entry = self.promised.entry(key).or_default();
            *entry = (entry.0.max(until), entry.1.max(retained));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn no_promised_claim_is_lost_and_nothing_claimed_is_freed(
        seed in any::<u64>(),
        actions in prop::collection::vec((action(), prop::option::weighted(0.1, 0u64..12)), 1..40),
    ) {
        let disk = Disk::new(seed);
        let mut claims = Claims::open_files(Box::new(disk.clone())).unwrap();
        let mut model = Model::default();
        let mut shards: BTreeSet<u8> = BTreeSet::new();
        // Ends of claims that were entered with a shard, promised or not.
        let mut acknowledged: BTreeMap<(u8, u8), u64> = BTreeMap::new();
        let mut now = 0;
        for (action, power) in actions {
            if let Some(after) = power {
                disk.fail_power_after(after);
            }
            match action {
                Action::Enter { chunk, by, lease, retain } => {
                    // Where others keep the chunk, the shard is there already.
                    let held = shards.contains(&chunk);
                    let before = claims.of(&[self::chunk(chunk)]).map(|mut of| of.remove(0)).unwrap_or_default();
                    let durable = held || retain > 0;
                    let new = NewClaim { held_before: u64::from(held), ..claim(chunk, by, lease, retain) };
                    let entered = claims.enter(seconds(now), &[new], GRACE);
                    if entered.is_ok() {
                        shards.insert(chunk);
                        // A writer whose claim a crash took, and who claims less now, wants no more.
                        if !before.iter().any(|claim| claim.writer == writer(by)) {
                            acknowledged.remove(&(chunk, by));
                        }
                        let end = acknowledged.entry((chunk, by)).or_default();
                        *end = (*end).max(now + u64::from(lease.max(retain)));
                        let retained = if retain == 0 { 0 } else { now + u64::from(retain) };
                        model.pending.push(((chunk, by), (now + u64::from(lease), retained)));
                        if durable {
                            model.durable();
                        }
                    }
                }
                Action::Drop { chunk: number, by } => {
                    let dropped = claims.drop_claims(seconds(now), writer(by), 0, NOBODYS, &[chunk(number)]);
                    if dropped.is_ok() {
                        model.durable();
                    }
                    model.pending.retain(|(key, _)| *key != (number, by));
                    acknowledged.remove(&(number, by));
                    if let Some((until, retained)) = model.promised.get_mut(&(number, by)) {
                        *until = (*until).min(now);
                        if *retained <= now {
                            *retained = 0;
                        }
                    }
                }
                Action::Wait(time) => {
                    now += time;
                    if claims.expire(seconds(now), 3).is_ok_and(|ended| ended > 0) {
                        model.durable();
                    }
                }
                Action::Free => {
                    if let Ok(freeing) = claims.to_free(2) {
                        // Deleted, whether that could be noted or not.
                        shards.retain(|number| !freeing.contains(&chunk(*number)));
                        let _ = claims.freed(&freeing);
                    }
                }
                Action::Flush => {
                    if claims.flush(Reading::default()).is_ok() {
                        model.durable();
                    }
                }
                Action::PowerFailure => disk.fail_power_after(0),
            }
            if disk.is_off() || matches!(action, Action::PowerFailure) {
                drop(claims);
                disk.disarm();
                disk.power_cycle();
                model.pending.clear();
                claims = Claims::open_files(Box::new(disk.clone())).unwrap();
            }
            disk.disarm();
            let free: BTreeSet<ChunkId> = claims.to_free(100).unwrap().into_iter().collect();
            for (&(number, _), &end) in &acknowledged {
                prop_assert!(end <= now || !free.contains(&chunk(number)), "{number} was put and is freed");
            }
            for (&(number, by), &(until, retained)) in &model.promised {
                let end = until.max(retained);
                if end > now {
                    let states = claims.of(&[chunk(number)]).unwrap().remove(0);
                    let state = states.iter().find(|state| state.writer == writer(by));
                    prop_assert!(state.is_some_and(|state| state.end() >= seconds(end)), "{number} {by} {states:?}");
                    prop_assert!(!free.contains(&chunk(number)));
                }
            }
            // The sums are those of the rows.
            let mut sums: BTreeMap<Writer, Totals> = BTreeMap::new();
            for number in 0..5 {
                let states = claims.of(&[chunk(number)]).unwrap().remove(0);
                prop_assert!(states.is_empty() || !free.contains(&chunk(number)));
                for state in states {
                    let sum = sums.entry(state.writer).or_default();
                    sum.claims += 1;
                    sum.bytes += state.bytes;
                }
            }
            prop_assert_eq!(claims.writers(10).unwrap(), sums.into_iter().collect::<Vec<_>>());
        }
    }
}

#[test]
fn no_claim_counts_in_a_directory_that_was_removed() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("claims");
    let claims = Claims::open(&directory).unwrap().unwrap();
    let enter = || claims.enter(seconds(0), &[claim(1, 1, 100, 0)], Duration::from_secs(1));
    enter().unwrap();
    std::fs::remove_dir_all(&directory).unwrap();
    let error = enter().unwrap_err();
    assert!(error.to_string().contains("removed or replaced"), "{error}");
    // Not even when the file was opened again.
    assert!(enter().is_err());
}

#[test]
fn what_is_kept_can_be_forgotten_on_a_full_disk() {
    for reserve in [0, 1 << 20] {
        let disk = Disk::new(1);
        let claims = Claims::open_files(Box::new(disk.clone())).unwrap();
        for number in 0..200 {
            claims.enter(seconds(0), &[claim(number, 1, 100, 0)], GRACE).unwrap();
        }
        disk.set_capacity(disk.used());
        disk.set_reserve(reserve);
        let all: Vec<ChunkId> = (0..200).map(chunk).collect();
        let dropped = claims.drop_claims(seconds(1), writer(1), u64::MAX, NOBODYS, &all);
        assert_eq!(dropped.is_ok(), reserve > 0, "{dropped:?}");
        assert_eq!(disk.reserve(), 0);
    }
}

/// Pages end between chunks, even where the looks that a page may take end among the claims on one chunk.
#[test]
fn every_claim_of_a_writer_is_on_some_page() {
    let claims = Claims::open_files(Box::new(Disk::new(1))).unwrap();
    let last = 200;
    for number in [1, 2, 3] {
        let others = (1..40).map(|by| claim(number, by, 10, 0));
        let all: Vec<NewClaim> = others.chain([claim(number, last, 10, 0)]).collect();
        assert_eq!(
            claims.enter(seconds(0), &all, GRACE).unwrap().iter().filter(|entered| **entered).count(),
            40
        );
    }
    for most in [1, 2, 5] {
        let (mut after, mut listed) = (None, Vec::new());
        loop {
            let Listed { claims: page, next } = claims.listed(writer(last), after, most).unwrap();
            assert!(page.len() <= most);
            listed.extend(page.into_iter().map(|(chunk, _)| chunk));
            let Some(next) = next else { break };
            assert!(Some(next) > after, "it gets on");
            after = Some(next);
        }
        assert_eq!(listed, [chunk(1), chunk(2), chunk(3)], "{most} to a page");
    }
}
