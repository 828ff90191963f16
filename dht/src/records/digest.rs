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

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::{super::samples::*, *};

    fn digests<'a>(held: impl Iterator<Item = &'a Held>, buckets: usize) -> Digests {
        let mut digests = Digests::empty(buckets);
        held.for_each(|held| digests.add(held.record.address(), tag_of(held)));
        digests
    }

    #[test]
    fn equal_sets_have_equal_digests_in_any_order_and_one_changed_record_differs() {
        let all: Vec<Held> = (0..100).map(|owner| held(owner, b"x", 1, ballot(1, 1))).collect();
        for buckets in [1, 4, 256] {
            let forwards = digests(all.iter(), buckets);
            assert_eq!(forwards, digests(all.iter().rev(), buckets));
            let place = Digests::bucket(all[7].record.address(), buckets);
            for changed in [
                held(7, b"x", 2, ballot(1, 1)),
                held(7, b"y", 1, ballot(1, 1)),
                // The same version that came to be held by a later attempt.
                held(7, b"x", 1, ballot(1, 2)),
            ] {
                let mut other = all.clone();
                other[7] = changed;
                let other = digests(other.iter(), buckets);
                let differ: Vec<usize> =
                    (0..buckets).filter(|bucket| forwards.0[*bucket] != other.0[*bucket]).collect();
                assert_eq!(differ, [place], "only the part in which it lies");
            }
            let without = digests(all.iter().filter(|held| held.record != all[7].record), buckets);
            assert_ne!(without.0[place], forwards.0[place]);
        }
    }

    #[test]
    fn a_record_counts_even_if_its_tag_is_zero() {
        let mut digests = Digests::empty(1);
        digests.add(held(1, b"x", 1, ballot(1, 1)).record.address(), 0);
        assert_ne!(digests, Digests::empty(1));
    }

    #[test]
    fn there_are_as_many_parts_as_records_are_worth_up_to_a_limit() {
        for (records, buckets) in
            [(0, 1), (31, 1), (32, 2), (33, 2), (48, 4), (16 * 256, 256), (1_000_000, BUCKETS_MAX)]
        {
            assert_eq!(buckets_for(records), buckets, "{records} records");
        }
        let all: Vec<Held> = (0..200).map(|owner| held(owner, b"x", 1, ballot(1, 1))).collect();
        for buckets in [1, 2, 64, 256] {
            assert!(all.iter().all(|held| Digests::bucket(held.record.address(), buckets) < buckets));
        }
        let used = |held: &Held| Digests::bucket(held.record.address(), 4);
        assert!((0..4).all(|part| all.iter().any(|held| used(held) == part)), "no part stays empty");
    }

    #[test]
    fn a_region_has_one_sum_whatever_the_order_of_its_nodes() {
        let ids: Vec<NodeId> = (0..9).map(|number| peer(number).id()).collect();
        let sum = region_digest(ids.iter());
        assert_eq!(sum, region_digest(ids.iter().rev()));
        assert_ne!(sum, region_digest(ids[1..].iter()));
    }
}
