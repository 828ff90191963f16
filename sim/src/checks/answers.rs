//! Answers of lookups, held against the nodes that were really nearest.

use chordage_dht::{Key, Lookup, LookupError, Metric, NodeId};

use crate::world::World;

/// A question and what its answer was when it was asked.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// The key.
    pub key: Key,
    /// The member nearest to it.
    pub owner: Option<NodeId>,
}

/// How an answer is to be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The nearest member was named first.
    Right,
    /// A living node was named first that is nearer than any member: it is still joining.
    Newcomer,
    /// Somebody else was.
    Wrong,
    /// There was no answer.
    None,
}

impl Asked {
    /// Notes a question at the moment it is asked.
    pub fn now(world: &mut World, key: Key) -> Self {
        Self { key, owner: owner(world, &key) }
    }

    /// Judges the answer at the moment it comes. Members come and go while a lookup runs: whoever was nearest at its
    /// beginning or is nearest at its end is right.
    pub fn judge(&self, world: &mut World, outcome: &Result<Lookup, LookupError>) -> Verdict {
        let Ok(lookup) = outcome else { return Verdict::None };
        let found = lookup.closest.first().map(|peer| peer.id());
        let now = owner(world, &self.key);
        match (found, now) {
            (Some(found), _) if self.owner == Some(found) || now == Some(found) => Verdict::Right,
            (Some(found), Some(now)) if world.is_living(&found) => {
                let nearer = world.setup().metric.closer(&self.key, &found, &now).is_lt();
                if nearer { Verdict::Newcomer } else { Verdict::Wrong }
            }
            _ => Verdict::Wrong,
        }
    }
}

impl Verdict {
    /// Whether the nearest living node was found.
    pub fn is_right(self) -> bool {
        matches!(self, Self::Right | Self::Newcomer)
    }
}

/// The member nearest to a key.
pub fn owner(world: &mut World, key: &Key) -> Option<NodeId> {
    let metric = world.setup().metric;
    let node = world.census().owner(metric, key)?;
    Some(world.peer(node).id())
}
