//! Reading and changing records from anywhere.

use super::*;

#[test]
fn every_member_and_every_client_reads_and_writes() {
    for (metric, members) in [(AnyMetric::Ring, 0), (AnyMetric::Xor, 0), (AnyMetric::Ring, 1000)] {
        let mut world = World::settled(95, metric, Config { members, ..config() }, 30);
        for _ in 0..2 {
            let client = world.add_client();
            world.join(client, &[0]);
            world.run_until(Duration::from_secs(20), |world| world.is_joined(client));
        }
        world.run(Duration::from_secs(60));
        for (seq, node) in [30, 4, 31, 17].into_iter().enumerate() {
            let stored = world.update(node, 1, b"value").unwrap();
            assert_eq!((stored.held.record.seq(), stored.of), (seq as u64 + 1, 9));
            assert!(stored.stored >= 5);
            for reader in 0..32 {
                assert_eq!(world.read(reader, 1), seq as u64 + 1, "{metric}, reader {reader}");
            }
        }
        assert!((30..32).all(|client| world.seq_at(client, 1).is_none()), "clients keep nothing");
        let mut region = world.region(1);
        region.sort_unstable();
        let holders: Vec<usize> = (0..32).filter(|node| world.seq_at(*node, 1).is_some()).collect();
        assert_eq!(holders, region);
    }
}

/// What one writes last is what all find, and each version follows one that a majority held.
#[test]
fn of_two_writers_each_sees_the_others_changes() {
    for seed in 100..110 {
        let mut world = World::settled(seed, AnyMetric::Ring, config(), 12);
        let mut stored = Vec::new();
        for round in 0..10u8 {
            // Both at one node in every second round.
            let nodes = [usize::from(round) % 12, usize::from(round / 2 * 2) % 12];
            let ids = nodes.map(|node| world.operate(node, address(1), Goal::Update));
            for (writer, id) in ids.into_iter().enumerate() {
                world.decide(id, |current| Some(next_version(1, current, &[round, writer as u8])));
            }
            let outcomes = ids.map(|id| world.outcome(id));
            let ended: Vec<Held> = outcomes
                .iter()
                .filter_map(|outcome| match outcome {
                    Ok(Outcome::Stored(stored)) => Some(stored.held.clone()),
                    Ok(Outcome::Unchanged(_)) => None,
                    other => panic!("{other:?}, seed {seed}"),
                })
                .collect();
            assert!(!ended.is_empty(), "one of them comes through, seed {seed}");
            stored.extend(ended);
        }
        stored.sort_by_key(|held| held.record.seq());
        for pair in stored.windows(2) {
            assert!(pair[0].record.seq() < pair[1].record.seq(), "one was lost, seed {seed}");
        }
        let last = stored.last().unwrap().record.seq();
        assert!((0..12).all(|node| world.read(node, 1) >= last), "seed {seed}");
    }
}

#[test]
fn lost_messages_are_sent_again() {
    let mut world = World::settled(111, AnyMetric::Ring, config(), 20);
    world.weather.lost_per_mille = 200;
    for seq in 1..=20 {
        let stored = world.update(seq as usize % 20, 1, b"value").unwrap();
        assert_eq!(stored.held.record.seq(), seq);
        assert!(stored.stored >= 5);
        assert_eq!(world.read((seq as usize + 7) % 20, 1), seq);
    }
}

#[test]
fn an_update_may_leave_things_as_they_are_and_cannot_write_another_record() {
    let mut world = World::settled(112, AnyMetric::Ring, config(), 12);
    world.update(0, 1, b"value").unwrap();
    for other in [None, Some(next_version(2, None, b"another address"))] {
        let id = world.operate(1, address(1), Goal::Update);
        world.decide(id, |current| {
            assert_eq!(current.unwrap().record.seq(), 1);
            other
        });
        let Ok(Outcome::Unchanged(found)) = world.outcome(id) else { panic!("nothing was to be written") };
        assert_eq!(found.held.unwrap().record.seq(), 1);
    }
    assert!((0..12).all(|node| world.seq_at(node, 2).is_none()));
}

#[test]
fn a_record_that_no_disk_takes_is_refused() {
    let mut world = World::settled(113, AnyMetric::Ring, config(), 9);
    let fail = |world: &mut World, count: usize| {
        world.nodes.iter_mut().enumerate().for_each(|(node, it)| it.disk_fails = node < count);
    };
    fail(&mut world, 4);
    let stored = world.update(8, 1, b"value").unwrap();
    assert_eq!(stored.stored, 5, "what is not on disk does not count");
    fail(&mut world, 5);
    assert_eq!(world.update(8, 2, b"value"), Err(OperationError::Refused(Refusal::Disk)));
}

#[test]
fn operations_are_bounded_need_a_network_and_can_be_cancelled() {
    let mut world = World::new(114, AnyMetric::Ring, config());
    let node = world.add();
    let id = world.operate(node, address(1), QUORUM);
    assert_eq!(world.operated.remove(&id), Some(Err(OperationError::NotJoined)));

    let mut world = World::settled(115, AnyMetric::Ring, config(), 9);
    let ids: Vec<OperationId> = (0..1025).map(|_| world.operate(0, address(1), QUORUM)).collect();
    assert_eq!(world.operated.remove(&ids[1024]), Some(Err(OperationError::Busy)));
    world.input(0, Input::CancelOperation(ids[7]));
    world.run(DEADLINE * 2);
    assert!((0..1024).all(|index| world.operated.contains_key(&ids[index]) == (index != 7)));

    // Who leaves says so to those who wait.
    let id = world.operate(1, address(1), QUORUM);
    world.input(1, Input::Leave);
    assert_eq!(world.operated.remove(&id), Some(Err(OperationError::NotJoined)));
}

#[test]
fn without_a_majority_an_operation_ends_at_its_deadline() {
    let mut world = World::settled(116, AnyMetric::Ring, config(), 9);
    world.update(0, 1, b"value").unwrap();
    world.weather.refuses = false;
    // Nobody is given up for as long as nobody probes: they are frozen, and so is the reader's knowledge.
    (1..9).for_each(|node| world.nodes[node].frozen = true);
    let start = world.now;
    let id = world.operate(0, address(1), QUORUM);
    let fast = world.operate(0, address(1), Goal::Read(Consistency::Fast));
    assert_eq!(world.outcome(fast).map(|_| ()), Ok(()), "it holds the record itself");
    let outcome = world.outcome(id);
    let took = world.now.since(start);
    match outcome {
        // It has given the others up, and is a network of its own now.
        Ok(Outcome::Found(found)) => assert!(found.of == 1 && took > Duration::from_secs(2), "{found:?}"),
        Err(OperationError::NoMajority { .. }) => assert_eq!(took, DEADLINE),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_read_may_be_content_with_the_first_answer_or_a_number() {
    let mut world = World::settled(117, AnyMetric::Ring, config(), 40);
    for _ in 0..3 {
        world.update(0, 1, b"value").unwrap();
    }
    let quorum = world.read_as(20, 1, Consistency::Quorum).unwrap();
    for consistency in [Consistency::Fast, Consistency::AtLeast(3)] {
        let found = world.read_as(20, 1, consistency).unwrap();
        assert_eq!(found.held.unwrap().record.seq(), 3);
        assert!(found.elapsed <= quorum.elapsed && found.heard <= quorum.heard, "{consistency:?}");
    }
    let none = world.read_as(20, 9, Consistency::Fast).unwrap();
    assert!(none.held.is_none() && none.heard >= 5, "that there is none only a majority knows");
}
