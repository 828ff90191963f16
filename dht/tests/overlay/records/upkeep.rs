//! Holders keep records alive, not publishers.

use super::*;

#[test]
fn a_record_survives_all_nine_of_its_holders_leaving_one_after_the_other() {
    for metric in METRICS {
        let mut world = World::settled(80, metric, config(), 40);
        world.update(3, 1, b"value").unwrap();
        let holders = world.region(1);
        assert!(holders.iter().all(|node| world.seq_at(*node, 1) == Some(1)));
        let reader = (0..40).find(|node| !holders.contains(node)).unwrap();
        for (round, node) in holders.iter().enumerate() {
            if round % 2 == 0 {
                world.input(*node, Input::Leave);
            }
            world.kill(*node);
            world.run(Duration::from_secs(45));
            assert_eq!(world.read(reader, 1), 1, "{metric}, {} are gone", round + 1);
        }
        let now = world.region(1);
        assert!(now.iter().all(|node| !holders.contains(node)));
        let kept: Vec<Option<u64>> = now.iter().map(|node| world.seq_at(*node, 1)).collect();
        assert_eq!(kept, [Some(1); 9], "{metric}");
        world.assert_disks_are_right();
    }
}

#[test]
fn a_record_moves_to_nodes_that_come_nearer_and_leaves_those_that_are_no_longer_near() {
    for metric in METRICS {
        let mut world = World::settled(81, metric, config(), 20);
        for owner in 0..10 {
            world.update(0, owner, b"value").unwrap();
        }
        for _ in 0..20 {
            let node = world.add();
            world.join(node, &[0]);
            world.run_until(Duration::from_secs(10), |world| world.is_joined(node));
        }
        world.run(Duration::from_secs(300));
        for owner in 0..10 {
            let mut region = world.region(owner);
            region.sort_unstable();
            let holders: Vec<usize> = (0..40).filter(|node| world.seq_at(*node, owner) == Some(1)).collect();
            assert_eq!(holders, region, "{metric}, owner {owner}");
        }
        world.assert_disks_are_right();
    }
}

/// Many records, so that one message does not carry them all, and of one region: a newcomer gets them all.
#[test]
fn a_newcomer_gets_all_that_its_neighbours_keep() {
    let mut world = World::settled(82, AnyMetric::Ring, config(), 9);
    let ids: Vec<OperationId> =
        (0..250u8).map(|owner| world.operate(0, address(owner), Goal::Update)).collect();
    for (owner, id) in ids.iter().enumerate() {
        world.decide(*id, |current| Some(next_version(owner as u8, current, &[0; 1000])));
    }
    world.run(Duration::from_secs(20));
    assert!(ids.iter().all(|id| matches!(world.operated[id], Ok(Outcome::Stored(_)))));
    for goodbye in 1..3 {
        world.kill(goodbye);
    }
    world.run(Duration::from_secs(30));
    let node = world.add();
    world.join(node, &[0]);
    world.run_until(Duration::from_secs(10), |world| world.is_joined(node));
    let took = world.run_until(Duration::from_secs(60), |world| world.says(node, 0, 0).0);
    assert_eq!(world.nodes[node].dht.records_kept().0, 250, "ready after {took:?}");
    assert!(took < Duration::from_secs(20), "{took:?}");
}

#[test]
fn what_ended_long_ago_is_forgotten() {
    let mut world = World::settled(83, AnyMetric::Ring, config(), 5);
    let now = 1_800_000_000;
    let ends = |owner: u8, valid_until: u64| {
        let record = next_version(owner, None, b"value");
        let record =
            Statement { valid_until, ..record.statement().clone() }.signed(Signature([0; 64])).unwrap();
        Held { record: Arc::new(record), ballot: Default::default() }
    };
    let (week, hour) = (7 * 24 * 3600, 3600);
    for held in [ends(1, now - week - hour), ends(2, now - week + hour), ends(3, u64::MAX)] {
        for node in &mut world.nodes {
            node.disk.insert(*held.record.address(), (held.clone(), 0));
        }
    }
    for node in 0..5 {
        world.restart(node, &[(node + 1) % 5]);
        world.nodes[node].dht.set_unix_time(now);
        world.run(Duration::from_secs(20));
    }
    world.run(Duration::from_secs(120));
    for node in 0..5 {
        let kept = [1, 2, 3].map(|owner| world.seq_at(node, owner).is_some());
        assert_eq!(kept, [false, true, true], "node {node}");
    }
    world.assert_disks_are_right();
}
