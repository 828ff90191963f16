//! Which nodes keep a record, as one node sees it.

use alloc::{collections::BTreeSet, vec::Vec};

use super::Dht;
use crate::{
    Distance, Key, NodeId, Time,
    metric::{Metric, Shape},
    peer::Peer,
    records::{REGION, region_digest},
};

/// The addresses for which a node is among the nine nearest.
pub(super) enum Care {
    /// Every address: there are no more than nine nodes.
    All,
    /// Those nearer to it than the points halfway to its ninth neighbours on either side.
    Arc {
        at: NodeId,
        /// How far the ninth is clockwise, and who.
        clockwise: (Distance, NodeId),
        counterclockwise: (Distance, NodeId),
    },
    /// Those for which fewer than nine of the others are nearer.
    Counted(NodeId),
}

impl<M: Metric> Dht<M> {
    /// The nodes that keep the record of this address, nearest first, as far as this node's own neighbourhood shows it.
    /// Neighbours that have missed a probe are among them: only when they are given up does the region move on.
    pub(super) fn region_of(&self, address: &Key) -> Vec<(Peer, Distance)> {
        let mut region = Vec::with_capacity(2 * REGION);
        if self.is_member() {
            region.push((self.local.clone(), self.origin.distance(address)));
        }
        let others = region.len() + REGION;
        self.leaves.walk(&self.origin, address, &mut |distance, leaf| {
            region.push((leaf.peer.clone(), distance));
            region.len() < others
        });
        region.sort_unstable_by(|(a, near), (b, far)| near.cmp(far).then_with(|| a.id_ref().cmp(b.id_ref())));
        region.truncate(REGION);
        region
    }

    /// The region, for somebody who sees another one.
    pub(super) fn correction(&self, address: &Key, seen: u32) -> Vec<Peer> {
        let region = self.region_of(address);
        if region_digest(region.iter().map(|(peer, _)| peer.id_ref())) == seen {
            return Vec::new();
        }
        region.into_iter().map(|(peer, _)| peer).collect()
    }

    /// For which addresses a node is among the nine nearest of those that this node knows.
    pub(super) fn care_of(&self, id: &NodeId) -> Care {
        let me = self.own_id();
        let leaves = self.leaves.as_slice();
        let others = leaves.iter().map(|leaf| leaf.peer.id_ref()).filter(|leaf| *leaf != id);
        let count = others.count() + usize::from(id != me && self.is_member());
        if count < REGION {
            return Care::All;
        }
        if !self.origin.metric.halves() {
            return Care::Counted(*id);
        }
        // All that are known, in the order in which they lie on the circle from this node on.
        let known = leaves.len() + usize::from(self.is_member());
        let at = |index: usize| match (index % known).checked_sub(usize::from(self.is_member())) {
            None => me,
            Some(leaf) => leaves[leaf].peer.id_ref(),
        };
        let offset = |other: &NodeId| self.origin.metric.offset(me.key(), other.key());
        let (mut low, mut high) = (0, known);
        while low < high {
            let middle = usize::midpoint(low, high);
            if offset(at(middle)) < offset(id) { low = middle + 1 } else { high = middle }
        }
        let itself = usize::from(at(low) == id);
        let (next, last) = (at(low + REGION - 1 + itself), at(low + known - REGION));
        let way = |from: &NodeId, to: &NodeId| self.origin.metric.offset(from.key(), to.key());
        Care::Arc { at: *id, clockwise: (way(id, next), *next), counterclockwise: (way(last, id), *last) }
    }

    /// Whether an address is one of these.
    pub(super) fn is_in(&self, care: &Care, address: &Key) -> bool {
        match care {
            Care::All => true,
            Care::Counted(id) => self.fewer_are_nearer(id, address),
            Care::Arc { at, clockwise, counterclockwise } => {
                let offset = self.origin.metric.offset(at.key(), address);
                let (distance, ninth) = if offset.bit(255) {
                    (Distance::ZERO.wrapping_sub(offset), counterclockwise)
                } else {
                    (offset, clockwise)
                };
                // Opposite to it everybody else is nearer.
                !distance.bit(255) && (distance.wrapping_add(distance), at) < (ninth.0, &ninth.1)
            }
        }
    }

    fn fewer_are_nearer(&self, id: &NodeId, address: &Key) -> bool {
        let me = self.own_id();
        let nearer = |other: &NodeId| self.origin.metric.closer(address, other, id).is_lt();
        let mut count = usize::from(id != me && self.is_member() && nearer(me));
        self.leaves.walk(&self.origin, address, &mut |_, leaf| {
            if leaf.peer.id_ref() == id || !nearer(leaf.peer.id_ref()) {
                return false;
            }
            count += 1;
            count < REGION
        });
        count < REGION
    }

    /// Whether this node is one of those that keep the record of this address.
    pub(super) fn keeps(&self, address: &Key) -> bool {
        self.is_in(&self.care_of(self.own_id()), address)
    }

    /// Whether this node would know of the record of this address, or of a newer version, if there were any.
    pub(super) fn would_know(&self, now: Time, address: &Key) -> bool {
        let me = self.own_id();
        let nearer = |other: &&NodeId| *other != me && self.origin.metric.closer(address, other, me).is_lt();
        let cares = |near: &BTreeSet<NodeId>| near.iter().filter(nearer).take(REGION).count() < REGION;
        self.records.as_ref().is_some_and(|records| records.partners.is_ready(now, cares))
    }

    /// Everybody with whom a node may share a region, and one more on either side: if that one goes, what is in the
    /// node's care changes too.
    pub(super) fn partners_of(&self, id: &NodeId) -> Vec<NodeId> {
        let leaves = self.leaves.as_slice().iter().map(|leaf| leaf.peer.id_ref());
        let own = self.is_member().then(|| self.own_id());
        let mut known: Vec<NodeId> =
            own.into_iter().chain(leaves).filter(|other| *other != id).copied().collect();
        known.sort_by_cached_key(|other| self.origin.metric.offset(id.key(), other.key()));
        if known.len() > 2 * REGION {
            match self.origin.shape() {
                Shape::Circle => drop(known.drain(REGION..known.len() - REGION)),
                Shape::Tree => known.truncate(2 * REGION),
            }
        }
        known
    }
}

#[cfg(test)]
mod tests;
