//! How many bytes of shards go to and come from other daemons.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::Bytes;
use chordage_api::types::Traffic;

/// Counted by both ends of shard streams, payloads only: heads take some 40 bytes each.
#[derive(Debug, Default)]
pub(crate) struct TrafficCounters {
    sent: AtomicU64,
    received: AtomicU64,
}

impl TrafficCounters {
    pub(super) fn sent(&self, payload: &[Bytes]) {
        self.sent.fetch_add(payload.iter().map(|part| part.len() as u64).sum(), Relaxed);
    }

    pub(super) fn received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Relaxed);
    }

    /// Both until now.
    pub(crate) fn now(&self) -> Traffic {
        Traffic { sent_bytes: self.sent.load(Relaxed), received_bytes: self.received.load(Relaxed) }
    }
}
