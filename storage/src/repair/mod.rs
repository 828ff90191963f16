//! Repair, as far as it is thinking: what is missing, what to do about it, in which order, and how fast.
//!
//! ```text
//!  survey ──▶ ChunkRecord ──▶ Need ──▶ Queue ──▶ TokenBucket ──▶ rebuild
//!  (asked     who holds       nothing,  riskiest  bytes per       (the daemon's
//!   of the    what, what is   wait, or  first     second          business)
//!   holders)  missing since   which     Brake: after many
//!             when (Ledger    shards    neighbours vanished
//!             keeps it)                 at once, only what
//!                                       is urgent
//! ```
//!
//! A daemon that holds a shard knows its chunk, asks the other holders from time to time and writes down what they
//! say. A shard that nobody shows is first *silent*, then *suspect*, then *lost*: daemons that come back bring their
//! shards with them, so that time is what tells a restart from a loss (Chun et al., "Efficient Replica Maintenance
//! for Distributed Storage Systems", NSDI 2006). Nothing here has a clock: every call is given the time.

mod brake;
mod bucket;
mod ledger;
mod moment;
mod need;
mod queue;
mod record;
mod risk;
mod spare;
mod standing;

pub use brake::Brake;
pub use bucket::TokenBucket;
pub use ledger::{Ledger, LedgerError};
pub use moment::Moment;
pub use need::{Lane, Need, Patience, assess, is_at_risk};
pub use queue::{Job, Queue};
pub use record::{Answer, Census, ChunkRecord, Holder, ShardState, Sight};
pub use risk::{Churn, RISK_FLOOR, yearly_loss};
pub use spare::spare;
pub use standing::{Standings, Verdict};
