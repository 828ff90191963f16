//! What was freed, and when to look for more.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tokio::sync::Notify;

use super::held::Freed;

/// What was freed since the start. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Freeing {
    inner: Arc<Counters>,
}

#[derive(Default)]
struct Counters {
    shards: AtomicU64,
    bytes: AtomicU64,
    /// A writer dropped something.
    dropped: Notify,
    /// Claims were entered that a crash would take.
    entered: Notify,
}

impl Freeing {
    /// There may be something to free.
    pub(crate) fn hurry(&self) {
        self.inner.dropped.notify_one();
    }

    /// Waits until there may be.
    pub(crate) async fn until_hurried(&self) {
        self.inner.dropped.notified().await;
    }

    /// Claims were entered that are not durable yet.
    pub(crate) fn entered(&self) {
        self.inner.entered.notify_one();
    }

    /// Waits until there are such claims.
    pub(crate) async fn until_entered(&self) {
        self.inner.entered.notified().await;
    }

    /// A step was taken.
    pub(crate) fn count(&self, step: &Freed) {
        self.inner.shards.fetch_add(step.shards, Relaxed);
        self.inner.bytes.fetch_add(step.bytes, Relaxed);
    }

    /// Shards and bytes freed.
    pub(crate) fn freed(&self) -> (u64, u64) {
        (self.inner.shards.load(Relaxed), self.inner.bytes.load(Relaxed))
    }
}
