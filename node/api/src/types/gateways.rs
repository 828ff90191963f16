//! Other ways into a daemon than its API.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Other ways into a daemon than its API; each is there only if it was asked for. Part of `GET /v1/status`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GatewayStatus {
    /// Names as DNS shows them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<DnsStatus>,
    /// Repositories for restic and other programs that speak its protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restic: Option<ResticStatus>,
    /// Files by WebDAV.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webdav: Option<WebdavStatus>,
    /// Links and names in a browser.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub web: Option<WebStatus>,
}

/// Links and names in a browser. Part of `GET /v1/status`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebStatus {
    /// Address and port at which it serves.
    pub listen: String,
    /// Users that can say who they are; absent where nobody has to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<u64>,
    /// Requests since the daemon started.
    pub requests: u64,
    /// Of these, failed for a reason that is not the client's.
    pub failed: u64,
    /// Of these, refused: a wrong password, a foreign page, or a name that is not this machine's.
    pub refused: u64,
    /// Connections that got no place because there were too many at a time.
    pub turned_away: u64,
    /// Bytes of files taken in.
    pub uploaded_bytes: u64,
    /// Bytes of files given out.
    pub downloaded_bytes: u64,
    /// Why a request failed last, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_problem: Option<String>,
}

/// Files by WebDAV. Part of `GET /v1/status`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebdavStatus {
    /// Address and port at which it serves.
    pub listen: String,
    /// The volume whose files are shown, by its petname.
    pub volume: String,
    /// Users that can say who they are; absent where nobody has to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<u64>,
    /// Requests since the daemon started.
    pub requests: u64,
    /// Of these, failed for a reason that is not the client's.
    pub failed: u64,
    /// Of these, refused: a wrong password, or something that this user or nobody may do.
    pub refused: u64,
    /// Connections that got no place because there were too many at a time.
    pub turned_away: u64,
    /// Bytes of files taken in.
    pub uploaded_bytes: u64,
    /// Bytes of files given out.
    pub downloaded_bytes: u64,
    /// Why a request failed last, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_problem: Option<String>,
}

/// Repositories for restic and other programs that speak its protocol. Part of `GET /v1/status`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ResticStatus {
    /// Address and port at which it serves.
    pub listen: String,
    /// Whether nothing can be deleted but locks.
    pub append_only: bool,
    /// Users that can say who they are; absent where nobody has to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<u64>,
    /// Requests since the daemon started.
    pub requests: u64,
    /// Of these, failed for a reason that is not the client's.
    pub failed: u64,
    /// Of these, refused: a wrong password, or something that this user or nobody may do.
    pub refused: u64,
    /// Connections that got no place because there were too many at a time.
    pub turned_away: u64,
    /// Bytes of files taken in.
    pub uploaded_bytes: u64,
    /// Bytes of files given out.
    pub downloaded_bytes: u64,
    /// Why a request failed last, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_problem: Option<String>,
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
