//! What a put is asked for, and what came of it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How a put should be stored; the query string of `POST /v1/objects`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PutQuery {
    /// Redundancy as `K/N`; by default what the size of the network calls for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redundancy: Option<String>,
    /// Accept fewer holders than asked for when the network has too few live nodes.
    #[serde(default)]
    pub allow_degraded: bool,
    /// Use nothing that was put before.
    #[serde(default)]
    pub reread: bool,
    /// For a single file: what to catalog it under, 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// For a single file: the body is empty, because the file of this fingerprint is unchanged.
    #[serde(default)]
    pub unchanged: bool,
    /// Name under which the daemon lists it; at most 255 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// What a finished put did. Answer of `POST /v1/objects`.
// It has many fields because it is one flat answer whose fields are stable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PutReport {
    /// The read link: whoever has it can fetch and decrypt the object.
    pub link: String,
    /// The verify link: names the object without the power to read it.
    pub verify_link: String,
    /// Bytes of file content in the object.
    pub bytes: u64,
    /// Bytes of shards that now lie on holders for this object (sent or found there).
    pub stored_bytes: u64,
    /// Bytes of shards that this put sent over the network.
    pub sent_bytes: u64,
    /// Bytes of file content that lie in chunks of earlier puts, those of unchanged files included.
    #[serde(default)]
    pub reused_bytes: u64,
    /// Chunks the object consists of, manifest included.
    pub chunks: u64,
    /// Chunks of which at least one shard had to be sent.
    pub new_chunks: u64,
    /// Regular files in the object.
    pub files: u64,
    /// Files that were not even read, because they have not changed since they were put.
    #[serde(default)]
    pub unchanged_files: u64,
    /// Bytes of those.
    #[serde(default)]
    pub unchanged_bytes: u64,
    /// Shards that suffice to rebuild a chunk.
    pub k: u8,
    /// Shards of each chunk.
    pub n: u8,
    /// The fewest durable acknowledgements that any chunk got.
    pub acks_min: u8,
    /// True when `n` is smaller than what was asked for or what the network profile wants.
    pub degraded: bool,
    /// What puts got by default from this daemon before, `K/N`; present when this one got less, because the daemon
    /// takes its network for smaller than it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub less_than_before: Option<String>,
    /// True when the daemon is alone in its network: all there is of the object is on its own machine.
    #[serde(default)]
    pub only_here: bool,
    /// Present when the daemon kept the object already, because the same content was put or kept before: since when, in
    /// seconds since 1970. It is one object, which is forgotten once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_since: Option<u64>,
    /// The names under which it was put before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept_as: Vec<String>,
    /// Wall time from the first byte to the last acknowledgement.
    pub seconds: f64,
}
