//! Who is in the network, as one daemon sees it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One member. Element of the answer of `GET /v1/members`: the daemon itself, everybody in its tables, in a network of up to
/// `overlay.members_max` nodes everybody else too, and for ten minutes the neighbours that it lost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MemberStatus {
    /// Node id, hex.
    pub id: String,
    /// libp2p peer id.
    pub peer_id: String,
    /// `alive`; `suspect`: it has left a question unanswered and is being asked again, also through others; `dead`: it did
    /// not answer while it was suspected; `left`: it said goodbye.
    pub state: String,
    /// What it does for others: `ordinary`; the daemon itself may be a `client`, others never are.
    pub role: String,
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
    /// Whether it is the daemon that was asked.
    pub is_self: bool,
    /// Whether it is in the leaf set, and therefore watched.
    pub leaf: bool,
}
