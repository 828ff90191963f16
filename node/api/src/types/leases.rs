//! What a daemon keeps, and what others have it keep.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::words::KeepState;

/// An object that the daemon keeps. Element of the answer of `GET /v1/keeps`; answer of `POST /v1/objects/{link}/keep`
/// and `POST /v1/objects/{link}/forget`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct KeptObject {
    /// Its verify link, which names it and cannot read it.
    pub verify_link: String,
    /// The names under which it was put through this daemon, the last one last; at most 16. Nobody else is told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// `kept`, or `forgetting` while its chunks are being dropped; `recovered` for what holders keep for this daemon
    /// and its book did not know: it was lost, or is an older copy.
    pub state: KeepState,
    /// Whether it was put through this daemon, rather than kept later.
    pub put: bool,
    /// Since when, in seconds since 1970.
    pub since: u64,
    /// Bytes of content.
    pub bytes: u64,
    /// Bytes of shards; 0 if that is not known.
    pub stored_bytes: u64,
    /// Chunks that it consists of.
    pub chunks: u64,
    /// When its holders were last asked to keep it, in seconds since 1970.
    pub renewed: u64,
    /// For so long they do so if they do not hear of this daemon again, in seconds since 1970.
    pub until: u64,
    /// Until then it cannot be forgotten, in seconds since 1970. Absent: at any time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retained_until: Option<u64>,
}

/// Who has the daemon keep what, and what it frees. Part of `GET /v1/status`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LeaseStatus {
    /// Claims on chunks of which shards are held here.
    pub claims: u64,
    /// Those of them that are nobody's: shards from before there were leases, or whose claims a crash took.
    pub nobodys_claims: u64,
    /// Chunks that nobody needs any more, whose shards are about to be freed.
    pub freeing_chunks: u64,
    /// Bytes of these, about.
    pub freeing_bytes: u64,
    /// Shards freed since the start.
    pub freed_shards: u64,
    /// Bytes of those.
    pub freed_bytes: u64,
    /// Whether claims that are not renewed in time end.
    pub expire: bool,
    /// Objects that this daemon keeps in the network.
    pub kept_objects: u64,
    /// Chunks that they consist of.
    pub kept_chunks: u64,
    /// Of the chunks renewed last, those of which no holder showed a shard.
    pub unrenewed_chunks: u64,
}
