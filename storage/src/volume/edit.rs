//! Making a map out of another one and a few changes: of each level only the nodes that change are read and written.

use std::collections::{BTreeMap, BTreeSet};
use std::iter::Peekable;

use bytes::Bytes;

use super::build::{Level, Made, Unsettled, build_up, children, empty, unsettled};
use super::cursor::{load_child, load_node};
use super::needs::Needs;
use super::node::{Child, Item, Node};
use super::value::{Value, ValueRef};
use super::{MAX_KEY_LEN, MapError, MapRoot, NodeSource};
use crate::chunk::ChunkRef;
use crate::ids::ChunkId;
use crate::sink::ChunkSink;
use crate::submitted::ChunkWriter;

/// Nodes that are in memory at a time: so many of the largest are 64 MiB, and usual ones 1 MiB.
const SETTLED_TOGETHER: usize = 32;

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
    /// How what it needs differs from what the old map needed.
    pub needs: Needs,
}

/// Makes the first map out of changes, in the order of their keys.
pub fn create<S, N>(
    changes: BTreeMap<Vec<u8>, Change>,
    source: &mut N,
    writer: &mut ChunkWriter<S>,
) -> Result<Edited, MapError<S::Error>>
where
    S: ChunkSink,
    N: NodeSource<Error = S::Error>,
{
    let mut editor = Editor::new(None, source, writer);
    let mut spills = Vec::new();
    let changes = editor.unsettled(changes)?;
    let nodes = editor.level(0, changes, &mut spills)?;
    let nodes = nodes.into_iter().filter_map(|(key, child)| Some((key, child?))).collect();
    let root = editor.crown(nodes)?;
    Ok(editor.finish(root, spills))
}

/// Applies changes, in the order of their keys. The outcome is the same tree that [`MapBuilder`](super::MapBuilder)
/// would make.
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
    let mut editor = Editor::new(Some(*root), source, writer);
    let mut spills = Vec::new();
    let mut level_changes = editor.unsettled(changes)?;
    let mut top = BTreeMap::new();
    for level in 0..=root.level {
        let changed = editor.level(level, level_changes, &mut spills)?;
        if changed.is_empty() {
            let (written, dropped) = (Vec::new(), Vec::new());
            return Ok(Edited { root: *root, written, dropped, needs: Needs::new() });
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

/// Changes of the items of a level.
type Unsettleds = BTreeMap<Vec<u8>, Option<Unsettled>>;
/// Nodes of a level by their first keys; `None`: there is none any more.
type Children = BTreeMap<Vec<u8>, Option<Child>>;

struct Editor<'a, S, N> {
    root: Option<MapRoot>,
    source: &'a mut N,
    writer: &'a mut ChunkWriter<S>,
    /// Nodes that were made. Of leaves, of which there may be many, it is not remembered what is in them.
    made: BTreeMap<ChunkId, (ChunkRef, Option<Node>)>,
    dropped: Vec<ChunkRef>,
    /// Keys that have got values.
    given: BTreeSet<Vec<u8>>,
    /// How much more or less often values need chunks.
    needs: Needs,
}

/// Nodes that were made and may not be stored yet, and values that had to give way in them.
#[derive(Default)]
struct MadeLately {
    nodes: Vec<Made>,
    replaced: Vec<ValueRef>,
}

impl<'a, S, N> Editor<'a, S, N>
where
    S: ChunkSink,
    N: NodeSource<Error = S::Error>,
{
    fn new(root: Option<MapRoot>, source: &'a mut N, writer: &'a mut ChunkWriter<S>) -> Self {
        let (made, dropped) = (BTreeMap::new(), Vec::new());
        Editor { root, source, writer, made, dropped, given: BTreeSet::new(), needs: Needs::new() }
    }

    /// Submits the chunks of long values.
    fn unsettled(&mut self, changes: BTreeMap<Vec<u8>, Change>) -> Result<Unsettleds, MapError<S::Error>> {
        let mut unsettleds = BTreeMap::new();
        for (key, change) in changes {
            if key.len() > MAX_KEY_LEN {
                return Err(MapError::KeyTooLong(key.len()));
            }
            let value = match change {
                Some(value) => {
                    self.given.insert(key.clone());
                    if !value.fits_inline() {
                        // Its leaf will name those in which it lies, and only they name these.
                        value.chunks.iter().for_each(|chunk| self.needs.count(chunk, 1));
                    }
                    Some(unsettled(self.writer, value)?)
                }
                None => None,
            };
            unsettleds.insert(key, value);
        }
        Ok(unsettleds)
    }

    /// Applies changes to the items of one level; returns those of its nodes, by their first keys.
    fn level(
        &mut self,
        level: u8,
        changes: Unsettleds,
        spills: &mut Vec<ChunkRef>,
    ) -> Result<Children, MapError<S::Error>> {
        let mut removed: BTreeMap<Vec<u8>, Child> = BTreeMap::new();
        let mut new = BTreeMap::new();
        let mut made = MadeLately::default();
        let mut changes = changes.into_iter().peekable();
        while let Some((key, _)) = changes.peek() {
            let mut builder = Level::new(level);
            let Some(root) = self.root else {
                for (key, item) in merge(Vec::new(), &mut changes, None, &mut made.replaced) {
                    made.nodes.extend(builder.push(self.writer, key, item)?);
                    self.settle(&mut made, SETTLED_TOGETHER, &mut new, spills)?;
                }
                made.nodes.extend(builder.end(self.writer)?);
                break;
            };
            let mut nodes = Nodes::seek(&root, level, key, self.source)?;
            while let Some((first_key, child)) = nodes.here() {
                // Whatever lies about where it begins could be met again and again.
                let told = nodes.root.is_none().then_some(first_key.as_slice());
                let node = load_child(told, &child, level, self.source)?;
                removed.insert(first_key, child);
                self.dropped.push(child.chunk);
                nodes.step(self.source)?;
                let end = nodes.here().map(|(key, _)| key);
                let merged = merge(node.items, &mut changes, end.as_deref(), &mut made.replaced);
                for (key, item) in merged {
                    made.nodes.extend(builder.push(self.writer, key, item)?);
                    self.settle(&mut made, SETTLED_TOGETHER, &mut new, spills)?;
                }
                if builder.is_between_nodes() {
                    break;
                }
            }
            made.nodes.extend(builder.end(self.writer)?);
        }
        self.settle(&mut made, 0, &mut new, spills)?;
        let mut changed: Children = removed.keys().map(|key| (key.clone(), None)).collect();
        changed.extend(new.into_iter().map(|(key, child)| (key, Some(child))));
        // What came out as it was is no change.
        changed.retain(|key, child| child.is_none() || removed.get(key) != child.as_ref());
        Ok(changed)
    }

    /// Has nodes stored once there are more than `most`, so that never more of a map is in memory.
    fn settle(
        &mut self,
        lately: &mut MadeLately,
        most: usize,
        new: &mut BTreeMap<Vec<u8>, Child>,
        spills: &mut Vec<ChunkRef>,
    ) -> Result<(), MapError<S::Error>> {
        if most > 0 && lately.nodes.len() <= most {
            return Ok(());
        }
        let MadeLately { nodes, replaced } = std::mem::take(lately);
        for value in replaced {
            self.needs.count_value(value, -1, self.source)?;
        }
        let children = children(self.writer, &nodes)?;
        for (made, child) in nodes.into_iter().zip(children) {
            for (key, item) in &made.node.items {
                let Item::Value(value) = item else { continue };
                if self.given.contains(key) {
                    value.chunks().iter().for_each(|chunk| self.needs.count(chunk, 1));
                }
                if let ValueRef::Spilled { chunks, .. } = value {
                    spills.extend(chunks);
                }
            }
            self.note(made.node, &child);
            new.insert(made.first_key, child);
        }
        Ok(())
    }

    /// Notes a node that was made.
    fn note(&mut self, node: Node, child: &Child) {
        self.source.made(&child.chunk, Bytes::from(node.encode()));
        self.made.insert(child.chunk.id, (child.chunk, Some(node).filter(|node| node.level > 0)));
    }

    /// The root above the nodes of what was the topmost level.
    fn crown(&mut self, nodes: Vec<(Vec<u8>, Child)>) -> Result<MapRoot, MapError<S::Error>> {
        if nodes.is_empty() {
            let (made, child) = empty(self.writer)?;
            self.note(made.node, &child);
            return Ok(MapRoot { chunk: child.chunk, level: 0, keys: 0 });
        }
        let mut above = Vec::new();
        let top = self.root.map_or(0, |root| root.level);
        let mut root = build_up(self.writer, top, nodes, |made, child| {
            above.push((made.node.clone(), *child));
        })?;
        above.into_iter().for_each(|(node, child)| self.note(node, &child));
        // A root with a single child would not have been made.
        while root.level > 0 {
            let node = match self.made.get(&root.chunk.id) {
                Some((_, Some(node))) => node.clone(),
                _ => load_node(&root.chunk, root.level, self.source)?,
            };
            let [(_, Item::Child(Child { chunk, keys }))] = node.items[..] else { break };
            if self.made.remove(&root.chunk.id).is_none() {
                self.dropped.push(root.chunk);
            }
            root = MapRoot { chunk, level: root.level - 1, keys };
        }
        Ok(root)
    }

    fn finish(mut self, root: MapRoot, spills: Vec<ChunkRef>) -> Edited {
        for (chunk, _) in self.made.values() {
            self.needs.count(chunk, 1);
        }
        for chunk in &self.dropped {
            self.needs.count(chunk, -1);
        }
        // A node can come out as it was.
        let old: BTreeSet<ChunkId> = self.dropped.iter().map(|chunk| chunk.id).collect();
        let made = self.made.values().map(|(chunk, _)| *chunk);
        let written = made.chain(spills).filter(|chunk| !old.contains(&chunk.id)).collect();
        let is_made = |chunk: &ChunkRef| self.made.contains_key(&chunk.id);
        let dropped = self.dropped.iter().filter(|chunk| !is_made(chunk)).copied().collect();
        Edited { root, written, dropped, needs: self.needs }
    }
}

/// Returns the items of a node after the changes to keys less than `end` (all changes if `None`). Old values that were
/// replaced or removed are appended to `replaced`.
fn merge(
    items: Vec<(Vec<u8>, Item)>,
    changes: &mut Peekable<impl Iterator<Item = (Vec<u8>, Option<Unsettled>)>>,
    end: Option<&[u8]>,
    replaced: &mut Vec<ValueRef>,
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
                    replaced.extend(items.next().and_then(|(_, item)| match item {
                        Item::Value(value) => Some(value),
                        Item::Child(_) => None,
                    }));
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
