//! Where CPU work of transfers happens: off the network's thread, on as many threads as there are cores, with
//! workspaces that are kept; and how much memory transfers may take together.

use std::sync::{Arc, Mutex, PoisonError};

use chordage_storage::Coder;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Runs coding work. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Coders {
    idle: Arc<Mutex<Vec<Coder>>>,
    places: Arc<Semaphore>,
}

impl Coders {
    pub(crate) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Coders { idle: Arc::default(), places: Arc::new(Semaphore::new(cores)) }
    }

    /// Runs `work` on a blocking thread when a core is free for it. `None` if it panicked or the runtime ends.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Coder) -> T + Send + 'static,
    ) -> Option<T> {
        let place = self.places.clone().acquire_owned().await.ok()?;
        let idle = self.idle.clone();
        tokio::task::spawn_blocking(move || {
            let coder = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut coder = coder.unwrap_or_default();
            let result = work(&mut coder);
            idle.lock().unwrap_or_else(PoisonError::into_inner).push(coder);
            drop(place);
            result
        })
        .await
        .ok()
    }
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
