//! With whom a node compares its records, and when: with everybody with whom it shares a region, soon after it has met
//! them, and from then on every ten minutes.
//!
//! When its word counts: a node that has just joined, has slept, or into whose care records come because a neighbour is
//! gone, may lack what others have. It is informed once it has compared with all who may have more. Until then its word
//! counts only for records that have been in its care all along: those of which it would be one of the nine nearest
//! even if everybody were alive who has been near since the last complete comparisons began.

use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    vec::Vec,
};
use core::time::Duration;

use super::RecordTag;
use crate::{Key, NodeId, Time};

/// Between two comparisons with one partner. Design: a loss that no event told of is noticed in that time.
pub(crate) const COMPARE_EVERY: Duration = Duration::from_secs(600);
/// Before a comparison is repeated that does not count, because the partner sees the neighbourhood otherwise.
const AGAIN_SOON: Duration = Duration::from_secs(2);
/// Comparisons under way at once.
const EXCHANGES_MAX: usize = 4;
/// The longest that a node waits for partners that do not get around to comparing.
const UNREADY_MAX: Duration = Duration::from_secs(60);
/// Nodes that are remembered as having been near. When there are more, the node compares with everybody and begins
/// anew.
const NEAR_MAX: usize = 160;

/// See the module's description.
#[derive(Debug, Clone, Default)]
pub(crate) struct Partners {
    due: BTreeMap<NodeId, Time>,
    exchanges: BTreeMap<NodeId, Exchange>,
    /// Who has been near since the last complete comparisons began; none if there have been none.
    near: Option<BTreeSet<NodeId>>,
    /// The comparisons that are to be complete next.
    round: Option<Round>,
    /// When something is to be done.
    wake: Option<Time>,
}

/// Comparisons that something has made necessary.
#[derive(Debug, Clone)]
struct Round {
    /// Those who may know of records that this node has not heard of.
    awaited: BTreeSet<NodeId>,
    /// Who has been near since.
    near: BTreeSet<NodeId>,
    /// When the node counts as informed all the same.
    by: Time,
}

/// What is still to be done with a partner.
#[derive(Debug, Clone, Default)]
pub(crate) struct Exchange {
    /// Into how many parts the records were cut.
    pub(crate) buckets: usize,
    /// Addresses of records that the partner lacks.
    pub(crate) give: VecDeque<Key>,
    /// Prefixes of records that the partner has, newer or alone.
    pub(crate) want: Vec<u64>,
    /// Whether there are differences beyond those.
    pub(crate) more: bool,
    /// Whether it says nothing about what has come into this node's care: it began too early, or the partner sees the
    /// neighbourhood otherwise.
    pub(crate) void: bool,
}

impl Partners {
    /// These are all there are now, of those who are `near`. A new one is due at a moment that `soon` names. Returns
    /// who was a partner and is gone; who is only no longer a partner is not among them.
    pub(crate) fn set(
        &mut self,
        partners: &[NodeId],
        near: &BTreeSet<NodeId>,
        mut soon: impl FnMut() -> Time,
    ) -> Vec<NodeId> {
        let gone = self.due.keys().filter(|id| !near.contains(*id)).copied().collect();
        self.due.retain(|id, _| partners.contains(id));
        self.exchanges.retain(|id, _| partners.contains(id));
        for id in partners {
            if !self.due.contains_key(id) {
                self.due.insert(*id, soon());
            }
        }
        if let Some(seen) = &mut self.near {
            seen.extend(near);
        }
        if let Some(round) = &mut self.round {
            round.near.extend(near);
            round.awaited.retain(|id| partners.contains(id));
        }
        self.complete_round();
        gone
    }

    /// What this node knows may be old until it has compared with those partners of whom this is so; until then its
    /// word counts for that only which would be in its care with all alive who have been near. Each is due at a moment
    /// that `soon` names.
    pub(crate) fn compare_anew(
        &mut self,
        now: Time,
        near: &BTreeSet<NodeId>,
        whom: impl Fn(&NodeId) -> bool,
        mut soon: impl FnMut() -> Time,
    ) {
        self.end_overdue(now);
        let by = now + UNREADY_MAX;
        let round =
            self.round.get_or_insert_with(|| Round { awaited: BTreeSet::new(), near: BTreeSet::new(), by });
        round.by = by;
        round.near.clone_from(near);
        for (id, due) in self.due.iter_mut().filter(|(id, _)| whom(id)) {
            *due = soon();
            round.awaited.insert(*id);
            if let Some(exchange) = self.exchanges.get_mut(id) {
                exchange.void = true;
            }
        }
        self.complete_round();
    }

    /// The node has just come, or slept: its word counts for nothing until it has compared with all of its partners.
    pub(crate) fn begin_anew(&mut self, now: Time, near: &BTreeSet<NodeId>, soon: impl FnMut() -> Time) {
        self.near = None;
        self.compare_anew(now, near, |_| true, soon);
    }

    /// Whether there are so many who have been near that everything should be compared anew.
    pub(crate) fn is_crowded(&self) -> bool {
        self.round.is_none() && self.near.as_ref().is_some_and(|near| near.len() > NEAR_MAX)
    }

    /// Whether the node would know of something newer if there were something; `cares` says whether what is asked for
    /// would be in its care if all of these lived.
    pub(crate) fn is_ready(&self, now: Time, cares: impl Fn(&BTreeSet<NodeId>) -> bool) -> bool {
        let overdue = self.round.as_ref().filter(|round| round.by <= now).map(|round| &round.near);
        overdue.or(self.near.as_ref()).is_some_and(cares)
    }

    fn end_overdue(&mut self, now: Time) {
        if let Some(round) = self.round.take_if(|round| round.by <= now) {
            self.near = Some(round.near);
        }
    }

    fn complete_round(&mut self) {
        if let Some(round) = self.round.take_if(|round| round.awaited.is_empty()) {
            self.near = Some(round.near);
        }
        self.plan();
    }

    fn plan(&mut self) {
        let full = self.exchanges.len() >= EXCHANGES_MAX;
        let waiting = self.due.iter().filter(|(id, _)| !full && !self.exchanges.contains_key(id));
        self.wake = waiting.map(|(_, due)| *due).min();
    }

    fn is_awaited(&self, id: &NodeId) -> bool {
        self.round.as_ref().is_some_and(|round| round.awaited.contains(id))
    }

    /// When something is to be done.
    pub(crate) fn next_due(&self) -> Option<Time> {
        self.wake
    }

    /// With whom to begin a comparison now.
    pub(crate) fn pop_due(&mut self, now: Time) -> Option<NodeId> {
        if self.wake.is_none_or(|wake| wake > now) {
            return None;
        }
        let waiting = self.due.iter().filter(|(id, due)| **due <= now && !self.exchanges.contains_key(*id));
        // Those whom the node waits for come first.
        let next = waiting.min_by_key(|(id, due)| (!self.is_awaited(id), **due)).map(|(id, _)| *id)?;
        self.exchanges.insert(next, Exchange::default());
        self.plan();
        Some(next)
    }

    /// The comparison under way with a partner.
    pub(crate) fn exchange(&mut self, id: &NodeId) -> Option<&mut Exchange> {
        self.exchanges.get_mut(id)
    }

    /// A comparison has ended, and nothing differs any more; the next is due `after` that.
    pub(crate) fn compared(&mut self, id: &NodeId, now: Time, after: Duration) {
        let void = self.exchanges.remove(id).is_some_and(|exchange| exchange.void);
        let again = if void && self.is_awaited(id) { AGAIN_SOON } else { after };
        if let Some(due) = self.due.get_mut(id) {
            *due = now + again;
        }
        if let Some(round) = self.round.as_mut().filter(|_| !void) {
            round.awaited.remove(id);
        }
        self.complete_round();
    }

    /// A comparison has been broken off, or has to go on; it is due again `after` that.
    pub(crate) fn broken_off(&mut self, id: &NodeId, now: Time, after: Duration) {
        self.exchanges.remove(id);
        if let Some(due) = self.due.get_mut(id) {
            *due = now + after;
        }
        self.plan();
    }

    /// Everybody is to be compared with at `at` at the latest.
    pub(crate) fn hurry(&mut self, at: Time) {
        for due in self.due.values_mut() {
            *due = at.min(*due);
        }
        self.plan();
    }
}

impl Exchange {
    /// Plans what follows from the partner's `tags`, which are all that it holds in these parts; `own` is what this
    /// node holds in them.
    pub(crate) fn plan(&mut self, own: &[(Key, RecordTag)], tags: &[RecordTag], more: bool) {
        let theirs: BTreeMap<u64, &RecordTag> = tags.iter().map(|tag| (tag.prefix, tag)).collect();
        let mine: BTreeMap<u64, &RecordTag> = own.iter().map(|(_, tag)| (tag.prefix, tag)).collect();
        for (address, tag) in own {
            if theirs.get(&tag.prefix).is_none_or(|theirs| theirs.seq <= tag.seq && theirs.tag != tag.tag) {
                self.give.push_back(*address);
            }
        }
        for tag in tags {
            if mine.get(&tag.prefix).is_none_or(|mine| mine.seq <= tag.seq && mine.tag != tag.tag) {
                self.want.push(tag.prefix);
            }
        }
        self.more = more;
    }
}

#[cfg(test)]
mod tests;
