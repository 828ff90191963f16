//! How many hops, messages and milliseconds a lookup takes, and whether its answer is right.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use chordage_dht::{AnyMetric, Confirm, LookupId, LookupOptions};
use serde::{Deserialize, Serialize};

use super::confirm;
use crate::{
    checks::answers::{Asked, Verdict},
    ideal::Ideal,
    memory, processor,
    stats::{Sample, round},
    world::{Occurrence, Setup, World},
};

/// Where the tables come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BuiltBy {
    /// The nodes join one after the other, by the protocol.
    Joins,
    /// The tables are made by somebody who sees everything, and nobody maintains them.
    #[default]
    Preload,
}

/// What to measure.
#[derive(Debug, Clone)]
pub struct Lookups {
    /// The world.
    pub setup: Setup,
    /// Nodes.
    pub nodes: usize,
    /// Lookups, one every [`Lookups::gap`], each from a random living node for a random key.
    pub lookups: usize,
    /// Where the tables come from.
    pub built_by: BuiltBy,
    /// Share of nodes that are dead while the tables still hold them. With [`BuiltBy::Joins`] they die when the
    /// network is complete, and leaf sets are always stale then.
    pub dead: f64,
    /// Whether leaf sets hold dead nodes too.
    pub dead_leaves: bool,
    /// How many of the nearest nodes must have answered; 0: an answer from any node whose leaf set shows the key will
    /// do.
    pub confirm: usize,
    /// If not 0, this decides instead of `confirm`: an answer from one of so many of the nearest nodes will do.
    pub any_of: usize,
    /// Disjoint paths.
    pub paths: u8,
    /// How many nodes to find.
    pub want: usize,
    /// Between two lookups.
    pub gap: Duration,
    /// How long a network that joins has to settle before lookups begin.
    pub settle: Duration,
}

impl Lookups {
    /// The ordinary measurement: ideal tables, nobody dead, until the owner is known.
    pub fn new(setup: Setup, nodes: usize, lookups: usize) -> Self {
        Self {
            setup,
            nodes,
            lookups,
            built_by: BuiltBy::Preload,
            dead: 0.0,
            dead_leaves: false,
            confirm: 0,
            any_of: 0,
            paths: 1,
            want: 20,
            gap: Duration::from_millis(1),
            settle: Duration::from_secs(120),
        }
    }
}

impl Lookups {
    fn until(&self) -> Confirm {
        if self.any_of > 0 { Confirm::Near(self.any_of) } else { confirm(self.confirm) }
    }

    fn over_when(&self) -> String {
        match self.until() {
            Confirm::Near(near) => format!("any of the {near} nearest living nodes has answered"),
            Confirm::Answered(1) => "the nearest living node has answered".to_owned(),
            Confirm::Answered(need) => format!("the {need} nearest living nodes have answered"),
            Confirm::Covered | Confirm::Known => {
                "any node has answered whose leaf set shows the key".to_owned()
            }
        }
    }
}

/// What came out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LookupsReport {
    /// Nodes, the dead ones included.
    pub nodes: usize,
    /// The metric.
    pub metric: String,
    /// Lookups.
    pub lookups: usize,
    /// When a lookup was over.
    pub over_when: String,
    /// Share of dead nodes.
    pub dead: f64,
    /// Where the tables came from.
    pub built_by: BuiltBy,
    /// Contacts on the way to the owner, the owner included; of lookups that were right.
    pub hops_mean: f64,
    /// Median of the same.
    pub hops_p50: f64,
    /// 99th percentile of the same.
    pub hops_p99: f64,
    /// Questions sent per lookup, all of them.
    pub messages_mean: f64,
    /// Share of lookups that named the living node nearest to the key first.
    pub success_rate: f64,
    /// Lookups that ended without an answer.
    pub failed: usize,
    /// Lookups that ended with another node than the nearest one.
    pub wrong: usize,
    /// Milliseconds of virtual time until the answer was there, in the sense of [`Lookups::confirm`]; of lookups that
    /// were right.
    pub latency_ms_p50: f64,
    /// 99th percentile of the same.
    pub latency_ms_p99: f64,
    /// Mean of the same.
    pub latency_ms_mean: f64,
    /// Entries in the rows of a living node's table, leaf set not counted.
    pub table_entries_mean: f64,
    /// Memory the whole process took per node for the network, before the lookups; 0 where the system does not say.
    pub bytes_per_node: u64,
    /// Things that happened per second of real time; filling ideal tables is neither an event nor counted as time.
    pub events_per_second: f64,
    /// Microseconds of processor time per thing that happened, without filling ideal tables; 0 where the system does
    /// not say.
    pub cpu_us_per_event: f64,
    /// Things that happened.
    pub events: u64,
    /// Seconds of real time that building took.
    pub build_seconds: f64,
    /// Seconds of real time in all.
    pub seconds: f64,
    /// Seconds of virtual time in all.
    pub virtual_seconds: f64,
    /// The seed.
    pub seed: u64,
    /// Latencies for a plot: value and share of lookups that took no longer.
    #[serde(skip)]
    pub latency_shape: Vec<(f64, f64)>,
    /// Lookups by hops.
    #[serde(skip)]
    pub hops_shape: BTreeMap<u32, usize>,
}

/// Runs the experiment.
pub fn run(plan: &Lookups) -> LookupsReport {
    let clock = Instant::now();
    let memory_before = memory::resident();
    let metric = plan.setup.metric;
    let seed = plan.setup.seed;
    let mut world = World::new(plan.setup.clone());
    let (events_begin, cpu_begin) = match plan.built_by {
        BuiltBy::Joins => {
            let begin = (Instant::now(), processor::used());
            build(&mut world, plan);
            begin
        }
        BuiltBy::Preload => {
            build(&mut world, plan);
            (Instant::now(), processor::used())
        }
    };
    let build_seconds = clock.elapsed().as_secs_f64();
    let bytes_per_node = match (memory_before, memory::resident()) {
        (Some(before), Some(after)) => after.saturating_sub(before) / plan.nodes.max(1) as u64,
        _ => 0,
    };

    let mut results = Results::default();
    if world.census().count() > 0 {
        ask(&mut world, plan, &mut results);
    }
    let events = world.events();
    let running_seconds = events_begin.elapsed().as_secs_f64();
    let cpu_seconds = match (cpu_begin, processor::used()) {
        (Some(begin), Some(end)) => end.saturating_sub(begin).as_secs_f64(),
        _ => 0.0,
    };

    let (mut entries, mut living) = (0, 0);
    for node in world.living() {
        entries += world.dht(node).status().table_entries;
        living += 1;
    }
    let seconds = clock.elapsed().as_secs_f64();
    let done = plan.lookups.max(1) as f64;
    LookupsReport {
        nodes: plan.nodes,
        metric: metric.to_string(),
        lookups: plan.lookups,
        over_when: plan.over_when(),
        dead: plan.dead,
        built_by: plan.built_by,
        hops_mean: round(results.hops.mean()),
        hops_p50: results.hops.quantile(0.5),
        hops_p99: results.hops.quantile(0.99),
        messages_mean: round(results.messages.mean()),
        success_rate: round(results.right as f64 / done),
        failed: results.failed,
        wrong: results.wrong,
        latency_ms_p50: round(results.latency.quantile(0.5)),
        latency_ms_p99: round(results.latency.quantile(0.99)),
        latency_ms_mean: round(results.latency.mean()),
        table_entries_mean: round(entries as f64 / f64::from(living.max(1))),
        bytes_per_node,
        events_per_second: (events as f64 / running_seconds.max(1e-9)).round(),
        cpu_us_per_event: round(cpu_seconds * 1e6 / events.max(1) as f64),
        events,
        build_seconds: round(build_seconds),
        seconds: round(seconds),
        virtual_seconds: round(world.now().as_micros() as f64 / 1e6),
        seed,
        latency_shape: results.latency.shape(200),
        hops_shape: results.by_hops,
    }
}

fn build(world: &mut World, plan: &Lookups) {
    match plan.built_by {
        BuiltBy::Preload => world.add_ideal(
            plan.nodes,
            Ideal { dead: plan.dead, dead_leaves: plan.dead_leaves, maintained: false },
        ),
        BuiltBy::Joins => {
            world.build_by_joins(plan.nodes, plan.settle);
            let dead = (plan.dead * plan.nodes as f64).round() as usize;
            for _ in 0..dead {
                if let Some(node) = world.random_member() {
                    world.kill(node);
                }
            }
        }
    }
}

#[derive(Default)]
struct Results {
    hops: Sample,
    by_hops: BTreeMap<u32, usize>,
    messages: Sample,
    latency: Sample,
    right: usize,
    wrong: usize,
    failed: usize,
}

/// Starts the lookups one after the other and collects what they find.
fn ask(world: &mut World, plan: &Lookups, results: &mut Results) {
    let options = LookupOptions {
        want: plan.want,
        confirm: plan.until(),
        paths: plan.paths,
        ..LookupOptions::default()
    };
    // Chord's lookup ends at the predecessor; the owner is its successor, one contact further.
    let last_hop = u32::from(plan.setup.metric == AnyMetric::Classic);
    let mut asked: BTreeMap<LookupId, Asked> = BTreeMap::new();
    let end = world.now() + plan.gap * plan.lookups as u32 + 2 * options.deadline;
    world.plan(world.now(), 0);
    let mut open = plan.lookups;
    while open > 0 {
        match world.next(end) {
            Some(Occurrence::Task(number)) => {
                if (number as usize) + 1 < plan.lookups {
                    world.plan(world.now() + plan.gap, number + 1);
                }
                let key = world.random_key();
                let Some(node) = world.random_member() else { break };
                let question = Asked::now(world, key);
                asked.insert(world.lookup(node, key, options), question);
            }
            Some(Occurrence::Finished { id, outcome, .. }) => {
                let Some(asked) = asked.remove(&id) else { continue };
                open -= 1;
                let lookup = match &*outcome {
                    Ok(lookup) => Some(lookup),
                    Err(error) => error.partial(),
                };
                if let Some(lookup) = lookup {
                    results.messages.add(lookup.messages.into());
                }
                match (asked.judge(world, &outcome), lookup) {
                    (Verdict::Right | Verdict::Newcomer, Some(lookup)) => {
                        results.right += 1;
                        let hops = lookup.hops + last_hop;
                        results.hops.add(hops.into());
                        *results.by_hops.entry(hops).or_default() += 1;
                        results.latency.add(lookup.elapsed.as_secs_f64() * 1e3);
                    }
                    (Verdict::Wrong, _) => results.wrong += 1,
                    _ => results.failed += 1,
                }
            }
            Some(_) => {}
            None => break,
        }
    }
}
