//! One ring: no member is left out, and no two groups of members have lost each other.
//!
//! On a circle, following from each member the neighbour that it takes for the next one must lead round once, through
//! all members in the order of their ids (Zave 2017 calls this the ring being ordered and connected). Under XOR there
//! is no next one, and the leaf sets of a large subtree may all lie within it; there, following neighbours and fingers
//! must lead to every member.

use std::collections::BTreeSet;

use chordage_dht::{Metric, NodeId, Shape};

use crate::world::World;

/// What is wrong with the ring.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RingError {
    /// A member takes another for its successor than it should.
    #[error("{broken} of {members} members have another successor than they should, the first is {first}")]
    Successor {
        /// How many.
        broken: usize,
        /// Of how many.
        members: usize,
        /// One of them.
        first: NodeId,
    },
    /// Some members cannot be reached from others by following neighbours and fingers.
    #[error("only {reached} of {members} members can be reached from {from}")]
    Parted {
        /// How many can be reached.
        reached: usize,
        /// Of how many.
        members: usize,
        /// From where.
        from: NodeId,
    },
}

/// Checks the ring of all members.
pub fn check(world: &mut World) -> Result<(), RingError> {
    match world.setup().metric.shape() {
        Shape::Circle => check_order(world),
        Shape::Tree => check_reach(world),
    }
}

fn check_order(world: &mut World) -> Result<(), RingError> {
    let members = world.census().members().to_vec();
    if members.len() < 2 {
        return Ok(());
    }
    let successors = members.iter().skip(1).chain(members.first());
    let broken: Vec<NodeId> = members
        .iter()
        .zip(successors)
        .filter(|((_, node), (successor, _))| {
            let next = world.dht(*node).leaf_set().next().map(|peer| peer.id());
            next != Some(*successor)
        })
        .map(|((id, _), _)| *id)
        .collect();
    match broken.first() {
        None => Ok(()),
        Some(first) => {
            Err(RingError::Successor { broken: broken.len(), members: members.len(), first: *first })
        }
    }
}

fn check_reach(world: &mut World) -> Result<(), RingError> {
    let members = world.census().members().to_vec();
    let Some((from, start)) = members.first().copied() else { return Ok(()) };
    let mut reached = BTreeSet::from([from]);
    let mut next = vec![start];
    while let Some(node) = next.pop() {
        let rows = world.dht(node).fingers();
        let fingers = rows.iter().flat_map(|row| row.fingers.iter().map(|finger| &finger.peer));
        for peer in world.dht(node).leaf_set().chain(fingers) {
            let id = peer.id();
            let Ok(place) = members.binary_search_by(|(member, _)| member.cmp(&id)) else { continue };
            if reached.insert(id) {
                next.push(members[place].1);
            }
        }
    }
    if reached.len() == members.len() {
        return Ok(());
    }
    Err(RingError::Parted { reached: reached.len(), members: members.len(), from })
}
