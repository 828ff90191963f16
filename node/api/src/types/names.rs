//! Names: keys with petnames, what they stand for, and how that was found.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A key of this daemon's keyring. Element of the answer of `GET /v1/names`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NameInfo {
    /// What it is called here, and only here.
    pub petname: String,
    /// `@` and the public key: the name for everybody.
    pub key: String,
    /// When it was made, seconds since 1970.
    pub created: u64,
    /// The highest number that was published or seen; 0 before the first.
    pub seq: u64,
}

/// Body of `POST /v1/names/export` and `POST /v1/names/import`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SealRequest {
    /// The petname.
    pub petname: String,
    /// The passphrase: at least 10 characters.
    pub passphrase: String,
    /// The sealed key, to import it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<String>,
}

/// A key under a passphrase. Answer of `POST /v1/names/export`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SealedKey {
    /// What it is called here.
    pub petname: String,
    /// The name for everybody.
    pub key: String,
    /// `chordkey1` and 160 characters.
    pub sealed: String,
}

/// What a name is to stand for. Body of `POST /v1/names/publish`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PublishRequest {
    /// A petname or key of the keyring, and a path below it that may be empty.
    pub name: String,
    /// A link, another name (`@KEY/path`), or a short text; `null` removes what the path stands for. It has to be said:
    /// who forgets it must not remove anything.
    #[serde(deserialize_with = "Option::deserialize")]
    pub target: Option<String>,
    /// For how many seconds a reader may use it before asking again.
    #[serde(default = "usual_ttl")]
    pub ttl_seconds: u32,
    /// For how many seconds it holds.
    #[serde(default = "usual_validity")]
    pub valid_seconds: u64,
    /// Publishes only if this is the number of the version that is held now; 0: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect_seq: Option<u64>,
    /// Hands the path and everything below it to the key that `target` is.
    #[serde(default)]
    pub delegate: bool,
}

/// Five minutes.
pub const USUAL_TTL_SECONDS: u32 = 300;
/// A year.
pub const USUAL_VALID_SECONDS: u64 = 365 * 24 * 3600;

fn usual_ttl() -> u32 {
    USUAL_TTL_SECONDS
}

fn usual_validity() -> u64 {
    USUAL_VALID_SECONDS
}

/// Whether a version of a name will count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PublishState {
    /// A majority of the nodes that keep it has stored it: it counts.
    Stored,
    /// Fewer have. It may come to count, or not: resolve the name, and publish again if needed.
    Unknown,
    /// Something that a newer version knows.
    #[serde(other)]
    Other,
}

/// How publishing went. Answer of `POST /v1/names/publish`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PublishReport {
    /// The name as it was given.
    pub name: String,
    /// The name for everybody.
    pub key: String,
    /// The number of the version.
    pub seq: u64,
    /// Nodes that have stored it.
    pub stored: u64,
    /// Nodes that are to keep it.
    pub of: u64,
    /// Whether it counts.
    pub state: PublishState,
    /// Time taken.
    pub seconds: f64,
}

/// What kind of thing a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TargetKind {
    /// The link of an object.
    Link,
    /// Another name; it was followed.
    Name,
    /// A short text.
    Text,
    /// Something that a newer version knows.
    #[serde(other)]
    Other,
}

/// Who vouches for a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Voucher {
    /// The key, by its signature.
    #[default]
    Key,
    /// DNS, unsigned: whoever answers for the domain, or stands on the way to it, could have named another key. It is
    /// weaker than any signature.
    Dns,
    /// Something that a newer version knows.
    #[serde(other)]
    Other,
}

/// One record that was read on the way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ResolveStep {
    /// Who vouches for the step.
    #[serde(default)]
    pub voucher: Voucher,
    /// The domain whose text in DNS named the key, if `voucher` is `dns`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// The key that signed the record, or that DNS named.
    pub key: String,
    /// The path that was asked for below it.
    pub path: String,
    /// The number of its version; 0 of what DNS said.
    pub seq: u64,
    /// Nodes that told this version, as far as they were heard.
    pub agree: u64,
    /// Nodes that keep the record.
    pub of: u64,
}

/// What a name stands for. Answer of `GET /v1/names/resolve`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Resolved {
    /// The name as it was given.
    pub name: String,
    /// What it stands for.
    pub target: String,
    /// What kind of thing that is.
    pub kind: TargetKind,
    /// The number of the version of the last record on the way.
    pub seq: u64,
    /// Until when it holds, seconds since 1970: the earliest of all records on the way.
    pub valid_until: u64,
    /// For how many seconds it may be used before asking again.
    pub ttl_seconds: u32,
    /// Whether a record on the way is what this daemon remembers, because those who keep it did not answer.
    pub stale: bool,
    /// The records on the way.
    pub steps: Vec<ResolveStep>,
    /// Time taken.
    pub seconds: f64,
}

/// A version of a name that this daemon has published or seen. Element of the answer of `GET /v1/names/history`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NameVersion {
    /// Its number.
    pub seq: u64,
    /// Until when it holds, seconds since 1970.
    pub valid_until: u64,
    /// What it says: one line for each path.
    pub entries: Vec<NameEntry>,
}

/// One path of a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NameEntry {
    /// The path; empty for the name itself.
    pub path: String,
    /// What it stands for, or the key that it is delegated to.
    pub target: String,
    /// Whether the path and everything below it belong to the key that `target` is.
    pub delegated: bool,
}
