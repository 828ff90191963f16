//! Which chunks a map needs.

use std::collections::BTreeSet;

use super::cursor::load_node;
use super::node::Item;
use super::value::{Value, ValueRef};
use super::{MapError, MapRoot, NodeSource};
use crate::chunk::ChunkRef;
use crate::ids::ChunkId;

/// Gathers the chunks of maps: nodes, long values, and what values need. A node that was met before is not read again,
/// so that many versions of a map cost little more than one. 32 bytes for each chunk.
#[derive(Debug, Default)]
pub struct Reach {
    nodes: BTreeSet<ChunkId>,
    all: BTreeSet<ChunkId>,
}

impl Reach {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether a map that was added needs the chunk.
    pub fn contains(&self, chunk: &ChunkId) -> bool {
        self.all.contains(chunk)
    }

    /// How many chunks there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// All of them, in order.
    pub fn chunks(&self) -> impl Iterator<Item = &ChunkId> {
        self.all.iter()
    }

    /// Adds what a map needs; `each` is told of every chunk that was not met before.
    pub fn add<S: NodeSource>(
        &mut self,
        root: &MapRoot,
        source: &mut S,
        mut each: impl FnMut(&ChunkRef),
    ) -> Result<(), MapError<S::Error>> {
        self.add_each(root, source, &mut each, |_, _, _| Ok(()))
    }

    /// The same; `inside` is told of the value of every key in a leaf that was not met before.
    pub fn add_each<S: NodeSource>(
        &mut self,
        root: &MapRoot,
        source: &mut S,
        each: &mut impl FnMut(&ChunkRef),
        mut inside: impl FnMut(&[u8], &Value, &mut S) -> Result<(), MapError<S::Error>>,
    ) -> Result<(), MapError<S::Error>> {
        let mut waiting = vec![(root.chunk, root.level)];
        while let Some((chunk, level)) = waiting.pop() {
            if !self.nodes.insert(chunk.id) {
                continue;
            }
            self.meet(&chunk, each);
            let node = load_node(&chunk, level, source)?;
            let children = node.items.iter().filter_map(|(_, item)| match item {
                Item::Child(child) if !self.nodes.contains(&child.chunk.id) => Some(child.chunk),
                _ => None,
            });
            let mut children: Vec<ChunkRef> = children.collect();
            if !children.is_empty() {
                source.expect(&children);
                children.reverse();
                waiting.extend(children.into_iter().map(|child| (child, level - 1)));
            }
            for (key, item) in node.items {
                let Item::Value(value) = item else { continue };
                for chunk in value.chunks() {
                    self.meet(chunk, each);
                }
                let spilled = matches!(value, ValueRef::Spilled { .. });
                let value = value.load(source)?;
                if spilled {
                    value.chunks.iter().for_each(|chunk| self.meet(chunk, each));
                }
                inside(&key, &value, source)?;
            }
        }
        Ok(())
    }

    fn meet(&mut self, chunk: &ChunkRef, each: &mut impl FnMut(&ChunkRef)) {
        if self.all.insert(chunk.id) {
            each(chunk);
        }
    }
}
