//! Leases at work: what is kept from here is claimed at its holders and renewed; what is held here is kept as long as
//! somebody claims it.
//!
//! ```text
//!  put, keep ─▶ Promise ─▶ short claims go with the shards ▶ held (with the thread that writes shards)
//!                 │                                          ▲          │ last claim gone
//!              Keeping (book) ─▶ confirming: a whole lease ──┤          │
//!                 ├────────────▶ renewal, a thousand chunks ─┤          ▼
//!                 │                                          │        freeing, bit by bit
//!  forget ────────┴────────────▶ forgetting: drops ──────────┘
//! ```
//!
//! What holders keep for this daemon and its book does not know of is recovered.
//!
//! What it all means, and what is done when in doubt, is decided in [`chordage_storage::lease`].

mod ask;
mod background;
mod confirming;
mod forgetting;
mod freeing;
mod held;
mod keeping;
mod presence;
mod promise;
mod recovering;
mod renewal;
mod settings;

use chordage_storage::Writer;
use chordage_storage::lease::{Claim, Limits, MAX_WRITERS, Rejected};

pub(crate) use self::ask::{Question, Window, Windows, ask_holders};
pub(crate) use self::background::start;
pub(crate) use self::freeing::Freeing;
pub(crate) use self::held::{Claimed, Freed, HeldLeases, Put};
pub(crate) use self::keeping::{CHUNKS_LISTED, ForgetError, Keeping};
pub(crate) use self::promise::{KeepError, KeptBefore, Promise, Promised};
pub use self::settings::LeaseConfig;

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
