//! Reading shards.

use std::io;
use std::sync::atomic::Ordering;

use super::record::{Location, RecordHeader};
use super::scan::{read_descriptor, read_header, read_verified};
use super::types::{GetError, Held, ShardKey, StoredShard};
use super::{ShardStore, locked};
use crate::descriptor::Descriptor;
use crate::ids::ChunkId;

/// Times that a read is tried again because its shard was moved under it. Each means a whole compaction.
const MAX_RETRIES: usize = 4;

impl ShardStore {
    /// Reads all shards held of a chunk. Each is verified as it is read; a damaged one is reported and no longer
    /// held.
    pub fn get(&self, chunk: &ChunkId) -> Result<Held, GetError> {
        self.get_some(*chunk, |_| true)
    }

    /// Reads one shard, if it is held; the others of its chunk are not looked at.
    pub fn get_shard(&self, shard: ShardKey) -> Result<Held, GetError> {
        self.get_some(shard.chunk, |index| index == shard.index)
    }

    fn get_some(&self, chunk: ChunkId, wanted: impl Fn(u8) -> bool) -> Result<Held, GetError> {
        let mut held = Held::default();
        for (index, location) in self.locations(chunk)?.into_iter().filter(|(index, _)| wanted(*index)) {
            let key = ShardKey { chunk, index };
            match self.read(key, location)? {
                Read::Good(shard) => held.shards.push(shard),
                Read::Gone => {}
                Read::Corrupt => {
                    self.put_in_quarantine(key);
                    held.corrupt.push(index);
                }
            }
        }
        Ok(held)
    }

    /// The descriptor of a chunk of which a shard is held; the shard itself is not read. `None` if none is held.
    pub fn descriptor(&self, chunk: &ChunkId) -> Result<Option<Descriptor>, GetError> {
        for (_, location) in self.locations(*chunk)? {
            let Some(file) = self.segment_file(location.segment)? else { continue };
            // One that does not match was damaged, or moved since the index was asked: another will do.
            if let Some(bytes) = read_descriptor(&*file, location)?
                && Descriptor::id_of(&bytes) == *chunk
                && let Ok(descriptor) = Descriptor::decode(&bytes)
            {
                return Ok(Some(descriptor));
            }
        }
        Ok(None)
    }

    /// Returns, for each chunk, the indices of its shards that are held, in ascending order. It asks only the index.
    /// Other nodes rely on the answer, so it is an error if the store's directory was removed.
    pub fn has(&self, chunks: &[ChunkId]) -> Result<Vec<Vec<u8>>, GetError> {
        self.check_in_place()?;
        let found = self.read_index(|index| index.locations(chunks))?;
        let mut held = Vec::with_capacity(chunks.len());
        for (chunk, shards) in chunks.iter().zip(found) {
            let indices = shards.into_iter().map(|(index, _)| index);
            held.push(indices.filter(|index| !self.is_quarantined(*chunk, *index)).collect());
        }
        Ok(held)
    }

    /// Lists at most `limit` shards with keys greater than `after`, in ascending order, with the lengths of their
    /// payloads. [`scrub`](Self::scrub) reads each of them with [`get_shard`](Self::get_shard).
    pub fn iterate(&self, after: Option<ShardKey>, limit: usize) -> Result<Vec<(ShardKey, u32)>, GetError> {
        let listed = self.read_index(|index| index.list(after, limit))?;
        Ok(listed.into_iter().map(|(key, location)| (key, location.payload_len)).collect())
    }

    fn locations(&self, chunk: ChunkId) -> io::Result<Vec<(u8, Location)>> {
        let found = self.read_index(|index| index.locations(&[chunk]))?;
        let shards = found.into_iter().flatten();
        Ok(shards.filter(|(index, _)| !self.is_quarantined(chunk, *index)).collect())
    }

    /// Counts a shard as not held until the next writer drops it from the index.
    pub(super) fn put_in_quarantine(&self, shard: ShardKey) {
        locked(&self.quarantine).insert(shard);
        self.any_quarantined.store(true, Ordering::Release);
    }

    /// Whether a shard that the index has is really there, as far as its record's header tells.
    pub(super) fn has_record(&self, shard: ShardKey, location: Location) -> io::Result<bool> {
        let Some(file) = self.segment_file(location.segment)? else { return Ok(false) };
        read_header(&*file, location).map(|header| {
            header.is_some_and(|header| {
                (header.chunk, header.index, header.dead) == (shard.chunk, shard.index, false)
            })
        })
    }

    fn is_quarantined(&self, chunk: ChunkId, index: u8) -> bool {
        self.any_quarantined.load(Ordering::Acquire)
            && locked(&self.quarantine).contains(&ShardKey { chunk, index })
    }

    fn read(&self, key: ShardKey, mut location: Location) -> io::Result<Read> {
        for _ in 0..MAX_RETRIES {
            let header = RecordHeader { chunk: key.chunk, index: key.index, location, dead: false };
            let record = match self.segment_file(location.segment)? {
                Some(file) => read_verified(&*file, &header)?,
                None => None,
            };
            if let Some((descriptor, payload)) = record {
                return Ok(Read::Good(StoredShard { index: key.index, descriptor, payload }));
            }
            // It may have been deleted or moved since the index was asked.
            let now = self.locations(key.chunk)?.into_iter().find(|(index, _)| *index == key.index);
            match now {
                None => return Ok(Read::Gone),
                Some((_, same)) if same == location => {
                    // A file that is not there any more says nothing about the shard that was in it.
                    return self.check_in_place().map(|()| Read::Corrupt);
                }
                Some((_, moved)) => location = moved,
            }
        }
        Err(io::Error::other("the shard was moved each time it was read"))
    }
}

enum Read {
    Good(StoredShard),
    Gone,
    Corrupt,
}
