//! Finding the nodes nearest a key.

use std::time::Duration;

use chordage_dht::{AnyMetric, Config, Confirm, LookupError, LookupOptions};

use crate::world::{World, confirmed, ids};

#[test]
fn lookups_agree_with_the_truth_and_hop() {
    for metric in [AnyMetric::Ring, AnyMetric::Xor] {
        // Small tables, so that 200 nodes need several hops.
        let config = Config { row_active: 2, leaf_set: 16, reply_peers: 8, ..Config::default() };
        let mut world = World::settled(20, metric, config, 200);
        let (mut hops, mut hops_max) = (0, 0);
        for _ in 0..300 {
            let (from, key) = (world.random(200), world.random_key());
            let found = world.lookup(from, key, confirmed(8)).unwrap();
            assert_eq!(ids(&found.closest), world.truth(&key, 8), "seed {}", world.seed);
            assert!(found.confirmed >= 3);
            hops += found.hops;
            hops_max = hops_max.max(found.hops);
            for hop in &found.trace {
                assert_eq!(hop.depth == 1, hop.named_by.is_none());
            }
        }
        let mean = f64::from(hops) / 300.0;
        eprintln!("{metric}: {mean:.2} hops in the mean, {hops_max} at most");
        assert!(mean > 1.3 && hops_max <= 6, "{mean} hops in the mean, {hops_max} at most");
        let most = world.nodes.iter().map(|node| node.dht.status().table_entries).max().unwrap();
        assert!(most < 100, "a table of {most} entries is not small");
    }
}

#[test]
fn twenty_nearest_are_exact() {
    for metric in [AnyMetric::Ring, AnyMetric::Xor] {
        let mut world = World::settled(21, metric, Config::default(), 150);
        for _ in 0..100 {
            let (from, key) = (world.random(150), world.random_key());
            let found = world.lookup(from, key, confirmed(20)).unwrap();
            assert_eq!(ids(&found.closest), world.truth(&key, 20), "seed {}", world.seed);
        }
    }
}

#[test]
fn what_is_known_costs_no_message() {
    let options = LookupOptions { want: 6, confirm: Confirm::Known, ..LookupOptions::default() };
    let mut world = World::settled(22, AnyMetric::Ring, Config::default(), 16);
    for _ in 0..20 {
        let (from, key) = (world.random(16), world.random_key());
        let found = world.lookup(from, key, options).unwrap();
        assert_eq!((found.messages, ids(&found.closest)), (0, world.truth(&key, 6)));
    }
    // In a larger network only the keys nearby are known, and those are known rightly.
    for metric in [AnyMetric::Ring, AnyMetric::Xor] {
        let mut world = World::settled(23, metric, Config::default(), 120);
        let mut known = 0;
        for _ in 0..300 {
            let (from, key) = (world.random(120), world.random_key());
            let found = world.lookup(from, key, options).unwrap();
            assert_eq!(ids(&found.closest), world.truth(&key, 6), "seed {}", world.seed);
            known += u32::from(found.messages == 0);
        }
        assert!((20..200).contains(&known), "{known} of 300 were known");
    }
}

#[test]
fn lookups_survive_lost_messages() {
    let mut world = World::settled(24, AnyMetric::Ring, Config::default(), 100);
    world.weather.lost_per_mille = 50;
    let mut right = 0;
    for _ in 0..200 {
        let (from, key) = (world.random(100), world.random_key());
        let found = world.lookup(from, key, confirmed(3)).unwrap();
        right += usize::from(ids(&found.closest) == world.truth(&key, 3));
    }
    assert!(right >= 199, "{right} of 200 right, seed {}", world.seed);
}

#[test]
fn lookups_work_while_a_fifth_is_dead() {
    for (seed, refuses) in [(25, true), (26, false)] {
        let mut world = World::settled(seed, AnyMetric::Ring, Config::default(), 200);
        world.weather.refuses = refuses;
        for node in (0..200).filter(|node| node % 5 == 3) {
            world.kill(node);
        }
        let live = world.live();
        let mut times = Vec::new();
        for _ in 0..100 {
            let (from, key) = (live[world.random(live.len())], world.random_key());
            let found = world.lookup(from, key, confirmed(1)).unwrap();
            assert_eq!(ids(&found.closest), world.truth(&key, 1), "seed {}", world.seed);
            times.push(found.elapsed);
        }
        times.sort();
        eprintln!("refuses {refuses}: median {:?}, 90 % {:?}, longest {:?}", times[50], times[90], times[99]);
        assert!(times[99] < Duration::from_secs(5));
    }
}

#[test]
fn a_lookup_keeps_its_deadline() {
    let mut world = World::settled(27, AnyMetric::Ring, Config::default(), 100);
    world.weather.refuses = false;
    for node in 1..100 {
        world.kill(node);
    }
    let key = world.random_key();
    let deadline = Duration::from_millis(700);
    let lookup = world.start_lookup(0, key, LookupOptions { deadline, ..confirmed(20) });
    let start = world.now;
    let outcome = world.result(lookup);
    assert_eq!(world.now.since(start), deadline);
    match outcome {
        Err(LookupError::Deadline(partial)) => assert!(!partial.closest.is_empty()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn too_many_lookups_are_refused() {
    let mut world = World::settled(28, AnyMetric::Ring, Config::tiny(), 16);
    let lookups: Vec<_> = (0..10)
        .map(|_| {
            let key = world.random_key();
            world.start_lookup(0, key, confirmed(3))
        })
        .collect();
    let outcomes: Vec<_> = lookups.into_iter().map(|lookup| world.result(lookup)).collect();
    let busy = outcomes.iter().filter(|outcome| matches!(outcome, Err(LookupError::Busy))).count();
    let done = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert!(busy > 0 && done > 0 && busy + done == 10, "{busy} busy, {done} done");
}

#[test]
fn who_has_not_joined_cannot_look() {
    let mut world = World::new(29, AnyMetric::Ring, Config::default());
    let node = world.add();
    let key = world.random_key();
    assert_eq!(world.lookup(node, key, confirmed(1)), Err(LookupError::NotJoined));
}

#[test]
fn disjoint_paths_find_the_same() {
    for metric in [AnyMetric::Ring, AnyMetric::Xor] {
        let config = Config { row_active: 4, leaf_set: 16, reply_peers: 12, ..Config::default() };
        let mut world = World::settled(30, metric, config, 200);
        for paths in [1, 4, 8] {
            let mut messages = 0;
            for _ in 0..50 {
                let (from, key) = (world.random(200), world.random_key());
                let found = world.lookup(from, key, LookupOptions { paths, ..confirmed(8) }).unwrap();
                assert_eq!(ids(&found.closest), world.truth(&key, 8), "seed {}", world.seed);
                messages += found.messages;
            }
            eprintln!("{metric}, {paths} paths: {} messages in the mean", messages / 50);
        }
    }
}
