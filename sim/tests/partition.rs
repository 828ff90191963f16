//! Two halves that have lost each other find together again.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use chordage_sim::{
    AnyMetric,
    experiments::partition::{Partition, run},
    world::Setup,
};

#[test]
fn a_network_cut_in_half_is_one_ring_again_within_a_minute() {
    for metric in [AnyMetric::Ring, AnyMetric::Xor] {
        let report = run(&Partition {
            setup: Setup::new(9, metric),
            nodes: 60,
            share: 0.5,
            cut: Duration::from_secs(300),
            limit: Duration::from_secs(120),
        });
        let told = serde_json::to_string(&report).unwrap();
        assert!(report.parted_after_s.is_some_and(|seconds| seconds < 60.0), "{told}");
        assert!(report.healed && report.one_ring_after_s < 60.0, "{told}");
    }
}
