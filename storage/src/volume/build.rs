//! Making a map out of sorted keys, level by level.

use super::cut::Cutter;
use super::node::{Child, Item, Node};
use super::value::{SPILL_CHUNK_LEN, Value, ValueRef};
use super::{MAX_HEIGHT, MAX_KEY_LEN, MAX_VALUE_LEN, MapError, MapRoot};
use crate::chunk::ChunkRef;
use crate::sink::ChunkSink;
use crate::submitted::{ChunkWriter, Ticket};

/// A node that was submitted.
pub(super) struct Made {
    pub(super) first_key: Vec<u8>,
    pub(super) node: Node,
    ticket: Ticket,
}

/// An item whose chunks may not have references yet.
pub(super) enum Unsettled {
    Settled(Item),
    Spilling { len: u32, tickets: Vec<Ticket> },
}

/// Cuts the items of one level into nodes and submits them.
pub(super) struct Level {
    level: u8,
    cutter: Cutter,
    items: Vec<(Vec<u8>, Unsettled)>,
    last_key: Option<Vec<u8>>,
}

impl Level {
    pub(super) fn new(level: u8) -> Self {
        Self { level, cutter: Cutter::new(level), items: Vec::new(), last_key: None }
    }

    /// Whether the next key begins a node.
    pub(super) fn is_between_nodes(&self) -> bool {
        self.items.is_empty()
    }

    /// Takes the next item; returns the node that ends with it.
    pub(super) fn push<S: ChunkSink>(
        &mut self,
        writer: &mut ChunkWriter<S>,
        key: Vec<u8>,
        item: Unsettled,
    ) -> Result<Option<Made>, MapError<S::Error>> {
        if self.last_key.as_ref().is_some_and(|last| *last >= key) {
            return Err(MapError::Order);
        }
        let cost = match &item {
            Unsettled::Settled(item) => item.cost(&key),
            Unsettled::Spilling { tickets, .. } => key.len() + 8 + tickets.len() * ChunkRef::ENCODED_LEN,
        };
        let ends = self.cutter.ends_behind(&key, cost);
        self.last_key = Some(key.clone());
        self.items.push((key, item));
        if ends { self.end(writer) } else { Ok(None) }
    }

    /// Submits what is left.
    pub(super) fn end<S: ChunkSink>(
        &mut self,
        writer: &mut ChunkWriter<S>,
    ) -> Result<Option<Made>, MapError<S::Error>> {
        let items = std::mem::take(&mut self.items);
        if items.is_empty() {
            return Ok(None);
        }
        self.cutter = Cutter::new(self.level);
        if items.iter().any(|(_, item)| matches!(item, Unsettled::Spilling { .. })) {
            writer.settle()?;
        }
        let settle = |(key, item)| match item {
            Unsettled::Settled(item) => Ok((key, item)),
            Unsettled::Spilling { len, tickets } => {
                let chunks: Option<Vec<ChunkRef>> =
                    tickets.into_iter().map(|ticket| writer.reference(ticket)).collect();
                let chunks = chunks.ok_or(MapError::WrongReferences)?;
                Ok((key, Item::Value(ValueRef::Spilled { len, chunks })))
            }
        };
        let items: Result<Vec<_>, MapError<S::Error>> = items.into_iter().map(settle).collect();
        submit(writer, Node { level: self.level, items: items? }).map(Some)
    }
}

fn submit<S: ChunkSink>(writer: &mut ChunkWriter<S>, node: Node) -> Result<Made, MapError<S::Error>> {
    let first_key = node.items.first().map(|(key, _)| key.clone()).unwrap_or_default();
    let ticket = writer.submit_node(node.encode())?;
    Ok(Made { first_key, node, ticket })
}

/// Submits the chunks of a value that is too long for a leaf.
pub(super) fn unsettled<S: ChunkSink>(
    writer: &mut ChunkWriter<S>,
    value: Value,
) -> Result<Unsettled, MapError<S::Error>> {
    if value.fits_inline() {
        return Ok(Unsettled::Settled(Item::Value(ValueRef::Inline(value))));
    }
    if value.spilled_len() > MAX_VALUE_LEN {
        return Err(MapError::ValueTooLong(value.spilled_len()));
    }
    let encoded = value.spill();
    let len = encoded.len() as u32; // at most MAX_VALUE_LEN
    let chunks = encoded.chunks(SPILL_CHUNK_LEN);
    let tickets: Result<_, _> = chunks.map(|chunk| writer.submit(chunk.to_vec().into())).collect();
    Ok(Unsettled::Spilling { len, tickets: tickets? })
}

/// The references of nodes, as children of the next level.
pub(super) fn children<S: ChunkSink>(
    writer: &mut ChunkWriter<S>,
    made: &[Made],
) -> Result<Vec<Child>, MapError<S::Error>> {
    writer.settle()?;
    let child = |made: &Made| {
        let chunk = writer.reference(made.ticket).ok_or(MapError::WrongReferences)?;
        Ok(Child { chunk, keys: made.node.keys() })
    };
    made.iter().map(child).collect()
}

/// Builds levels on top of the nodes of one until there is a single node. `each` is told of all that are made.
pub(super) fn build_up<S: ChunkSink>(
    writer: &mut ChunkWriter<S>,
    mut level: u8,
    mut nodes: Vec<(Vec<u8>, Child)>,
    mut each: impl FnMut(&Made, &Child),
) -> Result<MapRoot, MapError<S::Error>> {
    loop {
        if let [(_, Child { chunk, keys })] = nodes[..] {
            return Ok(MapRoot { chunk, level, keys });
        }
        level += 1;
        if level > MAX_HEIGHT {
            return Err(MapError::Malformed("it has too many levels"));
        }
        let mut builder = Level::new(level);
        let mut made = Vec::new();
        for (key, child) in nodes {
            made.extend(builder.push(writer, key, Unsettled::Settled(Item::Child(child)))?);
        }
        made.extend(builder.end(writer)?);
        let children = children(writer, &made)?;
        made.iter().zip(&children).for_each(|(made, child)| each(made, child));
        nodes = made.into_iter().map(|made| made.first_key).zip(children).collect();
    }
}

/// The map without keys.
pub(super) fn empty<S: ChunkSink>(writer: &mut ChunkWriter<S>) -> Result<(Made, Child), MapError<S::Error>> {
    let made = submit(writer, Node { level: 0, items: Vec::new() })?;
    let child = children(writer, std::slice::from_ref(&made))?;
    let child = child.first().copied().ok_or(MapError::WrongReferences)?;
    Ok((made, child))
}

/// Makes a map. Its memory is one leaf, and about 200 bytes for each leaf before.
pub struct MapBuilder {
    level: Level,
    leaves: Vec<(Vec<u8>, u64, Ticket)>,
}

impl Default for MapBuilder {
    fn default() -> Self {
        Self { level: Level::new(0), leaves: Vec::new() }
    }
}

impl MapBuilder {
    /// An empty map so far.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a key behind all others.
    pub fn push<S: ChunkSink>(
        &mut self,
        writer: &mut ChunkWriter<S>,
        key: Vec<u8>,
        value: Value,
    ) -> Result<(), MapError<S::Error>> {
        if key.len() > MAX_KEY_LEN {
            return Err(MapError::KeyTooLong(key.len()));
        }
        let item = unsettled(writer, value)?;
        let made = self.level.push(writer, key, item)?;
        self.leaves.extend(made.map(|made| (made.first_key, made.node.keys(), made.ticket)));
        Ok(())
    }

    /// Submits what is left. The map exists once the sink has stored all of it.
    pub fn finish<S: ChunkSink>(
        mut self,
        writer: &mut ChunkWriter<S>,
    ) -> Result<MapRoot, MapError<S::Error>> {
        let last = self.level.end(writer)?;
        self.leaves.extend(last.map(|made| (made.first_key, made.node.keys(), made.ticket)));
        if self.leaves.is_empty() {
            let (_, Child { chunk, .. }) = empty(writer)?;
            return Ok(MapRoot { chunk, level: 0, keys: 0 });
        }
        writer.settle()?;
        let leaf = |(key, keys, ticket)| {
            let chunk = writer.reference(ticket).ok_or(MapError::WrongReferences)?;
            Ok((key, Child { chunk, keys }))
        };
        let leaves: Result<Vec<_>, MapError<S::Error>> = self.leaves.into_iter().map(leaf).collect();
        build_up(writer, 0, leaves?, |_, _| ())
    }
}
