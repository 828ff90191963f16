//! The leaf set: the live nodes nearest to this one. Correctness of lookups rests on it alone; the rows of the table
//! only make them fast.
//!
//! On a circle it holds half of its members on either side (the clockwise half is Chord's successor list), under XOR
//! the nearest ones. While it is not full it holds everybody this node has met.

use alloc::{boxed::Box, vec::Vec};
use core::cmp::Ordering;

use crate::{
    Distance, Key, NodeId, Time,
    metric::{Metric, Shape},
    nearest::{self, Placed},
    origin::Origin,
    peer::Peer,
    rtt::Rtt,
};

use suspicion::Suspicion;

/// One neighbour. Only peers that have spoken to us directly become one.
#[derive(Debug, Clone)]
pub(crate) struct Leaf {
    pub(crate) peer: Peer,
    /// Digest of its leaf set when we last took it in completely; 0 if never.
    pub(crate) digest: u32,
    pub(crate) heard: Time,
    pub(crate) rtt: Rtt,
    pub(crate) suspicion: Suspicion,
}

impl Placed for Leaf {
    fn peer(&self) -> &Peer {
        &self.peer
    }
}

impl Leaf {
    pub(crate) fn new(peer: Peer, now: Time, rtt: Rtt) -> Self {
        Self { peer, digest: 0, heard: now, rtt, suspicion: Suspicion::NONE }
    }

    /// Takes note that it is alive.
    pub(crate) fn alive(&mut self, now: Time) {
        self.heard = now;
        self.suspicion.speaks();
    }
}

#[derive(Debug, Clone)]
pub(crate) struct LeafSet {
    /// Sorted by offset from our own id.
    leaves: Vec<Leaf>,
    /// The top limb of each one's offset: searching touches these few hundred bytes, and rarely a leaf or its peer.
    prefixes: Vec<u64>,
    /// How far the members are all there are, clockwise and counterclockwise (under a metric without sides only the
    /// first counts), while that is less than the set spans: a full set that loses a member has a free seat which
    /// anybody may take, and a newcomer knows what it has been told. Rare, so it is kept apart.
    bounds: Option<Box<[Distance; 2]>>,
    capacity: u8,
}

impl LeafSet {
    pub(crate) fn new(capacity: u8) -> Self {
        Self { leaves: Vec::new(), prefixes: Vec::new(), bounds: None, capacity }
    }

    pub(crate) fn len(&self) -> usize {
        self.leaves.len()
    }

    pub(crate) fn reserve(&mut self, count: usize) {
        let count = count.min(usize::from(self.capacity) + 1);
        self.leaves.reserve_exact(count);
        self.prefixes.reserve_exact(count);
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.leaves.capacity() * size_of::<Leaf>() + self.prefixes.capacity() * size_of::<u64>()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.leaves.is_empty()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.leaves.len() >= usize::from(self.capacity)
    }

    pub(crate) fn as_slice(&self) -> &[Leaf] {
        &self.leaves
    }

    pub(crate) fn iter_mut(&mut self) -> core::slice::IterMut<'_, Leaf> {
        self.leaves.iter_mut()
    }

    /// Where the id is, or where it would be inserted.
    fn search<M: Metric>(&self, origin: &Origin<M>, id: &NodeId) -> Result<usize, usize> {
        self.place_of(origin, id.key())
    }

    fn place_of<M: Metric>(&self, origin: &Origin<M>, key: &Key) -> Result<usize, usize> {
        let offset = origin.offset(key);
        let mut place = self.prefixes.partition_point(|prefix| *prefix < offset.0[0]);
        // At most one offset begins with these 64 bits, unless somebody has searched for keys whose ids do.
        while self.prefixes.get(place) == Some(&offset.0[0]) {
            match origin.offset_of(&self.leaves[place].peer).cmp(&offset) {
                Ordering::Less => place += 1,
                Ordering::Equal => return Ok(place),
                Ordering::Greater => break,
            }
        }
        Err(place)
    }

    /// Calls `visit` with the members, nearest to `key` first, until it returns false.
    pub(crate) fn walk<'a, M: Metric>(
        &'a self,
        origin: &Origin<M>,
        key: &Key,
        visit: &mut impl FnMut(Distance, &'a Leaf) -> bool,
    ) {
        let before = || self.place_of(origin, key).unwrap_or_else(|place| place);
        nearest::walk_from(origin, &self.leaves, before, key, visit);
    }

    pub(crate) fn get_mut<M: Metric>(&mut self, origin: &Origin<M>, id: &NodeId) -> Option<&mut Leaf> {
        let index = self.search(origin, id).ok()?;
        self.leaves.get_mut(index)
    }

    pub(crate) fn get<M: Metric>(&self, origin: &Origin<M>, id: &NodeId) -> Option<&Leaf> {
        self.leaves.get(self.search(origin, id).ok()?)
    }

    /// Whether a peer with this id is missing here and would be kept.
    pub(crate) fn wants<M: Metric>(&self, origin: &Origin<M>, id: &NodeId) -> bool {
        match self.search(origin, id) {
            Ok(_) => false,
            Err(index) => !self.is_full() || index != self.middle(origin.shape()),
        }
    }

    /// Whether a peer that [`LeafSet::wants`] asks for would still be kept if all the `others` turn out to be alive, or
    /// all but one. After a loss a circle's set has one free seat, and a neighbour names twenty who could take it.
    /// Under XOR whoever a node would keep may not know it otherwise, so everybody is met.
    pub(crate) fn has_seat<M: Metric>(&self, origin: &Origin<M>, id: &NodeId, others: &[NodeId]) -> bool {
        let Err(before) = self.search(origin, id) else { return false };
        if origin.shape() == Shape::Tree {
            return true;
        }
        let offset = origin.offset(id.key());
        let (mut before, mut after) = (before, self.leaves.len() - before);
        for other in others.iter().filter(|other| *other != id && self.search(origin, other).is_err()) {
            *if origin.offset(other.key()) < offset { &mut before } else { &mut after } += 1;
        }
        let half = usize::from(self.capacity) / 2;
        let on_its_side = if offset.bit(255) { after } else { before };
        before.min(after) < half || on_its_side <= half
    }

    /// The index that goes when there is one too many: between the two halves of a circle, the far end of a tree.
    fn middle(&self, shape: Shape) -> usize {
        match shape {
            Shape::Circle => usize::from(self.capacity) / 2,
            Shape::Tree => usize::from(self.capacity),
        }
    }

    /// Inserts a peer that [`LeafSet::wants`] asks for; returns the one that had to go.
    pub(crate) fn insert<M: Metric>(&mut self, origin: &Origin<M>, leaf: Leaf) -> Option<Leaf> {
        let prefix = origin.offset_of(&leaf.peer).0[0];
        let Err(index) = self.search(origin, leaf.peer.id_ref()) else { return Some(leaf) };
        if self.leaves.len() == self.leaves.capacity() {
            // Grow in small steps: with a million nodes in one process, doubling would waste a kilobyte each.
            self.leaves.reserve_exact(8);
            self.prefixes.reserve_exact(8);
        }
        self.leaves.insert(index, leaf);
        self.prefixes.insert(index, prefix);
        (self.leaves.len() > usize::from(self.capacity)).then(|| self.take_out(self.middle(origin.shape())))
    }

    /// Takes out a member that is gone. Whoever comes to live within the distance known so far will speak to us, so
    /// that remains known; beyond it nothing is, until others tell.
    pub(crate) fn remove<M: Metric>(&mut self, origin: &Origin<M>, id: &NodeId) -> Option<Leaf> {
        let index = self.search(origin, id).ok()?;
        self.bounds = self.reach(origin).map(Box::new);
        Some(self.take_out(index))
    }

    fn take_out(&mut self, index: usize) -> Leaf {
        self.prefixes.remove(index);
        self.leaves.remove(index)
    }

    /// The neighbours on either side; the two nearest under a metric without sides. Fewer if there are fewer.
    pub(crate) fn adjacent(&self, shape: Shape) -> impl Iterator<Item = &Leaf> {
        let other = match shape {
            Shape::Circle => self.leaves.len().saturating_sub(1),
            Shape::Tree => 1,
        };
        let second = if other == 0 { None } else { self.leaves.get(other) };
        self.leaves.first().into_iter().chain(second)
    }

    /// The members farthest out, who know what lies beyond.
    pub(crate) fn outermost(&self, shape: Shape) -> impl Iterator<Item = &Leaf> {
        let (first, second) = match shape {
            Shape::Circle => (self.halves().1, self.halves().0.checked_sub(1)),
            Shape::Tree => (self.leaves.len().saturating_sub(1), None),
        };
        self.leaves.get(first).into_iter().chain(second.and_then(|index| self.leaves.get(index)))
    }

    /// The index of the neighbour this node watches most closely. The nearest id upwards among the members, so that
    /// in every neighbourhood each node is watched by another.
    pub(crate) fn watched(&self, me: &Key) -> Option<usize> {
        let up = |leaf: &Leaf| Distance(leaf.peer.id_ref().key().limbs()).wrapping_sub(Distance(me.limbs()));
        (0..self.leaves.len()).min_by_key(|index| up(&self.leaves[*index]))
    }

    /// A summary that changes whenever a member comes, goes or gets a new record. Never 0.
    pub(crate) fn digest(&self) -> u32 {
        let mut digest = 0u64;
        for leaf in &self.leaves {
            let id = leaf.peer.id_ref().key().limbs()[0];
            // An odd multiplier spreads the version over all bits (Fibonacci hashing).
            digest ^=
                (id ^ leaf.peer.seq().wrapping_mul(0x9e37_79b9_7f4a_7c15)).rotate_left((id & 63) as u32);
        }
        ((digest ^ digest >> 32) as u32).max(1)
    }
}

mod coverage;
pub(crate) mod suspicion;
#[cfg(test)]
mod tests;
