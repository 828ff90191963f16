//! How what one map needs differs from what another one needs, chunk by chunk.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::diff::{Difference, Differences};
use super::value::ValueRef;
use super::{MapError, MapRoot, NodeSource};
use crate::chunk::ChunkRef;
use crate::ids::ChunkId;

/// How much more or less often a map needs each chunk than another map does. A node is needed once, a chunk of a value
/// as often as values name it: whoever counts so knows when the last value is gone that needed a chunk, and reads no
/// other for that.
///
/// Its memory is that of the chunks in which the two differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs(BTreeMap<ChunkId, (ChunkRef, i64)>);

impl Needs {
    /// No difference.
    pub fn new() -> Self {
        Self::default()
    }

    /// How `new` differs from `old`; `None`: from nothing at all. What both share is not read.
    pub fn between<S: NodeSource>(
        old: Option<&MapRoot>,
        new: &MapRoot,
        source: &mut S,
    ) -> Result<Self, MapError<S::Error>> {
        let mut needs = Self::new();
        let mut differences = Differences::counting(old, new);
        while let Some(Difference { old, new, .. }) = differences.next(source)? {
            for (value, times) in old.map(|value| (value, -1)).into_iter().chain(new.map(|value| (value, 1)))
            {
                needs.count_value(value, times, source)?;
            }
            needs.add(differences.take_nodes());
        }
        needs.add(differences.take_nodes());
        Ok(needs)
    }

    /// Counts another difference on top of this one.
    pub fn add(&mut self, other: Self) {
        for (chunk, times) in other.0.into_values() {
            self.count(&chunk, times);
        }
    }

    /// It is needed so many times more.
    pub(super) fn count(&mut self, chunk: &ChunkRef, times: i64) {
        match self.0.entry(chunk.id) {
            Entry::Vacant(entry) => drop(entry.insert((*chunk, times))),
            Entry::Occupied(mut entry) => {
                entry.get_mut().1 += times;
                if entry.get().1 == 0 {
                    entry.remove();
                }
            }
        }
    }

    /// A value as a leaf has it is there so many times more.
    pub(super) fn count_value<S: NodeSource>(
        &mut self,
        value: ValueRef,
        times: i64,
        source: &mut S,
    ) -> Result<(), MapError<S::Error>> {
        value.chunks().iter().for_each(|chunk| self.count(chunk, times));
        if matches!(value, ValueRef::Spilled { .. }) {
            let value = value.load(source)?;
            value.chunks.iter().for_each(|chunk| self.count(chunk, times));
        }
        Ok(())
    }

    /// Chunks that the new map needs more often than the old one, and how much more often.
    pub fn more(&self) -> impl Iterator<Item = (&ChunkRef, u64)> {
        self.0.values().filter(|(_, times)| *times > 0).map(|(chunk, times)| (chunk, times.unsigned_abs()))
    }

    /// Chunks that it needs less often, and how much less often.
    pub fn less(&self) -> impl Iterator<Item = (&ChunkRef, u64)> {
        self.0.values().filter(|(_, times)| *times < 0).map(|(chunk, times)| (chunk, times.unsigned_abs()))
    }
}
