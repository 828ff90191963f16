//! Looking at a node from outside.

use alloc::vec::Vec;

use super::{Dht, Phase};
use crate::{
    Config, NodeId,
    io::{Finger, FingerRow, SizeEstimate, Status},
    members::{IdPrefix, Scope},
    metric::{Metric, Row, Shape},
    peer::Peer,
};

/// A list with fewer members than the estimate divided by this is not complete: from the nearest few, estimates of more
/// than twice the size are rare. Design.
const LISTED_PART: f64 = 2.5;

impl<M: Metric> Dht<M> {
    /// This node's own record.
    pub fn local(&self) -> &Peer {
        &self.local
    }

    /// The metric of its network.
    pub fn metric(&self) -> &M {
        &self.origin.metric
    }

    /// Its settings, as they are in force.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Whether a peer is in its tables or in its list of members.
    pub fn knows(&self, peer: &NodeId) -> bool {
        self.known(peer).is_some()
            || self.members.as_ref().is_some_and(|members| members.lists.get(&IdPrefix::from(peer)).is_some())
    }

    /// Its neighbours, in the order of their offset from its own id: on a ring clockwise.
    pub fn leaf_set(&self) -> impl ExactSizeIterator<Item = &Peer> {
        self.leaves.as_slice().iter().map(|leaf| &leaf.peer)
    }

    /// Its neighbours with what it knows of their health.
    pub fn neighbours(&self) -> Vec<Finger> {
        let finger = |leaf: &crate::leaf_set::Leaf| Finger {
            peer: leaf.peer.clone(),
            rtt: leaf.rtt.smoothed(),
            missed: leaf.suspicion.missed(),
        };
        self.leaves.as_slice().iter().map(finger).collect()
    }

    /// The rows of its table that have entries, in the order of their offset from its own id.
    pub fn fingers(&self) -> Vec<FingerRow> {
        let bits = self.config.digit_bits.into();
        let two_sided = self.has_sides();
        self.table
            .rows()
            .map(|(rank, entries)| FingerRow {
                row: Row::from_rank(rank, bits, two_sided),
                fingers: entries
                    .iter()
                    .map(|entry| Finger {
                        peer: entry.peer.clone(),
                        rtt: entry.rtt.smoothed(),
                        missed: entry.missed,
                    })
                    .collect(),
                cached: self.table.reserved_in(rank),
            })
            .collect()
    }

    fn has_sides(&self) -> bool {
        self.origin.shape() == Shape::Circle && !self.origin.metric.first_in_row()
    }

    /// How large the network is believed to be: a count while the leaf set shows everybody, otherwise by how densely
    /// the nearest neighbours lie.
    pub fn network_size(&self) -> SizeEstimate {
        let leaves = self.leaves.as_slice();
        // The outer members may lie farther out than they should while others are being found.
        let inner = leaves.len() * 3 / 8;
        if self.leaves.reach(&self.origin).is_none() || inner < 2 {
            let own = f64::from(u8::from(!self.is_client()));
            return SizeEstimate { nodes: leaves.len() as f64 + own, exact: !self.leaves.is_bound() };
        }
        let offset = |index: usize| self.origin.offset_of(&leaves[index].peer);
        // For uniform ids the arc that m nodes span is a sum of m exponential gaps; (m - 1) / arc is unbiased then.
        let arc = match self.origin.shape() {
            Shape::Circle => offset(inner - 1).wrapping_sub(offset(leaves.len() - inner)).fraction(),
            Shape::Tree => offset(2 * inner - 1).fraction(),
        };
        SizeEstimate { nodes: (2.0 * inner as f64 - 1.0) / arc.max(f64::MIN_POSITIVE), exact: false }
    }

    /// The same, as whoever chooses a redundancy should see it: where all members are listed, those suspected included,
    /// it is their number. A list that has only just begun names far fewer than even a rough estimate, and does not
    /// count yet.
    fn counted_size(&self) -> SizeEstimate {
        let estimate = self.network_size();
        let listed = match &self.members {
            Some(members) if members.lists.scope() == Scope::Everybody => {
                members.lists.of(Scope::Everybody).len() as f64
            }
            _ => return estimate,
        };
        if estimate.exact || listed < estimate.nodes / LISTED_PART {
            return estimate;
        }
        let own = f64::from(u8::from(!self.is_client()));
        SizeEstimate { nodes: listed.max(self.leaves.len() as f64 + own), exact: false }
    }

    /// Bytes this node keeps in memory while nothing is under way: itself, its leaf set and its table. The records of
    /// peers are shared and not counted.
    pub fn memory_bytes(&self) -> usize {
        let members = self.members.as_ref().map_or(0, |members| members.memory_bytes());
        size_of::<Self>() + self.leaves.memory_bytes() + self.table.memory_bytes() + members
    }

    /// The node in numbers.
    pub fn status(&self) -> Status {
        Status {
            joined: self.phase == Phase::Joined,
            client: self.is_client(),
            size: self.counted_size(),
            table_entries: self.table.as_slice().len(),
            cached: self.table.reserve_len(),
            leaf_set: self.leaves.len(),
            members: self.members.as_ref().map_or(0, |members| members.lists.of(Scope::Everybody).len()),
            suspects: self.leaves.as_slice().iter().filter(|leaf| leaf.suspicion.is_suspected()).count(),
            lookups: self.lookups.len(),
            calls: self.calls.len(),
        }
    }
}
