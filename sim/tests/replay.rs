//! The same seed gives the same run, message for message.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use chordage_dht::{AnyMetric, Config, LookupOptions};
use chordage_sim::{
    faults::Faults,
    ideal::Ideal,
    world::{Occurrence, Setup, World},
};

/// Joins, lookups, deaths and newcomers on a bad network; returns everything that an observer could compare.
fn eventful_run(seed: u64, metric: AnyMetric) -> ([u8; 32], u64, Vec<String>) {
    let faults = Faults { loss: 0.02, duplication: 0.02, reordering: 0.1, jitter: 0.2, ..Faults::default() };
    let setup = Setup { faults, keep_trace: true, config: Config::tiny(), ..Setup::new(seed, metric) };
    let mut world = World::new(setup);
    world.build_by_joins(40, Duration::from_secs(20));
    for victim in [3, 17, 28] {
        world.kill(victim);
    }
    world.replace(17);
    world.join_by_random(17, 2);
    let mut found = Vec::new();
    for _ in 0..20 {
        let key = world.random_key();
        let from = world.random_member().unwrap();
        world.lookup(from, key, LookupOptions::default());
    }
    let end = world.now() + Duration::from_secs(40);
    while let Some(occurrence) = world.next(end) {
        if let Occurrence::Finished { id, outcome, .. } = occurrence {
            found.push(format!("{id:?} {outcome:?}"));
        }
    }
    (world.trace(), world.events(), found)
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_seed_another() {
    for metric in [AnyMetric::Ring, AnyMetric::Xor] {
        let first = eventful_run(11, metric);
        assert_eq!(first.2.len(), 20, "every lookup ends");
        assert_eq!(first, eventful_run(11, metric), "seed 11, {metric}");
        assert_ne!(first.0, eventful_run(12, metric).0, "{metric}");
    }
}

#[test]
fn tables_made_by_several_threads_are_the_same_every_time() {
    let run = |seed| {
        let mut world = World::new(Setup { keep_trace: true, ..Setup::new(seed, AnyMetric::Ring) });
        world.add_ideal(300, Ideal { dead: 0.1, ..Ideal::default() });
        world.run(Duration::from_secs(20));
        (world.trace(), world.events())
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}
