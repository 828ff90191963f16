//! The stripe descriptor: what a chunk's address is the hash of.

use bytes::Bytes;

use crate::codec::{CodecId, shard_len};
use crate::ids::{ChunkId, ShardHash};
use crate::redundancy::Redundancy;
use crate::seal::MAX_SEALED_LEN;

/// Version byte of the encoding.
const VERSION: u8 = 1;
/// Bytes before the hashes: version, codec, k, n, sealed length (u32, little endian).
const HEADER_LEN: usize = 8;

/// The longest encoded descriptor: 8 bytes and 128 hashes.
pub const MAX_DESCRIPTOR_LEN: usize = HEADER_LEN + 32 * Redundancy::MAX_SHARDS as usize;

/// Says how a sealed chunk was coded and what each of its shards hashes to. The chunk's address is the hash of
/// the encoded descriptor, so whoever has an address and a descriptor can check any single shard: no key, no
/// other shard, no trust is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    codec: CodecId,
    redundancy: Redundancy,
    sealed_len: u32,
    shard_hashes: Vec<ShardHash>,
}

/// Why bytes are not a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DescriptorError {
    /// Written by a newer version.
    #[error("descriptor version {0} is not known")]
    UnsupportedVersion(u8),
    /// The code is not one that this version can decode.
    #[error("erasure code {0} is not known")]
    UnsupportedCodec(u8),
    /// k or n is out of range.
    #[error("descriptor has an impossible redundancy {k}/{n}")]
    BadRedundancy {
        /// Shards needed.
        k: u8,
        /// Shards made.
        n: u8,
    },
    /// The sealed chunk is said to be empty or longer than any chunk.
    #[error("descriptor has an impossible length {0}")]
    BadLength(u32),
    /// Too few or too many bytes for what the header says.
    #[error("descriptor has {found} bytes instead of {expected}")]
    WrongSize {
        /// Bytes that the header calls for.
        expected: usize,
        /// Bytes given.
        found: usize,
    },
}

/// Why bytes are not the shard that the descriptor names. They are to be thrown away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ShardError {
    /// The chunk has no shard of this index.
    #[error("shard {index} of a chunk with {n} shards")]
    NoSuchIndex {
        /// The index asked for.
        index: u8,
        /// Shards that the chunk has.
        n: u8,
    },
    /// The length is not that of the chunk's shards.
    #[error("shard has {found} bytes instead of {expected}")]
    WrongLength {
        /// Length of each shard of the chunk.
        expected: usize,
        /// Bytes given.
        found: usize,
    },
    /// The bytes hash to something else: damaged or forged.
    #[error("shard does not match its hash")]
    WrongHash,
}

impl Descriptor {
    /// Describes a stripe that was just coded. `shard_hashes` has n entries.
    pub(crate) fn new(
        codec: CodecId,
        redundancy: Redundancy,
        sealed_len: u32,
        shard_hashes: Vec<ShardHash>,
    ) -> Self {
        debug_assert_eq!(shard_hashes.len(), usize::from(redundancy.n()));
        Self { codec, redundancy, sealed_len, shard_hashes }
    }

    /// The erasure code.
    pub fn codec(&self) -> CodecId {
        self.codec
    }

    /// k and n.
    pub fn redundancy(&self) -> Redundancy {
        self.redundancy
    }

    /// Bytes of the sealed chunk, before padding to whole shards.
    pub fn sealed_len(&self) -> usize {
        self.sealed_len as usize
    }

    /// Bytes of every shard of this chunk.
    pub fn shard_len(&self) -> usize {
        shard_len(self.sealed_len(), self.redundancy.k())
    }

    /// The hash of each shard, n of them.
    pub fn shard_hashes(&self) -> &[ShardHash] {
        &self.shard_hashes
    }

    /// The chunk's address.
    pub fn id(&self) -> ChunkId {
        Self::id_of(&self.encode())
    }

    /// The address that an encoded descriptor stands for.
    pub fn id_of(encoded: &[u8]) -> ChunkId {
        ChunkId(blake3::derive_key("chordage v1 chunk id", encoded))
    }

    /// Bytes of the encoding.
    pub fn encoded_len(&self) -> usize {
        HEADER_LEN + 32 * self.shard_hashes.len()
    }

    /// The one encoding of this descriptor.
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(self.encoded_len());
        out.extend([VERSION, self.codec.to_byte(), self.redundancy.k(), self.redundancy.n()]);
        out.extend(self.sealed_len.to_le_bytes());
        for hash in &self.shard_hashes {
            out.extend(hash.0);
        }
        out.into()
    }

    /// Reads an encoded descriptor. Every descriptor has one encoding: what decodes also encodes to the same
    /// bytes. Whether it is the descriptor of some chunk is for [`id`](Self::id) to say.
    pub fn decode(encoded: &[u8]) -> Result<Self, DescriptorError> {
        let Some((header, hashes)) = encoded.split_first_chunk::<HEADER_LEN>() else {
            return Err(DescriptorError::WrongSize { expected: HEADER_LEN, found: encoded.len() });
        };
        let [version, codec, k, n, len @ ..] = *header;
        if version != VERSION {
            return Err(DescriptorError::UnsupportedVersion(version));
        }
        let codec = CodecId::from_byte(codec).ok_or(DescriptorError::UnsupportedCodec(codec))?;
        let redundancy = Redundancy::new(k, n).map_err(|_| DescriptorError::BadRedundancy { k, n })?;
        let sealed_len = u32::from_le_bytes(len);
        if sealed_len == 0 || sealed_len as usize > MAX_SEALED_LEN {
            return Err(DescriptorError::BadLength(sealed_len));
        }
        let expected = HEADER_LEN + 32 * usize::from(n);
        if encoded.len() != expected {
            return Err(DescriptorError::WrongSize { expected, found: encoded.len() });
        }
        let shard_hashes = hashes.as_chunks::<32>().0.iter().copied().map(ShardHash).collect();
        Ok(Self { codec, redundancy, sealed_len, shard_hashes })
    }

    /// Checks that `payload` is shard `index` of this chunk.
    pub fn verify_shard(&self, index: u8, payload: &[u8]) -> Result<(), ShardError> {
        let Some(expected) = self.shard_hashes.get(usize::from(index)) else {
            return Err(ShardError::NoSuchIndex { index, n: self.redundancy.n() });
        };
        if payload.len() != self.shard_len() {
            return Err(ShardError::WrongLength { expected: self.shard_len(), found: payload.len() });
        }
        if ShardHash::of(payload) != *expected {
            return Err(ShardError::WrongHash);
        }
        Ok(())
    }
}
