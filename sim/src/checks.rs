//! Checks of a world against what somebody who sees everything knows. One property per file; each says what is wrong,
//! not only that something is.

pub mod answers;
pub mod bounds;
pub mod budget;
pub mod leaf_sets;
pub mod ring;

use serde::Serialize;

use crate::world::World;

/// The state of a network at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Health {
    /// Members.
    pub members: usize,
    /// Whether following the nearest neighbours leads to every member.
    pub one_ring: bool,
    /// Members whose leaf set differs from what it should be.
    pub wrong_leaf_sets: usize,
    /// Members that hold more than they may.
    pub unbounded: usize,
}

impl Health {
    /// Looks at a whole network. Costs as much as a few messages per member.
    pub fn of(world: &mut World) -> Self {
        Self {
            members: world.census().count(),
            one_ring: ring::check(world).is_ok(),
            wrong_leaf_sets: leaf_sets::check(world).len(),
            unbounded: bounds::check(world).len(),
        }
    }

    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.one_ring && self.wrong_leaf_sets == 0 && self.unbounded == 0
    }
}
