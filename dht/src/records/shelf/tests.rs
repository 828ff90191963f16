//! What a node keeps, and what it promises.

#![allow(clippy::unwrap_used)]

use alloc::vec::Vec;

use super::{super::samples::*, *};
use crate::records::{Statement, VALUE_BYTES_MAX};

const NOW: u64 = 1_000;

fn key(owner: u8) -> Key {
    *record(owner, b"", 1).address()
}

fn accept(shelf: &mut Shelf, new: &Held) -> Result<Taken, Refusal> {
    shelf.take(new, Write::Accept(new.ballot), 0, secs(0), NOW)
}

fn repair(shelf: &mut Shelf, new: &Held) -> Result<Taken, Refusal> {
    shelf.take(new, Write::Repair(new.ballot), 0, secs(0), NOW)
}

/// Promised, and then accepted.
fn write(shelf: &mut Shelf, new: &Held) -> Result<Taken, Refusal> {
    shelf.promise(new.record.address(), new.ballot, secs(0));
    accept(shelf, new)
}

#[test]
fn a_promise_refuses_lower_ballots_and_equal_ones_of_others() {
    let mut shelf = Shelf::default();
    let address = key(1);
    assert_eq!(shelf.promise(&address, ballot(2, 5), secs(0)), ballot(2, 5));
    for lower in [ballot(1, 9), ballot(2, 4)] {
        assert_eq!(shelf.promise(&address, lower, secs(0)), ballot(2, 5), "{lower:?}");
    }
    assert_eq!(shelf.promise(&address, ballot(2, 5), secs(0)), ballot(2, 5), "asked again, it says so again");
    assert_eq!(shelf.promise(&address, ballot(2, 6), secs(0)), ballot(2, 6));
    assert_eq!(shelf.promised(&address, secs(0)), ballot(2, 6));
    assert_eq!(shelf.promised(&key(2), secs(0)), Ballot::default(), "another address has its own");
}

#[test]
fn nothing_below_what_was_accepted_is_promised() {
    let mut shelf = Shelf::default();
    assert_eq!(repair(&mut shelf, &held(1, b"x", 1, ballot(3, 1))), Ok(Taken::New));
    assert_eq!(shelf.promise(&key(1), ballot(2, 9), secs(0)), ballot(3, 1));
    assert_eq!(shelf.promised(&key(1), secs(0)), Ballot::default());
    assert_eq!(shelf.promise(&key(1), ballot(4, 1), secs(0)), ballot(4, 1));
}

#[test]
fn only_what_was_promised_is_accepted() {
    let new = held(1, b"x", 1, ballot(2, 5));
    for promised in [None, Some(ballot(1, 5)), Some(ballot(2, 6))] {
        let mut shelf = Shelf::default();
        if let Some(promised) = promised {
            shelf.promise(&key(1), promised, secs(0));
        }
        assert_eq!(accept(&mut shelf, &new), Err(Refusal::NotPromised), "{promised:?}");
        assert_eq!(shelf.len(), 0);
    }
    let mut shelf = Shelf::default();
    assert_eq!(write(&mut shelf, &new), Ok(Taken::New));
    assert_eq!(shelf.get(&key(1)), Some(&new));
}

#[test]
fn a_promise_ends_and_then_neither_binds_nor_allows() {
    let mut shelf = Shelf::default();
    shelf.promise(&key(1), ballot(2, 5), secs(0));
    let (before, after) = (Time::from_micros(59_999_999), secs(60));
    assert_eq!(shelf.promised(&key(1), before), ballot(2, 5));
    assert_eq!(shelf.promised(&key(1), after), Ballot::default());
    let new = held(1, b"x", 1, ballot(2, 5));
    assert_eq!(shelf.take(&new, Write::Accept(new.ballot), 0, after, NOW), Err(Refusal::NotPromised));
    assert_eq!(shelf.promise(&key(1), ballot(1, 1), after), ballot(1, 1));
    assert_eq!((shelf.promises.len(), shelf.promises_end.len()), (1, 1));
}

#[test]
fn promises_are_bounded_and_of_too_many_the_oldest_is_forgotten() {
    let mut shelf = Shelf::default();
    let address = |number: usize| Key::from_limbs([number as u64, 0, 0, 0]);
    for number in 0..PROMISES_MAX {
        shelf.promise(&address(number), ballot(1, 1), Time::from_micros(number as u64));
    }
    let now = secs(1);
    // Who is known already takes no room from others.
    shelf.promise(&address(5), ballot(2, 1), now);
    assert_eq!(shelf.promised(&address(0), now), ballot(1, 1));
    for number in PROMISES_MAX..PROMISES_MAX + 3 {
        shelf.promise(&address(number), ballot(1, 1), now);
        assert_eq!((shelf.promises.len(), shelf.promises_end.len()), (PROMISES_MAX, PROMISES_MAX));
    }
    let forgotten =
        (0..PROMISES_MAX).filter(|number| shelf.promised(&address(*number), now) == Ballot::default());
    assert_eq!(forgotten.collect::<Vec<_>>(), [0, 1, 2]);
    // All that have ended go at once.
    shelf.promise(&address(9), ballot(1, 1), secs(100));
    assert_eq!((shelf.promises.len(), shelf.promises_end.len()), (1, 1));
}

#[test]
fn the_same_twice_is_the_same_and_what_is_older_gives_what_is_held() {
    let mut shelf = Shelf::default();
    let (first, second) = (held(1, b"x", 1, ballot(1, 1)), held(1, b"y", 2, ballot(2, 1)));
    assert_eq!(write(&mut shelf, &first), Ok(Taken::New));
    let bytes = shelf.memory_bytes();
    assert_eq!(accept(&mut shelf, &first), Ok(Taken::Same));
    assert_eq!(repair(&mut shelf, &first), Ok(Taken::Same));
    assert_eq!(write(&mut shelf, &second), Ok(Taken::New));
    for write in [Write::Accept(first.ballot), Write::Repair(first.ballot), Write::HandOver(first.ballot)] {
        assert_eq!(shelf.take(&first, write, 0, secs(0), NOW), Ok(Taken::Older(second.clone())));
    }
    // Nor does it need the promise, which may have been forgotten, if it is there already.
    assert_eq!(shelf.take(&second, Write::Accept(second.ballot), 0, secs(100), NOW), Ok(Taken::Same));
    assert_eq!((shelf.len(), shelf.memory_bytes()), (1, bytes));
}

#[test]
fn a_version_that_a_later_attempt_accepted_again_is_kept_with_the_later_ballot() {
    let mut shelf = Shelf::default();
    repair(&mut shelf, &held(1, b"x", 1, ballot(1, 1))).unwrap();
    let again = held(1, b"x", 1, ballot(2, 1));
    assert_eq!(repair(&mut shelf, &again), Ok(Taken::New));
    assert_eq!(shelf.get(&key(1)), Some(&again));
    assert_eq!(repair(&mut shelf, &held(1, b"x", 1, ballot(1, 1))), Ok(Taken::Same));
    assert_eq!(shelf.get(&key(1)), Some(&again));
}

#[test]
fn what_has_ended_is_not_accepted() {
    let ends = |valid_until| Held {
        record: sign(Statement { valid_until, ..statement(1, b"x", 1) }),
        ballot: ballot(1, 1),
    };
    assert_eq!(write(&mut Shelf::default(), &ends(NOW)), Err(Refusal::Expired));
    assert_eq!(write(&mut Shelf::default(), &ends(NOW + 1)), Ok(Taken::New));
    // Others must be able to keep the last version until nobody can take an earlier one for the newest.
    assert_eq!(repair(&mut Shelf::default(), &ends(NOW)), Ok(Taken::New));
}

#[test]
fn a_number_may_not_jump() {
    let numbered = |seq, round| held(1, b"x", seq, ballot(round, 1));
    for (first, taken) in [(1, true), (SEQ_FIRST_MAX, true), (SEQ_FIRST_MAX + 1, false)] {
        let outcome = write(&mut Shelf::default(), &numbered(first, 1));
        assert_eq!(outcome, if taken { Ok(Taken::New) } else { Err(Refusal::Jump) }, "first: {first}");
    }
    for (next, taken) in [(11 + SEQ_JUMP_MAX, false), (10 + SEQ_JUMP_MAX, true)] {
        let mut shelf = Shelf::default();
        write(&mut shelf, &numbered(10, 1)).unwrap();
        let outcome = write(&mut shelf, &numbered(next, 2));
        assert_eq!(outcome, if taken { Ok(Taken::New) } else { Err(Refusal::Jump) }, "next: {next}");
    }
    // Others of the region have accepted it.
    let mut shelf = Shelf::default();
    write(&mut shelf, &numbered(10, 1)).unwrap();
    assert_eq!(repair(&mut shelf, &numbered(20 + SEQ_JUMP_MAX, 2)), Ok(Taken::New));
}

fn salted(owner: u8, number: u32, value: usize) -> Held {
    let name = crate::records::RecordName::new(crate::Namespace::NAMES, [owner; 32], &number.to_be_bytes());
    let statement =
        Statement { name: name.unwrap(), value: alloc::vec![0; value], ..statement(owner, b"", 1) };
    Held { record: sign(statement), ballot: ballot(1, 1) }
}

#[test]
fn an_owner_has_a_share_of_the_room_and_gets_back_what_it_frees() {
    let mut shelf = Shelf::default();
    for number in 0..PER_OWNER as u32 {
        assert_eq!(repair(&mut shelf, &salted(1, number, 0)), Ok(Taken::New));
    }
    let more = salted(1, 1_000_000, 0);
    assert_eq!(repair(&mut shelf, &more), Err(Refusal::OwnerFull));
    assert_eq!(repair(&mut shelf, &salted(2, 0, 0)), Ok(Taken::New), "another owner has its own");
    // What is there already may be changed.
    let next = Held { record: after(&salted(1, 5, 0), b"next"), ballot: ballot(2, 1) };
    assert_eq!(repair(&mut shelf, &next), Ok(Taken::New));
    assert!(shelf.remove(salted(1, 7, 0).record.address()));
    assert_eq!(repair(&mut shelf, &more), Ok(Taken::New));
    assert_eq!(repair(&mut shelf, &salted(1, 7, 0)), Err(Refusal::OwnerFull));
}

#[test]
fn a_node_keeps_no_more_records_and_bytes_than_it_may() {
    let mut shelf = Shelf::default();
    for number in 0..RECORDS_MAX as u32 {
        let owner = (number / PER_OWNER as u32) as u8;
        assert_eq!(repair(&mut shelf, &salted(owner, number, 0)), Ok(Taken::New));
    }
    assert!(shelf.memory_bytes() <= BYTES_MAX);
    assert_eq!(repair(&mut shelf, &salted(100, 0, 0)), Err(Refusal::Full));
    shelf.load(salted(100, 0, 0), 0);
    assert_eq!(shelf.len(), RECORDS_MAX);

    let mut shelf = Shelf::default();
    let full = (0..).find(|number| {
        let outcome = repair(&mut shelf, &salted((number / 10_000) as u8, *number, VALUE_BYTES_MAX));
        assert!(shelf.memory_bytes() <= BYTES_MAX);
        outcome == Err(Refusal::Full)
    });
    assert!(full.unwrap() > 10_000 && shelf.len() < RECORDS_MAX);
    shelf.remove(&{ *salted(0, 0, 0).record.address() });
    assert_eq!(repair(&mut shelf, &salted(100, 0, VALUE_BYTES_MAX)), Ok(Taken::New));
}

#[test]
fn what_is_removed_leaves_nothing_behind() {
    let mut shelf = Shelf::default();
    repair(&mut shelf, &held(1, b"x", 1, ballot(1, 1))).unwrap();
    assert!(shelf.memory_bytes() > 0 && shelf.remove(&key(1)) && !shelf.remove(&key(1)));
    assert_eq!((shelf.len(), shelf.memory_bytes(), shelf.owners.len()), (0, 0, 0));
}

#[test]
fn what_ended_long_ago_is_forgotten_and_nothing_else() {
    let mut shelf = Shelf::default();
    for (owner, valid_until) in [(1, 1_000), (2, 1_001), (3, u64::MAX)] {
        let record = sign(Statement { valid_until, ..statement(owner, b"x", 1) });
        repair(&mut shelf, &Held { record, ballot: ballot(1, 1) }).unwrap();
    }
    assert_eq!(shelf.long_expired(EXPIRED_KEPT + 999), []);
    assert_eq!(shelf.long_expired(EXPIRED_KEPT + 1_000), [key(1)]);
    assert_eq!(shelf.long_expired(500), [], "nor by a clock that has not been set");
}

#[test]
fn of_what_was_on_disk_the_newest_counts() {
    let (old, new) = (held(1, b"x", 1, ballot(1, 1)), held(1, b"y", 2, ballot(2, 1)));
    for order in [[&old, &new], [&new, &old]] {
        let mut shelf = Shelf::default();
        order.into_iter().for_each(|held| shelf.load(held.clone(), 0));
        assert_eq!((shelf.len(), shelf.get(&key(1))), (1, Some(&new)));
    }
}

#[test]
fn a_record_is_found_by_the_beginning_of_its_address() {
    let mut shelf = Shelf::default();
    for owner in 0..50 {
        repair(&mut shelf, &held(owner, b"x", 1, ballot(1, 1))).unwrap();
    }
    for owner in 0..50 {
        let prefix = digest::prefix(&key(owner));
        assert_eq!(shelf.with_prefix(prefix).unwrap().record.address(), &key(owner));
        assert_eq!(shelf.with_prefix(prefix ^ 1), None);
    }
}

#[test]
fn nothing_older_than_a_promise_is_taken_from_others_either() {
    let new = held(1, b"x", 1, ballot(2, 5));
    let handed = [Write::Repair(new.ballot), Write::HandOver(new.ballot)];
    for write in handed {
        for (promised, taken) in [(ballot(2, 6), false), (ballot(2, 5), true), (ballot(1, 9), true)] {
            let mut shelf = Shelf::default();
            shelf.promise(&key(1), promised, secs(0));
            let outcome = shelf.take(&new, write, 0, secs(1), NOW);
            assert_eq!(
                outcome,
                if taken { Ok(Taken::New) } else { Err(Refusal::NotPromised) },
                "{promised:?}"
            );
            // The attempt that it was promised to may have come to nothing.
            assert!(shelf.take(&new, write, 0, secs(60), NOW).is_ok());
        }
    }
}

#[test]
fn records_that_grow_take_no_more_room_than_there_is() {
    let mut shelf = Shelf::default();
    let size = size(&salted(0, 0, 1_000));
    let count = (BYTES_MAX / size) as u32;
    for number in 0..count {
        repair(&mut shelf, &salted((number / 10_000) as u8, number, 1_000)).unwrap();
    }
    let grown = |number: u32, bytes: usize| {
        let before = salted(0, number, 1_000);
        Held { record: after(&before, &alloc::vec![0; bytes]), ballot: ballot(2, 1) }
    };
    assert_eq!(repair(&mut shelf, &grown(0, 4_000)), Err(Refusal::Full));
    assert_eq!(repair(&mut shelf, &grown(0, 1_000)), Ok(Taken::New), "it takes no more than before");
    assert_eq!(repair(&mut shelf, &grown(1, 10)), Ok(Taken::New));
    assert!(shelf.memory_bytes() <= BYTES_MAX);
}

fn bring(shelf: &mut Shelf, new: &Held, subnet: u32) -> Result<Taken, Refusal> {
    shelf.take(new, Write::Repair(new.ballot), subnet, secs(0), NOW)
}

/// The records with these numbers, of as many owners as that takes.
fn brought(shelf: &mut Shelf, numbers: core::ops::Range<usize>, value: usize, subnet: u32) {
    for number in numbers {
        let new = salted((number / 10_000) as u8, number as u32, value);
        assert_eq!(bring(shelf, &new, subnet), Ok(Taken::New), "{number}");
    }
}

#[test]
fn a_subnet_has_a_share_of_the_records_and_gets_back_what_it_frees() {
    let (mut shelf, share) = (Shelf::default(), RECORDS_MAX / 4);
    brought(&mut shelf, 0..share, 0, 7);
    let more = salted(100, 1_000_000, 0);
    assert_eq!(bring(&mut shelf, &more, 7), Err(Refusal::SubnetFull));
    // What it has brought may be changed, if it does not take more room.
    let next = Held { record: after(&salted(0, 5, 0), b""), ballot: ballot(2, 1) };
    assert!(bring(&mut shelf, &next, 7).is_ok());
    // A version that others bring counts for them, and makes room here.
    let next = Held { record: after(&next, b"next"), ballot: ballot(3, 1) };
    assert_eq!(bring(&mut shelf, &next, 8), Ok(Taken::New));
    assert_eq!(bring(&mut shelf, &more, 7), Ok(Taken::New));
    let last = Held { record: after(&next, b"last"), ballot: ballot(4, 1) };
    assert_eq!(bring(&mut shelf, &last, 7), Err(Refusal::SubnetFull));
    assert!(shelf.remove(more.record.address()));
    assert_eq!(bring(&mut shelf, &last, 7), Ok(Taken::New));
    // Of what is on disk no more is taken in than of what is brought.
    let mut loaded = Shelf::default();
    let kept: Vec<Held> = shelf.iter().map(|(_, held)| held.clone()).collect();
    kept.into_iter().chain([more.clone()]).for_each(|held| loaded.load(held, 7));
    assert_eq!(loaded.len(), share);
    assert_eq!(bring(&mut loaded, &more, 7), Err(Refusal::SubnetFull));
    assert_eq!(bring(&mut loaded, &more, 8), Ok(Taken::New));
}

#[test]
fn a_subnet_has_a_share_of_the_bytes() {
    let (mut shelf, size) = (Shelf::default(), size(&salted(0, 0, VALUE_BYTES_MAX)));
    let small = salted(9, 0, 0);
    assert_eq!(bring(&mut shelf, &small, 7), Ok(Taken::New));
    let fits = BYTES_MAX / 4 / size;
    brought(&mut shelf, 0..fits, VALUE_BYTES_MAX, 7);
    let more = salted(8, 0, VALUE_BYTES_MAX);
    assert_eq!(bring(&mut shelf, &more, 7), Err(Refusal::SubnetFull));
    // What grows takes room too.
    let grown = Held { record: after(&small, &[0; VALUE_BYTES_MAX]), ballot: ballot(2, 1) };
    assert_eq!(bring(&mut shelf, &grown, 7), Err(Refusal::SubnetFull));
    let changed = Held { record: after(&salted(0, 5, VALUE_BYTES_MAX), b""), ballot: ballot(2, 1) };
    assert_eq!(bring(&mut shelf, &changed, 7), Ok(Taken::New), "it takes less than before");
    assert_eq!(bring(&mut shelf, &grown, 7), Ok(Taken::New));
    assert_eq!(bring(&mut shelf, &more, 8), Ok(Taken::New), "another subnet has its own");
}

#[test]
fn clients_together_have_a_larger_share_and_who_is_in_no_subnet_has_no_limit() {
    let mut shelf = Shelf::default();
    brought(&mut shelf, 0..RECORDS_MAX / 2, 0, crate::records::CLIENTS);
    let more = salted(100, 0, 0);
    assert_eq!(bring(&mut shelf, &more, crate::records::CLIENTS), Err(Refusal::SubnetFull));
    brought(&mut shelf, RECORDS_MAX / 2..RECORDS_MAX, 0, 0);
    assert_eq!(bring(&mut shelf, &more, 0), Err(Refusal::Full));
}

#[test]
fn what_a_subnet_brought_and_is_gone_leaves_nothing_behind() {
    let mut shelf = Shelf::default();
    bring(&mut shelf, &held(1, b"x", 1, ballot(1, 1)), 7).unwrap();
    bring(&mut shelf, &held(2, b"x", 1, ballot(1, 1)), 0).unwrap();
    assert_eq!(shelf.subnets.len(), 1);
    assert!(shelf.remove(&key(1)) && shelf.remove(&key(2)));
    assert_eq!(shelf.subnets.len(), 0);
}

#[test]
fn what_was_held_before_has_room_again_even_if_another_has_taken_it() {
    let mut shelf = Shelf::default();
    let (before, size) = (salted(8, 0, VALUE_BYTES_MAX), size(&salted(0, 0, VALUE_BYTES_MAX)));
    brought(&mut shelf, 0..BYTES_MAX / 4 / size, VALUE_BYTES_MAX, 7);
    assert_eq!(bring(&mut shelf, &before, 7), Err(Refusal::SubnetFull));
    shelf.put_back(before.clone(), 7);
    assert_eq!(shelf.get(before.record.address()), Some(&before));
    assert!(shelf.remove(before.record.address()));
    assert_eq!(bring(&mut shelf, &before, 7), Err(Refusal::SubnetFull), "others are bounded as before");
}
