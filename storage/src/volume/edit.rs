//! Making a map out of another one and a few changes: of each level only the nodes that change are read and written.

use std::collections::{BTreeMap, BTreeSet};
use std::iter::Peekable;

use super::build::{Level, Made, Unsettled, build_up, children, empty, unsettled};
use super::cursor::{load_child, load_node};
use super::node::{Child, Item, Node};
use super::value::{Value, ValueRef};
use super::{MAX_KEY_LEN, MapError, MapRoot, NodeSource};
use crate::chunk::ChunkRef;
use crate::ids::ChunkId;
use crate::sink::ChunkSink;
use crate::submitted::ChunkWriter;

/// What is to become of a key: its new value, or `None` to take it out.
pub type Change = Option<Value>;

/// A map after changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edited {
    /// Where it begins.
    pub root: MapRoot,
    /// Nodes and chunks of long values that were written for it.
    pub written: Vec<ChunkRef>,
    /// Nodes that the old map had and this one has not.
    pub dropped: Vec<ChunkRef>,
}

/// Applies changes, in the order of their keys. The outcome is the same tree that [`MapBuilder`](super::MapBuilder) would make.
pub fn edit<S, N>(
    root: &MapRoot,
    changes: BTreeMap<Vec<u8>, Change>,
    source: &mut N,
    writer: &mut ChunkWriter<S>,
) -> Result<Edited, MapError<S::Error>>
where
    S: ChunkSink,
    N: NodeSource<Error = S::Error>,
{
    let mut editor = Editor { root: *root, source, writer, made: BTreeMap::new(), dropped: Vec::new() };
    let mut spills = Vec::new();
    let mut level_changes = BTreeMap::new();
    for (key, change) in changes {
        if key.len() > MAX_KEY_LEN {
            return Err(MapError::KeyTooLong(key.len()));
        }
        let change = change.map(|value| unsettled(editor.writer, value)).transpose()?;
        level_changes.insert(key, change);
    }
    let mut top = BTreeMap::new();
    for level in 0..=root.level {
        let changed = editor.level(level, level_changes, &mut spills)?;
        if changed.is_empty() {
            return Ok(Edited { root: *root, written: Vec::new(), dropped: Vec::new() });
        }
        let as_item = |(key, child): (Vec<u8>, Option<Child>)| {
            (key, child.map(|child| Unsettled::Settled(Item::Child(child))))
        };
        level_changes = changed.clone().into_iter().map(as_item).collect();
        top = changed;
    }
    let nodes: Vec<(Vec<u8>, Child)> =
        top.into_iter().filter_map(|(key, child)| Some((key, child?))).collect();
    let root = editor.crown(nodes)?;
    Ok(editor.finish(root, spills))
}

/// Nodes of a level by their first keys; `None`: there is none any more.
type Children = BTreeMap<Vec<u8>, Option<Child>>;

struct Editor<'a, S, N> {
    root: MapRoot,
    source: &'a mut N,
    writer: &'a mut ChunkWriter<S>,
    /// Nodes that were made, which the source may not have yet.
    made: BTreeMap<ChunkId, (ChunkRef, Node)>,
    dropped: Vec<ChunkRef>,
}

impl<S, N> Editor<'_, S, N>
where
    S: ChunkSink,
    N: NodeSource<Error = S::Error>,
{
    /// Applies changes to the items of one level; returns those of its nodes, by their first keys.
    fn level(
        &mut self,
        level: u8,
        changes: BTreeMap<Vec<u8>, Option<Unsettled>>,
        spills: &mut Vec<ChunkRef>,
    ) -> Result<Children, MapError<S::Error>> {
        let mut removed: BTreeMap<Vec<u8>, Child> = BTreeMap::new();
        let mut made: Vec<Made> = Vec::new();
        let mut changes = changes.into_iter().peekable();
        while let Some((key, _)) = changes.peek() {
            let mut nodes = Nodes::seek(&self.root, level, key, self.source)?;
            let mut builder = Level::new(level);
            while let Some((first_key, child)) = nodes.here() {
                // Whatever lies about where it begins could be met again and again.
                let told = nodes.root.is_none().then_some(first_key.as_slice());
                let node = load_child(told, &child, level, self.source)?;
                removed.insert(first_key, child);
                self.dropped.push(child.chunk);
                nodes.step(self.source)?;
                let end = nodes.here().map(|(key, _)| key);
                let merged = merge(node.items, &mut changes, end.as_deref());
                for (key, item) in merged {
                    made.extend(builder.push(self.writer, key, item)?);
                }
                if builder.is_between_nodes() {
                    break;
                }
            }
            made.extend(builder.end(self.writer)?);
        }
        let children = children(self.writer, &made)?;
        let mut changed: Children = removed.keys().map(|key| (key.clone(), None)).collect();
        for (made, child) in made.into_iter().zip(children) {
            spills.extend(made.node.items.iter().flat_map(|(_, item)| match item {
                Item::Value(ValueRef::Spilled { chunks, .. }) => chunks.as_slice(),
                _ => &[],
            }));
            self.made.insert(child.chunk.id, (child.chunk, made.node));
            changed.insert(made.first_key, Some(child));
        }
        // What came out as it was is no change.
        changed.retain(|key, child| child.is_none() || removed.get(key) != child.as_ref());
        Ok(changed)
    }

    /// The root above the nodes of what was the topmost level.
    fn crown(&mut self, nodes: Vec<(Vec<u8>, Child)>) -> Result<MapRoot, MapError<S::Error>> {
        if nodes.is_empty() {
            let (made, child) = empty(self.writer)?;
            self.made.insert(child.chunk.id, (child.chunk, made.node));
            return Ok(MapRoot { chunk: child.chunk, level: 0, keys: 0 });
        }
        let made = &mut self.made;
        let mut root = build_up(self.writer, self.root.level, nodes, |node, child| {
            made.insert(child.chunk.id, (child.chunk, node.node.clone()));
        })?;
        // A root with a single child would not have been made.
        while root.level > 0 {
            let node = match self.made.get(&root.chunk.id) {
                Some((_, node)) => node.clone(),
                None => load_node(&root.chunk, root.level, self.source)?,
            };
            let [(_, Item::Child(Child { chunk, keys }))] = node.items[..] else { break };
            self.made.remove(&root.chunk.id);
            self.dropped.push(root.chunk);
            root = MapRoot { chunk, level: root.level - 1, keys };
        }
        Ok(root)
    }

    fn finish(self, root: MapRoot, spills: Vec<ChunkRef>) -> Edited {
        // A node can come out as it was.
        let old: BTreeSet<ChunkId> = self.dropped.iter().map(|chunk| chunk.id).collect();
        let made = self.made.values().map(|(chunk, _)| *chunk);
        let written = made.chain(spills).filter(|chunk| !old.contains(&chunk.id)).collect();
        let is_made = |chunk: &ChunkRef| self.made.contains_key(&chunk.id);
        let dropped = self.dropped.iter().filter(|chunk| !is_made(chunk)).copied().collect();
        Edited { root, written, dropped }
    }
}

/// The items of a node with the changes up to `end` made.
fn merge(
    items: Vec<(Vec<u8>, Item)>,
    changes: &mut Peekable<impl Iterator<Item = (Vec<u8>, Option<Unsettled>)>>,
    end: Option<&[u8]>,
) -> Vec<(Vec<u8>, Unsettled)> {
    let mut merged = Vec::with_capacity(items.len() + 1);
    let mut items = items.into_iter().peekable();
    loop {
        let change =
            changes.peek().map(|(key, _)| key).filter(|key| end.is_none_or(|end| key.as_slice() < end));
        match (items.peek(), change) {
            (None, None) => return merged,
            (Some((key, _)), change) if change.is_none_or(|change| key < change) => {
                merged.extend(items.next().map(|(key, item)| (key, Unsettled::Settled(item))));
            }
            (item, change) => {
                if item.is_some_and(|(key, _)| Some(key) == change) {
                    items.next();
                }
                merged.extend(changes.next().and_then(|(key, item)| Some((key, item?))));
            }
        }
    }
}

/// The nodes of one level, one after the other.
struct Nodes {
    /// From the root down to the level above; in each which child is next.
    path: Vec<(Node, usize)>,
    /// The root itself, if it is of this level.
    root: Option<Child>,
}

impl Nodes {
    /// At the node that has `key`, or would have it.
    fn seek<N: NodeSource>(
        root: &MapRoot,
        level: u8,
        key: &[u8],
        source: &mut N,
    ) -> Result<Self, MapError<N::Error>> {
        let top = Child { chunk: root.chunk, keys: root.keys };
        let mut nodes = Nodes { path: Vec::new(), root: (root.level == level).then_some(top) };
        let (mut at, mut child, mut first_key) = (root.level, top, None);
        while at > level {
            let node = load_child(first_key.as_deref(), &child, at, source)?;
            let index = node.items.partition_point(|(first, _)| first.as_slice() <= key).saturating_sub(1);
            let Some((first, Item::Child(below))) = node.items.get(index) else { break };
            (child, first_key) = (*below, Some(first.clone()));
            nodes.path.push((node, index));
            at -= 1;
        }
        Ok(nodes)
    }

    fn here(&self) -> Option<(Vec<u8>, Child)> {
        if let Some(root) = self.root {
            return Some((Vec::new(), root));
        }
        let (node, index) = self.path.last()?;
        match node.items.get(*index)? {
            (key, Item::Child(child)) => Some((key.clone(), *child)),
            (_, Item::Value(_)) => None,
        }
    }

    fn step<N: NodeSource>(&mut self, source: &mut N) -> Result<(), MapError<N::Error>> {
        if self.root.take().is_some() {
            return Ok(());
        }
        let depth = self.path.len();
        while let Some((node, index)) = self.path.last_mut() {
            *index += 1;
            if *index < node.items.len() {
                break;
            }
            self.path.pop();
        }
        while !self.path.is_empty() && self.path.len() < depth {
            let Some((node, index)) = self.path.last() else { break };
            let Some((first, Item::Child(child))) = node.items.get(*index) else { break };
            let below = load_child(Some(first), child, node.level - 1, source)?;
            self.path.push((below, 0));
        }
        Ok(())
    }
}
