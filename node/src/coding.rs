//! Where CPU work of transfers happens: off the network's thread, on as many threads as there are cores, with
//! workspaces that are kept; and how much memory transfers may take together.

use std::sync::Arc;

use chordage_storage::Coder;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::pool::Pool;

/// Runs coding work.
pub(crate) type Coders = Pool<Coder>;

/// A thread for each core.
pub(crate) fn coders() -> Coders {
    Pool::new("coder", std::thread::available_parallelism().map_or(1, std::num::NonZero::get))
}

/// Memory that transfers share, in KiB so that a semaphore can count it.
#[derive(Clone)]
pub(crate) struct Budget {
    places: Arc<Semaphore>,
    total: u32,
}

impl Budget {
    pub(crate) fn new(bytes: u64) -> Self {
        let total = u32::try_from(bytes >> 10).unwrap_or(u32::MAX >> 4).min(u32::MAX >> 4);
        Budget { places: Arc::new(Semaphore::new(total as usize)), total }
    }

    /// Waits until `bytes` are free. A wish beyond the whole budget gets the whole budget: one chunk always fits.
    pub(crate) async fn take(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let wanted = u32::try_from(bytes >> 10).unwrap_or(u32::MAX).clamp(1, self.total);
        self.places.clone().acquire_many_owned(wanted).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wish_beyond_the_budget_waits_for_all_of_it_and_is_then_granted() {
        let budget = Budget::new(1 << 20);
        let all = budget.take(usize::MAX).await.expect("granted");
        assert!(budget.places.try_acquire().is_err());
        drop(all);
        assert!(budget.take(4096).await.is_some());
    }
}
