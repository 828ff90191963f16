//! Places for requests with bodies, and when a body that stands still loses its own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chordage_api::types::Problem;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::metrics::{Histogram, durations};
use super::problem;

/// How long a body may stand still.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// After so long it gives its place up as soon as somebody else needs one.
    pub(super) yields: Duration,
    /// After so long it is ended in any case.
    pub(super) ends: Duration,
}

impl Patience {
    /// A minute is more than a client needs that works at all. Where nobody needs its place, the other end may also
    /// be a person who paused a player, or a dump that thinks before it writes.
    pub(super) const USUAL: Patience =
        Patience { yields: Duration::from_secs(60), ends: Duration::from_secs(600) };
}

/// So many places for one kind of request.
pub(super) struct Slots {
    what: &'static str,
    max: usize,
    patience: Patience,
    taken: Arc<Mutex<Taken>>,
    held: Histogram,
}

#[derive(Default)]
struct Taken {
    next: u64,
    slots: BTreeMap<u64, Standing>,
}

/// What others may know of a slot that is taken.
struct Standing {
    still_since: Option<Instant>,
    lost: CancellationToken,
}

/// A place, until it is dropped or lost.
pub(super) struct Slot {
    number: u64,
    patience: Patience,
    lost: CancellationToken,
    taken: Arc<Mutex<Taken>>,
    since: Instant,
    held: Histogram,
}

/// The other side stood still for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body stood still for too long")]
pub(super) struct StoodStill;

impl Slots {
    pub(super) fn new(what: &'static str, max: usize, patience: Patience) -> Self {
        Slots { what, max, patience, taken: Arc::default(), held: durations() }
    }

    /// For how long places were held, each counted when it was given back.
    pub(super) fn held(&self) -> &Histogram {
        &self.held
    }

    /// A place that nobody has.
    pub(super) fn free(&self) -> Option<Slot> {
        let mut taken = lock(&self.taken);
        (taken.slots.len() < self.max).then(|| self.give(&mut taken))
    }

    /// A place that nobody has, or else that of whoever has stood still for longest, if that is long enough.
    pub(super) fn take(&self) -> Result<Slot, Problem> {
        let mut taken = lock(&self.taken);
        if taken.slots.len() >= self.max {
            let still = taken.slots.iter().filter_map(|(number, slot)| Some((slot.still_since?, *number)));
            let longest = still.min().filter(|(since, _)| since.elapsed() >= self.patience.yields);
            let loser = longest.and_then(|(_, number)| taken.slots.remove(&number));
            loser.ok_or_else(|| problem::busy(self.what, self.max))?.lost.cancel();
        }
        Ok(self.give(&mut taken))
    }

    fn give(&self, taken: &mut Taken) -> Slot {
        let (number, lost) = (taken.next, CancellationToken::new());
        taken.next += 1;
        taken.slots.insert(number, Standing { still_since: None, lost: lost.clone() });
        let (since, held) = (Instant::now(), self.held.clone());
        Slot { number, patience: self.patience, lost, taken: self.taken.clone(), since, held }
    }
}

impl Slot {
    /// Waits for the other side to give or take something.
    pub(super) async fn wait<F: Future>(&self, other_side: F) -> Result<F::Output, StoodStill> {
        self.is_still_since(Some(Instant::now()));
        let _moves_again = Moves(self);
        tokio::select! {
            biased;
            output = other_side => Ok(output),
            () = self.lost.cancelled() => Err(StoodStill),
            () = tokio::time::sleep(self.patience.ends) => Err(StoodStill),
        }
    }

    fn is_still_since(&self, since: Option<Instant>) {
        // Whoever has lost its place is not there any more.
        if let Some(standing) = lock(&self.taken).slots.get_mut(&self.number) {
            standing.still_since = since;
        }
    }
}

/// Ends a slot's standing still when dropped.
struct Moves<'a>(&'a Slot);

impl Drop for Moves<'_> {
    fn drop(&mut self) {
        self.0.is_still_since(None);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        lock(&self.taken).slots.remove(&self.number);
        self.held.observe(self.since.elapsed().as_secs_f64());
    }
}

fn lock(taken: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    // No code panics while it holds the lock.
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use futures::FutureExt;

    use super::*;

    const SOON: Duration = Duration::from_millis(20);
    const NEVER: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn whoever_stands_still_where_nobody_needs_its_place_is_ended_at_last() {
        let slots = Slots::new("reads", 2, Patience { yields: SOON, ends: SOON });
        let slot = slots.take().unwrap();
        let began = Instant::now();
        assert_eq!(slot.wait(pending::<()>()).await, Err(StoodStill));
        assert!(began.elapsed() >= SOON);
        assert_eq!(slot.wait(async { 7 }).await, Ok(7), "what is there at once is taken");
    }

    #[tokio::test]
    async fn whoever_has_stood_still_for_longest_gives_way_and_nobody_else_does() {
        let slots = Slots::new("reads", 3, Patience { yields: Duration::ZERO, ends: NEVER });
        let (moving, later, first) = (slots.take().unwrap(), slots.take().unwrap(), slots.take().unwrap());
        let mut first_waits = Box::pin(first.wait(pending::<()>()));
        assert!(first_waits.as_mut().now_or_never().is_none());
        let mut later_waits = Box::pin(later.wait(pending::<()>()));
        assert!(later_waits.as_mut().now_or_never().is_none());

        assert!(slots.free().is_none());
        let newcomer = slots.take().unwrap();
        assert_eq!(first_waits.await, Err(StoodStill));
        assert!(later_waits.as_mut().now_or_never().is_none());
        let _second = slots.take().unwrap();
        assert_eq!(later_waits.await, Err(StoodStill));
        assert!(slots.take().is_err(), "nobody else stands still");
        // Whose place has been given away has none to give back.
        drop((first, later));
        assert!(slots.free().is_none());
        drop((moving, newcomer));
        assert!(slots.free().is_some());
    }

    #[tokio::test]
    async fn whoever_has_not_stood_still_for_long_or_moves_again_keeps_its_place() {
        for yields in [NEVER, Duration::ZERO] {
            let slots = Slots::new("reads", 1, Patience { yields, ends: NEVER });
            let slot = slots.take().unwrap();
            let (move_on, moved) = tokio::sync::oneshot::channel();
            let mut waits = Box::pin(slot.wait(moved));
            assert!(waits.as_mut().now_or_never().is_none());
            if yields == NEVER {
                assert!(slots.take().is_err());
            }
            move_on.send(()).unwrap();
            assert_eq!(waits.await, Ok(Ok(())));
            assert!(slots.take().is_err());
        }
    }

    #[tokio::test]
    async fn whoever_no_longer_waits_does_not_stand_still() {
        let slots = Slots::new("reads", 1, Patience { yields: Duration::ZERO, ends: NEVER });
        let slot = slots.take().unwrap();
        assert!(slot.wait(pending::<()>()).now_or_never().is_none());
        assert!(slots.take().is_err());
    }
}
