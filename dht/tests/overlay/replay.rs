//! The same seed gives the same run, byte for byte.

use std::time::Duration;

use chordage_dht::{AnyMetric, Config};

use crate::world::{World, confirmed};

fn run(seed: u64) -> ([u8; 32], u64) {
    let mut world = World::new(seed, AnyMetric::Ring, Config::default());
    for _ in 0..60 {
        world.add();
    }
    for node in 0..60 {
        world.join(node, &[0]);
    }
    world.weather.lost_per_mille = 20;
    world.run(Duration::from_secs(30));
    for node in 10..20 {
        world.kill(node);
    }
    for node in 20..40 {
        let key = world.random_key();
        world.start_lookup(node, key, confirmed(20));
    }
    world.run(Duration::from_secs(30));
    (world.trace(), world.sent)
}

#[test]
fn same_seed_same_run() {
    let first = run(50);
    assert!(first.1 > 1000);
    assert_eq!(first, run(50));
    assert_ne!(first, run(51));
}
