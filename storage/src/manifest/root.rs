//! The root chunk of an object.
//!
//! ```text
//!  0      4         5      6    8       16            24         32      40        44
//!  ┌──────┬─────────┬──────┬────┬───────┬─────────────┬──────────┬───────┬─────────┬──────┬───────┬─────────┐
//!  │"chmf"│ version │ kind │ 0  │ files │ directories │ symlinks │ bytes │ entries │ data │ table │ entries │
//!  │      │    1    │      │    │  u64  │     u64     │   u64    │  u64  │ len u32 │ u32  │ stream│ stream  │
//!  └──────┴─────────┴──────┴────┴───────┴─────────────┴──────────┴───────┴─────────┴──────┴───────┴─────────┘
//!  stream:  0 │ its bytes                        or        1 │ number of chunks, u32 │ their references, 70 each
//! ```
//! All numbers little endian. `data` is the number of data chunks, the length of the table is 70 times that.

use bytes::Bytes;

use super::{MAX_INLINE_LEN, MAX_MANIFEST_LEN};
use crate::chunk::ChunkRef;
use crate::varint::{Malformed, Reader};

const MAGIC: [u8; 4] = *b"chmf";
const VERSION: u8 = 1;

/// Whether an object is one file or a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectKind {
    /// A single file.
    File,
    /// A directory with all that is in it.
    Tree,
}

/// An object in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Summary {
    /// Files, also the one that is the object itself.
    pub files: u64,
    /// Directories below the root.
    pub directories: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Lengths of all files together, before deduplication.
    pub bytes: u64,
    /// Data chunks.
    pub chunks: u32,
}

/// A stream inside the root or in chunks of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Inline(Bytes),
    Chunks(Vec<ChunkRef>),
}

impl Stream {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Inline(bytes) => {
                out.push(0);
                out.extend_from_slice(bytes);
            }
            Self::Chunks(chunks) => {
                out.push(1);
                out.extend((chunks.len() as u32).to_le_bytes()); // at most MAX_MANIFEST_LEN / STREAM_CHUNK_LEN
                for chunk in chunks {
                    out.extend(chunk.encode());
                }
            }
        }
    }

    /// Reads a stream of `len` bytes.
    fn decode(reader: &mut Reader<'_>, len: u64) -> Result<Self, Malformed> {
        match reader.byte()? {
            0 => {
                if len > MAX_INLINE_LEN as u64 {
                    return Err(Malformed("an inline stream is too long"));
                }
                Ok(Self::Inline(Bytes::copy_from_slice(reader.bytes(len as usize)?)))
            }
            1 => {
                let count = reader.u32()? as usize;
                let refs = count.checked_mul(ChunkRef::ENCODED_LEN).ok_or(Malformed("it ends too early"))?;
                let refs = reader.bytes(refs)?.as_chunks::<{ ChunkRef::ENCODED_LEN }>().0;
                let chunks: Option<Vec<ChunkRef>> = refs.iter().map(ChunkRef::decode).collect();
                let chunks = chunks.ok_or(Malformed("a reference to a chunk is impossible"))?;
                let total: u64 = chunks.iter().map(|chunk| u64::from(chunk.plain_len)).sum();
                if total != len {
                    return Err(Malformed("a stream's chunks do not add up to its length"));
                }
                Ok(Self::Chunks(chunks))
            }
            _ => Err(Malformed("a stream is of no known kind")),
        }
    }
}

/// The root chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Root {
    pub(crate) kind: ObjectKind,
    pub(crate) summary: Summary,
    pub(crate) entries_len: u32,
    pub(crate) table: Stream,
    pub(crate) entries: Stream,
}

/// Why a root cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum RootError {
    NotAManifest,
    Version(u8),
    TooLarge(u64),
    Malformed(Malformed),
}

impl From<Malformed> for RootError {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

impl Root {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend(MAGIC);
        out.push(VERSION);
        out.extend([
            match self.kind {
                ObjectKind::File => 1,
                ObjectKind::Tree => 2,
            },
            0,
            0,
        ]);
        let summary = &self.summary;
        for number in [summary.files, summary.directories, summary.symlinks, summary.bytes] {
            out.extend(number.to_le_bytes());
        }
        out.extend(self.entries_len.to_le_bytes());
        out.extend(summary.chunks.to_le_bytes());
        self.table.encode(&mut out);
        self.entries.encode(&mut out);
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, RootError> {
        let mut reader = Reader { rest: bytes };
        if reader.array::<4>().ok() != Some(&MAGIC) {
            return Err(RootError::NotAManifest);
        }
        let version = reader.byte()?;
        if version != VERSION {
            return Err(RootError::Version(version));
        }
        let kind = match reader.array::<3>()? {
            [1, 0, 0] => ObjectKind::File,
            [2, 0, 0] => ObjectKind::Tree,
            _ => return Err(Malformed("the object is of no known kind").into()),
        };
        let (files, directories, symlinks, bytes) =
            (reader.u64()?, reader.u64()?, reader.u64()?, reader.u64()?);
        let (entries_len, chunks) = (reader.u32()?, reader.u32()?);
        let summary = Summary { files, directories, symlinks, bytes, chunks };
        let table_len = u64::from(chunks) * ChunkRef::ENCODED_LEN as u64;
        let total = table_len + u64::from(entries_len);
        if total > MAX_MANIFEST_LEN {
            return Err(RootError::TooLarge(total));
        }
        let table = Stream::decode(&mut reader, table_len)?;
        let entries = Stream::decode(&mut reader, entries_len.into())?;
        if !reader.rest.is_empty() {
            return Err(Malformed("something follows its end").into());
        }
        Ok(Self { kind, summary, entries_len, table, entries })
    }
}
