//! Volumes: what changes and has a history, as sorted maps, and snapshots of trees of files.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::names::PublishState;

/// A volume that this daemon knows. Element of the answer of `GET /v1/volumes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VolumeInfo {
    /// What it is called here, and only here.
    pub petname: String,
    /// What it is called everywhere: its public key, 64 hexadecimal digits. It opens nothing.
    pub volume: String,
    /// Whether this daemon may write to it.
    pub writable: bool,
    /// Since when this daemon knows it, seconds since 1970.
    pub created: u64,
    /// The highest number of a state that was written or seen; 0 before the first.
    pub seq: u64,
}

/// Body of `POST /v1/volumes/import`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VolumeImport {
    /// What to call it here.
    pub petname: String,
    /// A text that `POST /v1/volumes/export` gave.
    pub capability: String,
}

/// What opens a volume. Answer of `POST /v1/volumes/export`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VolumeCapability {
    /// What it is called here.
    pub petname: String,
    /// What it is called everywhere.
    pub volume: String,
    /// Whoever has this text can read the volume, and write to it if that was asked for.
    pub capability: String,
}

/// Some keys of a volume with their values. Answer of `GET /v1/volumes/values`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VolumeValues {
    /// The number of the state that this was read from: the newest that a majority of those who keep it had.
    pub seq: u64,
    /// In the order of their keys.
    pub values: Vec<VolumeValue>,
    /// Whether more follow behind the last.
    pub more: bool,
}

/// A key of a volume and its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VolumeValue {
    /// The key.
    pub key: String,
    /// The value in base64 (RFC 4648, with padding).
    pub value: String,
}

/// What a key has to be for a change to be made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum VolumeExpectation {
    /// Anything.
    #[default]
    Any,
    /// Not there.
    Absent,
    /// There.
    Present,
}

/// A change of one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VolumeChange {
    /// The key: 1 to 1,024 bytes.
    pub key: String,
    /// The new value in base64; `null` takes the key out.
    #[serde(deserialize_with = "Option::deserialize")]
    pub value: Option<String>,
    /// What has to be so before. If it is not, nothing of the request is done.
    #[serde(default)]
    pub expect: VolumeExpectation,
}

/// Body of `POST /v1/volumes/change`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VolumeChanges {
    /// A petname, or the 64 digits of a volume that this daemon knows.
    pub volume: String,
    /// All of them are made, or none. At most 1,000.
    pub changes: Vec<VolumeChange>,
    /// Made after these, one after the other, and only together with them. At most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moves: Vec<VolumeMove>,
}

/// Moving all keys that begin with one prefix to where they begin with another instead. At most 250,000 keys in one
/// request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VolumeMove {
    /// The prefix that they have. That there is no such key is no error.
    pub from: String,
    /// The prefix that they get; no key may have it before, or nothing of the request is done. Neither of the two
    /// begins with the other.
    pub to: String,
    /// Whether they stay where they are too.
    #[serde(default)]
    pub copy: bool,
    /// If a key would be longer than this, nothing of the request is done, bytes. By default what a key may have,
    /// 1,024.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longest: Option<u32>,
}

/// What came of changes. Answer of `POST /v1/volumes/change`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VolumeChanged {
    /// The number of the state with the changes.
    pub seq: u64,
    /// Whether a majority has stored it.
    pub state: PublishState,
    /// Wall time.
    pub seconds: f64,
}

/// A tree of files that was stored for a volume, and that no snapshot names yet. Answer of `POST /v1/volumes/trees`.
// It has many fields because it is one flat answer whose fields are stable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TreeReport {
    /// What names it in `POST /v1/volumes/snapshots`. It is kept for a day.
    pub tree: String,
    /// Regular files; one with several names counts once for each.
    pub files: u64,
    /// Directories.
    pub dirs: u64,
    /// Symbolic links, pipes and devices.
    pub others: u64,
    /// Lengths of all files, holes included, one with several names once.
    pub bytes: u64,
    /// Bytes of content that was not stored here before.
    pub new_bytes: u64,
    /// Bytes of shards that were sent over the network.
    pub sent_bytes: u64,
    /// Bytes of shards that lie on holders for this tree (sent or found there).
    pub stored_bytes: u64,
    /// Chunks that the tree needs.
    pub chunks: u64,
    /// Chunks of which at least one shard had to be sent.
    pub new_chunks: u64,
    /// Files that were not read, because they have not changed since they were stored.
    pub unchanged_files: u64,
    /// Shards that suffice to rebuild a chunk.
    pub k: u8,
    /// Shards of each chunk.
    pub n: u8,
    /// True when `n` is smaller than what was asked for or what the network profile wants.
    pub degraded: bool,
    /// True when the daemon is alone in its network.
    pub only_here: bool,
    /// Wall time.
    pub seconds: f64,
}

/// What a snapshot is to say about itself. Body of `POST /v1/volumes/snapshots`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SnapshotRequest {
    /// A petname, or the 64 digits of a volume that this daemon knows.
    pub volume: String,
    /// What `POST /v1/volumes/trees` answered.
    pub tree: String,
    /// When the tree was read, seconds since 1970.
    pub time: i64,
    /// The machine.
    pub host: String,
    /// The user.
    pub user: String,
    /// What was backed up.
    pub paths: Vec<String>,
    /// Words that its user chose.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Entries that could not be read and are not in it.
    #[serde(default)]
    pub unreadable: u64,
    /// For so many seconds from now it cannot be forgotten, not even by its writer.
    #[serde(default)]
    pub lock_seconds: u64,
}

/// A snapshot. Answer of `POST /v1/volumes/snapshots`, element of that of `GET /v1/volumes/snapshots`.
// It has many fields because it is one flat answer whose fields are stable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SnapshotInfo {
    /// What names it: 64 hexadecimal digits. Its beginning suffices where it is clear.
    pub id: String,
    /// When the tree was read, seconds since 1970.
    pub time: i64,
    /// When it was entered into the volume, milliseconds since 1970.
    #[serde(default)]
    pub entered: u64,
    /// The machine.
    pub host: String,
    /// The user.
    pub user: String,
    /// What was backed up.
    pub paths: Vec<String>,
    /// Words that its user chose.
    pub tags: Vec<String>,
    /// Regular files.
    pub files: u64,
    /// Directories.
    pub dirs: u64,
    /// Symbolic links, pipes and devices.
    pub others: u64,
    /// Lengths of all files.
    pub bytes: u64,
    /// Entries that could not be read and are not in it.
    pub unreadable: u64,
    /// Until then it cannot be forgotten, seconds since 1970; absent: it can be at any time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locked_until: Option<u64>,
    /// When it was forgotten, seconds since 1970; absent: it is kept. What is forgotten can be taken back until it is
    /// pruned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forgotten: Option<u64>,
}

impl SnapshotInfo {
    /// The order of snapshots: the older one is less; of those of one second the one that was entered first. The id
    /// decides last, so that the same snapshots are kept and found wherever a command runs.
    #[must_use]
    pub fn in_time(&self, other: &Self) -> Ordering {
        (self.time, self.entered, &self.id).cmp(&(other.time, other.entered, &other.id))
    }
}

/// Which snapshots. Body of `POST /v1/volumes/snapshots/forget` and `POST /v1/volumes/snapshots/undelete`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SnapshotSelection {
    /// A petname, or the 64 digits of a volume that this daemon knows.
    pub volume: String,
    /// Whole ids. All of them, or none if one is unknown or locked. At most 1,000.
    pub snapshots: Vec<String>,
}

/// What was freed. Answer of `POST /v1/volumes/prune`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PruneReport {
    /// Snapshots that were forgotten long enough ago, and are gone for good now.
    pub pruned: u64,
    /// Forgotten snapshots that can still be taken back.
    pub waiting: u64,
    /// Snapshots that are kept.
    pub kept: u64,
    /// Trees that this daemon no longer keeps. Their holders free what nothing else needs.
    pub released: u64,
    /// Wall time.
    pub seconds: f64,
}

/// Whether everything that snapshots need is there. Answer of `POST /v1/volumes/verify`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VerifyReport {
    /// Snapshots that were looked at.
    pub snapshots: u64,
    /// Chunks that they need.
    pub chunks: u64,
    /// Chunks that were read and hold what they should not.
    pub damaged: u64,
    /// Chunks of which too few shards are there to read them now.
    pub missing: u64,
    /// Chunks that can be read and of which shards are missing: repair is due.
    pub at_risk: u64,
    /// Files that cannot be read whole, the first 100 of them, as `ID:path`.
    pub files: Vec<String>,
    /// Wall time.
    pub seconds: f64,
}

/// What is in a snapshot. A line of the answer of `GET /v1/volumes/entries`.
// It has many fields because it is one flat answer whose fields are stable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VolumeEntry {
    /// Its path in the snapshot, without a slash in front; characters that are not UTF-8 are replaced.
    pub path: String,
    /// The same in hexadecimal digits, if it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_hex: Option<String>,
    /// What it is.
    pub kind: VolumeEntryKind,
    /// Length of a file, holes included.
    pub size: u64,
    /// Permission bits, with set-user-id, set-group-id and sticky.
    pub mode: u32,
    /// Number of the owner.
    pub uid: u32,
    /// Number of the group.
    pub gid: u32,
    /// Name of the owner.
    pub user: String,
    /// Name of the group.
    pub group: String,
    /// Time of last modification, whole seconds since 1970, rounded down.
    pub mtime: i64,
    /// Its nanoseconds.
    pub mtime_nanos: u32,
    /// Where a symbolic link leads; characters that are not UTF-8 are replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The same in hexadecimal digits, if it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_hex: Option<String>,
    /// What device a special file stands for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<VolumeDevice>,
    /// Bytes of data of a file that has holes; absent: it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_bytes: Option<u64>,
    /// How many extended attributes it has, access lists among them. `GET /v1/volumes/entry` has them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub xattrs: u32,
    /// Entries with the same number are one file with several names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_group: Option<u64>,
    /// A hash of the content of a file by where it lies: if it is the same in two snapshots, so is the content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// What a special file stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VolumeDevice {
    /// The driver.
    pub major: u32,
    /// Which of its devices.
    pub minor: u32,
}

/// All that is known of one entry of a snapshot. Answer of `GET /v1/volumes/entry`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VolumeEntryDetail {
    /// What a listing says of it.
    pub entry: VolumeEntry,
    /// Its extended attributes, access lists among them, in the order of their names.
    pub xattrs: Vec<VolumeXattr>,
    /// Where a file that has holes has data, in order; absent: everywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segments: Option<Vec<VolumeSegment>>,
}

/// An extended attribute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VolumeXattr {
    /// Its name with its namespace; characters that are not UTF-8 are replaced.
    pub name: String,
    /// The same in hexadecimal digits, if it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_hex: Option<String>,
    /// Its value in hexadecimal digits.
    pub value_hex: String,
}

/// A part of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VolumeSegment {
    /// Where it begins.
    pub offset: u64,
    /// Bytes in it.
    pub len: u64,
}

/// What an entry of a snapshot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum VolumeEntryKind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A kind that this program does not know.
    #[serde(other)]
    Unknown,
}

/// How two snapshots differ at one path. A line of the answer of `GET /v1/volumes/diff`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VolumeDifference {
    /// The path, as in entries.
    pub path: String,
    /// What was there in the older one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<VolumeEntry>,
    /// What is there in the newer one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<VolumeEntry>,
}
