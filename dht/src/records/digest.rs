//! How two nodes find out where the records that both should hold differ: sums over equal parts of the addresses, and
//! then short tags of what lies in the parts that differ.

use super::Held;
use crate::{Key, NodeId};

/// Most parts of one comparison.
pub(crate) const BUCKETS_MAX: usize = 256;
/// Records of one part that are worth telling apart. Design.
const RECORDS_PER_BUCKET: usize = 16;
/// The byte of an address that says in which part it lies; the first ones are nearly the same for all of a region.
const BUCKET_BYTE: usize = 16;

/// Into how many parts so many records are cut.
pub(crate) fn buckets_for(records: usize) -> usize {
    (records / RECORDS_PER_BUCKET).next_power_of_two().min(BUCKETS_MAX)
}

/// A sum of everything in a record and how it came to be held.
pub(crate) fn tag_of(held: &Held) -> u32 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&held.record.hash().0).update(&held.ballot.bytes());
    let [a, b, c, d, ..] = *hasher.finalize().as_bytes();
    u32::from_be_bytes([a, b, c, d])
}

/// The first eight bytes of an address.
pub(crate) fn prefix(address: &Key) -> u64 {
    address.limbs()[0]
}

/// A sum over the nodes of a region, whatever their order.
pub(crate) fn region_digest<'a>(region: impl Iterator<Item = &'a NodeId>) -> u32 {
    region.fold(0, |sum, id| {
        let [.., a, b, c, d] = *id.as_bytes();
        sum.wrapping_add(u32::from_be_bytes([a, b, c, d]))
    })
}

/// Sums over the parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Digests(pub(crate) alloc::vec::Vec<u32>);

impl Digests {
    /// So many parts, all empty.
    pub(crate) fn empty(buckets: usize) -> Self {
        Self(alloc::vec![0; buckets])
    }

    /// In which of so many parts an address lies; `buckets` is a power of two, at most 256.
    pub(crate) fn bucket(address: &Key, buckets: usize) -> usize {
        usize::from(address.as_bytes()[BUCKET_BYTE]) & (buckets - 1)
    }

    /// Adds a record.
    pub(crate) fn add(&mut self, address: &Key, tag: u32) {
        let bucket = Self::bucket(address, self.0.len());
        // A record adds something even if its tag is zero.
        self.0[bucket] = self.0[bucket].wrapping_add(tag | 1);
    }
}
