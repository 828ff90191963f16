//! How safe an object is.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ids::{ChunkAddress, HolderId, NodeId};
use super::words::{ChunkNeed, ShardWord};
use super::{FoundAtStart, KeptObject};

/// How safe an object is, and what will be done about it. Answer of `GET /v1/objects/{link}/explain`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    /// For a verify link, in words: of which chunks the answer tells, because the key would be needed to know of all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown: Option<String>,
    /// Chunks of the object, manifest included; equal ones count once.
    pub chunks: u64,
    /// Chunks all of whose shards are on live nodes.
    pub whole: u64,
    /// Chunks that miss shards which are waited for.
    pub waiting: u64,
    /// Chunks that are to be repaired.
    pub to_repair: u64,
    /// Chunks that can be read now, and could not if all nodes of some zone failed together.
    #[serde(default)]
    pub hang_on_one_zone: u64,
    /// Chunks with too few shards to be read now.
    pub unreadable: u64,
    /// The modelled probability that the object, as it is now, is lost within a year. Never below 10⁻⁹: the model knows
    /// independent losses of nodes only.
    pub loss_per_year: f64,
    /// Whether that is only the bound below which the model says nothing.
    pub loss_is_floor: bool,
    /// The rate at which nodes are taken to be lost for good, per node and month (30 days).
    pub node_loss_per_month: f64,
    /// For how long the daemon that was asked has watched how many neighbours, in hours times nodes.
    pub observed_node_hours: f64,
    /// How many of them it saw go and not come back.
    pub observed_losses: u64,
    /// Present when the daemon that was asked keeps it, or is forgetting it: since when, and until when its holders
    /// keep it without hearing of that daemon again. Other daemons may keep it too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<KeptObject>,
    /// What the daemon that was asked found damaged or lost when it started: it may be why something is missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub found_at_start: Vec<FoundAtStart>,
    /// Chunks in detail, those with the fewest shards to spare first; as many as were asked for.
    pub worst: Vec<ChunkExplained>,
}

/// One chunk of an [`Explanation`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ChunkExplained {
    /// Its address, hex.
    pub chunk: ChunkAddress,
    /// Shards that suffice to read it.
    pub k: u8,
    /// Shards it has when it is whole.
    pub n: u8,
    /// Shards on live nodes.
    pub present: u8,
    /// Shards on live nodes that are left if all nodes of a zone fail together, whichever zone it is.
    #[serde(default)]
    pub present_without_a_zone: u8,
    /// Shards that have been missing for a short while.
    pub silent: u8,
    /// Shards that have been missing for longer; they count half.
    pub suspect: u8,
    /// Shards that are not expected back.
    pub lost: u8,
    /// Repair begins when so many or fewer count as there.
    pub repairs_at: u8,
    /// The node that looks after it, hex id, if one says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<NodeId>,
    /// When that node last asked the holders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub surveyed_seconds_ago: Option<f64>,
    /// What it needs: `nothing`, `wait`, `restore`, `repair`, `repair_urgent` or `unreadable`.
    pub need: ChunkNeed,
    /// When waiting: after how long something changes if nobody comes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes_in_seconds: Option<f64>,
    /// Its shards, by index.
    pub shards: Vec<ShardExplained>,
}

/// One shard of a [`ChunkExplained`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ShardExplained {
    /// Its index.
    pub index: u8,
    /// `present`, `silent`, `suspect` or `lost`.
    pub state: ShardWord,
    /// The node that has it, or had it last: its id in hex, or the first 16 digits of that of a node that is gone.
    /// Absent if nobody was ever seen with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<HolderId>,
    /// The zone that its holder names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// For how long it has been missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing_seconds: Option<f64>,
}
