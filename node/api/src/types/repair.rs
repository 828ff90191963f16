//! What a daemon does so that shards last.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::words::HeldBackReason;

/// How far a daemon is with reading its shards against their hashes. Part of `GET /v1/status`, answer of
/// `POST /v1/scrub`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ScrubStatus {
    /// A pass takes so long; 0: none unless asked for.
    pub period_seconds: u64,
    /// Whether this pass was asked for and runs as fast as the disk allows.
    pub hurried: bool,
    /// Shards read in this pass.
    pub shards: u64,
    /// Bytes read in this pass.
    pub bytes: u64,
    /// Shards found damaged in this pass; they were dropped, and repair makes them again.
    pub damaged: u64,
    /// Passes ended since the start.
    pub passes: u64,
    /// Since when the last pass has been over, that of an earlier run included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_end_seconds_ago: Option<u64>,
}

/// How far a daemon is with handing over what it holds. Part of `GET /v1/status`, answer of `POST /v1/drain`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DrainStatus {
    /// Shards held, as far as they have been looked at.
    pub shards: u64,
    /// Those of them that another live daemon holds too.
    pub covered: u64,
    /// Those that were handed over.
    pub handed: u64,
    /// Bytes sent for that.
    pub sent_bytes: u64,
    /// Those for which no daemon near them took one; they are tried again.
    pub homeless: u64,
    /// Whether the daemon can be stopped for good: everything it holds has another holder.
    pub done: bool,
}

/// Repairs that could not be done for the same reason. Part of `GET /v1/status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HeldBackRepairs {
    /// Why.
    pub why: HeldBackReason,
    /// Of how many chunks.
    pub chunks: u64,
}

/// What a daemon does about lost shards. Part of `GET /v1/status`. Counters are since the start.
// It has many fields because it is one flat answer whose fields are stable.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RepairStatus {
    /// Whether it looks after the chunks it holds shards of.
    pub enabled: bool,
    /// Chunks of which it holds shards, as of the last full round, like the next four.
    pub chunks: u64,
    /// Those known to miss shards: two surveys agree, in each of which everybody who may hold one has answered.
    pub degraded: u64,
    /// Those known, in the same way, to have fewer shards than are needed to read them.
    pub unreadable: u64,
    /// Those of which more than half of the shards that they can spare are not on live daemons, as seen by the last
    /// survey: also what is waited for, and what cannot be read.
    #[serde(default)]
    pub at_risk: u64,
    /// Those of which it is not known yet whether shards are missing: the holders have not been asked yet, not all have
    /// answered, or only one survey has missed something.
    #[serde(default)]
    pub not_known_yet: u64,
    /// Those that should be repaired, but no node near them is free to take a shard: each has one that no
    /// other has.
    pub homeless: u64,
    /// Full rounds so far.
    pub rounds: u64,
    /// Repairs that wait.
    pub queued: u64,
    /// Those of them that are urgent.
    pub queued_urgent: u64,
    /// Repairs under way.
    pub running: u64,
    /// Repairs done by this daemon.
    pub repaired_chunks: u64,
    /// Shards that it made again and placed.
    pub repaired_shards: u64,
    /// Repairs that did not succeed; they are tried again.
    pub failed: u64,
    /// Those that did not succeed when they were tried last. Each is tried again less and less often, until neighbours
    /// come or go.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held_back: Vec<HeldBackRepairs>,
    /// Bytes of shards fetched from others for repairs.
    pub fetched_bytes: u64,
    /// Bytes of made shards sent to others.
    pub sent_bytes: u64,
    /// The least that these repairs had to move.
    pub needed_bytes: u64,
    /// Bytes per second that repairs may move on average.
    pub budget_bytes_per_second: u64,
    /// Bytes that may be moved at once now; negative: a debt.
    pub budget_level_bytes: i64,
    /// Times that another daemon proved to have a shard that it was asked for at random.
    pub audits_passed: u64,
    /// Times that it had it not, or proved nothing; the shard is made again.
    pub audits_failed: u64,
    /// Times that it gave no answer.
    pub audits_unanswered: u64,
    /// Daemons whose word counts for nothing because they failed too many audits.
    pub distrusted: u64,
    /// Present while many neighbours have vanished at once and only urgent repairs run: for how long still.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brake_seconds_left: Option<f64>,
}
