//! For whom puts wait.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ids::NodeId;

/// A daemon that has not acknowledged a shard for two seconds or more. Element of `puts_wait_for` in `GET /v1/status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WaitedFor {
    /// Its id.
    pub id: NodeId,
    /// How long the longest of its shards has been waiting.
    pub seconds: u64,
}
