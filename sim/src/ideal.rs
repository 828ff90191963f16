//! Tables as they would be if everybody knew everything: the bound that a protocol can be measured against, and the
//! short way to a large network.
//!
//! Every row gets as many of its peers as it may hold. Where distance costs time they are the nearest by round-trip
//! time of a sample as large as a row and its reserve together (proximity neighbour selection, PNS(32) by default);
//! where it does not they are drawn evenly. Chord as published takes the first of each row.

use std::time::Duration;

use chordage_dht::{AnyMetric, Config, Direction, Key, Metric, Peer, Row, Shape};
use rand_chacha::rand_core::Rng;

use crate::{
    census::View,
    chance::{WorldRng, below, generator},
    groups::group_of,
    latency::{Latency, Site},
    world::{Node, NodeIndex, World},
};

/// How tables are to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ideal {
    /// Share of the nodes that are dead, though others do not know it yet, 0 to 1.
    pub dead: f64,
    /// Whether leaf sets have not noticed either. In a living network they notice within a quarter of a minute, rows
    /// only when an entry is used.
    pub dead_leaves: bool,
    /// Whether the nodes go on maintaining their tables.
    pub maintained: bool,
}

impl Default for Ideal {
    fn default() -> Self {
        Self { dead: 0.0, dead_leaves: false, maintained: true }
    }
}

/// Everything that making one table needs, the same for all nodes.
struct Plan<'a> {
    metric: AnyMetric,
    config: &'a Config,
    latency: &'a Latency,
    all: View<'a>,
    leaves_from: View<'a>,
    peers: &'a [Peer],
    sites: &'a [Site],
    alive: &'a [bool],
    pool: usize,
    seed: u64,
    maintained: bool,
    dead_leaves: bool,
    diverse: bool,
}

impl World {
    /// Adds `count` nodes whose tables are ideal.
    pub fn add_ideal(&mut self, count: usize, ideal: Ideal) {
        // Ideal tables need no bounds, and checking each of a million tables' entries against all others takes long.
        let diverse = std::mem::take(&mut self.setup.diverse);
        for _ in 0..count {
            self.add();
        }
        self.setup.diverse = diverse;
        self.count_all_as_members();
        let mut all = self.census.clone();
        let dead = (ideal.dead * count as f64).round() as usize;
        let mut order: Vec<NodeIndex> = (0..self.numbers()).filter(|index| self.is_alive(*index)).collect();
        for place in 0..dead {
            let other = place + self.random(order.len() - place);
            order.swap(place, other);
            self.kill(order[place]);
        }

        let peers: Vec<Peer> = self.nodes.iter().map(|node| node.dht.local().clone()).collect();
        let sites: Vec<Site> = self.nodes.iter().map(|node| node.site).collect();
        let alive: Vec<bool> = self.nodes.iter().map(|node| node.alive).collect();
        let config = self.setup.config.clone();
        let now = self.now();
        let mut living = self.census.clone();
        let (all, living) = (all.view(), living.view());
        let plan = Plan {
            metric: self.setup.metric,
            config: &config,
            latency: &self.setup.latency,
            all,
            leaves_from: if ideal.dead_leaves { all } else { living },
            peers: &peers,
            sites: &sites,
            alive: &alive,
            pool: match self.setup.latency {
                Latency::Constant { .. } => usize::from(config.row_active),
                Latency::Internet | Latency::Table(_) => {
                    usize::from(config.row_active) + usize::from(config.row_cache)
                }
            },
            seed: self.setup.seed,
            maintained: ideal.maintained,
            dead_leaves: ideal.dead_leaves,
            diverse,
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let share = self.nodes.len().div_ceil(threads).max(1);
        std::thread::scope(|scope| {
            for (chunk, nodes) in self.nodes.chunks_mut(share).enumerate() {
                let plan = &plan;
                scope.spawn(move || {
                    for (offset, node) in nodes.iter_mut().enumerate().filter(|(_, node)| node.alive) {
                        plan.fill(now, (chunk * share + offset) as NodeIndex, node);
                    }
                });
            }
        });
        self.plan_all_wakes();
    }
}

impl Plan<'_> {
    fn fill(&self, now: chordage_dht::Time, index: NodeIndex, node: &mut Node) {
        // Each node draws from its own generator, so that the threads do not matter.
        let mut rng = generator(self.seed, 0x1dea_0000_0000 + u64::from(index));
        let me = *node.dht.local().id().key();
        let leaf_set = usize::from(self.config.leaf_set);
        let leaves = self.leaves_from.leaf_set(self.metric, self.leaves_from.rank(&me), leaf_set);
        // A neighbour that is known to be dead has gone from the rows as well.
        let mut fingers = self.fingers(&me, index, &mut rng);
        if !self.dead_leaves {
            fingers.retain(|peer| self.alive[*peer as usize] || !self.is_spanned(&me, &leaves, *peer));
        }
        // Tables are sorted like this; handed over in their order, entries need no search.
        fingers.sort_by_cached_key(|peer| self.metric.offset(&me, self.peers[*peer as usize].id().key()));
        let known = |peer: NodeIndex| (self.peers[peer as usize].clone(), Some(self.rtt(index, peer)));
        let leaves: Vec<_> = leaves.into_iter().map(known).collect();
        let fingers: Vec<_> = fingers.into_iter().map(known).collect();
        node.dht.preload(now, &mut rng, &leaves, &fingers, self.maintained);
        if self.diverse {
            node.dht.set_grouping(group_of);
        }
    }

    fn rtt(&self, a: NodeIndex, b: NodeIndex) -> Duration {
        self.latency.rtt(self.sites[a as usize], self.sites[b as usize])
    }

    /// Whether a peer lies among these leaves, or nearer.
    fn is_spanned(&self, me: &Key, leaves: &[NodeIndex], peer: NodeIndex) -> bool {
        let offset = |peer: NodeIndex| self.metric.offset(me, self.peers[peer as usize].id().key());
        let half = leaves.len() / 2;
        match (self.metric.shape(), leaves) {
            (Shape::Circle, [_, _, ..]) => {
                offset(peer) <= offset(leaves[half - 1]) || offset(peer) >= offset(leaves[half])
            }
            (Shape::Tree, [.., last]) => offset(peer) <= offset(*last),
            _ => false,
        }
    }

    /// The fingers of one node, row by row from the farthest.
    fn fingers(&self, me: &Key, index: NodeIndex, rng: &mut WorldRng) -> Vec<NodeIndex> {
        let bits = u32::from(self.config.digit_bits);
        let directions: &[Direction] = match self.metric.shape() {
            Shape::Circle if !self.metric.first_in_row() => {
                &[Direction::Clockwise, Direction::Counterclockwise]
            }
            Shape::Circle | Shape::Tree => &[Direction::Both],
        };
        let mut fingers = Vec::new();
        let mut left = self.all.members().len() - 1;
        for level in (0..256u32.div_ceil(bits)).rev() {
            for digit in (1..1u8 << bits).rev() {
                for direction in directions {
                    let row = Row { direction: *direction, level: level as u8, digit };
                    let Some(stretch) = self.stretch(me, row) else { continue };
                    left -= stretch.length;
                    self.choose(stretch, index, rng, &mut fingers);
                }
            }
            if left == 0 {
                break;
            }
        }
        fingers
    }

    /// The members of a row.
    fn stretch(&self, me: &Key, row: Row) -> Option<Stretch> {
        let bits = u32::from(self.config.digit_bits);
        // Low bits of nothing but zeros and of nothing but ones lead to the two ends of the row.
        let (low, high) = match self.metric {
            AnyMetric::Xor => (*me, Key::from_bytes(me.as_bytes().map(|byte| !byte))),
            AnyMetric::Ring | AnyMetric::Classic => (Key::from_bytes([0; 32]), Key::from_bytes([0xff; 32])),
        };
        let (low, high) = match row.direction {
            Direction::Counterclockwise => (high, low),
            Direction::Clockwise | Direction::Both => (low, high),
        };
        let end = |random: &Key| self.metric.key_in_row(me, row, random, bits);
        let (first, last) = (end(&low), end(&high));
        // The farthest level of a ring measured both ways has digits that no distance begins with.
        if self.metric.row(me, &first, bits) != Some(row) {
            return None;
        }
        let (start, stop) = (self.all.rank(&first), self.all.rank(&last));
        let count = self.all.members().len();
        let length = if first <= last { stop - start } else { stop + count - start };
        (length > 0).then_some(Stretch { start, length })
    }

    /// Picks the entries of a row.
    fn choose(&self, stretch: Stretch, index: NodeIndex, rng: &mut WorldRng, fingers: &mut Vec<NodeIndex>) {
        let members = self.all.members();
        let member = |offset: usize| members[(stretch.start + offset) % members.len()].1;
        let active = usize::from(self.config.row_active);
        if self.metric.first_in_row() {
            fingers.extend((0..active.min(stretch.length)).map(member));
            return;
        }
        let pool = sample(rng, stretch.length, self.pool);
        if pool.len() <= active {
            fingers.extend(pool.into_iter().map(member));
            return;
        }
        let mut near: Vec<(Duration, NodeIndex)> =
            pool.into_iter().map(member).map(|peer| (self.rtt(index, peer), peer)).collect();
        near.sort_unstable();
        fingers.extend(near.into_iter().take(active).map(|(_, peer)| peer));
    }
}

/// A stretch of the sorted members; it may go on at the beginning.
#[derive(Clone, Copy)]
struct Stretch {
    start: usize,
    length: usize,
}

/// `count` different numbers below `bound`, or all of them (Floyd's method, Bentley and Floyd 1987).
fn sample(rng: &mut impl Rng, bound: usize, count: usize) -> Vec<usize> {
    if bound <= count {
        return (0..bound).collect();
    }
    let mut chosen: Vec<usize> = Vec::with_capacity(count);
    for last in bound - count..bound {
        let draw = below(rng, last + 1);
        chosen.push(if chosen.contains(&draw) { last } else { draw });
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_different_numbers_in_range() {
        let mut rng = generator(1, 1);
        for bound in 1..50 {
            let mut chosen = sample(&mut rng, bound, 8);
            assert_eq!(chosen.len(), bound.min(8));
            chosen.sort_unstable();
            chosen.dedup();
            assert_eq!(chosen.len(), bound.min(8));
            assert!(chosen.iter().all(|number| *number < bound));
        }
    }
}
