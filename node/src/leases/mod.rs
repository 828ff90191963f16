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
mod keeping;
mod presence;
mod promise;
mod recent;
mod recovering;
mod renewal;
mod status;

use std::sync::Arc;

use chordage_api::operation::OperationId;

pub(crate) use self::ask::{Question, Window, Windows, ask_holders};
pub(crate) use self::background::start;
pub(crate) use self::keeping::{CHUNKS_LISTED, ForgetError, Keeping};
pub(crate) use self::promise::{KeepError, KeptBefore, Promise, Promised};
pub(crate) use self::recent::{RecentAnswers, ask as ask_recent};
use crate::holders::Holders;
use crate::placement::Placement;

/// What is kept from here, and whom to ask for it.
#[derive(Clone)]
pub(crate) struct Leases {
    pub(crate) placement: Placement,
    pub(crate) holders: Arc<Holders>,
    pub(crate) keeping: Keeping,
    /// What holders said lately about chunks from before.
    pub(crate) recent: Arc<RecentAnswers>,
}

impl Leases {
    /// The same, which name this operation to those they ask.
    pub(crate) fn of(&self, operation: OperationId) -> Arc<Self> {
        Arc::new(Leases { holders: self.holders.of(operation), ..self.clone() })
    }
}
