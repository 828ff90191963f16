//! What a holder tells a writer that it keeps for it.

use chordage_storage::ChunkId;
use serde::{Deserialize, Serialize};

/// A chunk that a holder keeps for a writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mine {
    pub(crate) chunk: ChunkId,
    /// Shards that it has in all.
    pub(crate) n: u8,
    /// What is left of the claim.
    pub(crate) lease_seconds: u32,
    /// When the writer said so, by its own count.
    pub(crate) said: u64,
}
