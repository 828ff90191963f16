//! One round: whom it asks, whose answers count, and what it tells.

use super::*;

#[test]
fn the_nearest_nine_are_asked_at_once() {
    let mut operation = begun(Goal::Read(Consistency::Quorum), 12);
    assert_eq!(asked(&go(&mut operation, secs(0))), (0..9).collect::<Vec<u8>>());
    // A nearer one that was not known.
    let mut operation = Operation::new(OperationId(1), operation.address, operation.goal, secs(0), secs(20));
    operation.begin(7, (1..12).map(at));
    assert_eq!(asked(&go(&mut operation, secs(0))), (1..10).collect::<Vec<u8>>());
    operation.region_told(&[at(0)]);
    assert_eq!(asked(&go(&mut operation, secs(0))), [0]);
    assert_eq!(operation.region_ids().copied().collect::<Vec<_>>(), (0..9).map(id).collect::<Vec<_>>());
    operation.region_told(&[at(0)]);
    assert!(asked(&go(&mut operation, secs(0))).is_empty(), "nobody is asked twice");
}

#[test]
fn only_ready_nodes_count_for_a_majority() {
    let mut operation = begun(Goal::Read(Consistency::Quorum), 9);
    go(&mut operation, secs(0));
    hear(&mut operation, 0..4, None);
    (4..8).for_each(|node| operation.heard(&id(node), false, Ballot::default(), None));
    assert!(told(&go(&mut operation, secs(0))).is_none(), "four would know");
    let mut other = operation.clone();
    operation.heard(&id(8), false, Ballot::default(), None);
    assert!(told(&go(&mut operation, secs(0))).is_none());
    assert_eq!(operation.stage, Stage::Resting, "nobody is left to answer");
    hear(&mut other, [8], None);
    let found = found(&go(&mut other, secs(0))).unwrap();
    assert_eq!((found.held, found.heard, found.of), (None, 9, 9));
}

#[test]
fn what_a_node_that_is_not_ready_holds_is_seen_all_the_same() {
    let mut operation = begun(Goal::Read(Consistency::Quorum), 9);
    go(&mut operation, secs(0));
    let newest = version(3, ballot(1, 1));
    operation.heard(&id(8), false, Ballot::default(), Some(newest.clone()));
    hear(&mut operation, 0..5, None);
    let writes = written(&go(&mut operation, secs(0)));
    assert!(!writes.is_empty() && writes.iter().all(|(_, held, _)| *held == newest));
}

#[test]
fn a_majority_of_a_small_region_is_enough() {
    for (nodes, needed) in [(1, 1), (2, 2), (3, 2), (4, 3), (8, 5), (9, 5), (12, 5)] {
        let mut operation = begun(Goal::Read(Consistency::Quorum), nodes);
        go(&mut operation, secs(0));
        for heard in 0..needed {
            assert!(told(&go(&mut operation, secs(0))).is_none(), "{heard} of {nodes}");
            hear(&mut operation, [heard], None);
        }
        assert!(told(&go(&mut operation, secs(0))).is_some(), "{needed} of {nodes}");
    }
}

#[test]
fn an_update_needs_the_promises_of_a_majority() {
    let mut operation = begun(Goal::Update, 9);
    let all = go(&mut operation, secs(0));
    assert_eq!(prepared(&all), Some(operation.ballot));
    promise(&mut operation, 0..4, None);
    hear(&mut operation, 4..8, None);
    assert!(decide(&go(&mut operation, secs(0))).is_none());
    let mut other = operation.clone();
    promise(&mut operation, [8], None);
    assert_eq!(decide(&go(&mut operation, secs(0))), Some(None));
    hear(&mut other, [8], None);
    assert!(decide(&go(&mut other, secs(0))).is_none());
    assert_eq!(other.stage, Stage::Resting);
    // A read asks for none.
    assert_eq!(prepared(&go(&mut begun(Goal::Read(Consistency::Quorum), 9), secs(0))), None);
}

#[test]
fn a_writer_is_told_the_newest_that_anybody_holds() {
    let mut operation = begun(Goal::Update, 9);
    go(&mut operation, secs(0));
    let (old, newest) = (version(2, ballot(1, 1)), version(3, ballot(1, 1)));
    promise(&mut operation, 0..4, Some(&old));
    promise(&mut operation, [4], Some(&newest));
    assert_eq!(decide(&go(&mut operation, secs(0))), Some(Some(newest)));
    assert_eq!(go(&mut operation, secs(0)).len(), 1, "it waits for the decision");
}

#[test]
fn a_fast_read_tells_the_first_version_and_goes_on() {
    let (old, new) = (version(1, ballot(1, 1)), version(2, ballot(2, 1)));
    let mut operation = begun(Goal::Read(Consistency::Fast), 9);
    go(&mut operation, secs(0));
    hear(&mut operation, [3], None);
    assert!(told(&go(&mut operation, secs(0))).is_none(), "that nothing is held is not a version");
    hear(&mut operation, [0], Some(&old));
    let all = go(&mut operation, secs(0));
    let early = found(&all).unwrap();
    assert_eq!((early.held, early.agree, early.heard), (Some(old.clone()), 1, 2));
    assert!(!is_done(&all), "the others are heard all the same");
    hear(&mut operation, [1, 2], Some(&old));
    hear(&mut operation, [4], Some(&new));
    let all = go(&mut operation, secs(0));
    assert!(told(&all).is_none(), "once is enough");
    let told: Vec<u8> = written(&all).iter().map(|(node, ..)| *node).collect();
    assert_eq!(told, [0, 1, 2, 3], "those that hold less are told");
    told.iter().for_each(|node| operation.stored(&id(*node)));
    assert!(is_done(&go(&mut operation, secs(0))));
}

#[test]
fn a_read_of_a_certain_number_waits_for_that() {
    let mut operation = begun(Goal::Read(Consistency::AtLeast(2)), 9);
    go(&mut operation, secs(0));
    hear(&mut operation, [0], Some(&version(1, ballot(1, 1))));
    assert!(told(&go(&mut operation, secs(0))).is_none());
    hear(&mut operation, [1], Some(&version(2, ballot(2, 1))));
    assert_eq!(found(&go(&mut operation, secs(0))).unwrap().held.unwrap().record.seq(), 2);
    // If nobody has it, it is told what a majority holds.
    let mut operation = begun(Goal::Read(Consistency::AtLeast(2)), 9);
    go(&mut operation, secs(0));
    hear(&mut operation, 0..5, Some(&version(1, ballot(1, 1))));
    assert_eq!(found(&go(&mut operation, secs(0))).unwrap().held.unwrap().record.seq(), 1);
}

#[test]
fn a_read_hands_on_what_it_found_before_it_believes_it() {
    let (old, new) = (version(1, ballot(1, 1)), version(2, ballot(2, 1)));
    let mut operation = begun(Goal::Read(Consistency::Quorum), 9);
    go(&mut operation, secs(0));
    hear(&mut operation, [0], Some(&new));
    hear(&mut operation, 1..5, Some(&old));
    let all = go(&mut operation, secs(0));
    assert!(told(&all).is_none());
    let writes = written(&all);
    assert_eq!(writes.iter().map(|(node, ..)| *node).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert!(writes.iter().all(|(_, held, write)| *held == new && *write == Write::Repair(new.ballot)));
    for node in 1..4 {
        operation.stored(&id(node));
        assert!(told(&go(&mut operation, secs(0))).is_none(), "{} hold it", node + 1);
    }
    operation.stored(&id(4));
    let all = go(&mut operation, secs(1));
    let found = found(&all).unwrap();
    assert_eq!((found.held, found.agree, found.elapsed), (Some(new), 5, millis(1000)));
    assert!(is_done(&all));
}

#[test]
fn a_late_answer_to_a_read_is_handed_on_to_as_well() {
    let new = version(2, ballot(2, 1));
    let mut operation = begun(Goal::Read(Consistency::Quorum), 9);
    go(&mut operation, secs(0));
    hear(&mut operation, [0], Some(&new));
    hear(&mut operation, 1..5, None);
    assert_eq!(written(&go(&mut operation, secs(0))).len(), 4);
    (1..5).for_each(|node| operation.refused(&id(node), Refusal::Full));
    assert!(told(&go(&mut operation, secs(0))).is_none());
    hear(&mut operation, 5..8, Some(&new));
    hear(&mut operation, [8], None);
    let writes = written(&go(&mut operation, secs(0)));
    assert_eq!(writes.iter().map(|(node, ..)| *node).collect::<Vec<_>>(), [8]);
    operation.stored(&id(8));
    assert_eq!(found(&go(&mut operation, secs(0))).unwrap().agree, 5);
}

#[test]
fn silence_alone_does_not_take_a_node_out_of_the_region() {
    let others: Vec<_> = (1..10).map(at).collect();
    for (silent, left_out) in [(true, false), (false, true), (true, true)] {
        let mut operation = begun(Goal::Read(Consistency::Quorum), 9);
        operation.add(&at(9).0, at(9).1);
        assert_eq!(asked(&go(&mut operation, secs(0))), (0..9).collect::<Vec<u8>>());
        if silent {
            operation.silent(&id(0));
        }
        if left_out {
            operation.region_told(&others);
        }
        let next: &[u8] = if silent && left_out { &[9] } else { &[] };
        assert_eq!(asked(&go(&mut operation, secs(0))), next, "silent: {silent}, left out: {left_out}");
    }
    // Whom a full view cannot show, because it lies beyond, it does not leave out.
    let mut operation = begun(Goal::Read(Consistency::Quorum), 12);
    go(&mut operation, secs(0));
    operation.silent(&id(8));
    operation.region_told(&[0, 1, 2, 3, 4, 5, 6, 7].map(at));
    assert_eq!(asked(&go(&mut operation, secs(0))), [9], "eight are all there are");
    let mut operation = begun(Goal::Read(Consistency::Quorum), 12);
    go(&mut operation, secs(0));
    operation.silent(&id(8));
    operation.add(&peer(100), crate::Distance::ZERO);
    operation.region_told(&[100, 0, 1, 2, 3, 4, 5, 6, 7].map(|node| match node {
        100 => (peer(100), crate::Distance::ZERO),
        near => at(near),
    }));
    operation.silent(&id(100));
    operation.region_told(&(0..9).map(at).collect::<Vec<_>>());
    assert!(operation.region_ids().any(|node| *node == id(8)), "the view of nine ended before it");
}

#[test]
fn only_a_bounded_number_of_candidates_is_kept() {
    let operation = begun(Goal::Read(Consistency::Quorum), 100);
    assert_eq!(operation.candidates.len(), CANDIDATES_MAX);
}

#[test]
fn a_write_goes_to_all_that_have_promised_the_late_ones_too() {
    let mut operation = begun(Goal::Update, 9);
    go(&mut operation, secs(0));
    promise(&mut operation, 0..5, None);
    hear(&mut operation, [5], None);
    go(&mut operation, secs(0));
    operation.decided(Some(record(ADDRESS_OF, b"value", 1)));
    let all = go(&mut operation, secs(0));
    assert_eq!(written(&all).iter().map(|(node, ..)| *node).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    assert!(written(&all).iter().all(|(_, _, write)| *write == Write::Accept(operation.ballot)));
    promise(&mut operation, [6], None);
    assert_eq!(written(&go(&mut operation, secs(0))).iter().map(|(node, ..)| *node).collect::<Vec<_>>(), [6]);
}

#[test]
fn a_write_that_counts_waits_a_moment_for_the_rest() {
    let (mut operation, all) = writing();
    assert_eq!(written(&all).len(), 9);
    (0..4).for_each(|node| operation.stored(&id(node)));
    assert!(told(&go(&mut operation, secs(1))).is_none());
    assert_eq!(operation.again_at, None);
    operation.stored(&id(4));
    assert!(told(&go(&mut operation, secs(1))).is_none());
    assert_eq!(operation.again_at, Some(secs(1) + GRACE));
    let mut all_came = operation.clone();
    assert!(!operation.woken(), "the region is not looked for again");
    let all = go(&mut operation, secs(2));
    assert!(matches!(told(&all), Some(Ok(Outcome::Stored(Stored { stored: 5, of: 9, .. })))));
    assert!(is_done(&go(&mut operation, secs(2))));
    (5..9).for_each(|node| all_came.stored(&id(node)));
    let all = go(&mut all_came, secs(1));
    assert!(
        matches!(told(&all), Some(Ok(Outcome::Stored(Stored { stored: 9, .. })))),
        "nobody is waited for"
    );
}

#[test]
fn too_few_that_have_stored_leave_it_unknown() {
    let (mut operation, _) = writing();
    (0..4).for_each(|node| operation.stored(&id(node)));
    (4..9).for_each(|node| operation.silent(&id(node)));
    assert!(told(&go(&mut operation, secs(1))).is_none(), "another round may do it");
    let unknown = Some(Err(OperationError::Unknown { stored: 4, needed: 5, of: 9 }));
    assert_eq!(operation.out_of_time(), unknown);
    assert_eq!(operation.out_of_time(), None, "once is enough");
}

#[test]
fn without_a_majority_there_is_none_at_the_deadline() {
    for goal in [Goal::Update, Goal::Read(Consistency::Quorum), Goal::Read(Consistency::Fast)] {
        let mut operation = begun(goal, 9);
        go(&mut operation, secs(0));
        promise(&mut operation, 0..4, None);
        operation.heard(&id(4), false, Ballot::default(), None);
        go(&mut operation, secs(0));
        let none = Some(Err(OperationError::NoMajority { heard: 4, needed: 5, of: 9 }));
        assert_eq!(operation.out_of_time(), none, "{goal:?}");
    }
    let mut operation = begun(Goal::Read(Consistency::Fast), 9);
    go(&mut operation, secs(0));
    hear(&mut operation, [0], Some(&version(1, ballot(1, 1))));
    assert!(told(&go(&mut operation, secs(0))).is_some());
    assert_eq!(operation.out_of_time(), None, "it has been told");
}

#[test]
fn what_a_majority_refuses_is_refused() {
    for (refusing, why, refused) in [
        (5, Refusal::Full, true),
        (4, Refusal::Full, false),
        // That can be mended by another round.
        (9, Refusal::NotPromised, false),
    ] {
        let (mut operation, _) = writing();
        (0..9).for_each(|node| {
            let why = if node < refusing { why } else { Refusal::NotPromised };
            operation.refused(&id(node), why);
        });
        let outcome = told(&go(&mut operation, secs(0)));
        assert_eq!(outcome, refused.then_some(Err(OperationError::Refused(why))), "{refusing} say {why:?}");
        assert_eq!(operation.stage == Stage::Resting, !refused);
    }
}

#[test]
fn a_decision_counts_only_when_it_was_asked_for() {
    let mut operation = begun(Goal::Update, 9);
    operation.decided(Some(record(ADDRESS_OF, b"value", 1)));
    assert_eq!(operation.stage, Stage::Asking);
    go(&mut operation, secs(0));
    promise(&mut operation, 0..5, None);
    go(&mut operation, secs(0));
    operation.decided(None);
    let all = go(&mut operation, secs(0));
    assert!(matches!(told(&all), Some(Ok(Outcome::Unchanged(Found { held: None, .. })))), "{all:?}");
}
