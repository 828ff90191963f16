//! Who is in the network, as one daemon sees it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ids::NodeId;
use super::words::{MemberRole, MemberState};

/// One member. Element of the answer of `GET /v1/members`: the daemon itself, everybody in its tables, in a network of
/// up to `overlay.members_max` nodes everybody else too, and for ten minutes the neighbours that it lost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MemberStatus {
    /// Node id, hex.
    pub id: NodeId,
    /// libp2p peer id.
    pub peer_id: String,
    /// `alive`; `suspect`: it has left a question unanswered and is being asked again, also through others; `dead`: it
    /// did not answer while it was suspected; `left`: it said goodbye.
    pub state: MemberState,
    /// What it does for others: `ordinary`; `superpeer`, in a network too large for everybody to list it; the daemon
    /// itself may be a `client`, others never are.
    pub role: MemberRole,
    /// The failure domain that it names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Number of its record. It alone raises it: with every start, and when its addresses change.
    pub incarnation: u64,
    /// For how long this daemon has known it without a break; of the daemon itself, since its start.
    pub age_seconds: f64,
    /// How long ago it was lost; absent for those that are here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone_seconds: Option<f64>,
    /// Smoothed round trip, milliseconds, when measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtt_ms: Option<f64>,
    /// Share of this daemon's questions that a super-peer has answered, if it is among those that lookups ask first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// Whether it is the daemon that was asked.
    pub is_self: bool,
    /// Whether it is in the leaf set, and therefore watched.
    pub leaf: bool,
}

/// One super-peer. Element of the answer of `GET /v1/superpeers`: in a network of more than `overlay.members_max` nodes
/// one of 32 is drawn to list all members and answer others from the list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SuperPeerStatus {
    /// Node id, hex.
    pub id: NodeId,
    /// libp2p peer id.
    pub peer_id: String,
    /// `alive`, or `suspect`: it has left a question unanswered.
    pub state: MemberState,
    /// For how long this daemon has known the present version of its record.
    pub age_seconds: f64,
    /// Until its seat ends. Id and time decide by a hash who has a seat: one node of 32, for four hours.
    pub seat_ends_seconds: u64,
    /// Smoothed round trip, milliseconds, when measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtt_ms: Option<f64>,
    /// Share of this daemon's questions that it has answered, if it is among those that lookups ask first because they
    /// are the fastest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// Whether it is the daemon that was asked.
    pub is_self: bool,
}
