//! Some shards of a chunk.

use std::fmt;
use std::ops::{BitAnd, BitOr, BitOrAssign, Sub, SubAssign};

use serde::{Deserialize, Serialize};

use crate::redundancy::Redundancy;

/// Numbers that shards may have: 0 to 127.
const NUMBERS: u8 = 128;

/// A set of shard numbers (0 to 127), as a bit for each. Other numbers are in none.
#[derive(Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardSet(u128);

impl ShardSet {
    /// No shard.
    pub const EMPTY: Self = Self(0);
    /// All that there may be.
    pub const ALL: Self = Self(u128::MAX);

    /// The set whose shards have a bit in `bits`, the first in the lowest.
    #[cfg(test)]
    pub(crate) const fn from_bits(bits: u128) -> Self {
        Self(bits)
    }

    /// The set with one shard.
    pub fn of(index: u8) -> Self {
        Self(1u128.checked_shl(index.into()).unwrap_or(0))
    }

    /// All shards of a chunk with this redundancy.
    pub fn whole(redundancy: Redundancy) -> Self {
        Self(u128::MAX >> (u32::from(NUMBERS) - u32::from(redundancy.n())))
    }

    /// Adds a shard.
    pub fn insert(&mut self, index: u8) {
        *self |= Self::of(index);
    }

    /// Whether a shard is among them.
    pub fn contains(self, index: u8) -> bool {
        !(self & Self::of(index)).is_empty()
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many there are, at most 128.
    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Their numbers, ascending.
    pub fn iter(self) -> impl Iterator<Item = u8> {
        (0..NUMBERS).filter(move |index| self.contains(*index))
    }
}

impl BitOr for ShardSet {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for ShardSet {
    fn bitor_assign(&mut self, other: Self) {
        *self = *self | other;
    }
}

impl BitAnd for ShardSet {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl Sub for ShardSet {
    type Output = Self;

    /// Those that are not in the other.
    fn sub(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl SubAssign for ShardSet {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl FromIterator<u8> for ShardSet {
    fn from_iter<I: IntoIterator<Item = u8>>(indices: I) -> Self {
        let mut set = Self::EMPTY;
        indices.into_iter().for_each(|index| set.insert(index));
        set
    }
}

impl fmt::Debug for ShardSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// It does what sets do.
        #[test]
        fn it_is_a_set(one in prop::collection::btree_set(0u8..128, 0..20), other in prop::collection::btree_set(0u8..128, 0..20)) {
            let set = |numbers: &BTreeSet<u8>| numbers.iter().copied().collect::<ShardSet>();
            let (a, b) = (set(&one), set(&other));
            prop_assert!(a.iter().eq(one.iter().copied()));
            prop_assert_eq!((a.len(), a.is_empty()), (one.len(), one.is_empty()));
            prop_assert!((0..128).all(|index| a.contains(index) == one.contains(&index)));
            prop_assert_eq!(a | b, set(&one.union(&other).copied().collect()));
            prop_assert_eq!(a & b, set(&one.intersection(&other).copied().collect()));
            prop_assert_eq!(a - b, set(&one.difference(&other).copied().collect()));
        }
    }

    #[test]
    fn numbers_that_no_shard_has_are_in_no_set() {
        assert_eq!(ShardSet::of(128), ShardSet::EMPTY);
        assert!(!ShardSet::ALL.contains(128) && ShardSet::ALL.contains(127));
        assert_eq!(ShardSet::ALL.len(), 128);
    }

    #[test]
    fn a_whole_chunk_has_its_n_shards() {
        for (k, n) in [(1, 1), (4, 10), (64, 128)] {
            let whole = ShardSet::whole(Redundancy::new(k, n).unwrap());
            assert!(whole.iter().eq(0..n), "{k} of {n}: {whole:?}");
        }
    }
}
