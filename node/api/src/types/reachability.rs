//! How others reach a daemon.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::words::{NatKind, ReachState};

/// How others reach a daemon, as they found out. Part of `GET /v1/status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReachabilityStatus {
    /// By which way.
    pub state: ReachState,
    /// Since when the role that follows from it has not changed, in seconds since 1970.
    pub since: u64,
    /// Why it is so, and what can be done about it, for people.
    pub reason: String,
    /// What is between the daemon and others.
    pub nat: NatKind,
    /// Where others reach it (multiaddr).
    pub addresses: Vec<String>,
    /// Daemons that relay what others say to it (peer ids).
    pub relays: Vec<String>,
}

/// What a daemon said before it knew such things.
impl Default for ReachabilityStatus {
    fn default() -> Self {
        ReachabilityStatus {
            state: ReachState::Unknown,
            since: 0,
            reason: String::new(),
            nat: NatKind::Unknown,
            addresses: Vec::new(),
            relays: Vec::new(),
        }
    }
}
