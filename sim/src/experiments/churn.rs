//! Lookups while nodes come and go all the time.
//!
//! The number of nodes stays the same: for each that dies another one, with another key pair, joins a second later.
//! Nodes die without a word unless told otherwise. At the end churn stops, the network gets a minute, and then its
//! ring is checked.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use chordage_dht::{Lookup, LookupError, LookupId, LookupOptions};
use serde::Serialize;

use super::{
    confirm,
    rig::{Experiment, Kind, Turnover, task},
};
use crate::{
    chance::happens,
    checks::{
        Health,
        answers::{Asked, Verdict},
    },
    ideal::Ideal,
    sessions::Sessions,
    stats::{Sample, round},
    traffic::{KINDS, Traffic},
    world::{NodeIndex, Setup, World},
};

/// What to measure.
#[derive(Debug, Clone)]
pub struct Churn {
    /// The world; bytes are counted whatever it says.
    pub setup: Setup,
    /// Nodes at any time.
    pub nodes: usize,
    /// How long they stay.
    pub sessions: Sessions,
    /// How long it is measured.
    pub duration: Duration,
    /// How long churn goes on before that: the ideal tables of the beginning must have been worn down.
    pub warmup: Duration,
    /// Lookups per second in the whole network.
    pub lookups_per_second: f64,
    /// Share of nodes that say goodbye.
    pub graceful: f64,
    /// How many of the nearest nodes must have answered; 0: an answer from any node whose leaf set shows the key will
    /// do.
    pub confirm: usize,
}

impl Churn {
    /// A measurement with a warm-up of a quarter of an hour or a quarter of the duration, and ten lookups per second.
    pub fn new(setup: Setup, nodes: usize, sessions: Sessions, duration: Duration) -> Self {
        let warmup = Duration::from_secs(900).min(duration / 4);
        Self { setup, nodes, sessions, duration, warmup, lookups_per_second: 10.0, graceful: 0.0, confirm: 1 }
    }
}

/// What came out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChurnReport {
    /// Nodes at any time.
    pub nodes: usize,
    /// The metric.
    pub metric: String,
    /// Median session, seconds.
    pub median_session_s: f64,
    /// Measured time, seconds.
    pub duration_s: f64,
    /// Lookups that ended.
    pub lookups: usize,
    /// Share that named the nearest living node first.
    pub success_rate: f64,
    /// The part of it that named a node which was still joining.
    pub newcomer_rate: f64,
    /// Share that named another node.
    pub wrong_owner_rate: f64,
    /// Share that had no answer.
    pub failure_rate: f64,
    /// Milliseconds until the answer was there, in the sense of [`Churn::confirm`]; of lookups that were right.
    pub latency_ms_p50: f64,
    /// 99th percentile of the same.
    pub latency_ms_p99: f64,
    /// Mean hops of the same.
    pub hops_mean: f64,
    /// Mean messages of all lookups.
    pub messages_mean: f64,
    /// Bytes per second and node, sent and received together, packets included, lookups included.
    pub bytes_per_second_per_node: f64,
    /// The part of it that was sent.
    pub bytes_sent_per_second_per_node: f64,
    /// What was sent by kind of message, bytes per second and node.
    pub bytes_sent_by_kind: BTreeMap<&'static str, f64>,
    /// Whether the ring was whole a minute after the last death.
    pub ring_consistent: bool,
    /// Leaf sets that were not exact then.
    pub wrong_leaf_sets: usize,
    /// Nodes that held more than they may then.
    pub unbounded: usize,
    /// Nodes that died while it was measured.
    pub deaths: usize,
    /// Mean share of the nodes that were members while it was measured; the others were joining.
    pub member_share: f64,
    /// Things that happened per second of real time.
    pub events_per_second: f64,
    /// Seconds of real time.
    pub seconds: f64,
    /// The seed.
    pub seed: u64,
    /// Share of lookups that were right, by minute.
    #[serde(skip)]
    pub success_by_minute: Vec<(f64, f64)>,
    /// Latencies for a plot.
    #[serde(skip)]
    pub latency_shape: Vec<(f64, f64)>,
}

/// A lookup begins.
const LOOKUP: Kind = 3;

struct Run {
    plan: Churn,
    world: World,
    options: LookupOptions,
    asked: BTreeMap<LookupId, (NodeIndex, Asked)>,
    turnover: Turnover,
    measuring: bool,
    deaths: usize,
    right: usize,
    newcomers: usize,
    wrong: usize,
    failed: usize,
    latency: Sample,
    hops: Sample,
    messages: Sample,
    members: Sample,
    minutes: BTreeMap<u64, (usize, usize)>,
}

/// Runs the experiment.
pub fn run(plan: Churn) -> ChurnReport {
    let clock = Instant::now();
    let setup = Setup { count_bytes: true, ..plan.setup.clone() };
    let mut world = World::new(setup);
    world.add_ideal(plan.nodes, Ideal::default());
    let mut turnover = Turnover::new(plan.sessions);
    turnover.begin(&mut world);
    world.plan(world.now(), task(LOOKUP, 0));
    let options = LookupOptions { confirm: confirm(plan.confirm), ..LookupOptions::default() };
    let mut run = Run {
        plan,
        world,
        options,
        asked: BTreeMap::new(),
        turnover,
        measuring: false,
        deaths: 0,
        right: 0,
        newcomers: 0,
        wrong: 0,
        failed: 0,
        latency: Sample::default(),
        hops: Sample::default(),
        messages: Sample::default(),
        members: Sample::default(),
        minutes: BTreeMap::new(),
    };
    run.go(run.plan.warmup);
    run.world.reset_traffic();
    run.measuring = true;
    run.go(run.plan.duration);
    let traffic = run.world.traffic().clone();
    run.measuring = false;
    run.turnover.goes_on = false;
    run.go(Duration::from_secs(60));
    let health = Health::of(&mut run.world);
    run.report(&traffic, health, clock.elapsed().as_secs_f64())
}

impl Experiment for Run {
    fn world(&mut self) -> &mut World {
        &mut self.world
    }

    fn task(&mut self, kind: Kind, number: u32) {
        match kind {
            Turnover::DEATH if self.turnover.goes_on => {
                let polite = happens(self.world.chance(), self.plan.graceful);
                // Nobody is left to hear the answers to its questions.
                self.asked.retain(|_, (asker, _)| *asker != number);
                if polite {
                    self.world.leave(number);
                } else {
                    self.world.kill(number);
                }
                self.deaths += usize::from(self.measuring);
                self.turnover.died(&mut self.world, number);
            }
            Turnover::BIRTH => self.turnover.born(&mut self.world, number),
            LOOKUP if self.turnover.goes_on => {
                let gap = Duration::from_secs_f64(1.0 / self.plan.lookups_per_second.max(1e-3));
                self.world.plan(self.world.now() + gap, task(LOOKUP, 0));
                let key = self.world.random_key();
                if let Some(from) = self.world.random_member() {
                    let asked = Asked::now(&mut self.world, key);
                    let id = self.world.lookup(from, key, self.options);
                    self.asked.insert(id, (from, asked));
                }
                if self.measuring {
                    let members = self.world.census().count();
                    self.members.add(members as f64 / self.plan.nodes as f64);
                }
            }
            _ => {}
        }
    }

    fn finished(&mut self, id: LookupId, outcome: &Result<Lookup, LookupError>) {
        let Some((_, asked)) = self.asked.remove(&id) else { return };
        let verdict = asked.judge(&mut self.world, outcome);
        if self.measuring {
            self.count(verdict, outcome);
        }
    }
}

impl Run {
    fn count(&mut self, verdict: Verdict, outcome: &Result<Lookup, LookupError>) {
        let lookup = match outcome {
            Ok(lookup) => Some(lookup),
            Err(error) => error.partial(),
        };
        if let Some(lookup) = lookup {
            self.messages.add(lookup.messages.into());
        }
        let minute = self.minutes.entry(self.world.now().as_micros() / 60_000_000).or_default();
        minute.1 += 1;
        match verdict {
            Verdict::Right | Verdict::Newcomer => {
                self.newcomers += usize::from(verdict == Verdict::Newcomer);
                minute.0 += 1;
                self.right += 1;
                if let Some(lookup) = lookup {
                    self.hops.add(lookup.hops.into());
                    self.latency.add(lookup.elapsed.as_secs_f64() * 1e3);
                }
            }
            Verdict::Wrong => self.wrong += 1,
            Verdict::None => self.failed += 1,
        }
    }

    fn report(mut self, traffic: &Traffic, health: Health, seconds: f64) -> ChurnReport {
        let lookups = self.right + self.wrong + self.failed;
        let share = |count: usize| round(count as f64 / lookups.max(1) as f64);
        let node_seconds = self.plan.nodes as f64 * self.plan.duration.as_secs_f64();
        let rate = |bytes: u64| round(bytes as f64 / node_seconds);
        let sent = traffic.total().bytes;
        let received = sent - traffic.undelivered_bytes;
        ChurnReport {
            nodes: self.plan.nodes,
            metric: self.plan.setup.metric.to_string(),
            median_session_s: self.plan.sessions.median.as_secs_f64(),
            duration_s: self.plan.duration.as_secs_f64(),
            lookups,
            success_rate: share(self.right),
            newcomer_rate: share(self.newcomers),
            wrong_owner_rate: share(self.wrong),
            failure_rate: share(self.failed),
            latency_ms_p50: round(self.latency.quantile(0.5)),
            latency_ms_p99: round(self.latency.quantile(0.99)),
            hops_mean: round(self.hops.mean()),
            messages_mean: round(self.messages.mean()),
            bytes_per_second_per_node: rate(sent + received),
            bytes_sent_per_second_per_node: rate(sent),
            bytes_sent_by_kind: KINDS.into_iter().zip(traffic.kinds.map(|count| rate(count.bytes))).collect(),
            ring_consistent: health.one_ring,
            wrong_leaf_sets: health.wrong_leaf_sets,
            unbounded: health.unbounded,
            deaths: self.deaths,
            member_share: round(self.members.mean()),
            events_per_second: (self.world.events() as f64 / seconds).round(),
            seconds: round(seconds),
            seed: self.plan.setup.seed,
            success_by_minute: self
                .minutes
                .iter()
                .map(|(minute, (right, all))| (*minute as f64, *right as f64 / *all as f64))
                .collect(),
            latency_shape: self.latency.shape(200),
        }
    }
}
