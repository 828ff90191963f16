//! Bounded state: nobody holds more than its settings allow, however long it has lived.

use chordage_dht::{AnyMetric, Status};

use crate::world::{NodeIndex, World};

/// Questions that a node asks besides its lookups: probes and their helpers, meetings, exchanges, tries for others.
/// Twice two full leaf sets, and some room for what others ask it to try.
const OTHER_CALLS_MAX: usize = 256;

/// A node that holds too much.
#[derive(Debug, Clone, PartialEq)]
pub struct Unbounded {
    /// Which.
    pub node: NodeIndex,
    /// What it holds too much of.
    pub what: &'static str,
    /// How much.
    pub held: usize,
    /// How much it may hold.
    pub allowed: usize,
}

/// All nodes that hold too much of something.
pub fn check(world: &World) -> Vec<Unbounded> {
    let sides = if world.setup().metric == AnyMetric::Ring { 2 } else { 1 };
    let mut found = Vec::new();
    for node in world.living() {
        let dht = world.dht(node);
        let (config, status): (_, Status) = (dht.config(), dht.status());
        let bits = usize::from(config.digit_bits);
        let rows = sides * 256usize.div_ceil(bits) * ((1 << bits) - 1);
        let lookups = usize::from(config.lookups) + 8;
        let limits = [
            ("table entries", status.table_entries, rows * usize::from(config.row_active)),
            ("cached names", status.cached, rows * usize::from(config.row_cache)),
            ("leaves", status.leaf_set, config.leaf_set.into()),
            ("lookups", status.lookups, lookups),
            ("calls", status.calls, status.lookups * usize::from(config.lookup_messages) + OTHER_CALLS_MAX),
        ];
        let over = limits.into_iter().filter(|(_, held, allowed)| held > allowed);
        found.extend(over.map(|(what, held, allowed)| Unbounded { node, what, held, allowed }));
        let fullest = dht.fingers().iter().map(|row| row.fingers.len()).max().unwrap_or_default();
        let active = usize::from(config.row_active);
        if fullest > active {
            found.push(Unbounded { node, what: "entries of one row", held: fullest, allowed: active });
        }
    }
    found
}
