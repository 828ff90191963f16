//! With whom a node compares its records, and when: with everybody with whom it shares a region, soon after it has met
//! them, and from then on every ten minutes.

use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    vec::Vec,
};
use core::time::Duration;

use super::RecordTag;
use crate::{Key, NodeId, Time};

/// Between two comparisons with one partner. Design: a loss that no event told of is noticed in that time.
pub(crate) const COMPARE_EVERY: Duration = Duration::from_secs(600);
/// Comparisons under way at once.
const EXCHANGES_MAX: usize = 4;
/// The longest that a newcomer waits for partners that do not get around to comparing.
const UNREADY_MAX: Duration = Duration::from_secs(60);

/// See the module's description.
#[derive(Debug, Clone, Default)]
pub(crate) struct Partners {
    due: BTreeMap<NodeId, Time>,
    exchanges: BTreeMap<NodeId, Exchange>,
    /// Those who may know of records that this node has not heard of since it came.
    awaited: BTreeSet<NodeId>,
    /// When it counts as informed all the same.
    ready_by: Option<Time>,
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
}

impl Partners {
    /// These are all there are now. A new one is due at a moment that `soon` names. Returns whether one is gone.
    pub(crate) fn set(&mut self, partners: &[NodeId], mut soon: impl FnMut() -> Time) -> bool {
        let before = self.due.len();
        self.due.retain(|id, _| partners.contains(id));
        self.exchanges.retain(|id, _| partners.contains(id));
        self.awaited.retain(|id| partners.contains(id));
        let lost = self.due.len() < before;
        for id in partners {
            if !self.due.contains_key(id) {
                self.due.insert(*id, soon());
            }
        }
        lost
    }

    /// The node has just come, or slept: what it knows may be old until it has compared with all of its partners.
    pub(crate) fn begin_anew(&mut self, now: Time, mut soon: impl FnMut() -> Time) {
        self.awaited = self.due.keys().copied().collect();
        self.ready_by = Some(now + UNREADY_MAX);
        for due in self.due.values_mut() {
            *due = soon();
        }
    }

    /// Whether the node would know of something newer if there were something.
    pub(crate) fn is_ready(&self, now: Time) -> bool {
        self.awaited.is_empty() || self.ready_by.is_none_or(|by| by <= now)
    }

    /// When something is to be done.
    pub(crate) fn next_due(&self) -> Option<Time> {
        if self.exchanges.len() >= EXCHANGES_MAX {
            return None;
        }
        self.due.iter().filter(|(id, _)| !self.exchanges.contains_key(id)).map(|(_, due)| *due).min()
    }

    /// With whom to begin a comparison now.
    pub(crate) fn pop_due(&mut self, now: Time) -> Option<NodeId> {
        if self.exchanges.len() >= EXCHANGES_MAX {
            return None;
        }
        let waiting = self.due.iter().filter(|(id, due)| **due <= now && !self.exchanges.contains_key(*id));
        // Those whom a newcomer waits for come first.
        let next = waiting.min_by_key(|(id, due)| (!self.awaited.contains(*id), **due)).map(|(id, _)| *id)?;
        self.exchanges.insert(next, Exchange::default());
        Some(next)
    }

    /// The comparison under way with a partner.
    pub(crate) fn exchange(&mut self, id: &NodeId) -> Option<&mut Exchange> {
        self.exchanges.get_mut(id)
    }

    /// A comparison has ended, and nothing differs any more; the next is due `after` that.
    pub(crate) fn compared(&mut self, id: &NodeId, now: Time, after: Duration) {
        self.awaited.remove(id);
        self.exchanges.remove(id);
        if let Some(due) = self.due.get_mut(id) {
            *due = now + after;
        }
    }

    /// A comparison has been broken off, or has to go on; it is due again `after` that.
    pub(crate) fn broken_off(&mut self, id: &NodeId, now: Time, after: Duration) {
        self.exchanges.remove(id);
        if let Some(due) = self.due.get_mut(id) {
            *due = now + after;
        }
    }

    /// Everybody is to be compared with at `at` at the latest.
    pub(crate) fn hurry(&mut self, at: Time) {
        for due in self.due.values_mut() {
            *due = at.min(*due);
        }
    }
}

impl Exchange {
    /// Plans what follows from the partner's `tags`, which are all that it holds in these parts; `own` is what this node
    /// holds in them.
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
