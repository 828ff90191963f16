//! Several rounds, and several operations that meet at the same nodes.

use super::*;

#[test]
fn each_round_has_a_ballot_above_all_that_were_promised() {
    let mut operation = begun(Goal::Update, 9);
    let first = prepared(&go(&mut operation, secs(0))).unwrap();
    let others = ballot(41, 3);
    operation.heard(&id(0), true, others, None);
    promise(&mut operation, 1..5, None);
    for node in 5..9 {
        operation.silent(&id(node));
    }
    assert!(decide(&go(&mut operation, secs(0))).is_none(), "four have promised");
    assert_eq!(operation.stage, Stage::Resting);
    assert!(operation.woken(), "the region is looked for again");
    again(&mut operation, 9);
    let second = prepared(&go(&mut operation, secs(1))).unwrap();
    assert!(second > others && others > first);
}

#[test]
fn two_attempts_of_one_node_have_different_ballots() {
    // Neither has heard of the other: in both it is the first round.
    let mut nodes = Nodes::default();
    let (mut one, mut two) = (begun(Goal::Update, 9), begun(Goal::Update, 9));
    two.begin(8, (0..9).map(at));
    assert_eq!(decide(&nodes.work(&mut one, secs(0), |_| true)), Some(None));
    let current = decide(&nodes.work(&mut two, secs(0), |_| true));
    if current == Some(None) {
        two.decided(Some(record(ADDRESS_OF, b"two", 1)));
        nodes.work(&mut two, secs(0), |_| true);
    }
    one.decided(Some(record(ADDRESS_OF, b"one", 1)));
    nodes.work(&mut one, secs(0), |_| true);
    let written = [&one, &two].map(|operation| {
        operation.region().filter(|candidate| candidate.answer.stored).count() >= majority(9)
    });
    assert!(written != [true, true], "both believe that their version is the first");
}

/// Of two writers that have seen the same version only one comes through, whatever the order of their steps.
#[test]
fn of_two_writers_one_sees_the_others_change() {
    for late in [false, true] {
        let mut nodes = Nodes::default();
        let (mut one, mut two) = (begun(Goal::Update, 9), begun(Goal::Update, 9));
        two.begin(8, (0..9).map(at));
        assert_eq!(decide(&nodes.work(&mut one, secs(0), |_| true)), Some(None));
        if late {
            // The other one prepares when the first has been written.
            one.decided(Some(record(ADDRESS_OF, b"one", 1)));
            assert!(matches!(told(&nodes.work(&mut one, secs(0), |_| true)), Some(Ok(Outcome::Stored(_)))));
        }
        let mut current = decide(&nodes.work(&mut two, secs(0), |_| true));
        let mut rounds = 0;
        while current.is_none() {
            rounds += 1;
            assert!(rounds < 10 && two.woken());
            two.begin(8 + rounds, (0..9).map(at));
            current = decide(&nodes.work(&mut two, secs(1), |_| true));
        }
        let current = current.unwrap();
        assert_eq!(current.is_some(), late, "what was written is told to the one that comes after");
        let next = current.as_ref().map_or(record(ADDRESS_OF, b"two", 1), |held| after(held, b"two"));
        two.decided(Some(next));
        let stored = told(&nodes.work(&mut two, secs(1), |_| true));
        assert!(matches!(stored, Some(Ok(Outcome::Stored(Stored { stored: 9, of: 9, .. })))), "{stored:?}");
        if !late {
            // The promises to the first are void; it finds the other's version and leaves it.
            one.decided(Some(record(ADDRESS_OF, b"one", 1)));
            assert_eq!(told(&nodes.work(&mut one, secs(1), |_| true)), None);
            assert!(one.woken());
            again(&mut one, 9);
            let all = nodes.work(&mut one, secs(2), |_| true);
            let Some(Ok(Outcome::Unchanged(found))) = told(&all) else { panic!("{all:?}") };
            assert_eq!(found.held.unwrap().record.statement().value, b"two");
        }
    }
}

#[test]
fn another_round_writes_the_same_version_if_only_that_came_of_the_first() {
    let (mut operation, _) = writing();
    (0..4).for_each(|node| operation.stored(&id(node)));
    (4..9).for_each(|node| operation.silent(&id(node)));
    assert!(told(&go(&mut operation, secs(0))).is_none());
    assert!(operation.woken());
    again(&mut operation, 9);
    let ballot = prepared(&go(&mut operation, secs(1))).unwrap();
    promise(&mut operation, 0..4, Some(&version(1, Ballot::default())));
    promise(&mut operation, 4..9, None);
    let all = go(&mut operation, secs(1));
    assert!(decide(&all).is_none(), "the caller has decided already");
    let writes = written(&all);
    assert_eq!(writes.len(), 9);
    assert!(writes.iter().all(|(_, held, write)| *write == Write::Accept(ballot) && held.record.seq() == 1));
}

#[test]
fn an_update_whose_base_has_changed_changes_nothing() {
    let (mut operation, _) = writing();
    (0..9).for_each(|node| operation.refused(&id(node), Refusal::NotPromised));
    go(&mut operation, secs(0));
    assert!(operation.woken());
    again(&mut operation, 9);
    go(&mut operation, secs(1));
    let theirs = held(ADDRESS_OF, b"theirs", 1, ballot(1, 9));
    promise(&mut operation, 0..9, Some(&theirs));
    let all = go(&mut operation, secs(1));
    assert!(
        matches!(told(&all), Some(Ok(Outcome::Unchanged(Found { held: Some(held), .. }))) if held == theirs)
    );
    assert!(written(&all).is_empty() && is_done(&all));
}

#[test]
fn rounds_wait_longer_and_longer_and_a_second_at_most() {
    let mut operation = begun(Goal::Read(Consistency::Quorum), 9);
    let mut last = Duration::ZERO;
    for round in 0..12 {
        go(&mut operation, secs(round));
        (0..9).for_each(|node| operation.silent(&id(node)));
        go(&mut operation, secs(round));
        let wait = operation.again_at.unwrap().since(secs(round));
        assert!(wait >= AGAIN_MIN && wait <= AGAIN_MAX + millis(50), "{wait:?}");
        assert!(wait + millis(50) > last, "round {round}");
        last = wait;
        assert!(operation.woken());
        again(&mut operation, 9);
    }
    assert!(last >= AGAIN_MAX);
}

/// A reader finds what a writer has left at one node, after another writer has been promised that nothing earlier is
/// taken any more.
#[test]
fn a_read_that_must_not_hand_on_what_it_found_prepares_itself() {
    let mut nodes = Nodes::default();
    let left = held(ADDRESS_OF, b"left", 1, ballot(1, 1));
    nodes.shelf(0).load(left.clone(), 0);
    let mut writer = begun(Goal::Update, 9);
    assert_eq!(decide(&nodes.work(&mut writer, secs(0), |node| node != 0)), Some(None), "it has not seen it");

    let mut reader = begun(Goal::Read(Consistency::Quorum), 9);
    // Its ballot would be the higher one, but nobody has promised that.
    reader.begin(8, (0..9).map(at));
    let all = nodes.work(&mut reader, secs(0), |_| true);
    assert_eq!((told(&all), reader.stage), (None, Stage::Resting), "the writer may come before it");
    assert!(reader.woken());
    reader.begin(9, (0..9).map(at));
    let found = found(&nodes.work(&mut reader, secs(1), |_| true)).unwrap();
    assert_eq!((found.held.unwrap().record, found.agree), (left.record.clone(), 5));

    writer.decided(Some(record(ADDRESS_OF, b"other", 1)));
    assert_eq!(told(&nodes.work(&mut writer, secs(1), |_| true)), None, "what has been read is not replaced");
    assert!(writer.woken());
    writer.begin(10, (0..9).map(at));
    let all = nodes.work(&mut writer, secs(2), |_| true);
    assert!(
        matches!(told(&all), Some(Ok(Outcome::Unchanged(Found { held: Some(held), .. }))) if held.record == left.record)
    );
}

#[test]
fn what_an_update_leaves_as_it_is_it_hands_on_under_its_own_ballot() {
    let mut nodes = Nodes::default();
    let left = held(ADDRESS_OF, b"left", 1, ballot(1, 1));
    nodes.shelf(0).load(left.clone(), 0);
    let mut update = begun(Goal::Update, 9);
    assert_eq!(decide(&nodes.work(&mut update, secs(0), |_| true)), Some(Some(left.clone())));
    update.decided(None);
    let Some(Ok(Outcome::Unchanged(found))) = told(&nodes.work(&mut update, secs(0), |_| true)) else {
        panic!("the nodes have promised it")
    };
    assert_eq!((found.held.unwrap().record, found.agree), (left.record, 5));
}

#[test]
fn a_majority_that_holds_a_version_holds_it_of_one_ballot() {
    let (early, late) = (version(1, ballot(1, 1)), version(1, ballot(3, 1)));
    let mut operation = begun(Goal::Read(Consistency::Quorum), 9);
    go(&mut operation, secs(0));
    hear(&mut operation, 0..3, Some(&late));
    hear(&mut operation, 3..5, Some(&early));
    let all = go(&mut operation, secs(0));
    assert!(told(&all).is_none());
    let writes = written(&all);
    assert_eq!(writes.iter().map(|(node, ..)| *node).collect::<Vec<_>>(), [3, 4]);
    assert!(writes.iter().all(|(_, held, _)| *held == late));
}

#[test]
fn a_node_holds_what_was_written_to_it_and_not_what_was_found_since() {
    let (second, third) = (version(2, ballot(1, 1)), version(3, ballot(2, 1)));
    let mut operation = begun(Goal::Read(Consistency::Quorum), 9);
    go(&mut operation, secs(0));
    hear(&mut operation, [0], Some(&second));
    hear(&mut operation, 1..5, None);
    assert_eq!(written(&go(&mut operation, secs(0))).len(), 4);
    hear(&mut operation, [8], Some(&third));
    (1..5).for_each(|node| operation.stored(&id(node)));
    let all = go(&mut operation, secs(0));
    assert!(told(&all).is_none(), "the third version is at one node");
    assert_eq!(written(&all).iter().filter(|(_, held, _)| *held == third).count(), 5);
}

#[test]
fn an_update_that_somebody_may_have_taken_is_never_said_to_have_changed_nothing() {
    let (mut operation, _) = writing();
    (0..1).for_each(|node| operation.stored(&id(node)));
    (1..9).for_each(|node| operation.refused(&id(node), Refusal::NotPromised));
    go(&mut operation, secs(0));
    assert!(operation.woken());
    again(&mut operation, 9);
    go(&mut operation, secs(1));
    // Another writer has found it, and its version follows ours; but no majority is left.
    let ours = version(1, ballot(1, 7));
    let theirs = Held { record: after(&ours, b"theirs"), ballot: ballot(2, 9) };
    promise(&mut operation, 0..5, None);
    promise(&mut operation, 0..1, Some(&theirs));
    go(&mut operation, secs(1));
    assert!(matches!(operation.out_of_time(), Some(Err(OperationError::Unknown { .. }))));
}
