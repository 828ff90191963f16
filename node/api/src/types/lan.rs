//! Whom a daemon sees on its LAN.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Other daemons that show themselves on the LAN. `lan` in `GET /v1/status`, of a daemon that looks there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LanStatus {
    /// Daemons that say they are of this network. Whether they are shows when they are met.
    pub found: u64,
    /// Of these, those that this daemon knows as peers.
    pub met: u64,
    /// Daemons of other networks, which are ignored.
    pub other_networks: u64,
    /// What keeps this daemon from looking, or from being seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}
