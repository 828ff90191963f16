//! How long holders may take, and how many are asked at a time. Design, unless a reason is given.

use std::time::Duration;

/// Holders that are asked at a time.
pub(crate) const PARALLEL: usize = 32;
/// What a holder has, when a put or a renewal wants to know: who is silent counts as holding nothing, and is only sent
/// more.
pub(crate) const HELD_FOR_PUT: Duration = Duration::from_secs(2);
/// What a holder has, when a user wants to know. With the time that a chunk may take before, a get still says within 20
/// s what is missing.
pub(crate) const HELD_FOR_USER: Duration = Duration::from_secs(3);
/// What a holder has, or has written down, when repair decides by it: who is silent is taken to be away.
pub(crate) const HELD_FOR_REPAIR: Duration = Duration::from_secs(5);
/// Writing claims down, or taking them back, or listing them: up to 1,024 chunks and a sync.
pub(crate) const CLAIMS: Duration = Duration::from_secs(10);
/// A proof reads a shard whole.
pub(crate) const PROOF: Duration = Duration::from_secs(10);
/// A shard for a reader, who has asked others long before.
pub(crate) const SHARD_TO_READ: Duration = Duration::from_secs(8);
/// A shard for a repair, which has time and asks no more holders than it needs.
pub(crate) const SHARD_TO_REPAIR: Duration = Duration::from_secs(20);
/// A shard is durable for a put: after that another holder gets it.
pub(crate) const SHARD_OF_PUT: Duration = Duration::from_secs(15);
/// The same for a repair.
pub(crate) const SHARD_OF_REPAIR: Duration = Duration::from_secs(30);
