//! Many identities from one network try to fill everybody's tables, or to surround a key.

use std::time::{Duration, Instant};

use chordage_dht::{Key, Metric, NodeId, PeerInfo};
use rand_chacha::rand_core::Rng;
use serde::Serialize;

use crate::{
    build::SEEDS,
    chance::generator,
    ideal::Ideal,
    stats::round,
    world::adversary::Role,
    world::{NodeIndex, Setup, World, address},
};

/// What to measure.
#[derive(Debug, Clone)]
pub struct Eclipse {
    /// The world.
    pub setup: Setup,
    /// Honest nodes; their tables are ideal at the beginning.
    pub nodes: usize,
    /// Identities of the attacker, all in one /24; they join by the protocol and lie.
    pub attackers: usize,
    /// How many of them have ids nearer to one key than any honest node. They are found by trying keys.
    pub around_a_key: usize,
    /// How long the attack lasts before the tables are looked at.
    pub duration: Duration,
}

/// What came out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EclipseReport {
    /// Honest nodes.
    pub nodes: usize,
    /// The metric.
    pub metric: String,
    /// Identities of the attacker.
    pub attackers: usize,
    /// Attackers that others count as members.
    pub attackers_joined: usize,
    /// Keys tried for one id nearer to the chosen key than all honest ones.
    pub tries_per_id: f64,
    /// Most seats the attacker has in one row of one honest node.
    pub seats_of_a_row_max: usize,
    /// Most seats the attacker has in the rows of one honest node together.
    pub seats_of_a_table_max: usize,
    /// Share of all entries of honest nodes that are the attacker's.
    pub share_of_entries: f64,
    /// Seconds of real time.
    pub seconds: f64,
    /// The seed.
    pub seed: u64,
}

/// Runs the experiment.
pub fn run(plan: &Eclipse) -> EclipseReport {
    let clock = Instant::now();
    let mut world = World::new(plan.setup.clone());
    world.add_ideal(plan.nodes, Ideal::default());
    let key = world.random_key();
    let (attackers, tries) = recruit(&mut world, plan, &key);
    for batch in attackers.chunks(20) {
        for node in batch {
            world.join_by_random(*node, SEEDS);
        }
        world.run(Duration::from_millis(500));
    }
    world.run(plan.duration);

    let (mut row_max, mut table_max, mut theirs, mut all) = (0, 0, 0, 0);
    for node in 0..plan.nodes as NodeIndex {
        let mut seats = 0;
        for row in world.dht(node).fingers() {
            let bad = row.fingers.iter().filter(|finger| is_attacker(&finger.peer)).count();
            row_max = row_max.max(bad);
            seats += bad;
            all += row.fingers.len();
        }
        table_max = table_max.max(seats);
        theirs += seats;
    }
    let joined = attackers.iter().filter(|node| world.is_member(**node)).count();
    EclipseReport {
        nodes: plan.nodes,
        metric: plan.setup.metric.to_string(),
        attackers: plan.attackers,
        attackers_joined: joined,
        tries_per_id: round(tries as f64 / plan.around_a_key.max(1) as f64),
        seats_of_a_row_max: row_max,
        seats_of_a_table_max: table_max,
        share_of_entries: round(theirs as f64 / all.max(1) as f64),
        seconds: round(clock.elapsed().as_secs_f64()),
        seed: plan.setup.seed,
    }
}

/// The attacker's network. Documentation space (RFC 5737), which no simulated host of others has.
const NETWORK: [u8; 3] = [203, 0, 113];

fn is_attacker(peer: &PeerInfo) -> bool {
    peer.addrs().first().is_some_and(|addr| addr.as_bytes().get(1..4) == Some(&NETWORK))
}

/// Adds the attacker's nodes: some with ground ids, the rest as chance has it. Says how many keys were tried.
fn recruit(world: &mut World, plan: &Eclipse, key: &Key) -> (Vec<NodeIndex>, u64) {
    let metric = plan.setup.metric;
    let nearest = world.census().owner(metric, key);
    let nearest = nearest.map(|node| world.peer(node).id());
    let mut rng = generator(plan.setup.seed, 0xec11);
    let (mut tries, mut nodes) = (0, Vec::new());
    for number in 0..plan.attackers {
        let grind = number < plan.around_a_key;
        let public_key = loop {
            let mut public_key = [0; 32];
            rng.fill_bytes(&mut public_key);
            tries += u64::from(grind);
            let id = NodeId::from_public_key(&public_key);
            if !grind || nearest.is_none_or(|nearest| metric.closer(key, &id, &nearest).is_lt()) {
                break public_key;
            }
        };
        let [a, b, c] = NETWORK;
        let ip = [a, b, c, (number % 254) as u8 + 1];
        let port = 4001 + (number / 254) as u16;
        let record = PeerInfo::new(public_key, vec![address(ip, port)], 1).expect("one address is allowed");
        nodes.push(world.add_as(record, Role::Liar));
    }
    (nodes, tries)
}
