//! Which nodes may hold shards of the chunks in a stretch of the ring.

use std::cmp::Reverse;

use chordage_dht::{AnyMetric, Key, Metric, Peer};
use chordage_storage::{ChunkId, Redundancy};

use super::{Freshness, Placement, WINDOW_MAX, ring_key, spread, window};

/// Nodes that an arc has on average: chunks of one arc share the lookups that find their windows.
const NODES_PER_ARC: u64 = 8;

/// Finds windows arc by arc: chunks come in the order of their addresses, so that only the last arc is kept.
pub(crate) struct Arcs {
    metric: AnyMetric,
    /// Leading bits that the keys of an arc have in common.
    bits: u32,
    last: Option<(u64, Vec<Peer>)>,
}

impl Arcs {
    /// Arcs for a network of so many nodes.
    pub(super) fn new(metric: AnyMetric, nodes: u64) -> Self {
        Arcs { metric, bits: (nodes / NODES_PER_ARC).max(1).ilog2(), last: None }
    }

    /// The nodes that may hold shards of `chunk`, in the order in which to ask them; `None` if nobody is found.
    pub(crate) async fn window(
        &mut self,
        placement: &Placement,
        chunk: ChunkId,
        redundancy: Redundancy,
    ) -> Option<Vec<Peer>> {
        let key = ring_key(chunk);
        let arc = first_bits(&key, self.bits);
        if self.last.as_ref().is_none_or(|(last, _)| *last != arc) {
            // Whoever is near a key of the arc is near one of its ends, since an arc is narrow.
            let (first, last) = ends(arc, self.bits);
            let mut pool = placement.near(first, WINDOW_MAX, Freshness::Known).await.ok()?;
            pool.extend(placement.near(last, WINDOW_MAX, Freshness::Known).await.ok()?);
            // Of two records of one node the newer one.
            pool.sort_by_key(|peer| (peer.id(), Reverse(peer.seq())));
            pool.dedup_by_key(|peer| peer.id());
            self.last = Some((arc, pool));
        }
        let (_, pool) = self.last.as_ref()?;
        let nearest = nearest(self.metric, &key, pool, window(redundancy.n()));
        Some(spread(redundancy).order(&key, &nearest))
    }
}

/// The `count` nodes of `pool` nearest to `key`.
fn nearest(metric: AnyMetric, key: &Key, pool: &[Peer], count: usize) -> Vec<Peer> {
    let mut pool = pool.to_vec();
    if pool.len() > count {
        pool.sort_by_cached_key(|peer| metric.distance(peer.id().key(), key));
        pool.truncate(count);
    }
    pool
}

fn first_bits(key: &Key, bits: u32) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&key.as_bytes()[..8]);
    u64::from_be_bytes(first).checked_shr(64 - bits).unwrap_or(0)
}

fn ends(arc: u64, bits: u32) -> (Key, Key) {
    let (mut first, mut last) = ([0; 32], [0xff; 32]);
    let start = arc.checked_shl(64 - bits).unwrap_or(0);
    let rest = u64::MAX.checked_shr(bits).unwrap_or(0);
    first[..8].copy_from_slice(&start.to_be_bytes());
    last[..8].copy_from_slice(&(start | rest).to_be_bytes());
    (Key::from_bytes(first), Key::from_bytes(last))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chordage_dht::PeerInfo;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_key_lies_between_the_ends_of_its_arc(key in any::<[u8; 32]>(), bits in 0u32..40) {
            let key = Key::from_bytes(key);
            let (first, last) = ends(first_bits(&key, bits), bits);
            prop_assert!(first <= key && key <= last);
        }

        /// What the lookups at both ends of an arc find holds the window of every key in it.
        #[test]
        fn the_ends_of_an_arc_know_the_window_of_every_key_in_it(
            seed in any::<u64>(), nodes in 1u64..600, key in any::<[u8; 32]>(), ring in any::<bool>(),
        ) {
            let metric = if ring { AnyMetric::Ring } else { AnyMetric::Xor };
            let peers: Vec<Peer> = (0..nodes)
                .map(|i| {
                    let public_key = *blake3::hash(&[seed.to_be_bytes(), i.to_be_bytes()].concat()).as_bytes();
                    Arc::new(PeerInfo::new(public_key, vec![], 0).expect("no addresses"))
                })
                .collect();
            let key = Key::from_bytes(key);
            let arcs = Arcs::new(metric, nodes);
            let (first, last) = ends(first_bits(&key, arcs.bits), arcs.bits);
            let mut pool = nearest(metric, &first, &peers, WINDOW_MAX);
            pool.extend(nearest(metric, &last, &peers, WINDOW_MAX));
            pool.sort_by_key(|peer| peer.id());
            pool.dedup_by_key(|peer| peer.id());
            let window = nearest(metric, &key, &peers, 30);
            let found = nearest(metric, &key, &pool, 30);
            let missing = window.iter().filter(|peer| !found.contains(peer)).count();
            prop_assert_eq!(missing, 0);
        }
    }
}
