//! What an object is, where it lies, and what is in it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ids::NodeId;
use super::words::{EntryForm, ObjectForm};

/// What a link stands for. Answer of `GET /v1/objects/{link}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ObjectStat {
    /// `file` or `tree`; `unknown` for a verify link.
    pub kind: ObjectForm,
    /// For a verify link, in words: what of the answer is known without the key, and what is not. Numbers that are not
    /// known are 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown: Option<String>,
    /// Bytes of file content.
    pub bytes: u64,
    /// Regular files.
    pub files: u64,
    /// Directories below the root.
    pub dirs: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Chunks, manifest included.
    pub chunks: u64,
    /// Shards that suffice to rebuild a chunk.
    pub k: u8,
    /// Shards of each chunk.
    pub n: u8,
    /// Present when the caller asked for `?check=true`: who holds what right now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
}

/// Which shards are held by live nodes at the moment of asking.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// Chunks examined.
    pub chunks: u64,
    /// Chunks with all `n` shards on live nodes.
    pub full: u64,
    /// Chunks with fewer than `n` but at least `k` shards.
    pub degraded: u64,
    /// Chunks with fewer than `k` shards: not readable now.
    pub unreadable: u64,
    /// The fewest live shards of any chunk.
    pub shards_min: u8,
    /// The most live shards that any unreadable chunk has.
    pub best_unreadable: u8,
    /// The shards that chunk would need.
    pub k_unreadable: u8,
    /// Shards per live holder.
    pub holders: Vec<HolderCount>,
    /// Ids of the nodes that hold the chunk with the fewest live shards (of several, the one with the lowest
    /// address): those whose loss the object can bear least.
    pub weakest_holders: Vec<NodeId>,
}

/// One live node and how many of an object's shards it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HolderCount {
    /// Node id, hex.
    pub id: NodeId,
    /// Shards of the object held there.
    pub shards: u64,
}

/// One entry of a tree. Element of the answer of `GET /v1/objects/{link}/entries`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EntryInfo {
    /// Path below the object's root, `/`-separated; bytes that are not UTF-8 are shown as U+FFFD.
    pub path: String,
    /// The same path in hexadecimal, present only when it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_hex: Option<String>,
    /// `file`, `dir` or `symlink`.
    pub kind: EntryForm,
    /// Bytes of content (files only).
    pub bytes: u64,
    /// Unix permission bits.
    pub mode: u32,
    /// Modification time, seconds since 1970.
    pub mtime_seconds: i64,
    /// Nanoseconds after that second.
    #[serde(default)]
    pub mtime_nanos: u32,
    /// Target (symlinks only); bytes that are not UTF-8 are shown as U+FFFD.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The same target in hexadecimal, present only when it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_hex: Option<String>,
    /// A hash of the content of a file by where it lies: if it is the same in two listings, so is the content. (Files
    /// only.)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
}

impl EntryInfo {
    /// The path as it is, also when it is not UTF-8.
    pub fn path_bytes(&self) -> Vec<u8> {
        exact(&self.path, self.path_hex.as_deref())
    }

    /// The target as it is, also when it is not UTF-8.
    pub fn target_bytes(&self) -> Option<Vec<u8>> {
        self.target.as_ref().map(|target| exact(target, self.target_hex.as_deref()))
    }
}

/// The bytes of a text that may not have been UTF-8.
fn exact(text: &str, hex: Option<&str>) -> Vec<u8> {
    hex.and_then(crate::unhex).unwrap_or_else(|| text.as_bytes().to_vec())
}
