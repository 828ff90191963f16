//! Signed records under everything that can go wrong at once, judged by what writers and readers were told.
//!
//! Each record has two writers, which are at another node every time and write what follows what they are told; readers
//! that ask a majority are everywhere. Messages are lost, doubled and overtaken; nodes die, up to four of a region in
//! one moment, and come back as others, with their disk, or with an old copy of it; the network is cut in two and
//! heals.
//!
//! What must hold as long as never more than four of the nine that keep a record fail at once, and, in a partition, on
//! the side where five of them are: what was acknowledged or told stays, and everything told lies on one chain
//! (`model`). After a partition the highest number wins. In the end all nine that are to keep a record keep the same.

mod chaos;
mod model;
mod regions;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chordage_dht::{
    Consistency, Goal, Held, Key, Namespace, OperationError, OperationId, Outcome, Record, RecordName,
    Signature, Statement, Time,
};
use rand_chacha::rand_core::Rng;
use serde::Serialize;

use super::rig::{Experiment, Kind, task};
use crate::{
    chance::unit,
    faults::Faults,
    ideal::Ideal,
    world::{Disk, NodeIndex, Setup, World},
};
use model::{Floor, Versions};
use regions::{Regions, region};

/// What to run.
#[derive(Debug, Clone)]
pub struct RecordHistory {
    /// The world; records are kept whatever it says.
    pub setup: Setup,
    /// Nodes.
    pub nodes: usize,
    /// Records.
    pub records: usize,
    /// How long things go wrong.
    pub duration: Duration,
    /// Mean time between two moments in which nodes die.
    pub deaths_every: Duration,
    /// Mean time from the end of one partition to the beginning of the next; none for no partitions.
    pub partitions_every: Option<Duration>,
}

impl RecordHistory {
    /// A run in which one message in a hundred is lost, nodes die every five seconds, and the network is cut every ten
    /// minutes.
    pub fn new(setup: Setup, nodes: usize, records: usize, duration: Duration) -> Self {
        let faults = Faults { loss: 0.01, duplication: 0.01, reordering: 0.02, ..Faults::default() };
        Self {
            setup: Setup { faults, ..setup },
            nodes,
            records,
            duration,
            deaths_every: Duration::from_secs(5),
            partitions_every: Some(Duration::from_secs(600)),
        }
    }
}

/// What came out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct HistoryReport {
    /// The seed.
    pub seed: u64,
    /// Changes that were acknowledged.
    pub writes: usize,
    /// Changes that were given up, because somebody else came first.
    pub outrun: usize,
    /// Changes of which the writer does not know whether they count.
    pub unknown: usize,
    /// Reads that were answered.
    pub reads: usize,
    /// Reads and changes that found no majority in time.
    pub no_majority: usize,
    /// Answers that were judged.
    pub judged: usize,
    /// Nodes that died.
    pub deaths: usize,
    /// Of those the ones that came back with what was on their disk when they died.
    pub restarts: usize,
    /// The ones that came back with an old copy of it.
    pub old_disks: usize,
    /// Partitions.
    pub partitions: usize,
    /// What must not be, each in a sentence.
    pub violations: Vec<String>,
}

// What a task is for. That of a write is about a register and one of its two writers.
const WRITE: Kind = 1;
const READ: Kind = 2;
const DEATH: Kind = 3;
const RETURN: Kind = 4;
const CUT: Kind = 5;
const HEAL: Kind = 6;
const WHOLE: Kind = 7;
const LOOK: Kind = 8;
const COPY: Kind = 9;

/// How long an operation may take.
const DEADLINE: Duration = Duration::from_secs(20);
/// Until ideal tables have settled.
const SETTLE: Duration = Duration::from_secs(30);
/// After the end of a partition: until the rings are one, and what lies at the wrong nodes has been handed over.
const HEALED: Duration = Duration::from_secs(240);
/// Longest pause of a writer; on average half of it.
const PAUSE: Duration = Duration::from_secs(6);
/// Between two looks at who keeps what.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Between two copies of all disks.
const COPY_EVERY: Duration = Duration::from_secs(40);
/// After everything: longer than neighbours wait before they compare again.
const COMPARED: Duration = Duration::from_secs(700);
/// Violations that are reported.
const VIOLATIONS_MAX: usize = 20;

/// Whether the network is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Whole,
    Cut,
    Healing,
}

/// One record.
struct Register {
    name: RecordName,
    versions: Versions,
    /// What was acknowledged or told, on each side; both are the same while the network is one.
    floors: [Floor; 2],
    regions: Regions,
    /// Whether a majority of those who keep it are on this side.
    kept: [bool; 2],
}

struct Running {
    register: usize,
    node: NodeIndex,
    writer: Option<usize>,
    begun: Time,
    /// What was known on its side when it began.
    known: Floor,
    /// In which phase it began, counted; what spans two is not judged.
    phase: u32,
}

struct Run {
    plan: RecordHistory,
    world: World,
    registers: Vec<Register>,
    running: BTreeMap<OperationId, Running>,
    phase: Phase,
    phases: u32,
    ending: bool,
    /// Copies of the disks, of some times before.
    copies: Vec<BTreeMap<NodeIndex, Disk>>,
    /// Nodes that have died and come back in a way that is decided.
    returning: BTreeMap<NodeIndex, Option<Disk>>,
    report: HistoryReport,
}

/// Runs it.
pub fn run(plan: RecordHistory) -> HistoryReport {
    let mut setup = plan.setup.clone();
    setup.config.records = true;
    let seed = setup.seed;
    let mut world = World::new(setup);
    world.keep_disks();
    world.add_ideal(plan.nodes, Ideal::default());
    let mut run = Run {
        plan,
        world,
        registers: Vec::new(),
        running: BTreeMap::new(),
        phase: Phase::Whole,
        phases: 0,
        ending: false,
        copies: Vec::new(),
        returning: BTreeMap::new(),
        report: HistoryReport { seed, ..HistoryReport::default() },
    };
    run.go(SETTLE);
    run.begin();
    run.go(run.plan.duration);
    run.end();
    run.report
}

impl Experiment for Run {
    fn world(&mut self) -> &mut World {
        &mut self.world
    }

    fn task(&mut self, kind: Kind, number: u32) {
        match kind {
            RETURN => self.come_back(number),
            _ if self.ending => {}
            WRITE => self.start(number as usize / 2, Some(number as usize % 2)),
            READ => {
                self.start(number as usize, None);
                self.plan_soon(READ, number, PAUSE / 4);
            }
            DEATH => {
                self.some_die();
                self.plan_soon(DEATH, 0, self.plan.deaths_every * 2);
            }
            CUT => self.cut(),
            HEAL => self.heal(),
            WHOLE => self.whole(),
            LOOK => {
                self.look();
                self.world.plan(self.world.now() + LOOK_EVERY, task(LOOK, 0));
            }
            COPY => {
                self.copy_disks();
                self.world.plan(self.world.now() + COPY_EVERY, task(COPY, 0));
            }
            _ => {}
        }
    }

    fn decide(&mut self, node: NodeIndex, id: OperationId, current: Option<&Held>) {
        self.follow(node, id, current);
    }

    fn operated(&mut self, id: OperationId, outcome: Result<Outcome, OperationError>) {
        self.ended(id, &outcome);
    }
}

impl Run {
    fn begin(&mut self) {
        for index in 0..self.plan.records {
            let mut owner = [0; 32];
            self.world.chance().fill_bytes(&mut owner);
            let name = RecordName::new(Namespace::NAMES, owner, b"").expect("the salt is short");
            self.registers.push(Register {
                name,
                versions: Versions::default(),
                floors: [Floor::default(); 2],
                regions: Regions::default(),
                kept: [true; 2],
            });
            for writer in 0..2 {
                self.plan_soon(WRITE, (index * 2 + writer) as u32, PAUSE);
            }
            self.plan_soon(READ, index as u32, PAUSE / 4);
        }
        for kind in [LOOK, COPY, DEATH] {
            self.world.plan(self.world.now(), task(kind, 0));
        }
        if let Some(every) = self.plan.partitions_every {
            self.plan_soon(CUT, 0, every);
        }
    }

    /// Everything heals; then what is kept is looked at.
    fn end(&mut self) {
        self.ending = true;
        if self.phase != Phase::Whole {
            self.world.heal();
            self.phase = Phase::Healing;
            self.phases += 1;
        }
        self.world.set_faults(Faults::default());
        self.go(HEALED + COMPARED);
        for index in 0..self.registers.len() {
            self.look_at_the_end(index);
        }
    }

    fn look_at_the_end(&mut self, index: usize) {
        let address = self.registers[index].name.address();
        let nine = region(&mut self.world, &address, None);
        let kept: Vec<Option<Held>> = nine
            .iter()
            .map(|node| {
                self.world.dht(*node).records().find(|held| *held.record.address() == address).cloned()
            })
            .collect();
        if kept.iter().any(|held| {
            held.as_ref().map(|held| held.record.hash()) != kept[0].as_ref().map(|held| held.record.hash())
        }) {
            let seqs: Vec<u64> = kept.iter().map(|held| Floor::of(held.as_ref()).seq).collect();
            self.violated(index, &format!("in the end its holders keep versions {seqs:?}"));
        }
        let register = &self.registers[index];
        let last = kept.iter().flatten().max_by(|a, b| a.order(b));
        let [one, other] = register.floors;
        let known = match self.phase {
            Phase::Whole => one,
            Phase::Cut | Phase::Healing => Floor::number(one.seq.max(other.seq)),
        };
        let judged = register.versions.check_written(last);
        let judged = judged.and_then(|()| register.versions.check_follows(Floor::of(last), known));
        if let Err(violation) = judged {
            self.violated(index, &format!("in the end: {violation}"));
        }
        for node in nine {
            let disk = self.world.disk(node);
            if !self.world.dht(node).records().eq(disk.values()) {
                self.violated(index, "what a node keeps is not what it was told to keep");
            }
        }
    }

    /// Some time between now and `most` from now.
    fn plan_soon(&mut self, kind: Kind, number: u32, most: Duration) {
        let wait = most.mul_f64(unit(self.world.chance()));
        self.world.plan(self.world.now() + wait, task(kind, number));
    }

    fn start(&mut self, register: usize, writer: Option<usize>) {
        let Some(node) = self.world.random_member() else { return };
        let side = usize::from(self.world.side(node));
        let known = self.registers[register].floors[side];
        let address: Key = self.registers[register].name.address();
        let goal = if writer.is_some() { Goal::Update } else { Goal::Read(Consistency::Quorum) };
        let id = self.world.operate(node, address, goal, DEADLINE);
        let (begun, phase) = (self.world.now(), self.phases);
        self.running.insert(id, Running { register, node, writer, begun, known, phase });
    }

    fn follow(&mut self, node: NodeIndex, id: OperationId, current: Option<&Held>) {
        let Some(running) = self.running.get(&id) else { return };
        let (index, writer) = (running.register, running.writer);
        self.told(id, current, false);
        let register = &mut self.registers[index];
        let statement = Statement {
            name: register.name.clone(),
            seq: current.map_or(0, |held| held.record.seq()) + 1,
            valid_until: u64::MAX,
            ttl: 300,
            previous: current.map(|held| held.record.hash()),
            value: [id.0.to_be_bytes(), (writer.unwrap_or_default() as u64).to_be_bytes()].concat(),
        };
        let record: Arc<Record> = statement.signed(Signature([0; 64])).expect("the value is short").into();
        register.versions.write(record.seq(), record.hash(), record.statement().previous);
        self.world.decide(node, id, Some(record));
    }

    fn ended(&mut self, id: OperationId, outcome: &Result<Outcome, OperationError>) {
        match outcome {
            Ok(Outcome::Stored(stored)) => {
                self.report.writes += 1;
                self.told(id, Some(&stored.held), true);
            }
            Ok(Outcome::Unchanged(found)) => {
                self.report.outrun += 1;
                self.told(id, found.held.as_ref(), true);
            }
            Ok(Outcome::Found(found)) => {
                self.report.reads += 1;
                self.told(id, found.held.as_ref(), true);
            }
            Err(OperationError::Unknown { .. }) => self.report.unknown += 1,
            Err(_) => self.report.no_majority += 1,
        }
        let Some(running) = self.running.remove(&id) else { return };
        if let Some(writer) = running.writer {
            self.plan_soon(WRITE, (running.register * 2 + writer) as u32, PAUSE);
        }
    }

    /// An operation was told this. What a majority `holds` is known from now on.
    fn told(&mut self, id: OperationId, held: Option<&Held>, holds: bool) {
        let Some(running) = self.running.get(&id) else { return };
        let (index, side, told) =
            (running.register, usize::from(self.world.side(running.node)), Floor::of(held));
        let register = &mut self.registers[index];
        let same_phase = running.phase == self.phases && self.phase != Phase::Healing;
        let mut judged = register.versions.check_written(held);
        let floor = &mut register.floors[side];
        if same_phase && register.kept[side] {
            self.report.judged += 1;
            judged = judged.and_then(|()| register.versions.check_follows(told, running.known));
            if holds {
                judged = judged.and_then(|()| register.versions.check_one_chain(told, *floor));
            }
        }
        if holds && told.seq > floor.seq {
            *floor = told;
        }
        if self.phase == Phase::Whole {
            register.floors = [register.floors[side]; 2];
        }
        if let Err(violation) = judged {
            let what = match (running.writer, holds) {
                (None, _) => "read",
                (Some(_), true) => "write",
                (Some(_), false) => "write that asks what is there",
            };
            let (node, begun) = (running.node, running.begun.as_micros() as f64 / 1e6);
            let sentence = format!("a {what} of node {node}, begun at {begun:.3} s: {violation}");
            self.violated(index, &sentence);
        }
    }

    fn violated(&mut self, record: usize, what: &str) {
        if self.report.violations.len() < VIOLATIONS_MAX {
            let at = self.world.now().as_micros() as f64 / 1e6;
            self.report.violations.push(format!("record {record}, {at:.3} s: {what}"));
        }
    }
}
