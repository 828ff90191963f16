//! Whether a network has settled: every node's leaf set is exactly what it should be.
//!
//! Correct lookups rest on leaf sets alone, so this is the condition to wait for before counting hops or
//! placing shards, and again after nodes came or went. Who belongs into whose leaf set follows from the ids.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use chordage_api::types::{DaemonState, MemberState};

use crate::network::{StatusError, Testnet};
use crate::wait::{WaitError, wait_until};

/// 256-bit node id, big-endian.
type Id = [u8; 32];

/// Why a node has not settled.
#[derive(Debug, thiserror::Error)]
enum Unsettled {
    #[error("node {index:02}: {error}")]
    Silent { index: usize, error: StatusError },
    #[error("node {index:02} is {state}")]
    NotJoined { index: usize, state: DaemonState },
    #[error("node {index:02} names node {named:?}, which is no id")]
    Unreadable { index: usize, named: String },
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
        let ids: Vec<Id> = members.filter_map(|&index| parse(self.id(index)?)).collect();
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
        let ids: BTreeSet<&str> = living.iter().filter_map(|&index| self.id(index)).collect();
        let what = format!("{} nodes list each other", living.len());
        let started = Instant::now();
        for index in living {
            let left = at_most.saturating_sub(started.elapsed());
            wait_until(&what, left, || self.listed(index, &ids)).await?;
        }
        Ok(())
    }

    async fn listed(&self, index: usize, ids: &BTreeSet<&str>) -> Result<(), Unsettled> {
        let silent = |error| Unsettled::Silent { index, error };
        let members = self.members(index).await.map_err(silent)?;
        let here = |state| matches!(state, MemberState::Alive | MemberState::Suspect);
        let found: BTreeSet<&str> =
            members.iter().filter(|member| here(member.state)).map(|member| member.id.as_str()).collect();
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

    async fn settled(&self, index: usize, ids: &[Id]) -> Result<(), Unsettled> {
        let silent = |error| Unsettled::Silent { index, error };
        let status = self.status(index).await.map_err(silent)?;
        if !matches!(status.membership.state, DaemonState::Joined | DaemonState::Draining) {
            return Err(Unsettled::NotJoined { index, state: status.membership.state });
        }
        if self.is_client(index) {
            return Ok(());
        }
        let unreadable = |named: &str| Unsettled::Unreadable { index, named: named.to_owned() };
        let me = parse(&status.identity.id).ok_or_else(|| unreadable(&status.identity.id))?;
        // A node that counts its network exactly has room for more neighbours than there are.
        let room =
            if status.overlay.network_nodes_exact { usize::MAX } else { status.overlay.leaf_set as usize };
        let expected = match status.membership.metric.as_str() {
            "xor" => nearest_by_xor(me, ids, room),
            _ => nearest_on_ring(me, ids, room),
        };
        let peers = self.peers(index).await.map_err(silent)?;
        let found = peers
            .iter()
            .filter(|peer| peer.leaf)
            .map(|peer| parse(&peer.id).ok_or_else(|| unreadable(&peer.id)))
            .collect::<Result<BTreeSet<Id>, _>>()?;
        let missing = expected.difference(&found).count();
        let extra = found.difference(&expected).count();
        if missing + extra > 0 {
            return Err(Unsettled::Neighbours { index, expected: expected.len(), missing, extra });
        }
        Ok(())
    }
}

/// Half of the room for those that follow on the ring, half for those before.
fn nearest_on_ring(me: Id, ids: &[Id], room: usize) -> BTreeSet<Id> {
    let mut order: Vec<Id> = ids.iter().copied().filter(|&id| id != me).collect();
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
fn nearest_by_xor(me: Id, ids: &[Id], room: usize) -> BTreeSet<Id> {
    let mut order: Vec<Id> = ids.iter().copied().filter(|&id| id != me).collect();
    order.sort_unstable_by_key(|id| -> Id { std::array::from_fn(|byte| id[byte] ^ me[byte]) });
    order.truncate(room);
    order.into_iter().collect()
}

fn parse(hex: &str) -> Option<Id> {
    let digits = hex.as_bytes();
    let mut id = [0; 32];
    if digits.len() != 2 * id.len() {
        return None;
    }
    for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(first: u8) -> Id {
        let mut id = [0; 32];
        id[0] = first;
        id
    }

    fn firsts(ids: &BTreeSet<Id>) -> Vec<u8> {
        ids.iter().map(|id| id[0]).collect()
    }

    #[test]
    fn neighbours_on_the_ring_are_on_both_sides_and_around_the_end() {
        let ids: Vec<Id> = [10, 20, 30, 200, 250].map(id).into();
        assert_eq!(firsts(&nearest_on_ring(id(10), &ids, 2)), [20, 250]);
        assert_eq!(firsts(&nearest_on_ring(id(250), &ids, 2)), [10, 200]);
        assert_eq!(firsts(&nearest_on_ring(id(20), &ids, usize::MAX)), [10, 30, 200, 250]);
    }

    #[test]
    fn neighbours_by_xor_are_those_of_the_longest_common_prefix() {
        let ids: Vec<Id> = [0b1000_0000, 0b1000_0001, 0b1000_0011, 0b0111_1111].map(id).into();
        assert_eq!(firsts(&nearest_by_xor(id(0b1000_0000), &ids, 2)), [0b1000_0001, 0b1000_0011]);
    }

    #[test]
    fn ids_are_64_hexadecimal_digits() {
        assert_eq!(parse(&"ff".repeat(32)), Some([255; 32]));
        for bad in ["", "ff", &"fg".repeat(32), &"+f".repeat(32)[1..]] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
