//! Questions put to a world, one per file.

pub mod adversaries;
pub mod churn;
pub mod eclipse;
pub mod idle;
pub mod lookups;
pub mod membership;
pub mod partition;
pub mod record_history;
pub mod records;
mod rig;
pub mod seats;

use chordage_dht::Confirm;

/// What a lookup waits for: so many of the nearest nodes, or with 0 any node whose leaf set shows the key.
fn confirm(nearest: usize) -> Confirm {
    if nearest == 0 { Confirm::Covered } else { Confirm::Answered(nearest) }
}
