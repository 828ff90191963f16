//! A network is cut in two for a while, and grows together again.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::{
    checks::{Health, leaf_sets, ring},
    stats::round,
    world::{Setup, World},
};

/// What to measure.
#[derive(Debug, Clone)]
pub struct Partition {
    /// The world.
    pub setup: Setup,
    /// Nodes; they join by the protocol.
    pub nodes: usize,
    /// Share of the nodes on the one side.
    pub share: f64,
    /// How long the network is cut.
    pub cut: Duration,
    /// How long it may take to heal.
    pub limit: Duration,
}

/// What came out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PartitionReport {
    /// Nodes.
    pub nodes: usize,
    /// The metric.
    pub metric: String,
    /// Nodes on either side.
    pub sides: [usize; 2],
    /// Seconds after the cut until every leaf set had lost the other side; none if some never did.
    pub parted_after_s: Option<f64>,
    /// Whether the network became one again.
    pub healed: bool,
    /// Seconds after the healing until there was one ring; the limit if it never was.
    pub one_ring_after_s: f64,
    /// Seconds after the healing until every leaf set was exact; the limit if they never were.
    pub exact_after_s: f64,
    /// Leaf sets that were wrong at the end.
    pub wrong_leaf_sets: usize,
    /// Seconds of real time.
    pub seconds: f64,
    /// The seed.
    pub seed: u64,
}

/// How often the network is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// Runs the experiment.
pub fn run(plan: &Partition) -> PartitionReport {
    let clock = Instant::now();
    let mut world = World::new(plan.setup.clone());
    world.build_by_joins(plan.nodes, Duration::from_secs(120));
    let border = (plan.share * plan.nodes as f64).round() as u32;
    world.partition(|node| u8::from(node >= border));

    let parted_after_s = wait(&mut world, plan.cut, is_parted);
    let rest =
        plan.cut.saturating_sub(Duration::from_secs_f64(parted_after_s.unwrap_or(plan.cut.as_secs_f64())));
    world.run(rest);

    world.heal();
    let healed_at = world.now();
    let one_ring = wait(&mut world, plan.limit, |world| ring::check(world).is_ok());
    let left = plan.limit.saturating_sub(world.now().since(healed_at));
    let exact = wait(&mut world, left, |world| leaf_sets::check(world).is_empty());
    let exact = exact.map(|_| world.now().since(healed_at).as_secs_f64());
    let health = Health::of(&mut world);
    PartitionReport {
        nodes: plan.nodes,
        metric: plan.setup.metric.to_string(),
        sides: [border as usize, plan.nodes - border as usize],
        parted_after_s: parted_after_s.map(round),
        healed: health.is_sound(),
        one_ring_after_s: round(one_ring.unwrap_or(plan.limit.as_secs_f64())),
        exact_after_s: round(exact.unwrap_or(plan.limit.as_secs_f64())),
        wrong_leaf_sets: health.wrong_leaf_sets,
        seconds: round(clock.elapsed().as_secs_f64()),
        seed: plan.setup.seed,
    }
}

/// Runs until something is so; says after how many seconds it was.
fn wait(world: &mut World, limit: Duration, mut is_so: impl FnMut(&mut World) -> bool) -> Option<f64> {
    let start = world.now();
    loop {
        if is_so(world) {
            return Some(world.now().since(start).as_secs_f64());
        }
        if world.now().since(start) >= limit {
            return None;
        }
        world.run(LOOK);
    }
}

/// Whether no leaf set holds anybody from the other side any more.
fn is_parted(world: &mut World) -> bool {
    let members = world.census().members().to_vec();
    members.iter().all(|(_, node)| {
        world.dht(*node).leaf_set().all(|peer| {
            let place = members.binary_search_by(|(id, _)| id.cmp(&peer.id()));
            place.is_ok_and(|place| world.side(members[place].1) == world.side(*node))
        })
    })
}
