//! What a daemon says of itself.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ids::NodeId;
use super::words::{DaemonRole, DaemonState};
use super::{
    DrainStatus, FoundAtStart, GatewayStatus, HolesStatus, LanStatus, LeaseStatus, ReachabilityStatus,
    RelayingStatus, RepairStatus, RestartedTask, ScrubStatus, TwinStatus, WaitedFor,
};

/// What the daemon says of itself. Answer of `GET /v1/status`: one flat object, whose fields are those of all parts but
/// `gateways`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// Who a daemon is.
    #[serde(flatten)]
    pub identity: IdentityStatus,
    /// What a daemon is in its network, and how it is reached.
    #[serde(flatten)]
    pub membership: MembershipStatus,
    /// Whom a daemon knows and is connected with.
    #[serde(flatten)]
    pub overlay: OverlayStatus,
    /// What a daemon holds for its network.
    #[serde(flatten)]
    pub store: StoreStatus,
    /// What the operating system says of the process.
    #[serde(flatten)]
    pub process: ProcessStatus,
    /// What is wrong with the disk and what lies on it.
    #[serde(flatten)]
    pub damage: DamageStatus,
    /// What went wrong with the daemon itself.
    #[serde(flatten)]
    pub mishaps: MishapStatus,
    /// What a put gets and waits for.
    #[serde(flatten)]
    pub puts: PutStatus,
    /// What a daemon does so that shards last as long as somebody wants them.
    #[serde(flatten)]
    pub duties: DutyStatus,
    /// What moving and writing data has cost.
    #[serde(flatten)]
    pub transfers: TransferStatus,
    /// Other ways into a daemon than its API.
    #[serde(default)]
    pub gateways: GatewayStatus,
}

/// Who a daemon is. Part of `GET /v1/status`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct IdentityStatus {
    /// Node id on the ring, hex.
    pub id: NodeId,
    /// libp2p peer id.
    pub peer_id: String,
    /// Version of the program.
    pub version: String,
    /// Process id.
    pub pid: u32,
}

/// What a daemon is in its network, and how it is reached. Part of `GET /v1/status`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MembershipStatus {
    /// `joining`, `joined`, `draining` (a member that takes no more shards: see `drain`) or `leaving`; a client has
    /// joined when it has found the network.
    pub state: DaemonState,
    /// `member`, or `client`: in nobody's tables, and it holds no shards.
    #[serde(default = "member")]
    pub role: DaemonRole,
    /// How others reach it, from which the role follows unless the settings say something else.
    #[serde(default)]
    pub reachability: ReachabilityStatus,
    /// What it relays between others, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relaying: Option<RelayingStatus>,
    /// How often connections through relays became direct ones.
    #[serde(default)]
    pub holes: HolesStatus,
    /// The failure domain that its settings name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Why joining has not succeeded yet, when it has not, or why others of a private network do not let this daemon
    /// in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub join_problem: Option<String>,
    /// Present as long as a second daemon with the same key runs elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub twin: Option<TwinStatus>,
    /// Whom it sees on its LAN, if it looks there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lan: Option<LanStatus>,
    /// Addresses it listens on (multiaddr with its peer id: what others give to `--bootstrap`).
    pub listen: Vec<String>,
    /// Metric of the network: `ring` or `xor`.
    pub metric: String,
    /// Seconds since start.
    pub uptime_seconds: f64,
}

/// Whom a daemon knows and is connected with. Part of `GET /v1/status`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OverlayStatus {
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
    /// Of all these, peers with which it speaks through relays only.
    #[serde(default)]
    pub connections_relayed: u64,
    /// Most peers that may be connected.
    pub connections_max: u64,
    /// Peers that are being dialled.
    pub dialling: u64,
}

/// What a daemon holds for its network. Part of `GET /v1/status`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StoreStatus {
    /// Shards held.
    pub shards: u64,
    /// Payload bytes held.
    pub stored_bytes: u64,
    /// Bytes that the store's files take on disk for them: also what was deleted and has not been given back yet, and
    /// the index. The quota bounds this.
    #[serde(default)]
    pub disk_bytes: u64,
    /// Most bytes it will hold: its quota, or less where its disk has no room for that.
    pub quota_bytes: u64,
}

/// What the operating system says of the process. Part of `GET /v1/status`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ProcessStatus {
    /// Resident memory of the process, bytes (0 where unknown).
    pub rss_bytes: u64,
    /// Highest resident memory so far, bytes (0 where unknown).
    pub rss_peak_bytes: u64,
    /// CPU seconds used so far (user and system; 0 where unknown).
    pub cpu_seconds: f64,
}

/// What is wrong with the disk and what lies on it. Part of `GET /v1/status`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DamageStatus {
    /// What is wrong with the disk under the data directory; absent as long as nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_problem: Option<String>,
    /// Shards found damaged on this disk since the daemon started.
    pub damaged_shards: u64,
    /// Shards that were found damaged or lost on this disk, in this run of the daemon or an earlier one, and that
    /// nobody is known to hold in their place yet.
    #[serde(default)]
    pub unmended_shards: u64,
}

/// What went wrong with the daemon itself. Part of `GET /v1/status`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MishapStatus {
    /// What was damaged or missing in its data directory when the daemon started. Empty is how it should be.
    #[serde(default)]
    pub found_at_start: Vec<FoundAtStart>,
    /// Lines for its standard error and output that could not be written since it started; absent as long as there are
    /// none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lost_log_lines: u64,
    /// Tasks in the background that panicked since it started, each started again after a pause; absent as long as none
    /// did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restarted_tasks: Vec<RestartedTask>,
}

/// What a put gets and waits for. Part of `GET /v1/status`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PutStatus {
    /// Daemons that keep puts waiting; absent as long as none does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub puts_wait_for: Vec<WaitedFor>,
    /// The redundancy a put gets when it does not ask, `K/N`.
    pub default_redundancy: String,
}

/// What a daemon does so that shards last as long as somebody wants them. Part of `GET /v1/status`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DutyStatus {
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
}

/// What moving and writing data has cost. Part of `GET /v1/status`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TransferStatus {
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
