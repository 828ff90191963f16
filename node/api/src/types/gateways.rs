//! Other ways into a daemon than its API.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Other ways into a daemon than its API; each is there only if it was asked for. Part of `GET /v1/status`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GatewayStatus {
    /// Names as DNS shows them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<DnsStatus>,
}

/// Names as DNS shows them. Part of `GET /v1/status`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DnsStatus {
    /// Address and port at which it answers, over UDP and TCP.
    pub listen: String,
    /// The zone that it answers for.
    pub zone: String,
    /// Questions since the daemon started.
    pub questions: u64,
    /// Of these, answered with what was known before, because those who keep the name did not answer in time.
    pub stale: u64,
    /// Of these, answered with a failure, because nothing was known and nobody answered in time.
    pub failed: u64,
    /// Questions and connections that were not answered because there were too many at a time.
    pub turned_away: u64,
}
