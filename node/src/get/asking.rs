//! Who is asked next for a shard of a chunk, when somebody is late, and when enough have been asked. Nothing here
//! waits, and time comes from outside.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use chordage_dht::{NodeId, Peer};
use tokio::time::Instant;

/// Patience is doubled at most so often.
const DOUBLED_MAX: u32 = 8;

/// The questions about one chunk: those that are open, and whom to ask next.
#[derive(Debug, Default)]
pub(super) struct Asking {
    candidates: VecDeque<Peer>,
    asked: BTreeSet<NodeId>,
    open: BTreeMap<NodeId, Call>,
    /// Times that patience ended: each time others are given longer, so that a slow network is not asked for ever more.
    late: u32,
}

#[derive(Debug)]
struct Call {
    since: Instant,
    /// None once it is late: then it is not counted on, but may still answer.
    patience_ends: Option<Instant>,
}

impl Asking {
    /// From now on these are asked, in this order, as far as they have not been.
    pub(super) fn go_on_with(&mut self, candidates: Vec<Peer>) {
        self.candidates = candidates.into();
    }

    /// The next to be asked, if another is needed: so many shards are `wanted`, and there are `have` of them. Nobody is
    /// asked twice.
    pub(super) fn next(&mut self, wanted: usize, have: usize) -> Option<Peer> {
        if self.in_time() + have >= wanted {
            return None;
        }
        while let Some(peer) = self.candidates.pop_front() {
            if self.asked.insert(peer.id()) {
                return Some(peer);
            }
        }
        None
    }

    /// A holder is asked, who usually answers within `patience`.
    pub(super) fn begin(&mut self, id: NodeId, now: Instant, patience: Duration) {
        let patience = patience.saturating_mul(1 << self.late.min(DOUBLED_MAX));
        self.open.insert(id, Call { since: now, patience_ends: Some(now + patience) });
    }

    /// A holder has answered or failed. Returns how long that took; none if it was not asked.
    pub(super) fn end(&mut self, id: NodeId, now: Instant) -> Option<Duration> {
        self.open.remove(&id).map(|call| now - call.since)
    }

    /// When somebody will be late whom another can stand in for; none if that is nobody.
    pub(super) fn patience_ends(&self) -> Option<Instant> {
        let soonest = self.open.values().filter_map(|call| call.patience_ends).min();
        soonest.filter(|_| !self.candidates.is_empty())
    }

    /// Counts no longer on those whose time is over. Returns them.
    pub(super) fn give_up(&mut self, now: Instant) -> Vec<NodeId> {
        let overdue = |call: &Call| call.patience_ends.is_some_and(|end| end <= now);
        let late: Vec<NodeId> = self
            .open
            .iter_mut()
            .filter(|(_, call)| overdue(call))
            .map(|(id, call)| {
                call.patience_ends = None;
                *id
            })
            .collect();
        self.late += u32::from(!late.is_empty());
        late
    }

    /// Those that have not answered, late or not.
    pub(super) fn open(&self) -> impl Iterator<Item = NodeId> {
        self.open.keys().copied()
    }

    /// Calls that may still be answered in time.
    fn in_time(&self) -> usize {
        self.open.values().filter(|call| call.patience_ends.is_some()).count()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chordage_dht::PeerInfo;

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(100);

    fn peer(number: u8) -> Peer {
        Arc::new(PeerInfo::new([number; 32], Vec::new(), 1).expect("valid"))
    }

    fn asking(candidates: impl IntoIterator<Item = u8>) -> Asking {
        let mut asking = Asking::default();
        asking.go_on_with(candidates.into_iter().map(peer).collect());
        asking
    }

    /// Asks as many as it says; who they are.
    fn ask(asking: &mut Asking, wanted: usize, have: usize, now: Instant) -> Vec<Peer> {
        std::iter::from_fn(|| {
            let peer = asking.next(wanted, have)?;
            asking.begin(peer.id(), now, PATIENCE);
            Some(peer)
        })
        .collect()
    }

    #[test]
    fn as_many_are_asked_as_are_needed_and_one_for_each_that_fails() {
        let (now, mut asking) = (Instant::now(), asking(1..=6));
        assert_eq!(ask(&mut asking, 4, 0, now), [1, 2, 3, 4].map(peer));
        assert_eq!(ask(&mut asking, 4, 0, now), [], "they may all answer");
        assert!(asking.end(peer(2).id(), now).is_some());
        assert_eq!(ask(&mut asking, 4, 1, now), [], "one has answered, three may");
        assert!(asking.end(peer(1).id(), now).is_some());
        assert_eq!(ask(&mut asking, 4, 1, now), [peer(5)], "one has failed");
        assert!(asking.end(peer(1).id(), now).is_none(), "it ends once");
    }

    #[test]
    fn nobody_is_asked_twice_even_by_another_list() {
        let (now, mut asking) = (Instant::now(), asking([1, 1, 2]));
        assert_eq!(ask(&mut asking, 5, 0, now), [1, 2].map(peer));
        asking.go_on_with([2, 3, 1].map(peer).into());
        assert_eq!(ask(&mut asking, 5, 0, now), [peer(3)]);
    }

    #[test]
    fn whoever_is_late_is_joined_by_another_and_may_still_answer() {
        let (now, mut asking) = (Instant::now(), asking(1..=3));
        assert_eq!(ask(&mut asking, 2, 0, now).len(), 2);
        assert_eq!(asking.patience_ends(), Some(now + PATIENCE));
        assert!(asking.give_up(now + PATIENCE / 2).is_empty());
        assert!(asking.end(peer(1).id(), now).is_some());
        let later = now + PATIENCE;
        assert_eq!(asking.give_up(later), [peer(2).id()]);
        assert!(asking.give_up(later).is_empty(), "it is late once");
        assert_eq!(ask(&mut asking, 2, 1, later), [peer(3)]);
        assert_eq!(
            asking.end(peer(2).id(), later + PATIENCE),
            Some(2 * PATIENCE),
            "its answer counts all the same"
        );
    }

    #[test]
    fn nobody_is_late_for_whom_there_is_nobody_else() {
        let (now, mut asking) = (Instant::now(), asking(1..=2));
        assert_eq!(ask(&mut asking, 2, 0, now).len(), 2);
        assert_eq!(asking.patience_ends(), None);
        assert_eq!(asking.open().count(), 2);
    }

    #[test]
    fn each_time_that_patience_ends_the_next_are_given_twice_as_long_up_to_a_bound() {
        let (mut now, mut asking) = (Instant::now(), asking(1..=20));
        for round in 0..12 {
            assert_eq!(ask(&mut asking, 1, 0, now).len(), 1);
            let end = asking.patience_ends().expect("there are others");
            assert_eq!(end - now, PATIENCE * (1 << u32::min(round, 8)), "round {round}");
            now = end;
            assert_eq!(asking.give_up(now).len(), 1);
        }
    }
}
