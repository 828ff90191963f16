//! Is the set of nodes a lookup found as dense as the rest of the network?
//!
//! Castro et al. ("Secure routing for structured peer-to-peer overlay networks", 2002): whoever hides honest nodes
//! returns a set that is too sparse, whoever crowds around a key with made-up nodes one that is too dense. The test is
//! weak evidence: it tells when to look again, over more paths, and never whom to trust.

use crate::{
    Key,
    metric::{Metric, Shape},
    peer::Peer,
};

/// Limit for sparseness. In our models a set of twenty honest nodes exceeds it once in 430 times, one from which a
/// fifth hides the rest is caught in all but 4 of 100,000.
const SPARSE: f64 = 1.75;
/// Limit for density. Twenty honest nodes fall below it once in 4,000 times.
const DENSE: f64 = 2.5;

/// How dense a set of nodes lies around a key, compared with the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Density {
    /// As chance would have it.
    Plausible,
    /// Nodes seem to be missing: perhaps somebody hides them.
    TooSparse,
    /// Too many nodes: perhaps somebody made them to be near this key.
    TooDense,
}

/// Tests the nearest nodes found for a key (nearest first) in a network of about `network_size` nodes. Sets of fewer
/// than ten nodes, and those that hold half of the network or more, say nothing and pass.
pub fn density<M: Metric>(metric: &M, key: &Key, nearest: &[Peer], network_size: f64) -> Density {
    let found = nearest.len() as f64;
    let Some(farthest) = nearest.last() else { return Density::Plausible };
    if nearest.len() < 10 || network_size < 2.0 * found {
        return Density::Plausible;
    }
    let distance = metric.distance(farthest.id_ref().key(), key).fraction();
    // On a circle measured both ways round, nodes lie on two arcs of that length.
    let sides = if metric.shape() == Shape::Circle && !metric.first_in_row() { 2.0 } else { 1.0 };
    let expected = network_size * distance * sides;
    if expected > SPARSE * found {
        Density::TooSparse
    } else if expected * DENSE < found {
        Density::TooDense
    } else {
        Density::Plausible
    }
}

#[cfg(test)]
mod tests {
    use alloc::{sync::Arc, vec, vec::Vec};

    use super::*;
    use crate::{AnyMetric, PeerInfo};

    fn peers(count: u32) -> Vec<Peer> {
        let peer = |number: u32| {
            let mut public_key = [0; 32];
            public_key[..4].copy_from_slice(&number.to_be_bytes());
            PeerInfo::new(public_key, vec![], 1).map(Arc::new)
        };
        (0..count).filter_map(|number| peer(number).ok()).collect()
    }

    #[test]
    fn honest_sets_pass_and_others_do_not() {
        for metric in [AnyMetric::Ring, AnyMetric::Xor] {
            let everybody = peers(2000);
            let (mut suspicious, mut sparse, mut dense) = (0, 0, 0);
            for round in 0..200u8 {
                let key = Key::from_bytes(*blake3::hash(&[round]).as_bytes());
                let mut sorted = everybody.clone();
                sorted.sort_by(|a, b| metric.closer(&key, a.id_ref(), b.id_ref()));
                let test = |set: &[Peer], size| density(&metric, &key, set, size);
                suspicious += u32::from(test(&sorted[..20], 2000.0) != Density::Plausible);
                // One in five is shown.
                let shown: Vec<Peer> = sorted.iter().step_by(5).take(20).cloned().collect();
                sparse += u32::from(test(&shown, 2000.0) == Density::TooSparse);
                // As if a tenth of the nodes were real.
                dense += u32::from(test(&sorted[..20], 200.0) == Density::TooDense);
            }
            assert!(suspicious <= 4 && sparse >= 198 && dense >= 198, "{suspicious} {sparse} {dense}");
        }
    }
}
