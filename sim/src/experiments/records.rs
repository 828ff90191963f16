//! Signed records whose publishers have gone, while the nodes that keep them come and go.
//!
//! Every record is published once by some node. Then nodes die without a word and others take their places, for as long
//! as it is measured; nobody publishes again, so that only the holders keep the records alive. A part of the records is
//! changed now and then, from anywhere; all are read from anywhere. At the end churn stops, the network gets a minute,
//! and every record is read once more.
//!
//! What must hold: a read that asks a majority never returns less than what had been acknowledged when it began.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use chordage_dht::{
    Consistency, Goal, Held, Key, Namespace, OperationError, OperationId, Outcome, Record, RecordName,
    Signature, Statement,
};
use rand_chacha::rand_core::Rng;
use serde::Serialize;

use super::rig::{Experiment, Kind, Turnover, task};
use crate::{
    ideal::Ideal,
    sessions::Sessions,
    stats::{Sample, round},
    traffic::{RECORDS, Traffic},
    world::{NodeIndex, Setup, World},
};

/// What to measure.
#[derive(Debug, Clone)]
pub struct Records {
    /// The world; bytes are counted and records kept whatever it says.
    pub setup: Setup,
    /// Nodes at any time.
    pub nodes: usize,
    /// Records.
    pub records: usize,
    /// How long nodes stay.
    pub sessions: Sessions,
    /// How long it is measured.
    pub duration: Duration,
    /// Bytes of a value.
    pub value_bytes: usize,
    /// Reads per second in the whole network, that ask a majority.
    pub reads_per_second: f64,
    /// Changes per second in the whole network, of every second record; the others are never changed.
    pub writes_per_second: f64,
}

impl Records {
    /// A measurement with values of 100 bytes, ten reads and one change per second.
    pub fn new(setup: Setup, nodes: usize, records: usize, sessions: Sessions, duration: Duration) -> Self {
        Self {
            setup,
            nodes,
            records,
            sessions,
            duration,
            value_bytes: 100,
            reads_per_second: 10.0,
            writes_per_second: 1.0,
        }
    }
}

/// What came out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RecordsReport {
    /// Nodes at any time.
    pub nodes: usize,
    /// Median session, seconds.
    pub median_session_s: f64,
    /// Measured time, seconds.
    pub duration_s: f64,
    /// Records that were published.
    pub records: usize,
    /// Changes that were acknowledged, the first publication of each record among them.
    pub writes: usize,
    /// Changes of which it is not known whether they will count.
    pub unknown_writes: usize,
    /// Records of which the last acknowledged version, or a later one, was not found at the end.
    pub lost: usize,
    /// Reads that were answered.
    pub reads: usize,
    /// Reads that found less than what had been acknowledged before they began.
    pub stale_quorum_reads: usize,
    /// Reads and writes that ended with an error, mostly because the node that asked was still joining.
    pub failed: usize,
    /// The part of these that found no majority in time.
    pub no_majority: usize,
    /// Milliseconds of a read.
    pub read_ms_p50: f64,
    /// 99th percentile of the same.
    pub read_ms_p99: f64,
    /// Milliseconds of a write.
    pub write_ms_p50: f64,
    /// 99th percentile of the same.
    pub write_ms_p99: f64,
    /// What records cost, bytes per second and node, sent and received together, packets, reads and writes included.
    pub bytes_per_second_per_node: f64,
    /// The same for everything else.
    pub overlay_bytes_per_second_per_node: f64,
    /// Nodes that died.
    pub deaths: usize,
    /// Records at a node in the end, on average.
    pub kept_per_node: f64,
    /// Seconds of real time.
    pub seconds: f64,
    /// The seed.
    pub seed: u64,
}

/// Some record is read.
const READ: Kind = 3;
/// Some record is changed.
const WRITE: Kind = 4;
/// This record is published.
const PUBLISH: Kind = 5;
/// This record is read for the last time.
const CHECK: Kind = 6;

/// How long an operation may take.
const DEADLINE: Duration = Duration::from_secs(20);
/// Until everybody has compared its empty shelf with its neighbours.
const SETTLE: Duration = Duration::from_secs(60);
/// Publications per second and node.
const PUBLISHED_PER_SECOND: f64 = 0.2;

/// One record, as somebody who sees everything knows it.
struct Published {
    name: RecordName,
    /// The highest number that was acknowledged.
    acknowledged: u64,
}

/// An operation under way.
struct Running {
    record: usize,
    node: NodeIndex,
    /// What had been acknowledged when it began.
    acknowledged: u64,
    write: bool,
    last: bool,
}

struct Run {
    plan: Records,
    world: World,
    records: Vec<Published>,
    running: BTreeMap<OperationId, Running>,
    turnover: Turnover,
    measuring: bool,
    deaths: usize,
    writes: usize,
    unknown: usize,
    stale: usize,
    failed: usize,
    no_majority: usize,
    found: Vec<bool>,
    read_ms: Sample,
    write_ms: Sample,
}

/// Runs the experiment.
pub fn run(plan: Records) -> RecordsReport {
    let clock = Instant::now();
    let mut setup = Setup { count_bytes: true, ..plan.setup.clone() };
    setup.config.records = true;
    let mut world = World::new(setup);
    world.add_ideal(plan.nodes, Ideal::default());
    let turnover = Turnover::new(plan.sessions);
    let mut run = Run {
        found: vec![false; plan.records],
        plan,
        world,
        records: Vec::new(),
        running: BTreeMap::new(),
        turnover,
        measuring: false,
        deaths: 0,
        writes: 0,
        unknown: 0,
        stale: 0,
        failed: 0,
        no_majority: 0,
        read_ms: Sample::default(),
        write_ms: Sample::default(),
    };
    run.go(SETTLE);
    run.publish_all();
    run.begin_churn();
    run.world.reset_traffic();
    run.measuring = true;
    run.go(run.plan.duration);
    let traffic = run.world.traffic().clone();
    run.measuring = false;
    run.turnover.goes_on = false;
    run.go(SETTLE);
    run.read_all();
    run.report(&traffic, clock.elapsed().as_secs_f64())
}

impl Experiment for Run {
    fn world(&mut self) -> &mut World {
        &mut self.world
    }

    fn task(&mut self, kind: Kind, number: u32) {
        match kind {
            Turnover::DEATH if self.turnover.goes_on => {
                self.running.retain(|_, running| running.node != number);
                self.world.kill(number);
                self.deaths += 1;
                self.turnover.died(&mut self.world, number);
            }
            Turnover::BIRTH => self.turnover.born(&mut self.world, number),
            READ if self.turnover.goes_on => {
                self.again(READ, self.plan.reads_per_second);
                let record = self.world.random(self.plan.records);
                self.begin(record, false, false);
            }
            WRITE if self.turnover.goes_on => {
                self.again(WRITE, self.plan.writes_per_second);
                // Every second one; the publishers of the others have left for good.
                let record = self.world.random(self.plan.records) & !1;
                self.begin(record, true, false);
            }
            PUBLISH => self.begin(number as usize, true, false),
            CHECK => self.begin(number as usize, false, true),
            _ => {}
        }
    }

    fn decide(&mut self, node: NodeIndex, id: OperationId, current: Option<&Held>) {
        self.follow(node, id, current);
    }

    fn operated(&mut self, id: OperationId, outcome: Result<Outcome, OperationError>) {
        self.ended(id, outcome);
    }
}

impl Run {
    fn publish_all(&mut self) {
        let gap = Duration::from_secs_f64(1.0 / (PUBLISHED_PER_SECOND * self.plan.nodes as f64));
        for index in 0..self.plan.records {
            let mut owner = [0; 32];
            self.world.chance().fill_bytes(&mut owner);
            let name = RecordName::new(Namespace::NAMES, owner, b"").expect("the salt is short");
            self.records.push(Published { name, acknowledged: 0 });
            self.world.plan(self.world.now() + gap * index as u32, task(PUBLISH, index as u32));
        }
        self.go(gap * self.plan.records as u32 + SETTLE);
    }

    fn begin_churn(&mut self) {
        self.turnover.begin(&mut self.world);
        self.world.plan(self.world.now(), task(READ, 0));
        self.world.plan(self.world.now(), task(WRITE, 0));
    }

    fn read_all(&mut self) {
        let gap = Duration::from_millis(1);
        for index in 0..self.plan.records {
            self.world.plan(self.world.now() + gap * index as u32, task(CHECK, index as u32));
        }
        self.go(gap * self.plan.records as u32 + DEADLINE);
    }

    fn again(&mut self, kind: Kind, per_second: f64) {
        if per_second > 0.0 {
            self.world.plan(self.world.now() + Duration::from_secs_f64(1.0 / per_second), task(kind, 0));
        }
    }

    fn begin(&mut self, record: usize, write: bool, last: bool) {
        let Some(node) = self.world.random_member() else { return };
        let goal = if write { Goal::Update } else { Goal::Read(Consistency::Quorum) };
        let Published { name, acknowledged } = &self.records[record];
        let (address, acknowledged): (Key, u64) = (name.address(), *acknowledged);
        let id = self.world.operate(node, address, goal, DEADLINE);
        self.running.insert(id, Running { record, node, acknowledged, write, last });
    }

    fn follow(&mut self, node: NodeIndex, id: OperationId, current: Option<&Held>) {
        let Some(running) = self.running.get(&id) else { return };
        let seq = current.map_or(0, |held| held.record.seq());
        // A majority told it, so it must be as new as what was acknowledged before.
        self.stale += usize::from(seq < running.acknowledged);
        let statement = Statement {
            name: self.records[running.record].name.clone(),
            seq: seq + 1,
            valid_until: u64::MAX,
            ttl: 300,
            previous: current.map(|held| held.record.hash()),
            value: id.0.to_be_bytes().repeat(self.plan.value_bytes.div_ceil(8)),
        };
        let record: Arc<Record> = statement.signed(Signature([0; 64])).expect("the value is short").into();
        self.world.decide(node, id, Some(record));
    }

    fn ended(&mut self, id: OperationId, outcome: Result<Outcome, OperationError>) {
        let Some(running) = self.running.remove(&id) else { return };
        let record = &mut self.records[running.record];
        match outcome {
            Ok(Outcome::Stored(stored)) => {
                self.writes += 1;
                record.acknowledged = record.acknowledged.max(stored.held.record.seq());
                if self.measuring {
                    self.write_ms.add(stored.elapsed.as_secs_f64() * 1e3);
                }
            }
            Ok(Outcome::Found(found)) => {
                let seq = found.held.map_or(0, |held| held.record.seq());
                let right = seq >= running.acknowledged;
                self.stale += usize::from(!right);
                if running.last {
                    self.found[running.record] = right;
                } else {
                    self.read_ms.add(found.elapsed.as_secs_f64() * 1e3);
                }
            }
            Ok(Outcome::Unchanged(_)) => {}
            Err(error) => {
                self.unknown += usize::from(matches!(error, OperationError::Unknown { .. }));
                self.no_majority += usize::from(matches!(error, OperationError::NoMajority { .. }));
                self.failed += 1;
                // What has never been published cannot be lost: it is tried again from elsewhere.
                if running.write && record.acknowledged == 0 {
                    self.begin(running.record, true, false);
                }
            }
        }
    }

    fn report(mut self, traffic: &Traffic, seconds: f64) -> RecordsReport {
        let node_seconds = self.plan.nodes as f64 * self.plan.duration.as_secs_f64();
        let records = traffic.kinds[RECORDS].bytes;
        let received = traffic.total().bytes - traffic.undelivered_bytes;
        // As large a part of what is received as of what is sent.
        let both = |sent: u64| {
            let share = received as f64 / traffic.total().bytes.max(1) as f64;
            round(sent as f64 * (1.0 + share) / node_seconds)
        };
        let living: Vec<NodeIndex> = self.world.living().collect();
        let kept: usize = living.iter().map(|node| self.world.dht(*node).records_kept().0).sum();
        RecordsReport {
            nodes: self.plan.nodes,
            median_session_s: self.plan.sessions.median.as_secs_f64(),
            duration_s: self.plan.duration.as_secs_f64(),
            records: self.plan.records,
            writes: self.writes,
            unknown_writes: self.unknown,
            lost: self.found.iter().filter(|found| !**found).count(),
            reads: self.read_ms.count(),
            stale_quorum_reads: self.stale,
            failed: self.failed,
            no_majority: self.no_majority,
            read_ms_p50: round(self.read_ms.quantile(0.5)),
            read_ms_p99: round(self.read_ms.quantile(0.99)),
            write_ms_p50: round(self.write_ms.quantile(0.5)),
            write_ms_p99: round(self.write_ms.quantile(0.99)),
            bytes_per_second_per_node: both(records),
            overlay_bytes_per_second_per_node: both(traffic.total().bytes - records),
            deaths: self.deaths,
            kept_per_node: round(kept as f64 / living.len().max(1) as f64),
            seconds: round(seconds),
            seed: self.plan.setup.seed,
        }
    }
}
