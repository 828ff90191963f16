//! What the API says about the store.

use chordage_api::types::StoreStatus;

use super::Store;

impl Store {
    /// What it holds, and what that takes on disk.
    pub(crate) fn status(&self) -> StoreStatus {
        let usage = self.shards().usage();
        StoreStatus {
            shards: usage.shards,
            stored_bytes: usage.payload_bytes,
            disk_bytes: usage.disk_bytes,
            quota_bytes: usage.quota_bytes,
        }
    }

    /// Times that it made files durable since the start.
    pub(crate) fn syncs(&self) -> u64 {
        self.shards().usage().syncs
    }
}
