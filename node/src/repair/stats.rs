//! What repair has done so far.

use chordage_api::types::DrainStatus;
use chordage_storage::repair::{Churn, Moment};

/// Counters since the start.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stats {
    /// Losses of neighbours, and until when they are counted in.
    pub(super) churn: Churn,
    pub(super) churn_counted: Moment,
    pub(super) drain: Option<DrainStatus>,
    pub(super) rounds: u64,
    pub(super) last_round: Tally,
    pub(super) repaired_chunks: u64,
    pub(super) repaired_shards: u64,
    pub(super) failed: u64,
    pub(super) audits: Audits,
    pub(super) fetched_bytes: u64,
    pub(super) sent_bytes: u64,
    /// What the same repairs have to move at the least.
    pub(super) needed_bytes: u64,
}

/// How questions for proofs ended.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Audits {
    pub(super) passed: u64,
    /// The shard was not there, whether its holder admitted that or not.
    pub(super) failed: u64,
    pub(super) unanswered: u64,
}

/// What a round saw.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    /// Chunks of which this node holds shards.
    pub(super) chunks: u64,
    /// Those known to miss shards.
    pub(super) degraded: u64,
    /// Those known to have fewer than k.
    pub(super) unreadable: u64,
    /// Those of which more than half of the shards that they can spare are not on live holders, sure or not.
    pub(super) at_risk: u64,
    /// Those whose holders have not been asked yet, or not all answered, or were found to miss shards only once.
    pub(super) not_known_yet: u64,
    /// Those that should be repaired, but no node is free to take a shard.
    pub(super) homeless: u64,
}
