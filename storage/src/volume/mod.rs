//! Volumes: sorted maps from keys to values that share what they have in common.
//!
//! A map is a Merkle B-tree. Its nodes are cut where the keys say so, so that a map is the same tree whatever was done
//! to it to get there, and two maps that differ in one key differ in one node of each level. Nodes are chunks like any
//! other: sealed, coded, spread.
//!
//! ```text
//!             ┌──────── root ────────┐        inner nodes: first key, reference and number of keys of each child
//!        ┌─ inner ─┐            ┌─ inner ─┐
//!      leaf  leaf  leaf       leaf  leaf  leaf     leaves: keys and values
//!                    │
//!                    └─▶ chunks that values need, and long values, in chunks of their own
//! ```
//!
//! [`MapBuilder`] makes a map out of sorted keys, [`edit`] makes another one out of it with a few changes, [`Cursor`]
//! reads it from any key on, [`Differences`] skips what two maps share, [`Reach`] lists the chunks that a map needs,
//! and [`Needs`] those in which two maps differ. All ask for chunks through [`NodeSource`] and hand new ones to a
//! [`ChunkSink`](crate::ChunkSink): nothing here knows where chunks are.
//!
//! The shape is that of prolly trees (noms) and of the trees of Auvolat and Taïani, "Merkle Search Trees" (SRDS 2019).

mod build;
mod cursor;
mod cut;
mod diff;
mod edit;
mod entry;
mod files;
mod needs;
mod node;
mod reach;
#[cfg(test)]
mod tests;
mod value;

use bytes::Bytes;

use crate::chunk::ChunkRef;
use crate::seal::MAX_CHUNK_LEN;
use crate::varint::Malformed;

pub use self::build::MapBuilder;
pub use self::cursor::Cursor;
pub use self::diff::{Difference, Differences};
pub use self::edit::{Change, Edited, create, edit};
pub use self::entry::{Content, FileNode, FileNodeError, NodeKind, Piece, key_of, path_of};
pub use self::files::{FileCounts, FilesError, FilesWriter, WrittenFiles};
pub use self::needs::Needs;
pub use self::reach::Reach;
pub use self::value::{Value, ValueRef};
pub use crate::submitted::ChunkWriter;

/// The longest key, in bytes: the longest path.
pub const MAX_KEY_LEN: usize = 4096;
/// A value up to this length, that needs at most [`MAX_INLINE_CHUNKS`], stands in its leaf.
pub const MAX_INLINE_LEN: usize = 1024;
/// Chunks that a value in a leaf needs at most.
pub const MAX_INLINE_CHUNKS: usize = 8;
/// The longest value with the references of its chunks, in bytes: a file of 1.8 TiB.
pub const MAX_VALUE_LEN: usize = 64 << 20;
/// Levels of a map: with 64 keys in a node at least, more than can ever be stored.
const MAX_HEIGHT: u8 = 8;
const _: () = assert!(cut::MAX_NODE_LEN + node::MAX_ITEM_LEN <= MAX_CHUNK_LEN);

/// Where a map begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapRoot {
    /// Its topmost node.
    pub chunk: ChunkRef,
    /// Level of that node: 0 is a leaf.
    pub level: u8,
    /// Keys in the map.
    pub keys: u64,
}

impl MapRoot {
    /// Bytes of the encoding: reference of the topmost node, its level, number of keys (u64 LE).
    pub const ENCODED_LEN: usize = ChunkRef::ENCODED_LEN + 1 + 8;

    /// The encoding.
    pub fn encode(&self) -> [u8; Self::ENCODED_LEN] {
        let mut out = [0; Self::ENCODED_LEN];
        out[..ChunkRef::ENCODED_LEN].copy_from_slice(&self.chunk.encode());
        out[ChunkRef::ENCODED_LEN] = self.level;
        out[ChunkRef::ENCODED_LEN + 1..].copy_from_slice(&self.keys.to_le_bytes());
        out
    }

    /// Reads the encoding. `None` if there can be no such map.
    pub fn decode(encoded: &[u8]) -> Option<Self> {
        let (chunk, rest) = encoded.split_first_chunk::<{ ChunkRef::ENCODED_LEN }>()?;
        let (level, keys) = rest.split_first()?;
        let keys = u64::from_le_bytes(keys.try_into().ok()?);
        let root = Self { chunk: ChunkRef::decode(chunk)?, level: *level, keys };
        (*level <= MAX_HEIGHT).then_some(root)
    }
}

/// Fetches chunks of a map.
pub trait NodeSource {
    /// Why it cannot.
    type Error;

    /// The plaintext of a chunk.
    fn load(&mut self, chunk: &ChunkRef) -> Result<Bytes, Self::Error>;

    /// These will probably be asked for next, in this order.
    fn expect(&mut self, _chunks: &[ChunkRef]) {}

    /// A node was made, and will probably be asked for by whoever makes the next change.
    fn made(&mut self, _chunk: &ChunkRef, _plain: Bytes) {}
}

impl<S: NodeSource + ?Sized> NodeSource for &mut S {
    type Error = S::Error;

    fn load(&mut self, chunk: &ChunkRef) -> Result<Bytes, Self::Error> {
        (**self).load(chunk)
    }

    fn expect(&mut self, chunks: &[ChunkRef]) {
        (**self).expect(chunks);
    }

    fn made(&mut self, chunk: &ChunkRef, plain: Bytes) {
        (**self).made(chunk, plain);
    }
}

/// Why a map cannot be read or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MapError<E> {
    /// A chunk could not be fetched or stored.
    #[error(transparent)]
    Chunk(E),
    /// A chunk breaks the format's rules, so its writer was broken or lied.
    #[error("the volume is malformed: {0}")]
    Malformed(&'static str),
    /// Keys did not come in ascending order.
    #[error("keys of a volume have to come in ascending order")]
    Order,
    /// Longer than [`MAX_KEY_LEN`].
    #[error("a key of {0} bytes is too long for a volume")]
    KeyTooLong(usize),
    /// Longer than [`MAX_VALUE_LEN`].
    #[error("a value of {0} bytes is too long for a volume")]
    ValueTooLong(usize),
    /// The sink returned fewer or more references than it was given chunks.
    #[error("the sink returned a wrong number of references")]
    WrongReferences,
}

impl<E> From<Malformed> for MapError<E> {
    fn from(Malformed(what): Malformed) -> Self {
        Self::Malformed(what)
    }
}
