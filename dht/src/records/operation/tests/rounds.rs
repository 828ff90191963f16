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
