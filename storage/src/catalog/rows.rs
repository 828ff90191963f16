//! How rows are written.
//!
//! | table | key | value |
//! |---|---|---|
//! | `chunks` | number u64 | reference (70), sealed length u32, checksum (16) |
//! | `pieces` | keyed hash of `1 │ k │ n │ piece hash` | chunk u64, offset u32, length u32, checksum (16) |
//! | `files` | keyed hash of `2 │ k │ n │ fingerprint` | extents, as in a manifest but of chunk numbers; checksum (16) |
//! | `state` | nothing | version u32, current generation u32, next number u64, rows in it u64 |
//!
//! There are two of each but the last, `-0` and `-1`: the generations. A checksum is the first 16 bytes of the keyed
//! hash of `3, 4 or 5 │ key │ value`. All hashes are keyed with a key made from the owner's secret.

use redb::TableDefinition;

use super::MAX_EXTENTS;
use crate::chunk::ChunkRef;
use crate::ids::{Fingerprint, PieceHash};
use crate::redundancy::Redundancy;
use crate::seal::MAX_CHUNK_LEN;
use crate::secret::ConvergenceSecret;
use crate::varint::{Reader, put_varint, unzigzag, zigzag};

pub(super) const VERSION: u32 = 1;

const SUM_LEN: usize = 16;
const CHUNK_LEN: usize = ChunkRef::ENCODED_LEN + 4 + SUM_LEN;
const PIECE_LEN: usize = 8 + 4 + 4 + SUM_LEN;

pub(super) type Chunks = TableDefinition<'static, u64, &'static [u8; CHUNK_LEN]>;
pub(super) type Pieces = TableDefinition<'static, &'static [u8; 32], &'static [u8; PIECE_LEN]>;
pub(super) type FileRows = TableDefinition<'static, &'static [u8; 32], &'static [u8]>;

pub(super) const CHUNKS: [Chunks; 2] = [Chunks::new("chunks-0"), Chunks::new("chunks-1")];
pub(super) const PIECES: [Pieces; 2] = [Pieces::new("pieces-0"), Pieces::new("pieces-1")];
pub(super) const FILES: [FileRows; 2] = [FileRows::new("files-0"), FileRows::new("files-1")];
pub(super) const STATE: TableDefinition<'static, (), (u32, u32, u64, u64)> = TableDefinition::new("state");

/// Makes keys and checksums.
#[derive(Clone)]
pub(super) struct Keys([u8; 32]);

/// A row of `chunks`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChunkRow {
    pub(super) reference: ChunkRef,
    pub(super) sealed_len: u32,
}

/// A row of `pieces`, and a part of one of `files`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) chunk: u64,
    pub(super) offset: u32,
    pub(super) len: u32,
}

impl Keys {
    pub(super) fn new(secret: &ConvergenceSecret) -> Self {
        Self(*secret.catalog_key())
    }

    pub(super) fn piece(&self, redundancy: Redundancy, hash: &PieceHash) -> [u8; 32] {
        self.hash(&[&[1, redundancy.k(), redundancy.n()], hash.as_bytes()])
    }

    pub(super) fn file(&self, redundancy: Redundancy, fingerprint: &Fingerprint) -> [u8; 32] {
        self.hash(&[&[2, redundancy.k(), redundancy.n()], fingerprint.as_bytes()])
    }

    fn hash(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        for part in parts {
            hasher.update(part);
        }
        *hasher.finalize().as_bytes()
    }

    fn sum(&self, table: u8, key: &[u8], value: &[u8]) -> [u8; SUM_LEN] {
        let hash = self.hash(&[&[table], key, value]);
        let [sum @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = hash;
        sum
    }

    /// The value without its checksum; `None` if that does not fit.
    fn checked<'a>(&self, table: u8, key: &[u8], row: &'a [u8]) -> Option<&'a [u8]> {
        let (value, sum) = row.split_last_chunk::<SUM_LEN>()?;
        (self.sum(table, key, value) == *sum).then_some(value)
    }

    pub(super) fn encode_chunk(&self, number: u64, row: &ChunkRow) -> [u8; CHUNK_LEN] {
        let mut out = [0; CHUNK_LEN];
        out[..ChunkRef::ENCODED_LEN].copy_from_slice(&row.reference.encode());
        out[ChunkRef::ENCODED_LEN..][..4].copy_from_slice(&row.sealed_len.to_le_bytes());
        let (value, sum) = out.split_at_mut(CHUNK_LEN - SUM_LEN);
        sum.copy_from_slice(&self.sum(3, &number.to_le_bytes(), value));
        out
    }

    pub(super) fn decode_chunk(&self, number: u64, row: &[u8]) -> Option<ChunkRow> {
        let value = self.checked(3, &number.to_le_bytes(), row)?;
        let (reference, sealed_len) = value.split_first_chunk()?;
        let reference = ChunkRef::decode(reference)?;
        Some(ChunkRow { reference, sealed_len: u32::from_le_bytes(sealed_len.try_into().ok()?) })
    }

    pub(super) fn encode_piece(&self, key: &[u8; 32], part: Part) -> [u8; PIECE_LEN] {
        let mut out = [0; PIECE_LEN];
        out[..8].copy_from_slice(&part.chunk.to_le_bytes());
        out[8..12].copy_from_slice(&part.offset.to_le_bytes());
        out[12..16].copy_from_slice(&part.len.to_le_bytes());
        let (value, sum) = out.split_at_mut(PIECE_LEN - SUM_LEN);
        sum.copy_from_slice(&self.sum(4, key, value));
        out
    }

    pub(super) fn decode_piece(&self, key: &[u8; 32], row: &[u8]) -> Option<Part> {
        let value = self.checked(4, key, row)?;
        let (chunk, rest) = value.split_first_chunk()?;
        let (offset, len) = rest.split_first_chunk()?;
        Some(Part {
            chunk: u64::from_le_bytes(*chunk),
            offset: u32::from_le_bytes(*offset),
            len: u32::from_le_bytes(len.try_into().ok()?),
        })
    }

    pub(super) fn encode_file(&self, key: &[u8; 32], parts: impl Iterator<Item = Part>) -> Vec<u8> {
        let mut out = Vec::new();
        let mut previous = 0u64;
        for part in parts {
            put_varint(&mut out, zigzag(part.chunk.wrapping_sub(previous) as i64));
            put_varint(&mut out, part.offset.into());
            put_varint(&mut out, part.len.into());
            previous = part.chunk;
        }
        let sum = self.sum(5, key, &out);
        out.extend(sum);
        out
    }

    pub(super) fn decode_file(&self, key: &[u8; 32], row: &[u8]) -> Option<Vec<Part>> {
        let mut reader = Reader { rest: self.checked(5, key, row)? };
        let mut parts = Vec::new();
        let mut previous = 0u64;
        while !reader.rest.is_empty() && parts.len() < MAX_EXTENTS {
            let chunk = previous.wrapping_add(unzigzag(reader.varint().ok()?) as u64);
            let (offset, len) = (reader.varint_u32().ok()?, reader.varint_u32().ok()?);
            parts.push(Part { chunk, offset, len });
            previous = chunk;
        }
        reader.rest.is_empty().then_some(parts)
    }
}

impl Part {
    /// Whether it lies inside a chunk of this length.
    pub(super) fn fits(self, chunk: &ChunkRef) -> bool {
        let end = u64::from(self.offset) + u64::from(self.len);
        self.len > 0 && end <= u64::from(chunk.plain_len) && end <= MAX_CHUNK_LEN as u64
    }
}
