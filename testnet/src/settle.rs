//! Whether a network has settled: every node's leaf set is exactly what it should be.
//!
//! Correct lookups rest on leaf sets alone, so this is the condition to wait for before counting hops or
//! placing shards, and again after nodes came or went. Who belongs into whose leaf set follows from the ids.

use std::collections::BTreeSet;
use std::time::Duration;

use chordage_api::types::{DaemonState, MemberState, NodeId};
use tokio::time::Instant;

use crate::network::{StatusError, Testnet};
use crate::wait::{WaitError, wait_until};

/// Why a node has not settled.
#[derive(Debug, thiserror::Error)]
enum Unsettled {
    #[error("node {index:02}: {error}")]
    Silent { index: usize, error: StatusError },
    #[error("node {index:02} is {state}")]
    NotJoined { index: usize, state: DaemonState },
    #[error(
        "node {index:02}: of {expected} neighbours {missing} are missing in its leaf set, {extra} are too much"
    )]
    Neighbours { index: usize, expected: usize, missing: usize, extra: usize },
    #[error("node {index:02}: of {expected} members {missing} are not listed, and {extra} who are gone are")]
    Members { index: usize, expected: usize, missing: usize, extra: usize },
}

impl Testnet {
    /// Waits until every living node that is not frozen has joined and has exactly the neighbours that it
    /// should have among the living members. Clients need only have joined.
    pub async fn wait_settled(&self, at_most: Duration) -> Result<(), WaitError> {
        let living: Vec<usize> = self.living().into_iter().filter(|&index| !self.is_frozen(index)).collect();
        let members = living.iter().filter(|&&index| !self.is_client(index));
        let ids: Vec<NodeId> = members.filter_map(|&index| self.id(index)).collect();
        let what = format!("{} nodes find their neighbours", living.len());
        let started = Instant::now();
        // One after the other: those that have settled are not asked again while the rest has not.
        for index in living {
            let left = at_most.saturating_sub(started.elapsed());
            wait_until(&what, left, || self.settled(index, &ids)).await?;
        }
        Ok(())
    }

    /// Waits until every living node that is not frozen names exactly the living ones as present members. To be used
    /// in networks small enough for lists (`overlay.members_max`).
    pub async fn wait_listed(&self, at_most: Duration) -> Result<(), WaitError> {
        let living: Vec<usize> = self
            .living()
            .into_iter()
            .filter(|&index| !self.is_frozen(index) && !self.is_client(index))
            .collect();
        let ids: BTreeSet<NodeId> = living.iter().filter_map(|&index| self.id(index)).collect();
        let what = format!("{} nodes list each other", living.len());
        let started = Instant::now();
        for index in living {
            let left = at_most.saturating_sub(started.elapsed());
            wait_until(&what, left, || self.listed(index, &ids)).await?;
        }
        Ok(())
    }

    async fn listed(&self, index: usize, ids: &BTreeSet<NodeId>) -> Result<(), Unsettled> {
        let silent = |error| Unsettled::Silent { index, error };
        let members = self.members(index).await.map_err(silent)?;
        let here = |state| matches!(state, MemberState::Alive | MemberState::Suspect);
        let found: BTreeSet<NodeId> =
            members.iter().filter(|member| here(member.state)).map(|member| member.id).collect();
        let (missing, extra) = (ids.difference(&found).count(), found.difference(ids).count());
        // Who is in the tables is a member too; the list proper is counted.
        let status = self.status(index).await.map_err(silent)?;
        let unlisted = ids.len().saturating_sub(status.overlay.members_listed as usize);
        if missing + extra + unlisted > 0 {
            let missing = missing.max(unlisted);
            return Err(Unsettled::Members { index, expected: ids.len(), missing, extra });
        }
        Ok(())
    }

    async fn settled(&self, index: usize, ids: &[NodeId]) -> Result<(), Unsettled> {
        let silent = |error| Unsettled::Silent { index, error };
        let status = self.status(index).await.map_err(silent)?;
        if !matches!(status.membership.state, DaemonState::Joined | DaemonState::Draining) {
            return Err(Unsettled::NotJoined { index, state: status.membership.state });
        }
        if self.is_client(index) {
            return Ok(());
        }
        let me = status.identity.id;
        // A node that counts its network exactly has room for more neighbours than there are.
        let room =
            if status.overlay.network_nodes_exact { usize::MAX } else { status.overlay.leaf_set as usize };
        let expected = match status.membership.metric.as_str() {
            "xor" => nearest_by_xor(me, ids, room),
            _ => nearest_on_ring(me, ids, room),
        };
        let peers = self.peers(index).await.map_err(silent)?;
        let found: BTreeSet<NodeId> = peers.iter().filter(|peer| peer.leaf).map(|peer| peer.id).collect();
        let missing = expected.difference(&found).count();
        let extra = found.difference(&expected).count();
        if missing + extra > 0 {
            return Err(Unsettled::Neighbours { index, expected: expected.len(), missing, extra });
        }
        Ok(())
    }
}

/// Half of the room for those that follow on the ring, half for those before.
fn nearest_on_ring(me: NodeId, ids: &[NodeId], room: usize) -> BTreeSet<NodeId> {
    let mut order: Vec<NodeId> = ids.iter().copied().filter(|&id| id != me).collect();
    if order.len() <= room {
        return order.into_iter().collect();
    }
    order.sort_unstable();
    let after = order.partition_point(|&id| id < me);
    let count = order.len();
    (0..room / 2)
        .flat_map(|step| [order[(after + step) % count], order[(after + count - 1 - step) % count]])
        .collect()
}

/// Those whose ids differ least when the difference is read as a number.
fn nearest_by_xor(me: NodeId, ids: &[NodeId], room: usize) -> BTreeSet<NodeId> {
    let mut order: Vec<NodeId> = ids.iter().copied().filter(|&id| id != me).collect();
    order.sort_unstable_by_key(|id| -> [u8; 32] {
        std::array::from_fn(|byte| id.as_bytes()[byte] ^ me.as_bytes()[byte])
    });
    order.truncate(room);
    order.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(first: u8) -> NodeId {
        let mut id = [0; 32];
        id[0] = first;
        id.into()
    }

    fn firsts(ids: &BTreeSet<NodeId>) -> Vec<u8> {
        ids.iter().map(|id| id.as_bytes()[0]).collect()
    }

    #[test]
    fn neighbours_on_the_ring_are_on_both_sides_and_around_the_end() {
        let ids: Vec<NodeId> = [10, 20, 30, 200, 250].map(id).into();
        assert_eq!(firsts(&nearest_on_ring(id(10), &ids, 2)), [20, 250]);
        assert_eq!(firsts(&nearest_on_ring(id(250), &ids, 2)), [10, 200]);
        assert_eq!(firsts(&nearest_on_ring(id(20), &ids, usize::MAX)), [10, 30, 200, 250]);
    }

    #[test]
    fn neighbours_by_xor_are_those_of_the_longest_common_prefix() {
        let ids: Vec<NodeId> = [0b1000_0000, 0b1000_0001, 0b1000_0011, 0b0111_1111].map(id).into();
        assert_eq!(firsts(&nearest_by_xor(id(0b1000_0000), &ids, 2)), [0b1000_0001, 0b1000_0011]);
    }
}
