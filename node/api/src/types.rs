//! What the local HTTP API says, as types: the client, the server and `--json` share them.
//! Fields are stable: they may gain company, they do not change name or meaning.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

mod explain;
mod leases;
mod members;
mod problem;
mod put;
mod repair;
mod start;
mod twin;
mod waits;
mod words;

pub use explain::{ChunkExplained, Explanation, ShardExplained};
pub use leases::{KeptObject, LeaseStatus};
pub use members::{MemberStatus, SuperPeerStatus};
pub use problem::{Problem, ProblemCode};
pub use put::{PutQuery, PutReport};
pub use repair::{DrainStatus, RepairStatus, ScrubStatus};
pub use start::{FoundAtStart, RestartedTask, StartState, StartedWith};
pub use twin::TwinStatus;
pub use waits::WaitedFor;
pub use words::{
    ChunkNeed, DaemonRole, DaemonState, EntryForm, KeepState, MemberRole, MemberState, ObjectForm, ShardWord,
    Side,
};

/// What a link stands for. Answer of `GET /v1/objects/{link}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ObjectStat {
    /// `file` or `tree`; `unknown` for a verify link.
    pub kind: ObjectForm,
    /// For a verify link, in words: what of the answer is known without the key, and what is not. Numbers that are not known
    /// are 0.
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
    pub weakest_holders: Vec<String>,
}

/// One live node and how many of an object's shards it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HolderCount {
    /// Node id, hex.
    pub id: String,
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
    hex.and_then(super::hex::unhex).unwrap_or_else(|| text.as_bytes().to_vec())
}

/// What the daemon says of itself. Answer of `GET /v1/status`.
// It has many fields because it is one flat answer whose fields are stable; what belongs together came later and is grouped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// Node id on the ring, hex.
    pub id: String,
    /// libp2p peer id.
    pub peer_id: String,
    /// Version of the program.
    pub version: String,
    /// Process id.
    pub pid: u32,
    /// `joining`, `joined`, `draining` (a member that takes no more shards: see `drain`) or `leaving`; a client has joined when it has found the network.
    pub state: DaemonState,
    /// `member`, or `client`: in nobody's tables, and it holds no shards.
    #[serde(default = "member")]
    pub role: DaemonRole,
    /// The failure domain that its settings name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Why joining has not succeeded yet, when it has not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub join_problem: Option<String>,
    /// Present as long as a second daemon with the same key runs elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub twin: Option<TwinStatus>,
    /// Addresses it listens on (multiaddr with its peer id: what others give to `--bootstrap`).
    pub listen: Vec<String>,
    /// Metric of the network: `ring` or `xor`.
    pub metric: String,
    /// Seconds since start.
    pub uptime_seconds: f64,
    /// Estimated number of nodes in the network, this one included unless it is a client.
    pub network_nodes: u64,
    /// Whether that number is a count (small networks) or an estimate.
    pub network_nodes_exact: bool,
    /// Members of the leaf set.
    pub leaf_set: u64,
    /// Members of the network that it lists, itself included: all of them, in a network small enough. 0 otherwise.
    #[serde(default)]
    pub members_listed: u64,
    /// Fingers: active entries of the routing table.
    pub fingers: u64,
    /// Connected peers.
    pub connections: u64,
    /// Of these, the leaf set and fast fingers, whose connections are kept.
    pub connections_warm: u64,
    /// The others, whose connections close when they are silent for a while, unless the peer keeps them.
    pub connections_cold: u64,
    /// Of the cold ones, peers in none of our tables that dialled us.
    pub connections_strangers: u64,
    /// Most peers that may be connected.
    pub connections_max: u64,
    /// Peers that are being dialled.
    pub dialling: u64,
    /// Shards held.
    pub shards: u64,
    /// Payload bytes held.
    pub stored_bytes: u64,
    /// Bytes that the store's files take on disk for them: also what was deleted and has not been given back yet, and the
    /// index. The quota bounds this.
    #[serde(default)]
    pub disk_bytes: u64,
    /// Most bytes it will hold: its quota, or less where its disk has no room for that.
    pub quota_bytes: u64,
    /// Resident memory of the process, bytes (0 where unknown).
    pub rss_bytes: u64,
    /// Highest resident memory so far, bytes (0 where unknown).
    pub rss_peak_bytes: u64,
    /// CPU seconds used so far (user and system; 0 where unknown).
    pub cpu_seconds: f64,
    /// What is wrong with the disk under the data directory; absent as long as nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_problem: Option<String>,
    /// Shards found damaged on this disk since the daemon started.
    pub damaged_shards: u64,
    /// Shards that were found damaged or lost on this disk, in this run of the daemon or an earlier one, and that nobody is
    /// known to hold in their place yet.
    #[serde(default)]
    pub unmended_shards: u64,
    /// What was damaged or missing in its data directory when the daemon started. Empty is how it should be.
    #[serde(default)]
    pub found_at_start: Vec<FoundAtStart>,
    /// Lines for its standard error and output that could not be written since it started; absent as long as there are none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lost_log_lines: u64,
    /// Tasks in the background that panicked since it started, each started again after a pause; absent as long as none did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restarted_tasks: Vec<RestartedTask>,
    /// Daemons that keep puts waiting; absent as long as none does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub puts_wait_for: Vec<WaitedFor>,
    /// The redundancy a put gets when it does not ask, `K/N`.
    pub default_redundancy: String,
    /// What it does about shards that others lost.
    pub repair: RepairStatus,
    /// Present when it was told to drain: how far it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<DrainStatus>,
    /// How far it is with reading its shards again.
    pub scrub: ScrubStatus,
    /// Who has it keep what, what it frees, and what it keeps itself.
    #[serde(default)]
    pub leases: LeaseStatus,
    /// What reading objects has cost since the daemon started.
    #[serde(default)]
    pub reads: ReadTotals,
    /// Shard traffic with other daemons since the daemon started.
    #[serde(default)]
    pub traffic: Traffic,
    /// Times that the shard store made files or its directory durable (fsync) since the daemon started.
    #[serde(default)]
    pub store_syncs: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

fn member() -> DaemonRole {
    DaemonRole::Member
}

/// What reading objects has cost since the daemon started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReadTotals {
    /// Times that holders were looked for, also where the daemon's own leaf set knew them.
    pub lookups: u64,
    /// Chunks fetched and decoded, manifests included.
    pub chunks: u64,
    /// Times that a holder (this daemon included) was asked for a shard.
    pub shards_asked: u64,
    /// Shards that came, whether in time or not.
    pub shards: u64,
    /// Bytes of those shards.
    pub shard_bytes: u64,
    /// Shards that were so late that another holder was asked as well.
    pub late: u64,
    /// Shards that did not match their hashes.
    pub false_shards: u64,
}

/// Bytes of shards and their descriptors between daemons.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Traffic {
    /// Sent to other daemons, asked or unasked.
    pub sent_bytes: u64,
    /// Received from other daemons.
    pub received_bytes: u64,
}

/// One known peer. Element of the answer of `GET /v1/peers`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PeerStatus {
    /// Node id, hex.
    pub id: String,
    /// libp2p peer id.
    pub peer_id: String,
    /// Addresses it announced.
    pub addrs: Vec<String>,
    /// Whether a connection is open.
    pub connected: bool,
    /// Whether that connection is kept when it is idle.
    pub warm: bool,
    /// Member of our leaf set.
    pub leaf: bool,
    /// In our finger table.
    pub finger: bool,
    /// The row of the finger table it stands in; absent for mere leaves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<RowStatus>,
    /// Smoothed round trip, milliseconds, when measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtt_ms: Option<f64>,
    /// Bit length of its distance from us.
    pub distance_bits: u32,
}

/// A row of the finger table: the ids at one scale of distance from the daemon.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct RowStatus {
    /// `clockwise` or `counterclockwise` of the daemon; `both` where the metric has no sides.
    pub direction: Side,
    /// Position of the leading base-4 digit of the distance: the row begins at `digit`·4^`level`.
    pub level: u8,
    /// The leading digit, from 1 to 3.
    pub digit: u8,
    /// The first id that belongs into the row, clockwise, hex.
    pub first: String,
    /// The last one.
    pub last: String,
}

/// A lookup with every hop. Answer of `GET /v1/trace/{key}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TraceReport {
    /// The key, hex.
    pub key: String,
    /// Node nearest to the key, hex id.
    pub owner: String,
    /// Whether that node is the daemon that was asked.
    pub owner_is_self: bool,
    /// Every peer that was asked, in order of asking.
    pub hops: Vec<TraceHop>,
    /// Length of the chain of referrals that led to the owner.
    pub depth: u32,
    /// Messages sent.
    pub messages: u32,
    /// Wall time.
    pub seconds: f64,
}

/// One peer asked during a lookup.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TraceHop {
    /// Node id, hex.
    pub id: String,
    /// libp2p peer id.
    pub peer_id: String,
    /// Round trip, milliseconds; absent when it never answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtt_ms: Option<f64>,
    /// Bit length of its distance from the key.
    pub distance_bits: u32,
    /// 1 for peers of our own table, 2 for those they named, and so on.
    pub depth: u32,
    /// Who named it, hex id; absent for our own contacts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub named_by: Option<String>,
}
