//! Lookups among nodes that lie or keep silent.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use chordage_dht::{LookupId, LookupOptions, NodeId};
use serde::Serialize;

use super::confirm;
use crate::{
    ideal::Ideal,
    stats::{Sample, round},
    world::adversary::Role,
    world::{NodeIndex, Occurrence, Setup, World},
};

/// What to measure.
#[derive(Debug, Clone)]
pub struct Adversaries {
    /// The world.
    pub setup: Setup,
    /// Nodes, adversaries among them; their tables are ideal, so adversaries have their share of everybody's.
    pub nodes: usize,
    /// Share of adversaries.
    pub share: f64,
    /// What they do.
    pub role: Role,
    /// Lookups, from honest nodes.
    pub lookups: usize,
    /// Over how many disjoint paths each is made.
    pub paths: u8,
    /// How many of the nearest nodes must have answered.
    pub confirm: usize,
    /// How many nodes are asked for. An answer is right if the nearest honest node is among them: what lookups are
    /// for is to reach at least the honest ones; liars can be recognised only by what they fail to deliver.
    pub want: usize,
}

/// What came out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AdversariesReport {
    /// Nodes.
    pub nodes: usize,
    /// The metric.
    pub metric: String,
    /// Share of adversaries.
    pub share: f64,
    /// What they do.
    pub role: Role,
    /// Disjoint paths.
    pub paths: u8,
    /// Lookups.
    pub lookups: usize,
    /// Share that named the nearest honest node.
    pub success_rate: f64,
    /// Share whose first name was the nearest node of all, honest or not.
    pub owner_rate: f64,
    /// Lookups without an answer.
    pub failed: usize,
    /// Mean messages.
    pub messages_mean: f64,
    /// Milliseconds of lookups that succeeded.
    pub latency_ms_p50: f64,
    /// 99th percentile of the same.
    pub latency_ms_p99: f64,
    /// Seconds of real time.
    pub seconds: f64,
    /// The seed.
    pub seed: u64,
}

struct Question {
    nearest: Option<NodeId>,
    nearest_honest: Option<NodeId>,
}

/// Runs the experiment.
pub fn run(plan: &Adversaries) -> AdversariesReport {
    let clock = Instant::now();
    let mut world = World::new(plan.setup.clone());
    world.add_ideal(plan.nodes, Ideal { maintained: false, ..Ideal::default() });
    let mut order: Vec<NodeIndex> = (0..world.numbers()).collect();
    let count = (plan.share * plan.nodes as f64).round() as usize;
    for place in 0..count {
        let other = place + world.random(order.len() - place);
        order.swap(place, other);
        world.set_role(order[place], plan.role);
    }
    let honest = order.split_off(count);

    let options = LookupOptions {
        want: plan.want,
        confirm: confirm(plan.confirm),
        paths: plan.paths,
        ..LookupOptions::default()
    };
    let gap = Duration::from_millis(5);
    let end = world.now() + gap * plan.lookups as u32 + 2 * options.deadline;
    let mut asked: BTreeMap<LookupId, Question> = BTreeMap::new();
    let (mut found, mut owners, mut failed, mut ended) = (0, 0, 0, 0);
    let (mut messages, mut latency) = (Sample::default(), Sample::default());
    world.plan(world.now(), 0);
    while ended < plan.lookups && !honest.is_empty() {
        match world.next(end) {
            Some(Occurrence::Task(number)) => {
                if (number as usize) + 1 < plan.lookups {
                    world.plan(world.now() + gap, number + 1);
                }
                let question = world.random_key();
                let from = honest[world.random(honest.len())];
                let id = world.lookup(from, question, options);
                asked.insert(id, Question::about(&mut world, &question));
            }
            Some(Occurrence::Finished { id, outcome, .. }) => {
                let Some(question) = asked.remove(&id) else { continue };
                ended += 1;
                let lookup = match &*outcome {
                    Ok(lookup) => lookup,
                    Err(error) => {
                        failed += 1;
                        if let Some(partial) = error.partial() {
                            messages.add(partial.messages.into());
                        }
                        continue;
                    }
                };
                messages.add(lookup.messages.into());
                owners += usize::from(lookup.closest.first().map(|peer| peer.id()) == question.nearest);
                if lookup.closest.iter().any(|peer| Some(peer.id()) == question.nearest_honest) {
                    found += 1;
                    latency.add(lookup.elapsed.as_secs_f64() * 1e3);
                }
            }
            Some(_) => {}
            None => break,
        }
    }
    let all = plan.lookups.max(1) as f64;
    AdversariesReport {
        nodes: plan.nodes,
        metric: plan.setup.metric.to_string(),
        share: plan.share,
        role: plan.role,
        paths: plan.paths,
        lookups: plan.lookups,
        success_rate: round(f64::from(found) / all),
        owner_rate: round(owners as f64 / all),
        failed,
        messages_mean: round(messages.mean()),
        latency_ms_p50: round(latency.quantile(0.5)),
        latency_ms_p99: round(latency.quantile(0.99)),
        seconds: round(clock.elapsed().as_secs_f64()),
        seed: plan.setup.seed,
    }
}

impl Question {
    fn about(world: &mut World, key: &chordage_dht::Key) -> Self {
        let metric = world.setup().metric;
        let mut census = world.census().clone();
        let (mut nearest, mut nearest_honest) = (None, None);
        census.view().walk(metric, key, &mut |id, node| {
            nearest = nearest.or(Some(*id));
            if world.role(node) == Role::Honest {
                nearest_honest = Some(*id);
            }
            nearest_honest.is_none()
        });
        Self { nearest, nearest_honest }
    }
}
