//! Some shards of a chunk.

use serde::{Deserialize, Serialize};

/// A set of shard indices (0 to 127).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ShardSet(u128);

impl ShardSet {
    pub(crate) fn insert(&mut self, index: u8) {
        self.0 |= 1u128.checked_shl(u32::from(index)).unwrap_or(0);
    }

    pub(crate) fn contains(self, index: u8) -> bool {
        self.0 & 1u128.checked_shl(u32::from(index)).unwrap_or(0) != 0
    }

    /// A bit per index.
    pub(crate) fn bits(self) -> u128 {
        self.0
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = u8> {
        (0..128).filter(move |index| self.contains(*index))
    }
}

impl FromIterator<u8> for ShardSet {
    fn from_iter<I: IntoIterator<Item = u8>>(indices: I) -> Self {
        let mut set = ShardSet::default();
        indices.into_iter().for_each(|index| set.insert(index));
        set
    }
}
