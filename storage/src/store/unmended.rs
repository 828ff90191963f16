//! What was found damaged or lost on this disk and is not made good yet. It is remembered over restarts, so that nobody
//! is told that all is whole while something is missing.

use std::io;
use std::sync::atomic::Ordering;

use super::ShardStore;
use super::types::{ChangeError, ShardKey};

impl ShardStore {
    /// How many shards were found damaged or lost and are neither held again nor [made good](Self::made_good)
    /// elsewhere.
    pub fn unmended(&self) -> io::Result<u64> {
        let dropped = self.with_index(super::Index::unmended)?;
        Ok(dropped + super::locked(&self.quarantine).len() as u64)
    }

    /// Returns at most `limit` unmended shards with keys greater than `after`, in ascending order.
    pub fn list_unmended(&self, after: Option<ShardKey>, limit: usize) -> Result<Vec<ShardKey>, ChangeError> {
        if self.any_quarantined.load(Ordering::Acquire) {
            self.mend(&mut self.lock_writer())?;
        }
        Ok(self.with_index(|index| index.list_unmended(after, limit))?)
    }

    /// Takes these shards off the list of unmended ones, because others hold what they were needed for or nobody needs
    /// them any more. A crash may put them back on the list.
    pub fn made_good(&self, shards: &[ShardKey]) -> Result<(), ChangeError> {
        let mut writer = self.lock_writer();
        self.mend(&mut writer)?;
        let change =
            |tables: &mut super::index::Tables<'_>| shards.iter().try_for_each(|shard| tables.mended(*shard));
        Ok(self.change_index(&mut writer.broken, false, change)?)
    }
}
