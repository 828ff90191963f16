//! What a daemon knows of the overlay at first hand, and what a lookup does.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ids::{NodeId, RingKey};
use super::words::Side;

/// One known peer. Element of the answer of `GET /v1/peers`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PeerStatus {
    /// Node id, hex.
    pub id: NodeId,
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
    pub first: RingKey,
    /// The last one.
    pub last: RingKey,
}

/// A lookup with every hop. Answer of `GET /v1/trace/{key}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TraceReport {
    /// The key, hex.
    pub key: RingKey,
    /// Node nearest to the key, hex id.
    pub owner: NodeId,
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
    pub id: NodeId,
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
    pub named_by: Option<NodeId>,
}
