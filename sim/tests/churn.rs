//! Answers stay right while nodes come and go.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use chordage_sim::{
    AnyMetric,
    experiments::churn::{Churn, run},
    sessions::{Sessions, Shape},
    world::Setup,
};

fn churn(seed: u64, metric: AnyMetric, median_s: u64, shape: Shape) -> Churn {
    let sessions = Sessions { median: Duration::from_secs(median_s), shape };
    Churn::new(Setup::new(seed, metric), 100, sessions, Duration::from_secs(160))
}

#[test]
fn half_an_hour_of_median_session_costs_hardly_any_answer() {
    for (metric, shape) in [(AnyMetric::Ring, Shape::Exponential), (AnyMetric::Xor, Shape::HeavyTailed)] {
        let report = run(churn(7, metric, 1800, shape));
        let told = serde_json::to_string(&report).unwrap();
        assert!(report.lookups > 1000 && report.deaths > 2, "{told}");
        assert!(report.success_rate >= 0.99, "{told}");
        assert!(report.ring_consistent && report.wrong_leaf_sets == 0 && report.unbounded == 0, "{told}");
    }
}

#[test]
fn goodbyes_spare_the_others_the_search() {
    let silent = run(churn(8, AnyMetric::Ring, 300, Shape::Exponential));
    let polite = run(Churn { graceful: 1.0, ..churn(8, AnyMetric::Ring, 300, Shape::Exponential) });
    assert!(polite.success_rate >= silent.success_rate, "{} {}", polite.success_rate, silent.success_rate);
    assert!(
        polite.latency_ms_p99 < silent.latency_ms_p99,
        "{} {}",
        polite.latency_ms_p99,
        silent.latency_ms_p99
    );
}
