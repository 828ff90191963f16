//! Byte budgets: what a node sends and receives while nobody asks it for anything.

use std::time::Duration;

use serde::Serialize;

use crate::{
    stats::{Sample, Summary},
    world::World,
};

/// Bytes per second that an idle node may cost its owner, both directions together.
pub const IDLE_BYTES_PER_SECOND_MAX: f64 = 2048.0;

/// What nodes have cost.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spent {
    /// Bytes per second and node, sent and received together, packets included.
    pub bytes_per_second: Summary,
    /// Nodes beyond the limit.
    pub over: usize,
}

/// Checks what every living node has spent since traffic was last reset, `duration` ago.
pub fn check(world: &World, duration: Duration, limit: f64) -> Spent {
    let mut spent = Sample::default();
    let mut over = 0;
    for node in world.living() {
        let rate = world.bytes_of(node) as f64 / duration.as_secs_f64().max(1e-6);
        spent.add(rate);
        over += usize::from(rate > limit);
    }
    Spent { bytes_per_second: spent.summary(), over }
}
