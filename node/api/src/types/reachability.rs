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

/// What a daemon relays between others, and how much of that at most. Part of `GET /v1/status`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RelayingStatus {
    /// Daemons that can be asked for through this one.
    pub reservations: u64,
    /// Most of them.
    pub reservations_max: u64,
    /// Connections of others that go through this daemon.
    pub circuits: u64,
    /// Most of them.
    pub circuits_max: u64,
    /// All of them since the start.
    pub circuits_opened: u64,
    /// Reservations and circuits that were refused since the start.
    pub refused: u64,
    /// Bytes that go through one of them before it ends, both directions together.
    pub circuit_bytes_max: u64,
    /// Seconds that one of them lasts at most.
    pub circuit_seconds_max: u64,
}

/// What came of making direct connections out of those through relays (hole punching) since the start. Part of
/// `GET /v1/status`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HolesStatus {
    /// How often it was tried, as far as this daemon saw the end of it.
    pub tried: u64,
    /// How often a direct connection came of it.
    pub dug: u64,
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
