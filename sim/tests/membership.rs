//! In a network small enough everybody lists everybody.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use chordage_sim::{
    AnyMetric,
    experiments::membership::{Membership, run},
    faults::Faults,
    sessions::{Sessions, Shape},
    world::{Setup, World},
};

#[test]
fn deaths_are_known_soon_and_lookups_take_one_hop() {
    let sessions = Sessions { median: Duration::from_secs(1800), shape: Shape::Exponential };
    let mut setup = Setup::new(5, AnyMetric::Ring);
    setup.config.members = 2000;
    setup.faults = Faults { loss: 0.02, ..Faults::default() };
    let plan = Membership {
        warmup: Duration::from_secs(120),
        ..Membership::new(setup, 150, sessions, Duration::from_secs(600))
    };
    let report = run(plan);
    let told = serde_json::to_string(&report).unwrap();
    assert!(report.deaths > 10 && report.superpeers > 140, "{told}");
    assert!(report.detect_seconds_p50 <= 20.0 && report.detect_seconds_p99 <= 60.0, "{told}");
    assert!(report.first_try_success >= 0.97 && report.lookup_hops_mean <= 1.1, "{told}");
    assert!(report.success_rate >= 0.98 && report.ring_consistent, "{told}");
}

/// How long it takes until everybody lists everybody, of nodes that all begin at the same moment.
fn listed_after(seed: u64, count: u32) -> Duration {
    let mut setup = Setup::new(seed, AnyMetric::Ring);
    setup.config.members = 2000;
    setup.diverse = false;
    let mut world = World::new(setup);
    let first = world.add();
    world.join(first, &[]);
    for _ in 1..count {
        let node = world.add();
        world.join(node, &[first]);
    }
    let start = world.now();
    loop {
        world.run(Duration::from_millis(500));
        let waited = world.now().since(start);
        let complete = |node| world.dht(node).members().len() == count as usize;
        if (0..count).all(complete) || waited > Duration::from_secs(300) {
            return waited;
        }
    }
}

#[test]
fn nodes_that_begin_together_list_each_other_soon() {
    let waited: Vec<Duration> = (1..=10).map(|seed| listed_after(seed, 50)).collect();
    assert!(waited.iter().all(|waited| *waited <= Duration::from_secs(10)), "{waited:?}");
}
