//! Services: who offers what, where, and whether it is alive.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{NodeId, PublishState};
use crate::service::Attrs;

/// What a daemon is to register. Body of `POST /v1/services/register`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceRequest {
    /// The service: 1 to 200 of the characters a-z 0-9 - _ . /
    pub name: String,
    /// Where it listens, `HOST:PORT`.
    pub addr: String,
    /// What it is like. Registering a service again replaces them.
    #[serde(default)]
    pub attrs: Attrs,
}

/// How registering went. Answer of `POST /v1/services/register`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ServiceReport {
    /// The service.
    pub name: String,
    /// Where it listens.
    pub addr: String,
    /// What it is like.
    pub attrs: Attrs,
    /// Nodes that know it.
    pub stored: u64,
    /// Nodes that are to know it.
    pub of: u64,
    /// `stored` if a majority knows it, so that everybody finds it. If not, the daemon goes on announcing it.
    pub state: PublishState,
    /// Time taken.
    pub seconds: f64,
}

/// What a daemon is to register no longer. Body of `POST /v1/services/withdraw`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WithdrawRequest {
    /// The service.
    pub name: String,
    /// Where it listens; without it whatever this daemon registers under the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addr: Option<String>,
}

/// A registration that is no more. Element of the answer of `POST /v1/services/withdraw`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WithdrawnService {
    /// The service.
    pub name: String,
    /// Where it listened.
    pub addr: String,
    /// Nodes that know that it is withdrawn; the others notice it within 15 seconds.
    pub stored: u64,
    /// Nodes that are to know it.
    pub of: u64,
}

/// Something that this daemon registers. Element of the answer of `GET /v1/services`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OwnService {
    /// The service.
    pub name: String,
    /// Where it listens.
    pub addr: String,
    /// What it is like.
    pub attrs: Attrs,
    /// Since when it is registered, seconds since 1970.
    pub since: u64,
    /// Nodes that knew it when it was announced last; none before the first time since the daemon started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored: Option<u64>,
    /// Nodes that were to know it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<u64>,
}

/// Whether a service is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ServiceState {
    /// The daemon that registers it was heard within the last seconds.
    Alive,
    /// It was not: it is gone if it is not heard soon.
    Suspect,
    /// Something that a newer version knows.
    #[serde(other)]
    Other,
}

/// A service that was found. Element of the answer of `GET /v1/services/find`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ServiceInfo {
    /// The node whose daemon registers it and vouches for nothing but that.
    pub provider: NodeId,
    /// Where it listens, `HOST:PORT`.
    pub addr: String,
    /// What it is like.
    pub attrs: Attrs,
    /// Whether the provider is alive.
    pub state: ServiceState,
    /// Since the provider was last heard.
    pub age_seconds: f64,
    /// Round trip from this daemon to the provider's; none if it is not known.
    pub rtt_ms: Option<f64>,
}

/// What has happened to a service that is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// It is there: it was when the watch began, or is new.
    Up,
    /// Its attributes are other ones.
    Changed,
    /// Its provider was not heard for some seconds.
    Suspect,
    /// Its provider was heard again.
    Alive,
    /// It was withdrawn, or its provider was not heard for too long.
    Gone,
    /// Something that a newer version knows.
    #[serde(other)]
    Other,
}

/// A change of a service that is watched. Data of an event of `GET /v1/services/watch`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ServiceChange {
    /// What has happened.
    pub change: ChangeKind,
    /// The service as it is now; one that is gone, as it was.
    #[serde(flatten)]
    pub service: ServiceInfo,
}

impl fmt::Display for ServiceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Alive => "alive",
            Self::Suspect => "suspect",
            Self::Other => "other",
        })
    }
}

impl fmt::Display for ChangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Up => "up",
            Self::Changed => "changed",
            Self::Suspect => "suspect",
            Self::Alive => "alive",
            Self::Gone => "gone",
            Self::Other => "other",
        })
    }
}
