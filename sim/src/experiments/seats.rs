//! Many identities in few subnets claim the seats of super-peers, whether they are drawn or not, and say of others that
//! they are gone.
//!
//! In all else they do as they should, so that everybody knows them; what is looked at is what honest nodes list, and
//! what their lookups find. Nobody can say goodbye in the name of another, since connections are authenticated. What
//! anybody can forge is what is passed on: news that a member is gone, reports of it, and that one has lost touch with
//! it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use chordage_dht::{
    Announcement, Gossip, LookupId, LookupOptions, Message, News, NodeId, Notice, Peer, PeerInfo, Signature,
    Time,
};
use rand_chacha::rand_core::Rng;
use serde::Serialize;

use super::confirm;
use crate::{
    build::SEEDS,
    chance::generator,
    checks::answers::Asked,
    groups::group_of,
    ideal::Ideal,
    stats::round,
    world::adversary::Role,
    world::{NodeIndex, Occurrence, Setup, World, address},
};

/// What to measure.
#[derive(Debug, Clone)]
pub struct Seats {
    /// The world. Everybody has to be listed by super-peers only, so there are fewer `members` in its settings than
    /// nodes.
    pub setup: Setup,
    /// Honest nodes; their tables are ideal at the beginning.
    pub nodes: usize,
    /// Identities of the attacker.
    pub attackers: usize,
    /// In how many subnets they are, each of another provider.
    pub subnets: usize,
    /// Share of them whose keys were tried until they were drawn. All of them claim a seat.
    pub ground: f64,
    /// How long they claim seats before lookups begin.
    pub settle: Duration,
    /// How long they do so then, and once more while others are said to be gone.
    pub duration: Duration,
    /// Share of the honest nodes that are said to be gone.
    pub forged: f64,
    /// Lookups before that, and as many while it goes on.
    pub lookups: usize,
}

/// What came out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SeatsReport {
    /// Honest nodes.
    pub nodes: usize,
    /// The metric.
    pub metric: String,
    /// Identities of the attacker.
    pub attackers: usize,
    /// In how many subnets they are.
    pub subnets: usize,
    /// Attackers that the lottery gives a seat, at the end of the claims.
    pub attackers_drawn: usize,
    /// Most attackers that one honest node listed as super-peers at any time.
    pub seats_of_attackers_max: usize,
    /// Most super-peers of one subnet that one honest node listed at any time.
    pub seats_of_a_subnet_max: usize,
    /// Most super-peers that the lottery gives no seat and one honest node listed at any time.
    pub seats_not_drawn_max: usize,
    /// Honest nodes that have a seat, before anybody is said to be gone.
    pub honest_seats: usize,
    /// Mean share of these that an honest node lists then.
    pub honest_seats_listed: f64,
    /// Honest nodes that were said to be gone.
    pub said_to_be_gone: usize,
    /// Most names that the list of one honest super-peer lacked of these, at any time.
    pub believed_gone_max: usize,
    /// Share of lookups that named the nearest living node first, before.
    pub success_before: f64,
    /// The same while others are said to be gone.
    pub success_under_attack: f64,
    /// By how much that is less.
    pub success_lost: f64,
    /// Seconds of real time.
    pub seconds: f64,
    /// The seed.
    pub seed: u64,
}

/// Between two rounds of claims and of words about others.
const EVERY: Duration = Duration::from_secs(5);
/// Within so long a list is rid of those whose seats are over: twice as long as from one look after it to the next.
const TIDIED: Duration = Duration::from_secs(10);
/// Claims in a message, and names in one: they fit.
const CLAIMS: usize = 64;
const NAMES: usize = 256;

struct Run<'a> {
    plan: &'a Seats,
    world: World,
    attackers: Vec<NodeIndex>,
    attacking_ids: BTreeSet<NodeId>,
    victims: Vec<NodeIndex>,
    round: u64,
    /// Whether others are said to be gone.
    forging: bool,
    most: Most,
}

/// The most that was seen of what must not be.
#[derive(Default)]
struct Most {
    of_attackers: usize,
    of_a_subnet: usize,
    not_drawn: usize,
    believed_gone: usize,
}

/// Runs the experiment.
pub fn run(plan: &Seats) -> SeatsReport {
    let clock = Instant::now();
    let mut world = World::new(plan.setup.clone());
    world.add_ideal(plan.nodes, Ideal::default());
    let attackers = recruit(&mut world, plan);
    for batch in attackers.chunks(20) {
        for node in batch {
            world.join_by_random(*node, SEEDS);
        }
        world.run(Duration::from_millis(500));
    }
    let attacking_ids = attackers.iter().map(|node| world.peer(*node).id()).collect();
    let every = (1.0 / plan.forged.max(1e-9)).round().max(1.0) as usize;
    let victims =
        if plan.forged > 0.0 { (0..plan.nodes as NodeIndex).step_by(every).collect() } else { vec![] };
    let most = Most::default();
    let mut run = Run { plan, world, attackers, attacking_ids, victims, round: 0, forging: false, most };

    run.go(plan.settle, 0);
    let attackers_drawn =
        run.attackers.iter().filter(|node| run.is_drawn(&run.world.peer(**node).id())).count();
    let success_before = run.go(plan.duration, plan.lookups);
    let (honest_seats, honest_seats_listed) = run.honest_seats();
    run.forging = true;
    let success_under_attack = run.go(plan.duration, plan.lookups);
    SeatsReport {
        nodes: plan.nodes,
        metric: plan.setup.metric.to_string(),
        attackers: plan.attackers,
        subnets: plan.subnets,
        attackers_drawn,
        seats_of_attackers_max: run.most.of_attackers,
        seats_of_a_subnet_max: run.most.of_a_subnet,
        seats_not_drawn_max: run.most.not_drawn,
        honest_seats,
        honest_seats_listed,
        said_to_be_gone: run.victims.len(),
        believed_gone_max: run.most.believed_gone,
        success_before: round(success_before),
        success_under_attack: round(success_under_attack),
        success_lost: round(success_before - success_under_attack),
        seconds: round(clock.elapsed().as_secs_f64()),
        seed: plan.setup.seed,
    }
}

/// Adds the attacker's nodes.
fn recruit(world: &mut World, plan: &Seats) -> Vec<NodeIndex> {
    let mut rng = generator(plan.setup.seed, 0x5ea7);
    let ground = (plan.ground * plan.attackers as f64).round() as usize;
    let mut nodes = Vec::new();
    for number in 0..plan.attackers {
        let public_key = loop {
            let mut public_key = [0; 32];
            rng.fill_bytes(&mut public_key);
            let id = NodeId::from_public_key(&public_key);
            if number >= ground || world.dht(0).draws_seat(&id, world.now()) {
                break public_key;
            }
        };
        // Few honest nodes are there, if any.
        let (subnet, host) = ((number % plan.subnets) as u8, number / plan.subnets);
        let ip = [198, subnet, 255, (host % 254) as u8 + 1];
        let record = PeerInfo::new(public_key, vec![address(ip, 4001 + (host / 254) as u16)], 1);
        nodes.push(world.add_as(record.expect("one address is allowed"), Role::Honest));
    }
    nodes
}

impl Run<'_> {
    fn is_drawn(&self, id: &NodeId) -> bool {
        self.world.dht(0).draws_seat(id, self.world.now())
    }

    /// The same of a list, from which those whose seats are over are taken every few seconds.
    fn was_drawn_just_now(&self, id: &NodeId) -> bool {
        let before =
            Time::from_micros(self.world.now().as_micros().saturating_sub(TIDIED.as_micros() as u64));
        self.is_drawn(id) || self.world.dht(0).draws_seat(id, before)
    }

    fn honest(&self) -> impl Iterator<Item = NodeIndex> + use<> {
        0..self.plan.nodes as NodeIndex
    }

    /// Lets time go by while attackers claim seats, and looks for so many keys meanwhile. Returns which share was
    /// found.
    fn go(&mut self, duration: Duration, lookups: usize) -> f64 {
        // Lookups are over when the time is.
        let gap = duration.saturating_sub(EVERY) / lookups.max(1) as u32;
        let (start, until) = (self.world.now(), self.world.now() + duration);
        for number in 0..lookups {
            self.world.plan(start + gap * number as u32, 0);
        }
        for round in 0..duration.as_secs() / EVERY.as_secs() {
            self.world.plan(start + EVERY * round as u32, 1);
        }
        let mut asked: BTreeMap<LookupId, Asked> = BTreeMap::new();
        let mut right = 0;
        while let Some(occurrence) = self.world.next(until) {
            match occurrence {
                Occurrence::Task(0) => {
                    let (key, from) = (self.world.random_key(), self.world.random(self.plan.nodes));
                    let options = LookupOptions { confirm: confirm(0), ..LookupOptions::default() };
                    let id = self.world.lookup(from as NodeIndex, key, options);
                    asked.insert(id, Asked::now(&mut self.world, key));
                }
                Occurrence::Task(_) => {
                    self.look();
                    self.claim();
                    if self.forging {
                        self.forge();
                    }
                }
                Occurrence::Finished { id, outcome, .. } => {
                    if let Some(asked) = asked.remove(&id) {
                        right += usize::from(asked.judge(&mut self.world, &outcome).is_right());
                    }
                }
                _ => {}
            }
        }
        right as f64 / lookups.max(1) as f64
    }

    /// Every attacker says that it has a seat; every honest node is told some of these claims.
    fn claim(&mut self) {
        self.round += 1;
        let claim = |node: &NodeIndex| {
            let local = self.world.peer(*node);
            let record = local.with_addresses(local.addrs().to_vec(), 1_000 + self.round);
            let record = Peer::new(record.expect("as many addresses as before"));
            News::Member(Announcement::new(record, true, Signature([0; 64])))
        };
        let claims: Vec<News> = self.attackers.iter().map(claim).collect();
        let batches: Vec<Gossip> =
            claims.chunks(CLAIMS).map(|batch| Gossip::Missed(batch.to_vec())).collect();
        for node in self.honest() {
            let batch = self.world.random(batches.len());
            self.tell(node, &batches[batch]);
        }
    }

    /// The attacker says everywhere and in every way that the victims are gone.
    fn forge(&mut self) {
        let gone = |node: &NodeIndex| {
            let peer = self.world.peer(*node);
            News::Gone { peer: (&peer.id()).into(), seq: peer.seq() }
        };
        let forged: Vec<News> = self.victims.iter().map(gone).collect();
        for batch in forged.chunks(NAMES) {
            for gossip in [Gossip::Missed(batch.to_vec()), Gossip::News(batch.to_vec())] {
                self.tell_all(&gossip);
            }
        }
        for batch in forged.chunks(16) {
            self.tell_all(&Gossip::Report(batch.to_vec()));
        }
        for victim in self.victims.clone() {
            let id = self.world.peer(victim).id();
            let neighbours: Vec<Peer> = self.world.dht(victim).leaf_set().cloned().collect();
            for neighbour in neighbours {
                let liar = self.attackers[self.world.random(self.attackers.len())];
                self.world.send(liar, &neighbour, Message::Notice(Notice::Down(id)));
            }
        }
    }

    fn tell_all(&mut self, gossip: &Gossip) {
        for node in self.honest() {
            self.tell(node, gossip);
        }
    }

    fn tell(&mut self, node: NodeIndex, gossip: &Gossip) {
        let liar = self.attackers[self.world.random(self.attackers.len())];
        let to = self.world.peer(node).clone();
        self.world.send(liar, &to, Message::Notice(Notice::Gossip(gossip.clone())));
    }

    /// What honest nodes list now.
    fn look(&mut self) {
        for node in self.honest() {
            let listed = self.world.dht(node).super_peers(self.world.now());
            let mut subnets: BTreeMap<u32, usize> = BTreeMap::new();
            let (mut of_attackers, mut not_drawn) = (0, 0);
            for known in &listed {
                of_attackers += usize::from(self.attacking_ids.contains(&known.peer.id()));
                not_drawn += usize::from(!self.was_drawn_just_now(&known.peer.id()));
                *subnets.entry(group_of(&known.peer).subnet).or_default() += 1;
            }
            let most = &mut self.most;
            most.of_attackers = most.of_attackers.max(of_attackers);
            most.not_drawn = most.not_drawn.max(not_drawn);
            most.of_a_subnet = most.of_a_subnet.max(subnets.into_values().max().unwrap_or(0));
            let dht = self.world.dht(node);
            if dht.is_super_peer() && dht.knows_members() && self.forging {
                let lacks = |victim: &&NodeIndex| !dht.lists(&self.world.peer(**victim).id());
                self.most.believed_gone =
                    self.most.believed_gone.max(self.victims.iter().filter(lacks).count());
            }
        }
    }

    /// Honest nodes that have a seat, and which share of them the others list.
    fn honest_seats(&self) -> (usize, f64) {
        let seats: BTreeSet<NodeId> = self
            .honest()
            .filter(|node| self.world.dht(*node).is_super_peer())
            .map(|node| self.world.peer(node).id())
            .collect();
        let listed = |node: NodeIndex| {
            let known = self.world.dht(node).super_peers(self.world.now());
            known.iter().filter(|known| seats.contains(&known.peer.id())).count()
        };
        let all: usize = self.honest().map(listed).sum();
        (seats.len(), round(all as f64 / (seats.len() * self.plan.nodes).max(1) as f64))
    }
}
