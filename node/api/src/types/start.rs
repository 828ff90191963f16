//! What a daemon found when it started, and what it had to start again since.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Something that was damaged or missing when the daemon started. Element of `found_at_start` in `GET /v1/status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FoundAtStart {
    /// What it was.
    pub what: StartedWith,
    /// In which state it was.
    pub state: StartState,
    /// What is true now, in a sentence.
    pub message: String,
}

/// A task in the background that panicked and was started again. Element of `restarted_tasks` in `GET /v1/status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RestartedTask {
    /// Its name.
    pub name: String,
    /// How often, since the daemon started.
    pub restarts: u64,
    /// Why it ended the last time.
    pub last_reason: String,
}

/// The parts of a data directory that are looked at. The list may grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StartedWith {
    /// The key pair that makes the daemon itself.
    Key,
    /// The secret that puts encrypt with.
    Secret,
    /// The store of shards as a whole.
    Shards,
    /// The index of the store of shards.
    Index,
    /// Files of the store of shards.
    Segments,
    /// The book of what others have this daemon keep.
    Claims,
    /// The book of what this daemon keeps in the network.
    Keeps,
    /// The catalog of earlier puts.
    Catalog,
    /// The ledger of other holders.
    Ledger,
    /// The book of signed records that it keeps for others.
    Records,
    /// The keys of its names.
    Names,
    /// The services that it registers.
    Services,
    /// The volumes that it knows.
    Volumes,
    /// Something that a newer version knows.
    #[serde(other)]
    Other,
}

/// How a part of a data directory was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StartState {
    /// It was there at the last start, and is gone or empty.
    Missing,
    /// It could not be read, or only in part.
    Damaged,
}
