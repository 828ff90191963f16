//! What a node costs while nobody asks it for anything.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde::Serialize;

use crate::{
    checks::{
        Health,
        budget::{self, IDLE_BYTES_PER_SECOND_MAX},
    },
    experiments::lookups::BuiltBy,
    ideal::Ideal,
    stats::{Summary, round},
    traffic::KINDS,
    world::{Setup, World},
};

/// What to measure.
#[derive(Debug, Clone)]
pub struct Idle {
    /// The world; bytes are counted whatever it says.
    pub setup: Setup,
    /// Nodes.
    pub nodes: usize,
    /// Where the tables come from.
    pub built_by: BuiltBy,
    /// How long the network settles.
    pub settle: Duration,
    /// How long it is measured.
    pub duration: Duration,
}

/// What came out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct IdleReport {
    /// Nodes.
    pub nodes: usize,
    /// The metric.
    pub metric: String,
    /// Mean bytes per second and node, sent and received together, packets included.
    pub bytes_per_second_per_node: f64,
    /// The node that costs most.
    pub bytes_per_second_max: f64,
    /// Over the nodes.
    pub bytes_per_second: Summary,
    /// Nodes that cost more than 2 KiB per second.
    pub over_budget: usize,
    /// What was sent by kind of message, bytes per second and node.
    pub bytes_sent_by_kind: BTreeMap<&'static str, f64>,
    /// Messages sent per second and node.
    pub messages_per_second_per_node: f64,
    /// Whether there is one ring.
    pub ring_consistent: bool,
    /// Leaf sets that are not exact.
    pub wrong_leaf_sets: usize,
    /// Nodes that hold more than they may.
    pub unbounded: usize,
    /// Mean entries of a table.
    pub table_entries_mean: f64,
    /// Things that happened per second of real time.
    pub events_per_second: f64,
    /// Seconds of real time.
    pub seconds: f64,
    /// The seed.
    pub seed: u64,
}

/// Runs the experiment.
pub fn run(plan: &Idle) -> IdleReport {
    let clock = Instant::now();
    let mut world = World::new(Setup { count_bytes: true, ..plan.setup.clone() });
    match plan.built_by {
        BuiltBy::Preload => {
            world.add_ideal(plan.nodes, Ideal::default());
            world.run(plan.settle);
        }
        BuiltBy::Joins => {
            world.build_by_joins(plan.nodes, plan.settle);
        }
    }
    world.reset_traffic();
    world.run(plan.duration);
    let spent = budget::check(&world, plan.duration, IDLE_BYTES_PER_SECOND_MAX);
    let traffic = world.traffic().clone();
    let health = Health::of(&mut world);
    let node_seconds = plan.nodes as f64 * plan.duration.as_secs_f64();
    let entries: usize = world.living().map(|node| world.dht(node).status().table_entries).sum();
    let seconds = clock.elapsed().as_secs_f64();
    IdleReport {
        nodes: plan.nodes,
        metric: plan.setup.metric.to_string(),
        bytes_per_second_per_node: spent.bytes_per_second.mean,
        bytes_per_second_max: spent.bytes_per_second.max,
        bytes_per_second: spent.bytes_per_second,
        over_budget: spent.over,
        bytes_sent_by_kind: KINDS
            .into_iter()
            .zip(traffic.kinds.map(|count| round(count.bytes as f64 / node_seconds)))
            .collect(),
        messages_per_second_per_node: round(traffic.total().messages as f64 / node_seconds),
        ring_consistent: health.one_ring,
        wrong_leaf_sets: health.wrong_leaf_sets,
        unbounded: health.unbounded,
        table_entries_mean: round(entries as f64 / plan.nodes as f64),
        events_per_second: (world.events() as f64 / seconds).round(),
        seconds: round(seconds),
        seed: plan.setup.seed,
    }
}
