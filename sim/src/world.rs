//! A network of real nodes in virtual time.
//!
//! The world owns what the daemon's surroundings own in reality: the clock, chance, the network between the nodes, and
//! the knowledge of who lives. Nodes are the overlay's own state machine, called exactly as the daemon calls it.
//! Experiments plan tasks, let time run with [`World::next`] and look at what comes out.

pub mod adversary;
mod delivery;
mod life;

use adversary::{Adversaries, Role};
pub(crate) use life::address;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use chordage_dht::{
    AnyMetric, Config, Dht, DownReason, Event, Goal, Held, Input, Key, Lookup, LookupError, LookupId,
    LookupOptions, Message, NodeId, OperationError, OperationId, Outcome, Output, Peer, Record, Signature,
    Time,
};
use rand_chacha::rand_core::Rng;

use crate::{
    census::Census,
    chance::{WorldRng, below, generator},
    faults::Faults,
    latency::{Latency, Site},
    queue::Queue,
    traffic::Traffic,
};

/// What a world is made of.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The same seed gives the same run.
    pub seed: u64,
    /// How the network measures distance.
    pub metric: AnyMetric,
    /// Settings of every node.
    pub config: Config,
    /// How long messages travel.
    pub latency: Latency,
    /// What goes wrong on the way.
    pub faults: Faults,
    /// Whether tables bound what one network gets of them, as the daemon's do outside of tests.
    pub diverse: bool,
    /// Whether to encode every message and count its bytes.
    pub count_bytes: bool,
    /// Whether to keep a hash of everything that is sent, to compare runs with.
    pub keep_trace: bool,
}

impl Setup {
    /// A world with the protocol's own settings, the synthetic internet and nothing going wrong.
    pub fn new(seed: u64, metric: AnyMetric) -> Self {
        let config = match metric {
            AnyMetric::Classic => Config::classic(),
            AnyMetric::Ring | AnyMetric::Xor => Config::default(),
        };
        Self {
            seed,
            metric,
            config,
            latency: Latency::Internet,
            faults: Faults::default(),
            diverse: true,
            count_bytes: false,
            keep_trace: false,
        }
    }
}

/// A node's number in its world. A node that dies and a new one that takes its place share it, one after the other.
pub type NodeIndex = u32;

/// One node and its circumstances.
pub(crate) struct Node {
    pub(crate) dht: Dht,
    pub(crate) site: Site,
    /// When it was made.
    born: Time,
    /// Which of the nodes that have lived under this number; messages to an earlier one are lost.
    pub(crate) life: u32,
    pub(crate) alive: bool,
    pub(crate) member: bool,
    pub(crate) role: Role,
    /// Nodes on different sides of a partition do not hear each other.
    pub(crate) side: u8,
    /// When its timeout is planned for.
    wake: Time,
    /// When it wants to be woken, as it said last.
    due: Time,
    /// Bytes it has sent and received, if bytes are counted.
    pub(crate) bytes: u64,
}

/// Something that is going to happen.
enum Happening {
    Deliver { to: NodeIndex, life: u32, from: Peer, message: Message },
    Refused { at: NodeIndex, life: u32, peer: Peer },
    Wake(NodeIndex),
    Task(u64),
}

/// Something that has happened and that experiments may care for.
#[derive(Debug)]
pub enum Occurrence {
    /// The moment of a task that the experiment planned.
    Task(u64),
    /// A node counts itself a member now.
    Joined(NodeIndex),
    /// A lookup is over.
    Finished {
        /// Where it ran.
        node: NodeIndex,
        /// Which it was.
        id: LookupId,
        /// How it ended.
        outcome: Box<Result<Lookup, LookupError>>,
    },
    /// An operation on a record asks what is to follow.
    Decide {
        /// Where it runs.
        node: NodeIndex,
        /// Which it is.
        id: OperationId,
        /// What is held.
        current: Option<Held>,
    },
    /// An operation on a record is over.
    Operated {
        /// Where it ran.
        node: NodeIndex,
        /// Which it was.
        id: OperationId,
        /// How it ended.
        outcome: Box<Result<Outcome, OperationError>>,
    },
}

/// What a node was told to keep, by address.
pub type Disk = BTreeMap<Key, Held>;

/// A network of real nodes in virtual time.
pub struct World {
    pub(crate) setup: Setup,
    now: Time,
    pub(crate) nodes: Vec<Node>,
    /// Living nodes by the first eight bytes of their id. Only ever asked, never listed.
    by_id: HashMap<u64, NodeIndex>,
    pub(crate) census: Census,
    pub(crate) adversaries: Adversaries,
    queue: Queue<Happening>,
    pending: VecDeque<Occurrence>,
    /// The signed records that nodes were told to keep, if anybody wants to know.
    disks: Option<BTreeMap<NodeIndex, Disk>>,
    outbox: Vec<Output>,
    rng: WorldRng,
    weather: WorldRng,
    births: WorldRng,
    lives: u32,
    next_lookup: u64,
    events: u64,
    traffic: Traffic,
    false_deaths: u64,
    encoded: Vec<u8>,
    trace: Option<Box<blake3::Hasher>>,
}

const NEVER: Time = Time::from_micros(u64::MAX);

fn prefix(id: &NodeId) -> u64 {
    u64::from_be_bytes(*id.as_bytes().first_chunk().expect("an id has 32 bytes"))
}

impl World {
    /// A world without nodes.
    pub fn new(setup: Setup) -> Self {
        let seed = setup.seed;
        Self {
            now: Time::ZERO,
            nodes: Vec::new(),
            by_id: HashMap::new(),
            census: Census::default(),
            adversaries: Adversaries::default(),
            queue: Queue::default(),
            pending: VecDeque::new(),
            disks: None,
            outbox: Vec::new(),
            rng: generator(seed, 1),
            weather: generator(seed, 2),
            births: generator(seed, 3),
            lives: 0,
            next_lookup: 0,
            events: 0,
            traffic: Traffic::default(),
            false_deaths: 0,
            encoded: Vec::new(),
            trace: setup.keep_trace.then(Box::default),
            setup,
        }
    }

    /// What it is made of.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// The time.
    pub fn now(&self) -> Time {
        self.now
    }

    /// Things that have happened: messages that arrived, timers that fired, tasks.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// What has been sent.
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// How often a node has dropped a neighbour as dead that lived.
    pub fn false_deaths(&self) -> u64 {
        self.false_deaths
    }

    /// Starts counting afresh: traffic, the bytes of every node, and false deaths.
    pub fn reset_traffic(&mut self) {
        self.traffic = Traffic::default();
        self.false_deaths = 0;
        for node in &mut self.nodes {
            node.bytes = 0;
        }
    }

    /// The members, as somebody who sees everything knows them.
    pub fn census(&mut self) -> &mut Census {
        &mut self.census
    }

    /// Numbers given out, living or not.
    pub fn numbers(&self) -> NodeIndex {
        self.nodes.len() as NodeIndex
    }

    /// The state machine of a node.
    pub fn dht(&self, node: NodeIndex) -> &Dht {
        &self.nodes[node as usize].dht
    }

    /// A node's record.
    pub fn peer(&self, node: NodeIndex) -> &Peer {
        self.dht(node).local()
    }

    /// Whether a node lives.
    pub fn is_alive(&self, node: NodeIndex) -> bool {
        self.nodes[node as usize].alive
    }

    /// Whether a node with this id lives.
    pub fn is_living(&self, id: &NodeId) -> bool {
        self.by_id.get(&prefix(id)).is_some_and(|node| self.peer(*node).id() == *id)
    }

    /// Whether a node lives and counts itself a member.
    pub fn is_member(&self, node: NodeIndex) -> bool {
        self.nodes[node as usize].member
    }

    /// How a node behaves.
    pub fn role(&self, node: NodeIndex) -> Role {
        self.nodes[node as usize].role
    }

    /// On which side of a partition a node is.
    pub fn side(&self, node: NodeIndex) -> u8 {
        self.nodes[node as usize].side
    }

    /// When a node was made.
    pub fn born(&self, node: NodeIndex) -> Time {
        self.nodes[node as usize].born
    }

    /// Bytes a node has sent and received.
    pub fn bytes_of(&self, node: NodeIndex) -> u64 {
        self.nodes[node as usize].bytes
    }

    /// Round-trip time between two nodes, without jitter.
    pub fn rtt(&self, a: NodeIndex, b: NodeIndex) -> Duration {
        self.setup.latency.rtt(self.nodes[a as usize].site, self.nodes[b as usize].site)
    }

    /// Changes what goes wrong from now on.
    pub fn set_faults(&mut self, faults: Faults) {
        self.setup.faults = faults;
    }

    /// Puts every node on a side; messages cross from one side to another no more.
    pub fn partition(&mut self, side: impl Fn(NodeIndex) -> u8) {
        for (index, node) in self.nodes.iter_mut().enumerate() {
            node.side = side(index as NodeIndex);
        }
    }

    /// Ends the partition.
    pub fn heal(&mut self) {
        self.partition(|_| 0);
    }

    /// Hash of everything that has been sent: when, by whom, to whom, and what. All zeros if no trace is kept.
    pub fn trace(&self) -> [u8; 32] {
        self.trace.as_ref().map_or([0; 32], |trace| *trace.finalize().as_bytes())
    }

    /// A random number below `bound`, from the world's own chance.
    pub fn random(&mut self, bound: usize) -> usize {
        below(&mut self.births, bound)
    }

    /// A random member, if there is one.
    pub fn random_member(&mut self) -> Option<NodeIndex> {
        let count = self.census.count();
        if count == 0 {
            return None;
        }
        let index = self.random(count);
        Some(self.census.members()[index].1)
    }

    /// A random key.
    pub fn random_key(&mut self) -> Key {
        let mut bytes = [0; 32];
        self.births.fill_bytes(&mut bytes);
        Key::from_bytes(bytes)
    }

    /// The generator for what experiments decide.
    pub fn chance(&mut self) -> &mut WorldRng {
        &mut self.births
    }

    /// Plans a task of the experiment's own.
    pub fn plan(&mut self, at: Time, task: u64) {
        self.queue.push(at, Happening::Task(task));
    }

    /// Starts a lookup at a node.
    pub fn lookup(&mut self, node: NodeIndex, key: Key, options: LookupOptions) -> LookupId {
        let id = LookupId(self.next_lookup);
        self.next_lookup += 1;
        self.input(node, Input::StartLookup { id, key, options });
        id
    }

    /// Begins to read or change a record at a node.
    pub fn operate(&mut self, node: NodeIndex, address: Key, goal: Goal, deadline: Duration) -> OperationId {
        let id = OperationId(self.next_lookup);
        self.next_lookup += 1;
        self.input(node, Input::StartOperation { id, address, goal, deadline });
        id
    }

    /// Says what is to follow in an operation that asked.
    pub fn decide(&mut self, node: NodeIndex, id: OperationId, record: Option<Arc<Record>>) {
        self.input(node, Input::Decided { id, record });
    }

    /// Hands something to a node and does what it asks for.
    pub(crate) fn input(&mut self, index: NodeIndex, input: Input) {
        let mut outbox = std::mem::take(&mut self.outbox);
        let node = &mut self.nodes[index as usize];
        node.dht.handle(self.now, &mut self.rng, input, &mut outbox);
        let (mut unsigned, mut kept) = (None, Vec::new());
        for output in outbox.drain(..) {
            match output {
                Output::Sign { record, .. } => unsigned = Some(record.seq()),
                Output::Send { to, message } => self.send(index, &to, message),
                Output::LookupFinished { id, outcome } => {
                    let outcome = Box::new(outcome);
                    self.pending.push_back(Occurrence::Finished { node: index, id, outcome });
                }
                // Disks of this world are quick and do not fail.
                Output::KeepRecord { held, write, .. } => {
                    kept.push(write);
                    if let Some(disks) = &mut self.disks {
                        disks.entry(index).or_default().insert(*held.record.address(), held);
                    }
                }
                Output::DropRecord(address) => {
                    if let Some(disk) = self.disks.as_mut().and_then(|disks| disks.get_mut(&index)) {
                        disk.remove(&address);
                    }
                }
                Output::Watched { .. } | Output::Rendezvous(_) => {}
                Output::Decide { id, current } => {
                    self.pending.push_back(Occurrence::Decide { node: index, id, current });
                }
                Output::OperationFinished { id, outcome } => {
                    let outcome = Box::new(outcome);
                    self.pending.push_back(Occurrence::Operated { node: index, id, outcome });
                }
                Output::Event(Event::Joined) => self.joined(index),
                Output::Event(Event::NeighbourDown { peer, why: DownReason::Failed }) => {
                    self.false_deaths += u64::from(self.is_living(&peer));
                }
                Output::Event(_) => {}
            }
        }
        self.outbox = outbox;
        self.plan_wake(index);
        if let Some(seq) = unsigned {
            // Nobody in this world can forge what he does not own, so signatures need not be computed to hold.
            self.input(index, Input::Signed { seq, signature: Signature([0; 64]) });
        }
        for write in kept {
            self.input(index, Input::RecordKept { write, kept: true });
        }
    }

    fn plan_wake(&mut self, index: NodeIndex) {
        let node = &mut self.nodes[index as usize];
        node.due = node.dht.next_timeout().unwrap_or(NEVER);
        if node.due < NEVER {
            let at = node.due.max(self.now);
            if at < node.wake {
                node.wake = at;
                self.queue.push(at, Happening::Wake(index));
            }
        }
    }

    /// Lets time run until something happens that experiments may care for, or until `until`.
    pub fn next(&mut self, until: Time) -> Option<Occurrence> {
        loop {
            if let Some(occurrence) = self.pending.pop_front() {
                return Some(occurrence);
            }
            let Some((now, happening)) = self.queue.pop(until) else {
                self.now = self.now.max(until);
                return None;
            };
            self.now = now;
            self.events += 1;
            match happening {
                Happening::Deliver { to, life, from, message } => self.deliver(to, life, from, message),
                Happening::Refused { at, life, peer } => {
                    let node = &self.nodes[at as usize];
                    if node.alive && node.life == life {
                        self.input(at, Input::Unreachable { peer });
                    }
                }
                Happening::Wake(index) => self.wake(index),
                Happening::Task(task) => return Some(Occurrence::Task(task)),
            }
        }
    }

    fn wake(&mut self, index: NodeIndex) {
        let node = &mut self.nodes[index as usize];
        // A wake that was planned before an earlier one was; the earlier one has planned what follows.
        if node.wake != self.now {
            return;
        }
        node.wake = NEVER;
        if !node.alive {
            return;
        }
        // Nothing has happened to it since that was planned.
        if node.due <= self.now {
            self.input(index, Input::Timeout);
        } else if node.due < NEVER {
            node.wake = node.due;
            self.queue.push(node.due, Happening::Wake(index));
        }
    }

    /// Lets time run, whatever happens.
    pub fn run(&mut self, duration: Duration) {
        let until = self.now + duration;
        while self.next(until).is_some() {}
    }

    /// Nodes that live, in the order of their numbers.
    pub fn living(&self) -> impl Iterator<Item = NodeIndex> {
        self.nodes.iter().enumerate().filter(|(_, node)| node.alive).map(|(index, _)| index as NodeIndex)
    }
}
