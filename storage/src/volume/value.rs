//! Values: bytes, and the chunks that they need.

use super::{MAX_INLINE_CHUNKS, MAX_INLINE_LEN, MAX_VALUE_LEN, MapError, NodeSource};
use crate::chunk::ChunkRef;
use crate::varint::{Malformed, Reader, put_varint};

/// Length of the chunks of a long value.
pub(super) const SPILL_CHUNK_LEN: usize = 1 << 20;
/// Chunks of a long value at most.
pub(super) const MAX_SPILL_CHUNKS: usize = MAX_VALUE_LEN.div_ceil(SPILL_CHUNK_LEN);

/// What a key stands for. The map does not look into the bytes; it knows which chunks they need, so that whoever keeps
/// or checks a map need not know what it is for.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Value {
    /// Any bytes.
    pub bytes: Vec<u8>,
    /// Chunks that they refer to, by their place in this list.
    pub chunks: Vec<ChunkRef>,
}

impl Value {
    /// A value that needs no chunks.
    pub fn of(bytes: impl Into<Vec<u8>>) -> Self {
        Self { bytes: bytes.into(), chunks: Vec::new() }
    }

    pub(super) fn fits_inline(&self) -> bool {
        self.bytes.len() <= MAX_INLINE_LEN && self.chunks.len() <= MAX_INLINE_CHUNKS
    }

    /// Bytes that it takes in chunks of its own.
    pub(super) fn spilled_len(&self) -> usize {
        10 + self.bytes.len() + self.chunks.len() * ChunkRef::ENCODED_LEN
    }

    /// ```text
    ///  length of the bytes, varint │ bytes │ references, 70 each
    /// ```
    pub(super) fn spill(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.spilled_len());
        put_varint(&mut out, self.bytes.len() as u64);
        out.extend_from_slice(&self.bytes);
        out.extend(self.chunks.iter().flat_map(ChunkRef::encode));
        out
    }

    pub(super) fn unspill(encoded: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader { rest: encoded };
        let len = usize::try_from(reader.varint()?).map_err(|_| Malformed("a value is too long"))?;
        let bytes = reader.bytes(len)?.to_vec();
        let (references, rest) = reader.rest.as_chunks::<{ ChunkRef::ENCODED_LEN }>();
        let chunks: Option<Vec<ChunkRef>> = references.iter().map(ChunkRef::decode).collect();
        let chunks = chunks.ok_or(Malformed("a value refers to an impossible chunk"))?;
        if !rest.is_empty() {
            return Err(Malformed("something follows the end of a value"));
        }
        Ok(Self { bytes, chunks })
    }
}

/// A value as a leaf has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueRef {
    /// It stands in the leaf.
    Inline(Value),
    /// It is so long that it has chunks of its own.
    Spilled {
        /// Bytes in those chunks.
        len: u32,
        /// The chunks.
        chunks: Vec<ChunkRef>,
    },
}

impl ValueRef {
    /// The value, fetched if need be.
    pub fn load<S: NodeSource>(self, source: &mut S) -> Result<Value, MapError<S::Error>> {
        match self {
            Self::Inline(value) => Ok(value),
            Self::Spilled { len, chunks } => {
                if chunks.len() > 1 {
                    source.expect(&chunks);
                }
                let mut encoded = Vec::with_capacity(len as usize);
                for chunk in &chunks {
                    let plain = source.load(chunk).map_err(MapError::Chunk)?;
                    if plain.len() > len as usize - encoded.len() {
                        return Err(MapError::Malformed("a value is longer than its leaf says"));
                    }
                    encoded.extend_from_slice(&plain);
                }
                if encoded.len() != len as usize {
                    return Err(MapError::Malformed("a value has another length than its leaf says"));
                }
                Ok(Value::unspill(&encoded)?)
            }
        }
    }

    /// The chunks that the leaf itself names.
    pub(super) fn chunks(&self) -> &[ChunkRef] {
        match self {
            Self::Inline(value) => &value.chunks,
            Self::Spilled { chunks, .. } => chunks,
        }
    }
}
