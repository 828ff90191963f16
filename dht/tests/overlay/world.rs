//! A network of nodes in virtual time. Messages cross it as bytes; delays and losses come from one seed.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    sync::Arc,
    time::Duration,
};

use chordage_dht::{
    Address, Announcement, AnyMetric, Config, Confirm, Dht, Event, Grouping, Held, Input, Key, Lookup,
    LookupError, LookupId, LookupOptions, Message, Metric, NodeId, OperationError, OperationId, Outcome,
    Output, Peer, PeerInfo, RendezvousOutput, Signature, Time,
};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

pub(crate) struct Node {
    pub(crate) dht: Dht,
    pub(crate) alive: bool,
    pub(crate) frozen: bool,
    pub(crate) events: Vec<(Time, Event)>,
    /// The signed records that it was told to keep, with the subnets that brought them.
    pub(crate) disk: BTreeMap<Key, (Held, u32)>,
    pub(crate) disk_fails: bool,
    wake: Option<Time>,
}

enum Happening {
    Deliver { to: usize, from: Peer, bytes: Vec<u8> },
    Refused { at: usize, peer: Peer },
    Wake(usize),
}

/// How the network treats messages.
#[derive(Clone, Copy)]
pub(crate) struct Weather {
    /// Whether senders learn at once that a dead node cannot be reached, as with TCP to a closed port.
    pub(crate) refuses: bool,
    /// Messages lost, of 1,000.
    pub(crate) lost_per_mille: u32,
}

pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) now: Time,
    pub(crate) nodes: Vec<Node>,
    pub(crate) weather: Weather,
    pub(crate) sent: u64,
    /// Questions and notices, not answers, that were sent to clients.
    pub(crate) sent_to_clients: u64,
    pub(crate) metric: AnyMetric,
    /// Which subnet a node is in; none if there are none.
    pub(crate) grouping: Option<Grouping>,
    config: Config,
    rng: ChaCha8Rng,
    queue: BinaryHeap<Reverse<(Time, u64)>>,
    happenings: BTreeMap<u64, Happening>,
    next_happening: u64,
    by_id: BTreeMap<NodeId, usize>,
    results: BTreeMap<LookupId, Result<Lookup, LookupError>>,
    /// Operations on records that are over.
    pub(crate) operated: BTreeMap<OperationId, Result<Outcome, OperationError>>,
    /// Operations that ask what is to follow this version, with their node.
    pub(crate) watched: Vec<(OperationId, Held)>,
    /// What has been told of places, and when.
    pub(crate) told: Vec<(Time, RendezvousOutput)>,
    pub(crate) undecided: BTreeMap<OperationId, (usize, Option<Held>)>,
    pub(crate) next_lookup: u64,
    /// Nodes on different sides do not hear each other.
    sides: Option<Vec<bool>>,
    trace: blake3::Hasher,
}

impl World {
    pub(crate) fn new(seed: u64, metric: AnyMetric, config: Config) -> Self {
        Self {
            seed,
            now: Time::ZERO,
            nodes: Vec::new(),
            weather: Weather { refuses: true, lost_per_mille: 0 },
            sent: 0,
            sent_to_clients: 0,
            metric,
            grouping: None,
            config,
            rng: ChaCha8Rng::seed_from_u64(seed),
            queue: BinaryHeap::new(),
            happenings: BTreeMap::new(),
            next_happening: 0,
            by_id: BTreeMap::new(),
            results: BTreeMap::new(),
            operated: BTreeMap::new(),
            watched: Vec::new(),
            told: Vec::new(),
            undecided: BTreeMap::new(),
            next_lookup: 0,
            sides: None,
            trace: blake3::Hasher::new(),
        }
    }

    /// A network of `count` nodes that joined one after the other and had time to settle.
    pub(crate) fn settled(seed: u64, metric: AnyMetric, config: Config, count: usize) -> Self {
        let mut world = Self::new(seed, metric, config);
        for index in 0..count {
            let node = world.add();
            assert_eq!(node, index);
            world.join(node, &[0]);
            world.run_until(Duration::from_secs(10), |world| world.is_joined(node));
        }
        world.run(Duration::from_secs(30));
        world
    }

    pub(crate) fn add(&mut self) -> usize {
        let address = self.address(self.nodes.len(), 0);
        self.add_at(vec![address])
    }

    /// A node that others cannot dial.
    pub(crate) fn add_client(&mut self) -> usize {
        self.add_at(Vec::new())
    }

    fn add_at(&mut self, addrs: Vec<Address>) -> usize {
        let index = self.nodes.len();
        let mut public_key = [0; 32];
        self.rng.fill_bytes(&mut public_key);
        let local = PeerInfo::new(public_key, addrs, 1).unwrap();
        self.by_id.insert(local.id(), index);
        let dht = self.make(local);
        self.nodes.push(Node {
            dht,
            alive: true,
            frozen: false,
            events: Vec::new(),
            disk: BTreeMap::new(),
            disk_fails: false,
            wake: None,
        });
        index
    }

    fn make(&self, local: PeerInfo) -> Dht {
        let mut dht = Dht::new(local, self.metric, self.config.clone());
        self.grouping.into_iter().for_each(|grouping| dht.set_grouping(grouping));
        dht
    }

    pub(crate) fn is_client(&self, node: usize) -> bool {
        self.nodes[node].dht.status().client
    }

    /// Live nodes that are no clients.
    fn live_members(&self) -> Vec<usize> {
        self.live().into_iter().filter(|node| !self.is_client(*node)).collect()
    }

    pub(crate) fn address(&self, index: usize, life: u32) -> Address {
        let mut bytes = (index as u32).to_be_bytes().to_vec();
        bytes.extend(life.to_be_bytes());
        Address::new(&bytes).unwrap()
    }

    /// The node starts over with empty tables, at another address.
    pub(crate) fn restart(&mut self, node: usize, seeds: &[usize]) {
        let seq = self.peer(node).seq();
        self.restart_as(node, seeds, seq + 1, seq as u32);
    }

    /// The same with a version of its record and an address of the test's choice.
    pub(crate) fn restart_as(&mut self, node: usize, seeds: &[usize], seq: u64, life: u32) {
        let local = self.peer(node).with_addresses(vec![self.address(node, life)], seq).unwrap();
        let mut dht = self.make(local);
        dht.load_records(self.nodes[node].disk.values().cloned());
        self.nodes[node].dht = dht;
        self.nodes[node].alive = true;
        self.join(node, seeds);
    }

    pub(crate) fn join(&mut self, node: usize, seeds: &[usize]) {
        let seeds = seeds.iter().filter(|seed| **seed != node).map(|seed| self.peer(*seed)).collect();
        self.input(node, Input::Join { seeds });
    }

    pub(crate) fn kill(&mut self, node: usize) {
        self.nodes[node].alive = false;
    }
    /// From now on nodes hear only those on their own side; with `None` everybody again.
    pub(crate) fn split(&mut self, sides: Option<Vec<bool>>) {
        self.sides = sides;
    }

    pub(crate) fn peer(&self, node: usize) -> Peer {
        self.nodes[node].dht.local().clone()
    }

    pub(crate) fn id(&self, node: usize) -> NodeId {
        self.nodes[node].dht.local().id()
    }

    pub(crate) fn is_joined(&self, node: usize) -> bool {
        self.nodes[node].dht.status().joined
    }

    pub(crate) fn live(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|node| self.nodes[*node].alive).collect()
    }

    pub(crate) fn random(&mut self, below: usize) -> usize {
        (self.rng.next_u64() % below as u64) as usize
    }

    pub(crate) fn random_key(&mut self) -> Key {
        let mut bytes = [0; 32];
        self.rng.fill_bytes(&mut bytes);
        Key::from_bytes(bytes)
    }

    pub(crate) fn input(&mut self, node: usize, input: Input) {
        let mut out = Vec::new();
        self.nodes[node].dht.handle(self.now, &mut self.rng, input, &mut out);
        let (mut signed, mut outlived, mut kept) = (None, None, Vec::new());
        for output in out {
            match output {
                Output::Sign { record, seat } => signed = Some((record.seq(), signature(&record, seat))),
                Output::Send { to, message } => self.send(node, &to, &message),
                Output::LookupFinished { id, outcome } => {
                    assert!(
                        self.results.insert(id, outcome).is_none(),
                        "lookup finished twice, seed {}",
                        self.seed
                    );
                }
                Output::Rendezvous(told) => self.told.push((self.now, told)),
                Output::Watched { id, held } => self.watched.push((id, held)),
                Output::Decide { id, current } => {
                    self.undecided.insert(id, (node, current));
                }
                Output::OperationFinished { id, outcome } => {
                    let before = self.operated.insert(id, outcome);
                    assert!(before.is_none(), "operation finished twice, seed {}", self.seed);
                }
                Output::KeepRecord { held, subnet, write } => {
                    kept.push(write);
                    if !self.nodes[node].disk_fails {
                        self.nodes[node].disk.insert(*held.record.address(), (held, subnet));
                    }
                }
                Output::DropRecord(address) => {
                    self.nodes[node].disk.remove(&address);
                }
                // Nobody lives twice here.
                Output::Event(Event::FormerLife(record)) => outlived = Some(record.seq()),
                Output::Event(event) => self.nodes[node].events.push((self.now, event)),
            }
        }
        self.plan_wake(node);
        if let Some(above) = outlived {
            self.input(node, Input::Outlive { above });
        }
        if let Some((seq, signature)) = signed {
            self.input(node, Input::Signed { seq, signature });
        }
        for write in kept {
            let kept = !self.nodes[node].disk_fails;
            self.input(node, Input::RecordKept { write, kept });
        }
    }

    fn plan_wake(&mut self, node: usize) {
        let wanted = self.nodes[node].dht.next_timeout();
        if let Some(at) = wanted
            && self.nodes[node].wake.is_none_or(|planned| at < planned)
        {
            self.nodes[node].wake = Some(at.max(self.now));
            self.at(at.max(self.now), Happening::Wake(node));
        }
    }

    fn at(&mut self, time: Time, happening: Happening) {
        let serial = self.next_happening;
        self.next_happening += 1;
        self.queue.push(Reverse((time, serial)));
        self.happenings.insert(serial, happening);
    }

    /// One-way delay: 1 to 80 ms, the same for a pair every time, and a little jitter.
    fn delay(&mut self, a: usize, b: usize) -> Duration {
        let (low, high) = (a.min(b) as u64, a.max(b) as u64);
        let fixed =
            (low.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ high.wrapping_mul(0xd134_2543_de82_ef95)) >> 40;
        Duration::from_micros(1_000 + fixed % 79_000 + self.rng.next_u64() % 1_000)
    }

    fn send(&mut self, from: usize, to: &Peer, message: &Message) {
        self.sent += 1;
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        self.trace.update(&self.now.as_micros().to_be_bytes());
        self.trace.update(self.id(from).as_bytes());
        self.trace.update(to.id().as_bytes());
        self.trace.update(&bytes);
        let Some(&target) = self.by_id.get(&to.id()) else { return };
        self.sent_to_clients +=
            u64::from(self.is_client(target) && !matches!(message, Message::Response(..)));
        let delay = self.delay(from, target);
        let lost = (self.rng.next_u64() % 1000) < u64::from(self.weather.lost_per_mille);
        let apart = self.sides.as_ref().is_some_and(|sides| sides[from] != sides[target]);
        // An answer comes on the connection of the question, wherever else the asker may be reached.
        let is_there = to.addrs() == self.peer(target).addrs()
            || !to.is_reachable() && matches!(message, Message::Response(..));
        let reachable = self.nodes[target].alive && is_there && !apart;
        if reachable {
            if !lost {
                let from = self.peer(from);
                self.at(self.now + delay, Happening::Deliver { to: target, from, bytes });
            }
        } else if self.weather.refuses {
            self.at(self.now + 2 * delay, Happening::Refused { at: from, peer: to.clone() });
        }
    }

    /// Lets the next thing happen. Returns whether there was one.
    pub(crate) fn step(&mut self) -> bool {
        let Some(Reverse((time, serial))) = self.queue.pop() else { return false };
        let happening = self.happenings.remove(&serial).expect("every queued serial has its happening");
        self.now = time;
        match happening {
            Happening::Deliver { to, from, bytes } => {
                if self.nodes[to].frozen {
                    return true;
                }
                if self.nodes[to].alive {
                    let message = Message::decode(&bytes).expect("we only send what we can read");
                    let genuine = |announcement: &Announcement| {
                        *announcement.signature() == signature(announcement.record(), announcement.seat())
                    };
                    assert!(
                        message.announcements().all(genuine),
                        "records are passed on as they were signed"
                    );
                    self.input(to, Input::Message { from, message });
                }
            }
            Happening::Refused { at, peer } => {
                if self.nodes[at].alive {
                    self.input(at, Input::Unreachable { peer });
                }
            }
            Happening::Wake(node) => {
                if self.nodes[node].wake == Some(time) {
                    self.nodes[node].wake = None;
                    if self.nodes[node].alive && !self.nodes[node].frozen {
                        self.input(node, Input::Timeout);
                    }
                }
            }
        }
        true
    }

    pub(crate) fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.queue.peek().is_some_and(|Reverse((time, _))| *time <= end) {
            self.step();
        }
        self.now = end;
    }

    /// Runs until the condition holds, and says how long that took. Fails after `limit`. The condition is looked at
    /// every 20 ms.
    pub(crate) fn run_until(&mut self, limit: Duration, condition: impl Fn(&Self) -> bool) -> Duration {
        let start = self.now;
        while !condition(self) {
            assert!(self.now.since(start) <= limit, "not within {limit:?}; seed {}", self.seed);
            self.run(Duration::from_millis(20));
        }
        self.now.since(start)
    }

    pub(crate) fn start_lookup(&mut self, node: usize, key: Key, options: LookupOptions) -> LookupId {
        let id = LookupId(self.next_lookup);
        self.next_lookup += 1;
        self.input(node, Input::StartLookup { id, key, options });
        id
    }

    pub(crate) fn result(&mut self, id: LookupId) -> Result<Lookup, LookupError> {
        loop {
            if let Some(outcome) = self.results.remove(&id) {
                return outcome;
            }
            assert!(self.step(), "nothing happens any more; seed {}", self.seed);
        }
    }

    pub(crate) fn lookup(
        &mut self,
        node: usize,
        key: Key,
        options: LookupOptions,
    ) -> Result<Lookup, LookupError> {
        let id = self.start_lookup(node, key, options);
        self.result(id)
    }

    /// The live nodes nearest to a key, as somebody who sees everything knows them.
    pub(crate) fn truth(&self, key: &Key, count: usize) -> Vec<NodeId> {
        let mut ids: Vec<NodeId> = self.live_members().into_iter().map(|node| self.id(node)).collect();
        ids.sort_by(|a, b| self.metric.closer(key, a, b));
        ids.truncate(count);
        ids
    }

    /// The leaf set a node ought to have.
    pub(crate) fn true_leaves(&self, node: usize) -> Vec<NodeId> {
        let me = self.id(node);
        let mut others: Vec<NodeId> =
            self.live_members().into_iter().map(|n| self.id(n)).filter(|id| *id != me).collect();
        others.sort_by_key(|id| self.metric.offset(me.key(), id.key()));
        let size = usize::from(self.config.leaf_set);
        if others.len() > size {
            match self.metric {
                AnyMetric::Xor => others.truncate(size),
                _ => {
                    others.drain(size / 2..others.len() - size / 2);
                }
            }
        }
        others
    }

    /// Live nodes whose leaf set is not as it ought to be.
    pub(crate) fn wrong_leaf_sets(&self) -> Vec<usize> {
        let is_wrong = |node: &usize| {
            let ids: Vec<NodeId> = self.nodes[*node].dht.leaf_set().map(|peer| peer.id()).collect();
            ids != self.true_leaves(*node)
        };
        self.live().into_iter().filter(is_wrong).collect()
    }

    /// What the node would announce if it took a seat.
    pub(crate) fn claim(&self, node: usize, seq: u64) -> Arc<Announcement> {
        let peer = self.peer(node);
        let record = Arc::new(peer.with_addresses(peer.addrs().to_vec(), seq).unwrap());
        let signature = signature(&record, true);
        Announcement::new(record, true, signature)
    }

    pub(crate) fn trace(&self) -> [u8; 32] {
        *self.trace.finalize().as_bytes()
    }
}

/// What stands for a signature here: nobody in these worlds tries to forge one.
pub(crate) fn signature(record: &PeerInfo, seat: bool) -> Signature {
    let hash = *blake3::hash(&Announcement::signed_bytes(record, seat)).as_bytes();
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(&hash);
    bytes[32..].copy_from_slice(&hash);
    Signature(bytes)
}

pub(crate) fn confirmed(want: usize) -> LookupOptions {
    LookupOptions { want, confirm: Confirm::Answered(3), ..LookupOptions::default() }
}

pub(crate) fn ids(peers: &[Peer]) -> Vec<NodeId> {
    peers.iter().map(|peer: &Arc<PeerInfo>| peer.id()).collect()
}
