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
