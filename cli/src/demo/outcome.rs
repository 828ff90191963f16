//! What a demo found, as one JSON object and as numbers for the story.

use serde::Serialize;

/// The last line of `demo --json`. Fields may gain company; they do not change name or meaning.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Outcome {
    /// Daemons at the time of the put.
    pub(crate) nodes: usize,
    /// How many of them were killed with SIGKILL.
    pub(crate) killed: usize,
    /// Shards that suffice to rebuild a chunk.
    pub(crate) k: u8,
    /// Shards of each chunk.
    pub(crate) n: u8,
    /// Bytes of file content that were stored.
    pub(crate) object_bytes: u64,
    /// Bytes of shards that lay on holders after the put.
    pub(crate) stored_bytes: u64,
    /// Regular files that were stored.
    pub(crate) files: u64,
    /// Chunks of the object.
    pub(crate) chunks: u64,
    /// Wall time of the put, as the daemon measured it.
    pub(crate) put_seconds: f64,
    /// Wall time of the command that fetched everything; 0 when it failed.
    pub(crate) get_seconds: f64,
    /// Mean length of the chain of referrals of a lookup, before anyone was killed.
    pub(crate) lookup_hops_mean: f64,
    /// Lookups behind that mean.
    pub(crate) lookups: usize,
    /// Shards on living nodes before the kill.
    pub(crate) shards_before: u64,
    /// Shards on living nodes after it.
    pub(crate) shards_after: u64,
    /// Chunks that had lost shards and could still be rebuilt.
    pub(crate) degraded_chunks: u64,
    /// Chunks that had too few shards left.
    pub(crate) unreadable_chunks: u64,
    /// The fewest shards that any chunk had left.
    pub(crate) shards_min: u8,
    /// Mean resident memory of a daemon after the put.
    pub(crate) rss_bytes_mean: u64,
    /// Whether everything came back: every byte, name, mode, time and link.
    pub(crate) intact: bool,
    /// The first few differences, when there are any.
    pub(crate) differences: Vec<String>,
}
