//! Where CPU work of transfers happens: off the network's thread, on as many threads as there are cores, with
//! workspaces that are kept; and how much memory transfers may take together.

use std::sync::Arc;

use chordage_storage::{Coder, MAX_CHUNK_LEN};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::pool::Pool;

/// Runs coding work.
pub(crate) type Coders = Pool<Coder>;

/// A thread for each core.
pub(crate) fn coders() -> std::io::Result<Coders> {
    Pool::new("coder", std::thread::available_parallelism().map_or(1, std::num::NonZero::get))
}

/// What the largest chunk takes while it is fetched: its shards and its plain bytes.
pub(crate) const FETCH_MAX: usize = 2 * MAX_CHUNK_LEN;
/// A pack that takes at most so much is a small one: the last of a small put, or a manifest.
const SMALL_PACK_MAX: usize = 128 << 10;
/// Room for small packs alone: one of each put that may be under way.
const SMALL_PACKS: usize = 8 * SMALL_PACK_MAX;

/// Memory that transfers share, in KiB so that a semaphore can count it. Whoever takes some has to be a task of its own
/// with a deadline: memory that a consumer has to fetch first would be lost to all when that consumer stands still.
#[derive(Clone)]
pub(crate) struct Budget {
    shared: Part,
    /// Only for chunks that somebody waits for with nothing in hand: manifests, and the first of a read. Room for one
    /// of any size, so that these get on however many bulk transfers there are.
    first: Part,
    /// Only for small packs, so that a put of five bytes gets on likewise.
    small: Part,
}

#[derive(Clone)]
struct Part {
    places: Arc<Semaphore>,
    total: u32,
}

impl Part {
    fn new(bytes: u64) -> Self {
        let total = u32::try_from(bytes >> 10).unwrap_or(u32::MAX).clamp(1, u32::MAX >> 4);
        Part { places: Arc::new(Semaphore::new(total as usize)), total }
    }

    /// A wish beyond all there is gets all there is: one chunk always fits.
    async fn take(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let wanted = u32::try_from(bytes >> 10).unwrap_or(u32::MAX).clamp(1, self.total);
        self.places.clone().acquire_many_owned(wanted).await.ok()
    }
}

impl Budget {
    /// `bytes` in all, the reserves included.
    pub(crate) fn new(bytes: u64) -> Self {
        let reserved = (FETCH_MAX + SMALL_PACKS) as u64;
        Budget {
            shared: Part::new(bytes.saturating_sub(reserved)),
            first: Part::new(FETCH_MAX as u64),
            small: Part::new(SMALL_PACKS as u64),
        }
    }

    /// Waits until `bytes` are free, behind all who wait already.
    pub(crate) async fn take(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        self.shared.take(bytes).await
    }

    /// For a chunk that somebody waits for with nothing in hand: waits for a reserve as well.
    pub(crate) async fn take_first(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        self.take_or(bytes, &self.first).await
    }

    /// For a pack: small ones have a reserve.
    pub(crate) async fn take_for_pack(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        if bytes > SMALL_PACK_MAX { self.take(bytes).await } else { self.take_or(bytes, &self.small).await }
    }

    async fn take_or(&self, bytes: usize, reserve: &Part) -> Option<OwnedSemaphorePermit> {
        tokio::select! {
            biased;
            memory = self.shared.take(bytes) => memory,
            memory = reserve.take(bytes) => memory,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_wish_beyond_the_budget_waits_for_all_of_it_and_is_then_granted() {
        let budget = Budget::new(32 << 20);
        let all = budget.take(usize::MAX).await.expect("granted");
        assert!(budget.take(1).now_or_never().is_none());
        drop(all);
        assert!(budget.take(4096).await.is_some());
    }

    #[test]
    fn bulk_leaves_the_reserves_to_first_chunks_and_small_packs() {
        let budget = Budget::new(32 << 20);
        let bulk = budget.take(usize::MAX).now_or_never().expect("room");
        let first = budget.take_first(FETCH_MAX).now_or_never().expect("room in the reserve");
        let small: Vec<_> =
            (0..8).map(|_| budget.take_for_pack(SMALL_PACK_MAX).now_or_never().expect("room")).collect();
        assert!(budget.take_first(1).now_or_never().is_none());
        assert!(budget.take_for_pack(1).now_or_never().is_none());
        drop(first);
        assert!(
            budget.take_for_pack(SMALL_PACK_MAX + 1).now_or_never().is_none(),
            "a large pack has no reserve"
        );
        assert!(budget.take_first(1).now_or_never().is_some());
        drop((bulk, small));
        let memory = budget.take_first(1).now_or_never().expect("room");
        assert!(budget.first.places.available_permits() == FETCH_MAX >> 10, "the reserve is for need only");
        drop(memory);
    }

    #[test]
    fn who_no_longer_waits_takes_nothing() {
        let budget = Budget::new(32 << 20);
        let bulk = budget.take(usize::MAX).now_or_never().expect("room");
        let first = budget.take_first(FETCH_MAX).now_or_never().expect("room in the reserve");
        assert!(budget.take_first(FETCH_MAX).now_or_never().is_none());
        drop((bulk, first));
        let free = budget.shared.places.available_permits() + budget.first.places.available_permits();
        assert_eq!(free, (32 << 10) - (SMALL_PACKS >> 10));
    }
}
