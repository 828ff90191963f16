//! Lookups find the right node, in about as many hops as theory says.

#![allow(clippy::unwrap_used)]

use chordage_dht::AnyMetric;
use chordage_sim::{
    experiments::lookups::{BuiltBy, Lookups, LookupsReport, run},
    faults::Faults,
    latency::Latency,
    world::Setup,
};

/// The numbers without the shapes; the seed is among them.
fn told(report: &LookupsReport) -> String {
    serde_json::to_string(report).unwrap()
}

fn still(seed: u64, metric: AnyMetric) -> Setup {
    let latency = Latency::Constant { rtt: std::time::Duration::from_millis(100) };
    Setup { latency, faults: Faults::NONE, ..Setup::new(seed, metric) }
}

#[test]
fn chord_as_published_needs_half_the_binary_logarithm_of_hops() {
    let mut setup = still(1, AnyMetric::Classic);
    setup.config.parallel = 1;
    let report = run(&Lookups::new(setup, 500, 2000));
    assert_eq!(report.success_rate, 1.0, "{}", told(&report));
    // Half of log2(500) is 4.5, and the owner is one contact further.
    assert!((4.6..5.8).contains(&report.hops_mean), "{}", told(&report));
    assert!((7.0..11.0).contains(&report.table_entries_mean), "{}", told(&report));
}

#[test]
fn both_metrics_find_every_owner_in_about_two_hops() {
    for metric in [AnyMetric::Ring, AnyMetric::Xor] {
        let mut setup = still(2, metric);
        setup.config.parallel = 1;
        let report = run(&Lookups::new(setup, 500, 2000));
        assert_eq!(report.success_rate, 1.0, "{}", told(&report));
        assert!((1.4..2.2).contains(&report.hops_mean), "{}", told(&report));
        assert!(report.hops_p99 <= 3.0, "{}", told(&report));
    }
}

#[test]
fn tables_built_by_joins_are_nearly_as_good_as_ideal_ones() {
    let ideal = run(&Lookups::new(still(3, AnyMetric::Ring), 200, 1000));
    let plan = Lookups { built_by: BuiltBy::Joins, ..Lookups::new(still(3, AnyMetric::Ring), 200, 1000) };
    let earned = run(&plan);
    assert_eq!(earned.success_rate, 1.0, "{}", told(&earned));
    assert!(earned.hops_mean <= 1.15 * ideal.hops_mean, "{} against {}", earned.hops_mean, ideal.hops_mean);
}

#[test]
fn a_fifth_of_the_entries_dead_costs_time_but_no_answers() {
    let setup = Setup::new(4, AnyMetric::Ring);
    let report = run(&Lookups { dead: 0.2, ..Lookups::new(setup, 500, 1000) });
    assert_eq!(report.success_rate, 1.0, "{}", told(&report));
    assert!(report.latency_ms_p99 < 700.0, "{}", told(&report));
}

/// Waiting for the nearest node itself takes longest, for anybody who knows it least.
#[test]
fn a_lookup_may_be_over_sooner_or_later() {
    let until = |confirm, any_of| {
        let setup = Setup::new(5, AnyMetric::Ring);
        run(&Lookups { dead: 0.2, confirm, any_of, ..Lookups::new(setup, 500, 1000) })
    };
    let (known, near, nearest) = (until(0, 0), until(0, 8), until(1, 0));
    for report in [&known, &near, &nearest] {
        assert_eq!(report.success_rate, 1.0, "{}", told(report));
    }
    assert!(known.latency_ms_mean <= near.latency_ms_mean, "{} {}", told(&known), told(&near));
    assert!(near.latency_ms_mean < nearest.latency_ms_mean, "{} {}", told(&near), told(&nearest));
    assert_eq!(near.over_when, "any of the 8 nearest living nodes has answered");
}
