//! With whom a node compares, when, and from when on its word counts.

#![allow(clippy::unwrap_used)]

use super::{super::samples::*, *};

fn ids(numbers: core::ops::Range<u8>) -> Vec<NodeId> {
    numbers.map(|number| peer(number).id()).collect()
}

/// Partners that are due at once.
fn partners(numbers: core::ops::Range<u8>) -> Partners {
    let mut partners = Partners::default();
    set(&mut partners, &ids(numbers));
    partners
}

/// Partners that are all there are near.
fn set(partners: &mut Partners, ids: &[NodeId]) -> Vec<NodeId> {
    partners.set(ids, &near(ids), || secs(0))
}

fn near(ids: &[NodeId]) -> BTreeSet<NodeId> {
    ids.iter().copied().collect()
}

/// Whether it would know of everything, whoever was near.
fn is_ready(partners: &Partners, now: Time) -> bool {
    partners.is_ready(now, |_| true)
}

/// Who is taken to have been near.
fn seen(partners: &Partners, now: Time) -> BTreeSet<NodeId> {
    let seen = core::cell::RefCell::new(BTreeSet::new());
    partners.is_ready(now, |near| {
        seen.borrow_mut().clone_from(near);
        true
    });
    seen.into_inner()
}

#[test]
fn a_newcomer_is_ready_when_it_has_compared_with_all_or_they_are_gone() {
    let mut node = partners(0..3);
    node.begin_anew(secs(0), &near(&ids(0..3)), || secs(0));
    assert!(!is_ready(&node, secs(1)));
    node.compared(&ids(0..1)[0], secs(1), COMPARE_EVERY);
    // To break off is not to compare.
    node.broken_off(&ids(1..2)[0], secs(1), millis(5_000));
    assert!(!is_ready(&node, secs(1)));
    // Who comes later is none of those that know better.
    set(&mut node, &ids(0..4));
    node.compared(&ids(1..2)[0], secs(1), COMPARE_EVERY);
    assert!(!is_ready(&node, secs(1)));
    let mut gone = node.clone();
    node.compared(&ids(2..3)[0], secs(1), COMPARE_EVERY);
    assert!(is_ready(&node, secs(1)));
    set(&mut gone, &[ids(0..2), ids(3..4)].concat());
    assert!(is_ready(&gone, secs(1)));
    node.begin_anew(secs(2), &near(&ids(0..4)), || secs(2));
    assert!(!is_ready(&node, secs(2)), "it has slept");
}

#[test]
fn a_newcomer_waits_a_minute_at_most() {
    let mut node = partners(0..3);
    node.begin_anew(secs(100), &near(&ids(0..3)), || secs(100));
    assert!(!is_ready(&node, Time::from_micros(159_999_999)));
    assert!(is_ready(&node, secs(160)));
    // The next wait does not take that back.
    node.compare_anew(secs(200), &near(&ids(0..2)), |_| true, || secs(200));
    assert!(is_ready(&node, secs(201)));
}

#[test]
fn who_has_no_partners_is_ready() {
    let mut node = Partners::default();
    assert!(!is_ready(&node, secs(0)), "it has not come yet");
    node.begin_anew(secs(0), &near(&[]), || secs(0));
    assert!(is_ready(&node, secs(0)));
}

/// Ready, with everybody compared with.
fn ready(numbers: core::ops::Range<u8>) -> Partners {
    let mut node = partners(numbers.clone());
    node.begin_anew(secs(0), &near(&ids(numbers.clone())), || secs(0));
    ids(numbers).iter().for_each(|id| node.compared(id, secs(0), COMPARE_EVERY));
    node
}

#[test]
fn until_it_has_compared_anew_all_count_as_near_who_have_been() {
    let mut node = ready(0..4);
    assert_eq!(seen(&node, secs(1)), near(&ids(0..4)));
    // One comes: whoever is nearer than this node is so from now on.
    set(&mut node, &ids(0..5));
    assert_eq!(seen(&node, secs(1)), near(&ids(0..5)));
    // Another goes.
    let gone = set(&mut node, &ids(1..5));
    assert_eq!(gone, ids(0..1));
    let odd = |id: &NodeId| ids(1..2).contains(id) || ids(3..4).contains(id);
    node.compare_anew(secs(10), &near(&ids(1..5)), odd, || secs(11));
    assert_eq!(seen(&node, secs(11)), near(&ids(0..5)));
    node.compared(&ids(1..2)[0], secs(12), COMPARE_EVERY);
    node.compared(&ids(2..3)[0], secs(12), COMPARE_EVERY);
    assert_eq!(seen(&node, secs(12)), near(&ids(0..5)), "one is still to be compared with");
    node.compared(&ids(3..4)[0], secs(12), COMPARE_EVERY);
    assert_eq!(seen(&node, secs(12)), near(&ids(1..5)));
}

#[test]
fn what_comes_while_it_compares_counts_as_near_afterwards() {
    let mut node = ready(0..3);
    set(&mut node, &ids(1..3));
    node.compare_anew(secs(10), &near(&ids(1..3)), |_| true, || secs(11));
    // It comes and goes again, and others have been compared with meanwhile.
    node.compared(&ids(1..2)[0], secs(11), COMPARE_EVERY);
    set(&mut node, &ids(1..4));
    node.compared(&ids(2..3)[0], secs(11), COMPARE_EVERY);
    assert_eq!(seen(&node, secs(12)), near(&ids(1..4)));
}

#[test]
fn a_comparison_that_began_before_a_death_or_with_another_view_does_not_count() {
    let mut node = ready(0..3);
    node.hurry(secs(20));
    let first = node.pop_due(secs(20)).unwrap();
    set(&mut node, &[ids(0..3), ids(4..5)].concat());
    node.compare_anew(secs(20), &near(&ids(0..3)), |id| *id == first, || secs(21));
    node.compared(&first, secs(21), COMPARE_EVERY);
    assert_eq!(seen(&node, secs(22)).len(), 4, "it had begun too early");
    let mut again = node.clone();
    again.hurry(secs(0));
    let begun = core::iter::from_fn(|| again.pop_due(secs(23))).find(|id| *id == first);
    assert_eq!(begun, Some(first));
    again.exchange(&first).unwrap().void = true;
    again.compared(&first, secs(23), COMPARE_EVERY);
    assert_eq!(seen(&again, secs(23)).len(), 4, "the partner saw another neighbourhood");
    assert_eq!(again.due[&first], secs(25), "and it is asked again soon");
    node.compared(&first, secs(24), COMPARE_EVERY);
    assert_eq!(seen(&node, secs(24)).len(), 3);
}

#[test]
fn who_has_been_near_is_remembered_within_bounds() {
    let mut node = ready(0..3);
    let many: Vec<NodeId> = (0..160).map(|number| peer(number).id()).collect();
    node.set(&ids(0..3), &near(&many), || secs(0));
    assert!(!node.is_crowded());
    node.set(&ids(0..3), &near(&[peer(200).id()]), || secs(0));
    assert!(node.is_crowded());
    node.compare_anew(secs(1), &near(&ids(0..3)), |_| true, || secs(1));
    assert!(!node.is_crowded(), "it is about to begin anew");
    ids(0..3).iter().for_each(|id| node.compared(id, secs(1), COMPARE_EVERY));
    assert_eq!(seen(&node, secs(1)), near(&ids(0..3)));
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
    let mut node = partners(4..8);
    node.begin_anew(secs(5), &near(&ids(4..8)), || secs(5));
    set(&mut node, &ids(0..8));
    let first: Vec<NodeId> = core::iter::from_fn(|| node.pop_due(secs(9))).collect();
    assert!(first.iter().all(|id| ids(4..8).contains(id)), "others have been due for longer");
}

#[test]
fn who_is_no_partner_any_more_is_forgotten() {
    let mut node = partners(0..3);
    let first = node.pop_due(secs(0)).unwrap();
    assert_eq!(set(&mut node, &ids(0..4)), [], "one has come, and none is gone");
    assert_eq!(node.set(&ids(1..4), &near(&ids(0..4)), || secs(0)), [], "it is only no partner any more");
    set(&mut node, &ids(0..4));
    let mut gone = set(&mut node, &[]);
    gone.sort_unstable();
    let mut all = ids(0..4);
    all.sort_unstable();
    assert_eq!(gone, all);
    assert!(node.exchange(&first).is_none());
    assert_eq!((node.next_due(), node.pop_due(secs(9))), (None, None));
    node.compared(&first, secs(1), COMPARE_EVERY);
    node.broken_off(&first, secs(1), COMPARE_EVERY);
    assert_eq!(node.next_due(), None, "late words do not bring it back");
}

#[test]
fn partners_that_stay_keep_their_time_and_a_hurry_never_postpones() {
    let mut node = partners(0..1);
    node.set(&ids(0..2), &near(&ids(0..2)), || secs(50));
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
