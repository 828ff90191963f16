//! Reading everything again, a little at a time.

use super::ShardStore;
use super::types::{GetError, ShardKey};

/// Shards that one step lists at most.
const STEP_SHARDS_MAX: usize = 64;

/// What one step of a scrub did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scrubbed {
    /// Shards read.
    pub shards: u64,
    /// Bytes read of them.
    pub bytes: u64,
    /// Those that did not match their hashes. They are no longer held.
    pub damaged: Vec<ShardKey>,
    /// The last shard of this step: the `after` of the next step. `None` if this step came to the end.
    pub next: Option<ShardKey>,
}

impl ShardStore {
    /// Reads shards with keys greater than `after`, in the order of their keys, and verifies them against their hashes.
    /// It reads about `bytes`, at least one shard and at most 64. Damaged shards no longer count as held and can be put
    /// again. They are also removed from the index, durably, unless that fails, as on a full disk.
    pub fn scrub(&self, after: Option<ShardKey>, bytes: u64) -> Result<Scrubbed, GetError> {
        let mut done = Scrubbed::default();
        let listed = self.iterate(after, STEP_SHARDS_MAX)?;
        let more = listed.len() == STEP_SHARDS_MAX;
        for (position, (key, len)) in listed.iter().enumerate() {
            if position > 0 && done.bytes >= bytes {
                done.next = Some(listed[position - 1].0);
                break;
            }
            // One that is gone by now was deleted meanwhile.
            let held = self.get_shard(*key)?;
            done.shards += 1;
            done.bytes += u64::from(*len);
            done.damaged.extend(held.corrupt.into_iter().map(|index| ShardKey { chunk: key.chunk, index }));
        }
        if done.next.is_none() && more {
            done.next = listed.last().map(|(key, _)| *key);
        }
        if !done.damaged.is_empty() {
            // Already not held; this is for the next start. If the disk is too full for it, the next scrub finds
            // them again.
            let _ = self.delete(&done.damaged);
        }
        Ok(done)
    }
}

#[cfg(test)]
mod tests {
    use super::super::types::{ShardPut, StoreConfig};
    use super::*;
    use crate::{Coder, ConvergenceSecret, EncodeParams, Pack, encode_chunk};

    #[test]
    fn a_scrub_in_steps_of_any_size_reads_every_shard_once() {
        let directory = tempfile::tempdir().unwrap();
        let store = ShardStore::open(directory.path(), StoreConfig::with_quota(1 << 30)).unwrap();
        let params = EncodeParams::new("1/1".parse().unwrap(), ConvergenceSecret::new([42; 32]));
        let puts: Vec<ShardPut> = (0..STEP_SHARDS_MAX as u8 + 6)
            .map(|number| {
                let plain = Pack::from(vec![number; 100]);
                let chunk = encode_chunk(plain, &params, &mut Coder::new()).unwrap();
                let (descriptor, payload) = (chunk.descriptor.encode(), chunk.shards[0].clone());
                ShardPut { chunk: chunk.reference.id, descriptor, index: 0, payload }
            })
            .collect();
        assert!(store.put_batch(&puts).iter().all(Result::is_ok));
        for bytes in [0, 500, u64::MAX] {
            let mut step = store.scrub(None, bytes).unwrap();
            let mut shards = step.shards;
            while let Some(after) = step.next {
                step = store.scrub(Some(after), bytes).unwrap();
                assert!(step.next.is_none_or(|next| next > after));
                shards += step.shards;
            }
            assert_eq!(shards, puts.len() as u64, "in steps of {bytes} bytes");
        }
    }
}
