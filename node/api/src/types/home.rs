//! The home of a person: what a recovery phrase brings back.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::names::NameInfo;
use super::volumes::VolumeInfo;

/// A recovery phrase. Body of `POST /v1/home/recover` and `POST /v1/home/check`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HomePhrase {
    /// Its twelve words, with blanks between them.
    pub phrase: String,
}

/// A home that was made. Answer of `POST /v1/home/create`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HomeCreated {
    /// What opens it. It is said only now: the daemon does not keep it.
    pub phrase: String,
    /// The home.
    pub home: HomeStatus,
}

/// The home of this daemon. Answer of `GET /v1/home`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HomeStatus {
    /// The volume in which it lies, 64 hexadecimal digits; absent: this daemon has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<String>,
    /// Volumes that the phrase brings back.
    pub volumes: u64,
    /// Keys of names that it brings back.
    pub names: u64,
    /// Volumes and keys that this daemon has, and that are not entered yet.
    pub waiting: u64,
}

/// What was brought back. Answer of `POST /v1/home/recover`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HomeRecovered {
    /// The volume in which the home lies, 64 hexadecimal digits.
    pub home: String,
    /// Volumes that this daemon did not know.
    pub volumes: Vec<VolumeInfo>,
    /// Names whose keys it did not have.
    pub names: Vec<NameInfo>,
    /// What it had already.
    pub known: u64,
    /// Entries that a newer version made, and that this one does not understand.
    pub not_understood: u64,
}

/// Whether a phrase is that of this daemon's home. Answer of `POST /v1/home/check`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HomeChecked {
    /// It is.
    pub opens: bool,
}
