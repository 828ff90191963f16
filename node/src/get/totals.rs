//! What reading has cost since the daemon started.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use chordage_api::types::ReadTotals;

/// Counters of [`ReadTotals`].
#[derive(Default)]
pub(crate) struct Totals {
    pub(super) lookups: AtomicU64,
    pub(super) chunks: AtomicU64,
    pub(super) shards_asked: AtomicU64,
    pub(super) shards: AtomicU64,
    pub(super) shard_bytes: AtomicU64,
    pub(super) late: AtomicU64,
    pub(super) false_shards: AtomicU64,
}

impl Totals {
    /// All of them now.
    pub(crate) fn now(&self) -> ReadTotals {
        let read = |counter: &AtomicU64| counter.load(Relaxed);
        ReadTotals {
            lookups: read(&self.lookups),
            chunks: read(&self.chunks),
            shards_asked: read(&self.shards_asked),
            shards: read(&self.shards),
            shard_bytes: read(&self.shard_bytes),
            late: read(&self.late),
            false_shards: read(&self.false_shards),
        }
    }
}

pub(super) fn count(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Relaxed);
}
