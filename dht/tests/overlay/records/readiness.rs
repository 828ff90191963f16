//! Whose word counts: a node whose knowledge may be old says so until it has compared.

use super::*;

/// Nine nodes that keep the first version of a record.
fn nine(seed: u64) -> World {
    let mut world = World::settled(seed, AnyMetric::Ring, config(), 9);
    world.update(0, 1, b"first").unwrap();
    assert!((0..9).all(|node| world.seq_at(node, 1) == Some(1)));
    world
}

#[test]
fn a_node_that_slept_is_not_ready_until_it_has_compared() {
    let mut world = nine(84);
    assert_eq!(world.says(4, 0, 1), (true, Some(1)));
    world.nodes[4].frozen = true;
    world.run(Duration::from_secs(2));
    assert_eq!(world.update(0, 1, b"second").unwrap().held.record.seq(), 2);
    world.run(Duration::from_secs(8));
    // The first question finds it as the sleep has left it.
    assert_eq!(world.says(4, 0, 1), (false, Some(1)));
    world.nodes[4].frozen = false;
    world.input(4, Input::Timeout);
    assert!(!world.says(4, 0, 1).0);
    world.run_until(Duration::from_secs(30), |world| world.says(4, 0, 1).0);
    assert_eq!(world.says(4, 0, 1), (true, Some(2)));
}

#[test]
fn a_sleep_that_only_the_clock_on_the_wall_has_seen_counts_too() {
    let mut world = nine(85);
    world.nodes[4].dht.set_unix_time(4);
    assert!(world.says(4, 0, 1).0, "clocks are set all the time");
    world.nodes[4].dht.set_unix_time(1000);
    assert!(!world.says(4, 0, 1).0);
    world.run_until(Duration::from_secs(30), |world| world.says(4, 0, 1).0);
}

/// The second version is at five of nine, of which one comes back with the first: four know it, and five do not.
#[test]
fn an_old_disk_makes_no_majority_read_go_back_and_is_mended() {
    for seed in 86..90 {
        let mut world = nine(seed);
        let old = world.nodes[2].disk.clone();
        world.split(Some((0..9).map(|node| node >= 5).collect()));
        world.weather.refuses = false;
        let stored = world.update(0, 1, b"second").unwrap();
        assert_eq!((stored.held.record.seq(), stored.stored), (2, 5), "seed {seed}");
        world.kill(2);
        world.split(None);
        world.nodes[2].disk = old;
        world.restart(2, &[6]);
        world.run_until(Duration::from_secs(10), |world| world.is_joined(2));
        assert_eq!(world.says(2, 6, 1), (false, Some(1)), "seed {seed}");
        // Those who do not know the second version; they read from each other first.
        for reader in [6, 7, 2, 8, 5, 6] {
            assert_eq!(world.read(reader, 1), 2, "reader {reader}, seed {seed}");
        }
        world.run_until(Duration::from_secs(30), |world| world.says(2, 6, 1).0);
        assert_eq!(world.says(2, 6, 1), (true, Some(2)));
        world.run(Duration::from_secs(660));
        assert!((0..9).all(|node| world.seq_at(node, 1) == Some(2)));
        world.assert_disks_are_right();
    }
}

/// Four of nine holders die at once. Those that come in their place hold nothing, and do not hide what the others have.
#[test]
fn who_comes_into_a_region_does_not_hide_what_is_there() {
    for seed in 90..94 {
        let mut world = World::settled(seed, AnyMetric::Ring, config(), 40);
        world.weather.refuses = false;
        world.update(0, 1, b"value").unwrap();
        let region = world.region(1);
        let reader = (0..40).find(|node| !region.contains(node)).unwrap();
        region[..4].iter().for_each(|node| world.kill(*node));
        for _ in 0..60 {
            assert_eq!(world.read(reader, 1), 1, "seed {seed}");
            world.run(Duration::from_millis(500));
        }
    }
}

/// Five of nine hold the second version. Two of these die, and others come into the region by that: until they have
/// compared, their word, together with those who hold the first, must not be a majority for it.
#[test]
fn who_comes_into_a_region_by_a_death_does_not_count_before_it_has_compared() {
    for (seed, metric) in (94..106).zip(METRICS.into_iter().cycle()) {
        let mut world = World::settled(seed, metric, config(), 40);
        world.update(0, 1, b"first").unwrap();
        let region = world.region(1);
        world.weather.refuses = false;
        world.split(Some((0..40).map(|node| region[5..].contains(&node)).collect()));
        let stored = world.update(region[0], 1, b"second").unwrap();
        assert_eq!((stored.held.record.seq(), stored.stored), (2, 5), "seed {seed}");
        world.split(None);
        region[..2].iter().for_each(|node| world.kill(*node));
        let come: Vec<usize> = world.region(1).into_iter().filter(|node| !region.contains(node)).collect();
        assert_eq!(come.len(), 2);
        let mut ready = [false; 40];
        for _ in 0..1200 {
            world.run(Duration::from_millis(50));
            for node in &come {
                let (counts, seq) = world.says(*node, region[8], 1);
                assert!(!counts || seq == Some(2), "node {node} holds {seq:?}, seed {seed}");
                ready[*node] |= counts;
            }
        }
        assert!(come.iter().all(|node| ready[*node]), "seed {seed}");
    }
}

/// A node that nearer ones have come between is no longer told of changes. When those go again, it does not count at
/// once.
#[test]
fn who_was_pushed_out_of_a_region_and_comes_back_does_not_count_before_it_has_compared() {
    let mut world = World::settled(98, AnyMetric::Ring, config(), 30);
    world.update(0, 1, b"first").unwrap();
    let before = world.region(1);
    let mut come = Vec::new();
    while world.region(1)[8] == before[8] {
        let node = world.add();
        world.join(node, &[0]);
        world.run_until(Duration::from_secs(10), |world| world.is_joined(node));
        come.push(node);
    }
    world.run(Duration::from_secs(20));
    world.update(0, 1, b"second").unwrap();
    assert_eq!(world.seq_at(before[8], 1), Some(1), "it is not told, and has not dropped it yet");
    assert!(!world.says(before[8], 0, 1).0);
    world.weather.refuses = false;
    come.iter().for_each(|node| world.kill(*node));
    for _ in 0..600 {
        world.run(Duration::from_millis(50));
        let (counts, seq) = world.says(before[8], 0, 1);
        assert!(!counts || seq == Some(2), "it holds {seq:?}");
    }
    assert_eq!(world.says(before[8], 0, 1), (true, Some(2)));
}
