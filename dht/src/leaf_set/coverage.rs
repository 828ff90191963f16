//! What a leaf set shows: how far the members are all there are.
//!
//! A set that is not full shows the whole network, and a full one everybody as far as its outermost members, unless it
//! has lost somebody or is still being told. Then it keeps the distance, on either side, up to which it knows
//! everybody; what neighbours say about theirs extends it.

use alloc::{boxed::Box, vec::Vec};
use core::cmp::Ordering;

use super::{Leaf, LeafSet};
use crate::{
    Distance, Key, NodeId,
    metric::{Metric, Shape},
    origin::Origin,
};

/// Offsets from a node that belong into its leaf set: up to `end`, and from `start`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    end: Distance,
    start: Distance,
}

impl Wanted {
    pub(crate) fn contains(&self, offset: Distance) -> bool {
        offset <= self.end || offset >= self.start
    }
}

/// On a circle, the side of `me` on which somebody lies, and how far away.
fn place<M: Metric>(origin: &Origin<M>, id: &NodeId) -> (usize, Distance) {
    let offset = origin.offset(id.key());
    if offset.bit(255) { (1, Distance::ZERO.wrapping_sub(offset)) } else { (0, offset) }
}

impl LeafSet {
    /// Whether the members are all there are only up to some distance that is less than the set spans.
    pub(crate) fn is_bound(&self) -> bool {
        self.bounds.is_some()
    }

    /// Nothing is known yet of who lies where.
    pub(crate) fn bind(&mut self) {
        self.bounds = Some(Box::new([Distance::ZERO; 2]));
    }

    /// The members are all there are.
    pub(crate) fn unbind(&mut self) {
        self.bounds = None;
    }

    /// How far everybody is known after another node has told whom it knows up to its own `reach` and all of them have
    /// been met: what it knows joins what we know if the two meet. It has `named` those who belong into our leaf set as
    /// it sees that; what lies beyond them it may know, but we do not. Returns nothing if there is nothing to gain.
    pub(crate) fn told<M: Metric>(
        &self,
        origin: &Origin<M>,
        other: &NodeId,
        reach: [Distance; 2],
        named: &[NodeId],
    ) -> Option<[Distance; 2]> {
        let bounds = self.bounds.as_deref()?;
        let mut told = *bounds;
        match origin.shape() {
            Shape::Circle => {
                let place = |id: &NodeId| place(origin, id);
                let mut farthest = [Distance::ZERO; 2];
                for (side, away) in named.iter().chain([other]).map(place) {
                    farthest[side] = farthest[side].max(away);
                }
                // Who knows everybody has named everybody.
                let limit = |side: usize, distance: Distance| {
                    if reach == [Distance::MAX; 2] { distance } else { distance.min(farthest[side]) }
                };
                let (side, away) = place(other);
                let (beyond, back) = (reach[side], reach[1 - side]);
                if back >= away || away.wrapping_sub(back) <= bounds[side] {
                    told[side] = told[side].max(limit(side, away.saturating_add(beyond)));
                }
                if back >= away {
                    let past_us = if back == Distance::MAX { back } else { back.wrapping_sub(away) };
                    told[1 - side] = told[1 - side].max(limit(1 - side, past_us));
                }
            }
            Shape::Tree => {
                // The largest subtree around it that it knows whole is ours too, if we are in it.
                let whole = match reach[0] {
                    Distance::MAX => Distance::MAX,
                    reach => Distance::MAX.low_bits(reach.bits().saturating_sub(1)),
                };
                if origin.offset(other.key()) <= whole {
                    told = [told[0].max(whole); 2];
                }
            }
        }
        (told != *bounds).then_some(told)
    }

    /// Shortens what has been told so that it ends before somebody else who was named and has not been met.
    pub(crate) fn end_before<M: Metric>(told: &mut [Distance; 2], origin: &Origin<M>, id: &NodeId) {
        let (side, away) = match origin.shape() {
            Shape::Circle => place(origin, id),
            Shape::Tree => (0, origin.offset(id.key())),
        };
        told[side] = told[side].min(away.wrapping_sub(Distance::shifted(1, 0)));
    }

    /// Everybody is known up to here at least.
    pub(crate) fn extend<M: Metric>(&mut self, origin: &Origin<M>, told: [Distance; 2]) {
        let Some(mut bounds) = self.bounds.take() else { return };
        for (bound, told) in bounds.iter_mut().zip(told) {
            *bound = told.max(*bound);
        }
        // Without bounds this is what the set spans.
        let span = self.reach(origin).unwrap_or([Distance::MAX; 2]);
        if span.iter().zip(&*bounds).any(|(span, bound)| bound < span) {
            self.bounds = Some(bounds);
        }
    }

    /// Of a full set on a circle: where the clockwise members end, and where the counterclockwise ones begin. After a
    /// loss the free seat may have been taken from the other side; those in between are none of the nearest then.
    pub(super) fn halves(&self) -> (usize, usize) {
        let half = self.leaves.len() / 2;
        if self.is_of_small_network() {
            return (half, half);
        }
        let clockwise = self.prefixes.partition_point(|prefix| prefix >> 63 == 0);
        (half.min(clockwise), half.max(clockwise))
    }

    /// Whether the network is so small that the set reaches around a good part of the circle; sides mean nothing then.
    /// Single members that lie far away, on a seat that has just become free, do not make a network small.
    fn is_of_small_network(&self) -> bool {
        let inner = self.prefixes.len() * 3 / 8;
        let (up, down) = (self.prefixes.get(inner), self.prefixes.iter().rev().nth(inner));
        !self.is_full()
            || up.is_none_or(|prefix| prefix >> 62 != 0)
            || down.is_none_or(|prefix| prefix >> 62 != 3)
    }

    /// How far to either side the members are all there are; none if that is the whole network.
    pub(crate) fn reach<M: Metric>(&self, origin: &Origin<M>) -> Option<[Distance; 2]> {
        let offset = |leaf: &Leaf| origin.offset_of(&leaf.peer);
        let span = match origin.shape() {
            _ if !self.is_full() => None,
            Shape::Circle => {
                let (up, down) = self.halves();
                let up =
                    up.checked_sub(1).and_then(|last| self.leaves.get(last)).map_or(Distance::ZERO, offset);
                let down = self.leaves.get(down).map_or(Distance::ZERO, offset);
                Some([up, Distance::ZERO.wrapping_sub(down)])
            }
            Shape::Tree => self.leaves.last().map(|farthest| [offset(farthest); 2]),
        };
        match (span, self.bounds.as_deref()) {
            (Some(span), Some(bounds)) => Some([span[0].min(bounds[0]), span[1].min(bounds[1])]),
            (span, bounds) => span.or(bounds.copied()),
        }
    }

    /// Which of the members, by their offset from another node, belong into that node's leaf set as far as one can see
    /// from here. A member lies far out in the leaf set of those at its ends, who have no use for the other half.
    pub(crate) fn wanted_at<M: Metric>(&self, metric: &M, other: &Key) -> Wanted {
        let everybody = Wanted { end: Distance::MAX, start: Distance::ZERO };
        if metric.shape() == Shape::Tree || self.is_of_small_network() {
            return everybody;
        }
        let mut offsets: Vec<Distance> =
            self.leaves.iter().map(|leaf| metric.offset(other, leaf.peer.id_ref().key())).collect();
        offsets.sort_unstable();
        let (clockwise, counterclockwise) =
            offsets.split_at(offsets.partition_point(|offset| !offset.bit(255)));
        let places = usize::from(self.capacity) / 2;
        let end = clockwise.iter().take(places).next_back();
        let start = counterclockwise.iter().rev().take(places).next_back();
        Wanted { end: end.copied().unwrap_or(Distance::ZERO), start: start.copied().unwrap_or(Distance::MAX) }
    }

    /// Whether the `count` nodes nearest to `key` are certainly among the members and this node, provided the leaf set
    /// is right: either it shows everybody, or the whole ball around the key lies inside what it is known to span.
    pub(crate) fn covers<M: Metric>(&self, origin: &Origin<M>, key: &Key, count: usize) -> bool {
        let Some([up, down]) = self.reach(origin) else { return true };
        let own = origin.distance(key);
        let (mut seen, mut before_last, mut last) = (0, Distance::ZERO, Distance::ZERO);
        self.walk(origin, key, &mut |distance, _| {
            seen += 1;
            before_last = core::mem::replace(&mut last, distance);
            seen < count
        });
        // Distance of the last of the `count` nearest, this node included.
        let radius = match (seen + 1).cmp(&count) {
            Ordering::Less => return false,
            Ordering::Equal => last.max(own),
            Ordering::Greater if own < last => before_last.max(own),
            Ordering::Greater => last,
        };
        let target = origin.offset(key);
        match origin.shape() {
            Shape::Circle => {
                // What is known on either side of the key.
                let back = Distance::ZERO.wrapping_sub(target);
                let (ahead, behind) = if target <= up {
                    (up.wrapping_sub(target), target.saturating_add(down))
                } else if back <= down {
                    (back.saturating_add(up), down.wrapping_sub(back))
                } else {
                    return false;
                };
                radius <= ahead.min(behind)
            }
            Shape::Tree => {
                // Nobody in the ball is farther from us than this.
                Distance::MAX.low_bits(radius.bits()).or(target) <= up
            }
        }
    }
}
