//! A claim on a chunk: what is asked for, what is granted, what stands.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::{ChunkId, Writer};
use crate::repair::Moment;

/// The most writers that may claim one chunk; further ones are turned away. Claims from hearsay (see
/// [`NewClaim::hearsay`]) may fill only half of the places.
pub const MAX_WRITERS: usize = 64;

/// For how long a writer wants a chunk kept, from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Claim {
    /// Who wants it.
    pub writer: Writer,
    /// Seconds from now after which the claim expires unless it is renewed.
    pub lease_seconds: u32,
    /// Seconds from now during which nobody can drop the claim, not even its writer. 0 means that it can be dropped at
    /// any time.
    pub retain_seconds: u32,
}

/// A claim on a chunk, to be entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewClaim {
    /// On what.
    pub chunk: ChunkId,
    /// Whose, for how long.
    pub claim: Claim,
    /// Bytes of shards that it is for.
    pub bytes: u64,
    /// Bytes of shards of the chunk that were held before these; 0: none were.
    pub held_before: u64,
    /// Whether these shards were written just now. Their bytes are then added to those that the writer's claim on this
    /// chunk already counts.
    pub written: bool,
    /// Said by somebody else than the writer: it adds a claim where the writer has none, and changes none.
    pub hearsay: bool,
    /// When the writer said so, by a count of its own that only grows; 0 for hearsay. A drop that it said before counts
    /// for nothing.
    pub said: u64,
}

/// The longest that a holder grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Without renewal.
    pub lease_max: Duration,
    /// Before which nobody can drop it.
    pub retain_max: Duration,
}

/// Why a claim is not granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Rejected {
    /// More than a holder grants without renewal.
    #[error("it keeps nothing for so long without renewal")]
    LeaseTooLong,
    /// More than a holder retains.
    #[error("it retains nothing for so long")]
    RetentionTooLong,
}

impl Limits {
    /// Whether a claim may be granted.
    pub fn check(&self, claim: &Claim) -> Result<(), Rejected> {
        if u64::from(claim.lease_seconds) > self.lease_max.as_secs() {
            return Err(Rejected::LeaseTooLong);
        }
        if u64::from(claim.retain_seconds) > self.retain_max.as_secs() {
            return Err(Rejected::RetentionTooLong);
        }
        Ok(())
    }

    /// The claim, cut down to what may be granted.
    pub fn cut(&self, claim: Claim) -> Claim {
        let most = |limit: Duration| u32::try_from(limit.as_secs()).unwrap_or(u32::MAX);
        Claim {
            lease_seconds: claim.lease_seconds.min(most(self.lease_max)),
            retain_seconds: claim.retain_seconds.min(most(self.retain_max)),
            ..claim
        }
    }
}

/// A claim as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimState {
    /// Whose.
    pub writer: Writer,
    /// When it expires.
    pub until: Moment,
    /// Until when it cannot be dropped.
    pub retained_until: Moment,
    /// Bytes of shards that were written for it.
    pub bytes: u64,
    /// When its writer said so last; see [`NewClaim::said`].
    pub said: u64,
}

impl ClaimState {
    /// When it ends.
    pub fn end(&self) -> Moment {
        self.until.max(self.retained_until)
    }

    /// What is left of it, for a new holder of the chunk.
    pub fn left(&self, now: Moment) -> Claim {
        // Rounded up: a new holder must not free sooner.
        let seconds =
            |at: Moment| u32::try_from(at.0.saturating_sub(now.0).div_ceil(1000)).unwrap_or(u32::MAX);
        Claim {
            writer: self.writer,
            lease_seconds: seconds(self.until),
            retain_seconds: seconds(self.retained_until),
        }
    }

    pub(super) fn encode(&self) -> [u8; 32] {
        let mut out = [0; 32];
        out[..8].copy_from_slice(&self.until.0.to_le_bytes());
        out[8..16].copy_from_slice(&self.retained_until.0.to_le_bytes());
        out[16..24].copy_from_slice(&self.bytes.to_le_bytes());
        out[24..].copy_from_slice(&self.said.to_le_bytes());
        out
    }

    pub(super) fn decode(writer: Writer, bytes: &[u8; 32]) -> Self {
        let number = |at: usize| bytes[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let (until, retained_until) = (Moment(number(0)), Moment(number(8)));
        Self { writer, until, retained_until, bytes: number(16), said: number(24) }
    }
}

/// Some claims of a writer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// In the order of chunks.
    pub claims: Vec<(ChunkId, ClaimState)>,
    /// Behind which chunk to go on; `None`: there are no more.
    pub next: Option<ChunkId>,
}

/// What came of dropping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Claims that are gone.
    pub dropped: u32,
    /// Claims that stay until their retention ends.
    pub retained: u32,
    /// Claims that stay because the writer made them after it had said so.
    pub overtaken: u32,
    /// Chunks on which the writer had none.
    pub unknown: u32,
}

/// What a writer, or all of them, have claimed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Claims.
    pub claims: u64,
    /// Bytes of shards written for them.
    pub bytes: u64,
}
