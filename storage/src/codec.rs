//! Erasure codes: from k shards to n, and from any k back.

use crate::redundancy::Redundancy;

/// Which erasure code made a stripe, as written in its descriptor. Codes that make the same bytes share an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum CodecId {
    /// Systematic Reed-Solomon over GF(2⁸) with polynomial 0x11d, from a Vandermonde matrix whose top square is
    /// made the identity (Plank, "A Tutorial on Reed-Solomon Coding for Fault-Tolerance in RAID-like Systems",
    /// 1997, with the correction of 2003). With k = 1 it is plain copies, with n = k plain splitting.
    ReedSolomonVandermonde,
}

impl CodecId {
    /// The byte in the descriptor.
    pub const fn to_byte(self) -> u8 {
        match self {
            Self::ReedSolomonVandermonde => 1,
        }
    }

    /// The codec that a byte stands for.
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::ReedSolomonVandermonde),
            _ => None,
        }
    }
}

/// Length of each shard of a sealed chunk: as short as k of them can hold it.
pub(crate) fn shard_len(sealed_len: usize, k: u8) -> usize {
    sealed_len.div_ceil(usize::from(k))
}

/// Why shards could not be coded. Output buffers may have been written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// Fewer than k different shards were given.
    #[error("{found} shards are too few, {needed} are needed")]
    TooFewShards {
        /// k.
        needed: u8,
        /// Different shards given.
        found: u8,
    },
    /// An index is n or more, or a shard has another length than its fellows.
    #[error("a shard does not fit the stripe")]
    BadShard,
}

/// An erasure code for one (k, n). Shards are numbered from 0; the first k hold the data as it is (the code is
/// systematic), the others parity.
pub trait ErasureCodec: Send + Sync {
    /// The id that goes into descriptors.
    fn id(&self) -> CodecId;

    /// k and n.
    fn redundancy(&self) -> Redundancy;

    /// Fills in the parity of a stripe: n shards of `shard_len` bytes one behind the other, of which the first k
    /// are given.
    fn encode(&self, stripe: &mut [u8], shard_len: usize) -> Result<(), CodecError>;

    /// Computes shards from any k others. `present` are different shards with their indices, of which the
    /// codec uses k; `wanted` are indices and where each goes. All slices have the same length.
    fn rebuild(&self, present: &[(u8, &[u8])], wanted: &mut [(u8, &mut [u8])]) -> Result<(), CodecError>;
}
