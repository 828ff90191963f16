//! Leases: data lives while somebody keeps it.
//!
//! ```text
//!  writer's daemon                         holder
//!  Keeps: object ─▶ chunks ──renew──▶  Claims: chunk ─▶ writers, each until when ──last one gone──▶ free
//!         (kept, or being forgotten) ──drop──▶
//! ```
//!
//! A holder has a *claim* for each writer of each chunk of which it holds shards. The writer renews it from time to
//! time, a thousand chunks per message; one that is neither renewed nor dropped expires. Where no claim is left, the
//! shards are freed, bit by bit. A claim may be *retained*: until that time not even its own writer can drop it.
//!
//! What to do when in doubt: keep. A shard without any claim (a crash lost it, or the book of claims was damaged) gets
//! one that belongs to nobody, [`ORPHAN`], and lasts long enough for its writer to renew its own.
//!
//! Nothing here has a clock: the caller passes the time. [`Claims`] take lease time, from a [`LeaseClock`], and
//! [`Keeps`] take wall time.

mod claim;
mod claims;
mod clock;
mod keeps;
mod maps;
mod names;
mod recovered;
mod tables;

pub use claim::{Claim, ClaimState, Dropped, Limits, Listed, MAX_WRITERS, NewClaim, Rejected, Totals};
pub use claims::Claims;
pub use clock::{LeaseClock, Reading};
pub use keeps::{Keeps, Kept, KeptState, NeededChunk, ObjectChunk};
pub use maps::{KeptMap, MapStep};
pub use names::NAME_MAX;
pub use recovered::RECOVERED;

use crate::ids::Writer;

/// The writer of claims that belong to nobody.
pub const ORPHAN: Writer = Writer([0; 32]);
