//! With whom a node compares, when, and from when on its word counts.

#![allow(clippy::unwrap_used)]

use super::{super::samples::*, *};

fn ids(numbers: core::ops::Range<u8>) -> Vec<NodeId> {
    numbers.map(|number| peer(number).id()).collect()
}

/// Partners that are due at once.
fn partners(numbers: core::ops::Range<u8>) -> Partners {
    let mut partners = Partners::default();
    partners.set(&ids(numbers), || secs(0));
    partners
}

#[test]
fn a_newcomer_is_ready_when_it_has_compared_with_all_or_they_are_gone() {
    let mut node = partners(0..3);
    assert!(node.is_ready(secs(0)), "it has not come just now");
    node.begin_anew(secs(0), || secs(0));
    assert!(!node.is_ready(secs(1)));
    node.compared(&ids(0..1)[0], secs(1), COMPARE_EVERY);
    // To break off is not to compare.
    node.broken_off(&ids(1..2)[0], secs(1), millis(5_000));
    assert!(!node.is_ready(secs(1)));
    // Who comes later is none of those that know better.
    node.set(&ids(0..4), || secs(9));
    node.compared(&ids(1..2)[0], secs(1), COMPARE_EVERY);
    assert!(!node.is_ready(secs(1)));
    let mut gone = node.clone();
    node.compared(&ids(2..3)[0], secs(1), COMPARE_EVERY);
    assert!(node.is_ready(secs(1)));
    gone.set(&[ids(0..2), ids(3..4)].concat(), || secs(9));
    assert!(gone.is_ready(secs(1)));
    node.begin_anew(secs(2), || secs(2));
    assert!(!node.is_ready(secs(2)), "it has slept");
}

#[test]
fn a_newcomer_waits_a_minute_at_most() {
    let mut node = partners(0..3);
    node.begin_anew(secs(100), || secs(100));
    assert!(!node.is_ready(Time::from_micros(159_999_999)));
    assert!(node.is_ready(secs(160)));
}

#[test]
fn who_has_no_partners_is_ready() {
    let mut node = Partners::default();
    node.begin_anew(secs(0), || secs(0));
    assert!(node.is_ready(secs(0)));
}

#[test]
fn only_so_many_are_compared_with_at_once_and_nothing_is_due_meanwhile() {
    let mut node = partners(0..8);
    let running: Vec<NodeId> = core::iter::from_fn(|| node.pop_due(secs(1))).collect();
    assert_eq!(running.len(), EXCHANGES_MAX);
    assert_eq!(node.next_due(), None, "or else the node would wake again and again for nothing");
    node.compared(&running[0], secs(1), COMPARE_EVERY);
    assert_eq!(node.next_due(), Some(secs(0)));
    let next = node.pop_due(secs(1)).unwrap();
    assert!(!running.contains(&next));
    assert_eq!(node.next_due(), None);
}

#[test]
fn whom_it_compares_with_now_is_not_due() {
    let mut node = partners(0..2);
    let first = node.pop_due(secs(1)).unwrap();
    assert!(node.exchange(&first).is_some());
    let second = node.pop_due(secs(1)).unwrap();
    assert_ne!(first, second);
    assert_eq!((node.pop_due(secs(1)), node.next_due()), (None, None));
    node.compared(&first, secs(1), COMPARE_EVERY);
    assert!(node.exchange(&first).is_none());
    assert_eq!(node.next_due(), Some(secs(1) + COMPARE_EVERY));
    node.broken_off(&second, secs(1), millis(5_000));
    assert_eq!(node.next_due(), Some(secs(6)));
    assert_eq!(node.pop_due(secs(5)), None);
    assert_eq!(node.pop_due(secs(6)), Some(second));
}

#[test]
fn those_whom_a_newcomer_waits_for_come_first() {
    let mut node = Partners::default();
    node.set(&ids(4..8), || secs(5));
    node.begin_anew(secs(5), || secs(5));
    node.set(&ids(0..8), || secs(0));
    let first: Vec<NodeId> = core::iter::from_fn(|| node.pop_due(secs(9))).collect();
    assert!(first.iter().all(|id| ids(4..8).contains(id)), "others have been due for longer");
}

#[test]
fn who_is_no_partner_any_more_is_forgotten() {
    let mut node = partners(0..3);
    let first = node.pop_due(secs(0)).unwrap();
    assert!(!node.set(&ids(0..4), || secs(0)), "one has come, and none is gone");
    assert!(node.set(&[], || secs(0)), "all are gone");
    assert!(node.exchange(&first).is_none());
    assert_eq!((node.next_due(), node.pop_due(secs(9))), (None, None));
    node.compared(&first, secs(1), COMPARE_EVERY);
    node.broken_off(&first, secs(1), COMPARE_EVERY);
    assert_eq!(node.next_due(), None, "late words do not bring it back");
}

#[test]
fn partners_that_stay_keep_their_time_and_a_hurry_never_postpones() {
    let mut node = partners(0..1);
    node.set(&ids(0..2), || secs(50));
    assert_eq!(node.next_due(), Some(secs(0)));
    node.compared(&ids(0..1)[0], secs(0), COMPARE_EVERY);
    assert_eq!(node.next_due(), Some(secs(50)));
    node.hurry(secs(20));
    assert!(node.due.values().all(|due| *due == secs(20)));
    node.hurry(secs(30));
    assert!(node.due.values().all(|due| *due == secs(20)));
}

#[test]
fn each_gets_what_it_lacks_and_of_equal_numbers_both_are_looked_at() {
    let tag = |prefix, seq, tag| RecordTag { prefix, seq, tag };
    let key = |prefix| Key::from_limbs([prefix, 0, 0, 0]);
    let own = [(1, 5, 1), (2, 5, 1), (3, 5, 1), (4, 5, 1), (5, 5, 1)];
    let theirs = [tag(2, 5, 1), tag(3, 4, 9), tag(4, 6, 9), tag(5, 5, 9), tag(6, 1, 9)];
    let own: Vec<(Key, RecordTag)> =
        own.into_iter().map(|(prefix, seq, sum)| (key(prefix), tag(prefix, seq, sum))).collect();
    let mut exchange = Exchange::default();
    exchange.plan(&own, &theirs, true);
    assert_eq!(exchange.give, [key(1), key(3), key(5)]);
    assert_eq!(exchange.want, [4, 5, 6]);
    assert!(exchange.more);
}
