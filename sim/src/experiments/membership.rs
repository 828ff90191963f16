//! How soon everybody knows who has come and gone, what that costs, and what lookups gain by it.
//!
//! Nodes die without a word, each replaced by another a second later, as in [`churn`](super::churn). A death is known
//! to a node when its list no longer names the dead one; that is looked at once a second, for every death at a few
//! random nodes that had it on their list.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use chordage_dht::{Key, Lookup, LookupError, LookupId, LookupOptions, Metric, NodeId, Time};
use serde::Serialize;

use super::{
    confirm,
    rig::{Experiment, Kind, Turnover, task},
};
use crate::{
    checks::{
        Health,
        answers::{Asked, Verdict},
    },
    ideal::Ideal,
    sessions::Sessions,
    stats::{Sample, round},
    traffic::{KINDS, MEMBERSHIP},
    world::{NodeIndex, Setup, World},
};

/// What to measure.
#[derive(Debug, Clone)]
pub struct Membership {
    /// The world; bytes are counted whatever it says.
    pub setup: Setup,
    /// Nodes at any time.
    pub nodes: usize,
    /// How long they stay.
    pub sessions: Sessions,
    /// How long it is measured.
    pub duration: Duration,
    /// How long churn goes on before that: longer than nodes of a large network wait before they are announced.
    pub warmup: Duration,
    /// Lookups per second in the whole network.
    pub lookups_per_second: f64,
}

impl Membership {
    /// A measurement with a warm-up of 20 minutes and a lookup per second.
    pub fn new(setup: Setup, nodes: usize, sessions: Sessions, duration: Duration) -> Self {
        let warmup = Duration::from_secs(1200);
        Self { setup, nodes, sessions, duration, warmup, lookups_per_second: 1.0 }
    }
}

/// What came out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MembershipReport {
    /// Nodes at any time.
    pub nodes: usize,
    /// The metric.
    pub metric: String,
    /// Median session, seconds.
    pub median_session_s: f64,
    /// Measured time, seconds.
    pub duration_s: f64,
    /// Nodes that died while it was measured and were on lists.
    pub deaths: usize,
    /// Seconds from a death until a node that listed the dead one knows of it: median.
    pub detect_seconds_p50: f64,
    /// 99th percentile of the same.
    pub detect_seconds_p99: f64,
    /// Times that a node dropped a living neighbour as dead, per node and hour.
    pub false_positives_per_node_hour: f64,
    /// Share of lookups at whose beginning the node listed nearest to the key was alive.
    pub first_try_success: f64,
    /// Share of lookups that named the nearest living node first.
    pub success_rate: f64,
    /// Mean hops of those lookups.
    pub lookup_hops_mean: f64,
    /// Median milliseconds of those lookups.
    pub latency_ms_p50: f64,
    /// 99th percentile of the same.
    pub latency_ms_p99: f64,
    /// Bytes per second, sent and received together, packets included, of a node that lists all members.
    pub superpeer_bytes_per_second: Option<f64>,
    /// The same of other nodes, if there are any.
    pub ordinary_bytes_per_second: Option<f64>,
    /// Mean over all nodes of what news and comparisons cost, sent and received together.
    pub membership_bytes_per_second: f64,
    /// Nodes that list all members at the end. In a small network everybody does.
    pub superpeers: usize,
    /// Mean share of the living members that a list names at the end. The youngest are not announced yet.
    pub listed_share: f64,
    /// Mean share of a list's names that are dead at the end.
    pub stale_share: f64,
    /// What was sent by kind of message, bytes per second and node.
    pub bytes_sent_by_kind: BTreeMap<&'static str, f64>,
    /// Whether the ring was whole a minute after the last death.
    pub ring_consistent: bool,
    /// Things that happened per second of real time.
    pub events_per_second: f64,
    /// Seconds of real time.
    pub seconds: f64,
    /// The seed.
    pub seed: u64,
    /// Detection times for a plot.
    #[serde(skip)]
    pub detect_shape: Vec<(f64, f64)>,
}

/// Nodes that are asked about a death.
const WITNESSES: usize = 20;
/// Between two looks at who knows.
const LOOK: Duration = Duration::from_secs(1);
/// Whoever knows nothing after so long counts as knowing then.
const GIVEN_UP: Duration = Duration::from_secs(900);

/// A lookup begins.
const LOOKUP: Kind = 3;
/// It is time to look who knows.
const WATCH: Kind = 4;

/// A death that a node has not noticed yet.
struct Unnoticed {
    dead: NodeId,
    at: Time,
    witness: NodeIndex,
    /// Who the witness is; another may have its number later.
    id: NodeId,
}

struct Run {
    plan: Membership,
    world: World,
    options: LookupOptions,
    asked: BTreeMap<LookupId, (NodeIndex, Asked)>,
    unnoticed: Vec<Unnoticed>,
    turnover: Turnover,
    measuring: bool,
    deaths: usize,
    detect: Sample,
    first_tries: usize,
    first_hits: usize,
    lookups: usize,
    right: usize,
    hops: Sample,
    latency: Sample,
}

/// Runs the experiment.
pub fn run(plan: Membership) -> MembershipReport {
    let clock = Instant::now();
    let mut world = World::new(Setup { count_bytes: true, ..plan.setup.clone() });
    world.add_ideal(plan.nodes, Ideal::default());
    let mut turnover = Turnover::new(plan.sessions);
    turnover.begin(&mut world);
    world.plan(world.now(), task(LOOKUP, 0));
    world.plan(world.now(), task(WATCH, 0));
    let mut run = Run {
        plan,
        world,
        options: LookupOptions { confirm: confirm(0), ..LookupOptions::default() },
        asked: BTreeMap::new(),
        unnoticed: Vec::new(),
        turnover,
        measuring: false,
        deaths: 0,
        detect: Sample::default(),
        first_tries: 0,
        first_hits: 0,
        lookups: 0,
        right: 0,
        hops: Sample::default(),
        latency: Sample::default(),
    };
    run.go(run.plan.warmup);
    run.world.reset_traffic();
    run.measuring = true;
    run.go(run.plan.duration);
    let costs = Costs::of(&run.world, run.plan.nodes, run.plan.duration);
    let (listed_share, stale_share) = run.lists();
    run.measuring = false;
    run.turnover.goes_on = false;
    run.go(Duration::from_secs(60));
    let ring_consistent = Health::of(&mut run.world).one_ring;
    let now = run.world.now();
    for unnoticed in std::mem::take(&mut run.unnoticed) {
        run.detect.add(now.since(unnoticed.at).as_secs_f64());
    }
    let share = |count: usize, of: usize| round(count as f64 / of.max(1) as f64);
    let seconds = clock.elapsed().as_secs_f64();
    MembershipReport {
        nodes: run.plan.nodes,
        metric: run.plan.setup.metric.to_string(),
        median_session_s: run.plan.sessions.median.as_secs_f64(),
        duration_s: run.plan.duration.as_secs_f64(),
        deaths: run.deaths,
        detect_seconds_p50: round(run.detect.quantile(0.5)),
        detect_seconds_p99: round(run.detect.quantile(0.99)),
        false_positives_per_node_hour: costs.false_positives_per_node_hour,
        first_try_success: share(run.first_hits, run.first_tries),
        success_rate: share(run.right, run.lookups),
        lookup_hops_mean: round(run.hops.mean()),
        latency_ms_p50: round(run.latency.quantile(0.5)),
        latency_ms_p99: round(run.latency.quantile(0.99)),
        superpeer_bytes_per_second: costs.listing,
        ordinary_bytes_per_second: costs.ordinary,
        membership_bytes_per_second: costs.membership,
        superpeers: costs.superpeers,
        listed_share,
        stale_share,
        bytes_sent_by_kind: costs.by_kind,
        ring_consistent,
        events_per_second: (run.world.events() as f64 / seconds).round(),
        seconds: round(seconds),
        seed: run.plan.setup.seed,
        detect_shape: run.detect.shape(200),
    }
}

impl Experiment for Run {
    fn world(&mut self) -> &mut World {
        &mut self.world
    }

    fn task(&mut self, kind: Kind, number: u32) {
        match kind {
            Turnover::DEATH if self.turnover.goes_on => {
                if self.measuring {
                    self.call_witnesses(number);
                }
                self.asked.retain(|_, (asker, _)| *asker != number);
                self.world.kill(number);
                self.turnover.died(&mut self.world, number);
            }
            Turnover::BIRTH => self.turnover.born(&mut self.world, number),
            LOOKUP if self.turnover.goes_on => {
                let gap = Duration::from_secs_f64(1.0 / self.plan.lookups_per_second.max(1e-3));
                self.world.plan(self.world.now() + gap, task(LOOKUP, 0));
                let key = self.world.random_key();
                if let Some(from) = self.world.random_member() {
                    self.look_up(from, key);
                }
            }
            WATCH => {
                self.world.plan(self.world.now() + LOOK, task(WATCH, 0));
                self.look_who_knows();
            }
            _ => {}
        }
    }

    fn finished(&mut self, id: LookupId, outcome: &Result<Lookup, LookupError>) {
        let Some((_, asked)) = self.asked.remove(&id) else { return };
        let verdict = asked.judge(&mut self.world, outcome);
        if self.measuring {
            self.lookups += 1;
            if let (Verdict::Right | Verdict::Newcomer, Ok(lookup)) = (verdict, outcome) {
                self.right += 1;
                self.hops.add(lookup.hops.into());
                self.latency.add(lookup.elapsed.as_secs_f64() * 1e3);
            }
        }
    }
}

impl Run {
    fn look_up(&mut self, from: NodeIndex, key: Key) {
        if self.measuring && self.world.dht(from).knows_members() {
            let metric = self.world.setup().metric;
            let listed = self.world.dht(from).members();
            let nearest =
                listed.iter().map(|member| member.peer.id()).min_by(|a, b| metric.closer(&key, a, b));
            self.first_tries += 1;
            self.first_hits += usize::from(nearest.is_some_and(|id| self.world.is_living(&id)));
        }
        let asked = Asked::now(&mut self.world, key);
        let id = self.world.lookup(from, key, self.options);
        self.asked.insert(id, (from, asked));
    }

    /// Notes a few nodes that list a node which is about to die.
    fn call_witnesses(&mut self, dying: NodeIndex) {
        let dead = self.world.peer(dying).id();
        let before = self.unnoticed.len();
        for _ in 0..WITNESSES {
            let Some(witness) = self.world.random_member() else { return };
            if witness != dying && self.world.dht(witness).lists(&dead) {
                let id = self.world.peer(witness).id();
                self.unnoticed.push(Unnoticed { dead, at: self.world.now(), witness, id });
            }
        }
        self.deaths += usize::from(self.unnoticed.len() > before);
    }

    fn look_who_knows(&mut self) {
        let now = self.world.now();
        let (world, detect) = (&self.world, &mut self.detect);
        self.unnoticed.retain(|unnoticed| {
            let witness = world.dht(unnoticed.witness);
            if !world.is_alive(unnoticed.witness) || witness.local().id() != unnoticed.id {
                return false;
            }
            let waited = now.since(unnoticed.at);
            let over = !witness.lists(&unnoticed.dead) || waited >= GIVEN_UP;
            if over {
                detect.add(waited.as_secs_f64());
            }
            !over
        });
    }

    /// Which share of the living members a list names, and which share of its names are dead.
    fn lists(&self) -> (f64, f64) {
        let living: Vec<NodeIndex> = self.world.living().filter(|node| self.world.is_member(*node)).collect();
        let (mut listed, mut stale) = (Sample::default(), Sample::default());
        for node in living.iter().filter(|node| self.world.dht(**node).knows_members()) {
            let list = self.world.dht(*node).members();
            let dead = list.iter().filter(|member| !self.world.is_living(&member.peer.id())).count();
            listed.add((list.len() - dead) as f64 / living.len() as f64);
            stale.add(dead as f64 / list.len().max(1) as f64);
        }
        (round(listed.mean()), round(stale.mean()))
    }
}

/// What it all cost.
struct Costs {
    listing: Option<f64>,
    ordinary: Option<f64>,
    membership: f64,
    superpeers: usize,
    false_positives_per_node_hour: f64,
    by_kind: BTreeMap<&'static str, f64>,
}

impl Costs {
    fn of(world: &World, nodes: usize, duration: Duration) -> Self {
        let seconds = duration.as_secs_f64();
        let node_seconds = nodes as f64 * seconds;
        // Nodes that have lived through the whole time, so that what they spent is known.
        let (mut listing, mut ordinary) = (Sample::default(), Sample::default());
        let mut superpeers = 0;
        for node in world.living() {
            let lists = world.dht(node).knows_members();
            superpeers += usize::from(lists);
            if world.born(node) + duration <= world.now() {
                let sample = if lists { &mut listing } else { &mut ordinary };
                sample.add(world.bytes_of(node) as f64 / seconds);
            }
        }
        let mean = |sample: &Sample| (sample.count() > 0).then(|| round(sample.mean()));
        let traffic = world.traffic();
        let membership: u64 = traffic.kinds[MEMBERSHIP].iter().map(|count| count.bytes).sum();
        Self {
            listing: mean(&listing),
            ordinary: mean(&ordinary),
            membership: round(2.0 * membership as f64 / node_seconds),
            superpeers,
            false_positives_per_node_hour: world.false_deaths() as f64 / (node_seconds / 3600.0),
            by_kind: KINDS
                .into_iter()
                .zip(traffic.kinds.map(|count| round(count.bytes as f64 / node_seconds)))
                .collect(),
        }
    }
}
