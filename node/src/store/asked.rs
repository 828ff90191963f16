//! For whom a shard is to be kept.

use chordage_storage::Writer;
use chordage_storage::lease::{Claim, Limits, MAX_WRITERS, Rejected};

/// Who wants a shard kept, as whoever brings it says. With nobody's claim it is kept until its writer has had time to
/// renew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// When the one who brings it said so, by its own count.
    pub(crate) said: u64,
    pub(crate) claims: Vec<Claim>,
}

impl Asked {
    /// As a repair hands on what it has heard of others.
    pub(crate) fn heard(claims: Vec<Claim>) -> Self {
        Asked { said: 0, claims }
    }

    /// Whether what `by` asks for itself may be granted. What it says of others is cut down instead.
    pub(crate) fn check(&self, by: Writer, limits: &Limits) -> Result<(), Rejected> {
        self.claims.iter().filter(|claim| claim.writer == by).try_for_each(|claim| limits.check(claim))
    }

    /// More claims than a chunk has places for are nonsense.
    pub(crate) fn is_too_long(&self) -> bool {
        self.claims.len() > MAX_WRITERS
    }
}
