//! A second daemon with the same key.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A daemon with this daemon's key that runs elsewhere, as the copy of a data directory does. `twin` in `GET
/// /v1/status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TwinStatus {
    /// Where it runs; the first is where it answers.
    pub addresses: Vec<String>,
    /// When it was found, seconds since 1970.
    pub since: u64,
    /// Whether all others speak with that one, and no longer with the daemon that was asked.
    pub has_place: bool,
    /// What is true now and what to do about it, in sentences.
    pub message: String,
}
