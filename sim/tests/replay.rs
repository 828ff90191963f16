//! The same seed gives the same run, message for message.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use chordage_dht::{AnyMetric, Config, LookupOptions};
use chordage_sim::{
    faults::Faults,
    ideal::Ideal,
    scenario::Scenario,
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

/// A small world for every kind of experiment.
const EXPERIMENTS: [&str; 8] = [
    "kind = \"lookups\"\nlookups = 60\ndead = 0.2\nany_of = 8",
    "kind = \"lookups\"\nlookups = 60\nbuilt_by = \"joins\"\nsettle_s = 20\npaths = 4",
    "kind = \"churn\"\nmedian_session_s = 84\nduration_s = 60\ngraceful = 0.3",
    "kind = \"membership\"\nmedian_session_s = 600\nduration_s = 60\nwarmup_s = 60",
    "kind = \"idle\"\nduration_s = 60",
    "kind = \"partition\"\ncut_s = 60\nlimit_s = 60",
    "kind = \"adversaries\"\nrole = \"liar\"\nshare = 0.2\nlookups = 60",
    "kind = \"eclipse\"\nattackers = 30\naround_a_key = 3\nduration_s = 30",
];

/// What a machine adds to a report: its time and its memory.
const OF_THE_MACHINE: [&str; 5] =
    ["seconds", "build_seconds", "events_per_second", "cpu_us_per_event", "bytes_per_node"];

/// Everything a scenario reports, as bytes, pictures included.
fn report_of(experiment: &str, seed: u64) -> String {
    let faults = "faults = { loss = 0.01, jitter = 0.1 }\nconfig = { members = 200 }";
    let text = format!("name = \"replay\"\nseed = {seed}\nnodes = 60\n{faults}\n[experiment]\n{experiment}");
    let mut report = Scenario::parse(&text).unwrap().run().unwrap();
    report.fields.retain(|name, _| name != "seed" && !OF_THE_MACHINE.contains(&name.as_str()));
    let pictures: Vec<String> = report.plots.values().map(|plot| plot.to_svg()).collect();
    format!("{}\n{}", report.to_json(), pictures.concat())
}

#[test]
fn every_experiment_reports_the_same_for_the_same_seed() {
    for experiment in EXPERIMENTS {
        let first = report_of(experiment, 21);
        assert_eq!(first, report_of(experiment, 21), "seed 21, {experiment}");
        assert_ne!(first, report_of(experiment, 22), "{experiment}");
    }
}
