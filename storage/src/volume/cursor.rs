//! Reading a map from any key on.

use super::node::{Child, Item, Node};
use super::value::ValueRef;
use super::{MapError, MapRoot, NodeSource};
use crate::chunk::ChunkRef;

/// Children that the source is told of ahead.
const AHEAD: usize = 32;

/// What a cursor stands on: a key, or a child that it has not gone into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place<'a> {
    Value(&'a [u8], &'a ValueRef),
    Child(&'a [u8], &'a Child, u8),
}

impl Place<'_> {
    pub(super) fn key(&self) -> &[u8] {
        match self {
            Place::Value(key, _) | Place::Child(key, ..) => key,
        }
    }
}

/// A key and its value.
type Keyed = (Vec<u8>, ValueRef);

struct Frame {
    node: Node,
    at: usize,
}

/// A place in a map. It goes into a node only when it has to, so that whole subtrees can be skipped.
pub struct Cursor {
    root: Option<(Child, u8)>,
    frames: Vec<Frame>,
}

impl Cursor {
    /// Before the first key.
    pub fn new(root: &MapRoot) -> Self {
        Self { root: Some((Child { chunk: root.chunk, keys: root.keys }, root.level)), frames: Vec::new() }
    }

    /// At the end of what has no keys at all.
    pub(super) fn ended() -> Self {
        Self { root: None, frames: Vec::new() }
    }

    /// Before the first key that is not less than `key`.
    pub fn seek<S: NodeSource>(
        root: &MapRoot,
        key: &[u8],
        source: &mut S,
    ) -> Result<Self, MapError<S::Error>> {
        let mut cursor = Self::new(root);
        loop {
            match cursor.here() {
                Some(Place::Child(..)) => cursor.descend_towards(Some(key), source)?,
                Some(Place::Value(here, _)) if here < key => cursor.skip(),
                _ => return Ok(cursor),
            }
        }
    }

    /// The next key and its value.
    pub fn next<S: NodeSource>(&mut self, source: &mut S) -> Result<Option<Keyed>, MapError<S::Error>> {
        loop {
            match self.here() {
                None => return Ok(None),
                Some(Place::Child(..)) => self.descend(source)?,
                Some(Place::Value(key, value)) => {
                    let found = (key.to_vec(), value.clone());
                    self.skip();
                    return Ok(Some(found));
                }
            }
        }
    }

    /// What stands here; `None` at the end.
    pub(super) fn here(&self) -> Option<Place<'_>> {
        if let Some((child, level)) = &self.root {
            return Some(Place::Child(&[], child, *level));
        }
        let frame = self.frames.last()?;
        let (key, item) = frame.node.items.get(frame.at)?;
        Some(match item {
            Item::Value(value) => Place::Value(key, value),
            Item::Child(child) => Place::Child(key, child, frame.node.level - 1),
        })
    }

    /// Goes behind what stands here.
    pub(super) fn skip(&mut self) {
        if self.root.take().is_some() {
            return;
        }
        while let Some(frame) = self.frames.last_mut() {
            frame.at += 1;
            if frame.at < frame.node.items.len() {
                return;
            }
            self.frames.pop();
        }
    }

    /// Goes to the first item of the child that stands here.
    pub(super) fn descend<S: NodeSource>(&mut self, source: &mut S) -> Result<(), MapError<S::Error>> {
        self.descend_towards(None, source)
    }

    fn descend_towards<S: NodeSource>(
        &mut self,
        key: Option<&[u8]>,
        source: &mut S,
    ) -> Result<(), MapError<S::Error>> {
        let Some(Place::Child(first_key, child, level)) = self.here() else { return Ok(()) };
        let is_root = self.root.is_some();
        // Whoever looks for a key reads one child; whoever reads on reads them all.
        if key.is_none()
            && let Some(frame) = self.frames.last()
        {
            let following = frame.node.items.iter().skip(frame.at).take(AHEAD);
            let following = following.filter_map(|(_, item)| match item {
                Item::Child(child) => Some(child.chunk),
                Item::Value(_) => None,
            });
            source.expect(&following.collect::<Vec<ChunkRef>>());
        }
        let node = load_child((!is_root).then_some(first_key), child, level, source)?;
        // The next of a last child is that of its parent.
        let next = self.frames.iter().rev().find_map(|frame| frame.node.items.get(frame.at + 1));
        if let Some((next, _)) = next
            && node.items.last().is_some_and(|(last, _)| last >= next)
        {
            return Err(MapError::Malformed("a node goes on behind the beginning of the next"));
        }
        // The last child that does not begin behind the key has it, if any has.
        let at = match key {
            Some(key) if level > 0 => {
                node.items.partition_point(|(first, _)| &**first <= key).saturating_sub(1)
            }
            Some(key) => node.items.partition_point(|(at, _)| &**at < key),
            None => 0,
        };
        let beyond = at >= node.items.len();
        self.root = None;
        self.frames.push(Frame { node, at });
        if beyond {
            // All keys of this leaf are less: go on behind it.
            self.frames.pop();
            self.skip();
        }
        Ok(())
    }
}

/// Fetches and reads a node.
pub(super) fn load_node<S: NodeSource>(
    chunk: &ChunkRef,
    level: u8,
    source: &mut S,
) -> Result<Node, MapError<S::Error>> {
    let encoded = source.load(chunk).map_err(MapError::Chunk)?;
    Ok(Node::decode(&encoded, level)?)
}

/// Fetches a node, which has to be as its parent says. `first_key`: of all but the root.
pub(super) fn load_child<S: NodeSource>(
    first_key: Option<&[u8]>,
    child: &Child,
    level: u8,
    source: &mut S,
) -> Result<Node, MapError<S::Error>> {
    let node = load_node(&child.chunk, level, source)?;
    if node.keys() != child.keys {
        return Err(MapError::Malformed("a node has another number of keys than its parent says"));
    }
    if first_key.is_some_and(|first_key| node.items.first().is_none_or(|(key, _)| key != first_key)) {
        return Err(MapError::Malformed("a node begins at another key than its parent says"));
    }
    Ok(node)
}

impl MapRoot {
    /// The value of a key.
    pub fn get<S: NodeSource>(
        &self,
        key: &[u8],
        source: &mut S,
    ) -> Result<Option<ValueRef>, MapError<S::Error>> {
        let found = Cursor::seek(self, key, source)?.next(source)?;
        Ok(found.filter(|(found, _)| found == key).map(|(_, value)| value))
    }
}
