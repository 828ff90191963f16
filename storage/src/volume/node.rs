//! Nodes of a map, as bytes.
//!
//! ```text
//!  node   version 1 │ level │ leaf or inner
//!  leaf   number of references │ references, 70 each │ number of keys │ for each: key │ value
//!  inner  number of children │ for each: key │ keys below │ reference, 70
//!  key    bytes shared with the key before │ length of the rest │ the rest
//!  value  0 │ length │ bytes │ number of chunks │ their places among the leaf's references
//!         1 │ length │ number of chunks │ their places          (a long value, in chunks of its own)
//! ```
//! Version and level are a byte each, all other numbers varints. The keys of a node ascend. A leaf lists each chunk
//! once, in the order in which its values first name them: hundreds of small files lie in one chunk.

use std::collections::BTreeMap;

use super::cut::{MAX_KEYS, MAX_NODE_LEN};
use super::value::{MAX_SPILL_CHUNKS, Value, ValueRef};
use super::{MAX_HEIGHT, MAX_INLINE_CHUNKS, MAX_INLINE_LEN, MAX_KEY_LEN, MAX_VALUE_LEN};
use crate::chunk::ChunkRef;
use crate::ids::ChunkId;
use crate::varint::{Malformed, Reader, put_varint};

const VERSION: u8 = 1;
/// Bytes that one item takes at most: a key, an inline value and its references, or those of a long one.
pub(super) const MAX_ITEM_LEN: usize =
    MAX_KEY_LEN + MAX_INLINE_LEN + MAX_SPILL_CHUNKS * ChunkRef::ENCODED_LEN + 64;

/// A child of an inner node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Child {
    pub(super) chunk: ChunkRef,
    /// Keys below it.
    pub(super) keys: u64,
}

/// What a node has for each key: of a leaf a value, of an inner node the child whose first key it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    Value(ValueRef),
    Child(Child),
}

impl Item {
    /// About how many bytes it takes in a node, for the length of nodes.
    pub(super) fn cost(&self, key: &[u8]) -> usize {
        key.len()
            + 8
            + match self {
                Item::Value(ValueRef::Inline(value)) => {
                    value.bytes.len() + value.chunks.len() * ChunkRef::ENCODED_LEN
                }
                Item::Value(ValueRef::Spilled { chunks, .. }) => chunks.len() * ChunkRef::ENCODED_LEN,
                Item::Child(_) => ChunkRef::ENCODED_LEN,
            }
    }

    /// Keys that it stands for.
    pub(super) fn keys(&self) -> u64 {
        match self {
            Item::Value(_) => 1,
            Item::Child(child) => child.keys,
        }
    }
}

/// One node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) level: u8,
    pub(super) items: Vec<(Vec<u8>, Item)>,
}

impl Node {
    /// Keys below it.
    pub(super) fn keys(&self) -> u64 {
        self.items.iter().map(|(_, item)| item.keys()).sum()
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION, self.level];
        let places = self.places();
        if self.level == 0 {
            put_varint(&mut out, places.len() as u64);
            let mut ordered: Vec<_> = places.values().collect();
            ordered.sort_unstable_by_key(|(place, _)| *place);
            out.extend(ordered.iter().flat_map(|(_, chunk)| chunk.encode()));
        }
        put_varint(&mut out, self.items.len() as u64);
        let mut before: &[u8] = &[];
        for (key, item) in &self.items {
            let shared = key.iter().zip(before).take_while(|(a, b)| a == b).count();
            put_varint(&mut out, shared as u64);
            put_varint(&mut out, (key.len() - shared) as u64);
            out.extend_from_slice(&key[shared..]);
            match item {
                Item::Child(child) => {
                    put_varint(&mut out, child.keys);
                    out.extend(child.chunk.encode());
                }
                Item::Value(value) => encode_value(&mut out, value, &places),
            }
            before = key;
        }
        out
    }

    /// Where each chunk of a leaf stands among its references.
    fn places(&self) -> Places {
        let mut places = BTreeMap::new();
        for (_, item) in &self.items {
            let Item::Value(value) = item else { continue };
            for chunk in value.chunks() {
                let next = places.len() as u64;
                places.entry(identity(chunk)).or_insert((next, *chunk));
            }
        }
        places
    }

    /// Reads a node of this level. It is checked as far as it can be alone.
    pub(super) fn decode(encoded: &[u8], level: u8) -> Result<Self, Malformed> {
        let mut reader = Reader { rest: encoded };
        if reader.byte()? != VERSION {
            return Err(Malformed("a node is of a version that is not known"));
        }
        if reader.byte()? != level || level > MAX_HEIGHT {
            return Err(Malformed("a node is of another level than its parent says"));
        }
        let references = if level == 0 { read_references(&mut reader)? } else { Vec::new() };
        let count = reader.varint_u32()?;
        if count as usize > MAX_KEYS {
            return Err(Malformed("a node has more keys than any may have"));
        }
        let mut items: Vec<(Vec<u8>, Item)> = Vec::new();
        let mut cost = 0;
        for _ in 0..count {
            let before = items.last().map_or(&[][..], |(key, _)| key);
            let key = read_key(&mut reader, before)?;
            if !items.is_empty() && *key <= *before {
                return Err(Malformed("the keys of a node do not ascend"));
            }
            let item = match level {
                0 => Item::Value(read_value(&mut reader, &references)?),
                _ => Item::Child(Child { keys: reader.varint()?, chunk: read_reference(&mut reader)? }),
            };
            // A few bytes can stand for a long key or many references: what they grow to has the limit that writers
            // have.
            cost += item.cost(&key);
            if cost > MAX_NODE_LEN + MAX_ITEM_LEN {
                return Err(Malformed("a node is longer than any may be"));
            }
            items.push((key, item));
        }
        if !reader.rest.is_empty() {
            return Err(Malformed("something follows the end of a node"));
        }
        if items.is_empty() && level > 0 {
            return Err(Malformed("an inner node has no children"));
        }
        let mut keys = 0u64;
        for (_, item) in &items {
            keys = keys.checked_add(item.keys()).ok_or(Malformed("a node says that it has too many keys"))?;
        }
        Ok(Self { level, items })
    }
}

type Identity = (ChunkId, [u8; 38]);
type Places = BTreeMap<Identity, (u64, ChunkRef)>;

/// References are equal only if all of them is.
fn identity(chunk: &ChunkRef) -> Identity {
    let mut rest = [0; 38];
    rest.copy_from_slice(&chunk.encode()[32..]);
    (chunk.id, rest)
}

fn encode_value(out: &mut Vec<u8>, value: &ValueRef, places: &Places) {
    match value {
        ValueRef::Inline(Value { bytes, .. }) => {
            out.push(0);
            put_varint(out, bytes.len() as u64);
            out.extend_from_slice(bytes);
        }
        ValueRef::Spilled { len, .. } => {
            out.push(1);
            put_varint(out, u64::from(*len));
        }
    }
    put_varint(out, value.chunks().len() as u64);
    for chunk in value.chunks() {
        // Every chunk of the leaf has a place.
        put_varint(out, places.get(&identity(chunk)).map_or(0, |(place, _)| *place));
    }
}

fn read_reference(reader: &mut Reader<'_>) -> Result<ChunkRef, Malformed> {
    let reference = reader.array::<{ ChunkRef::ENCODED_LEN }>()?;
    ChunkRef::decode(reference).ok_or(Malformed("a node refers to an impossible chunk"))
}

fn read_references(reader: &mut Reader<'_>) -> Result<Vec<ChunkRef>, Malformed> {
    let count = reader.varint_u32()?;
    // Each takes 70 bytes, so that this ends with the bytes.
    (0..count).map(|_| read_reference(reader)).collect()
}

fn read_key(reader: &mut Reader<'_>, before: &[u8]) -> Result<Vec<u8>, Malformed> {
    let (shared, len) = (reader.varint_u32()? as usize, reader.varint_u32()? as usize);
    let shared = before.get(..shared).ok_or(Malformed("a key shares more than there is"))?;
    if shared.len().saturating_add(len) > MAX_KEY_LEN {
        return Err(Malformed("a key is too long"));
    }
    Ok([shared, reader.bytes(len)?].concat())
}

fn read_value(reader: &mut Reader<'_>, references: &[ChunkRef]) -> Result<ValueRef, Malformed> {
    let spilled = match reader.byte()? {
        0 => false,
        1 => true,
        _ => return Err(Malformed("a value is of no known kind")),
    };
    let len = reader.varint_u32()?;
    let most = if spilled { MAX_VALUE_LEN } else { MAX_INLINE_LEN };
    if len as usize > most {
        return Err(Malformed("a value is too long"));
    }
    let bytes = if spilled { Vec::new() } else { reader.bytes(len as usize)?.to_vec() };
    let count = reader.varint_u32()? as usize;
    if count > if spilled { MAX_SPILL_CHUNKS } else { MAX_INLINE_CHUNKS } {
        return Err(Malformed("a value names too many chunks"));
    }
    let mut chunks = Vec::with_capacity(count);
    for _ in 0..count {
        let place = reader.varint_u32()? as usize;
        chunks.push(
            *references.get(place).ok_or(Malformed("a value names a chunk that its leaf does not list"))?,
        );
    }
    Ok(if spilled { ValueRef::Spilled { len, chunks } } else { ValueRef::Inline(Value { bytes, chunks }) })
}

/// A single item always fits into a node, whatever it is.
const _: () = assert!(MAX_ITEM_LEN < MAX_NODE_LEN);
