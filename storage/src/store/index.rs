//! The index: which shard lies where.
//!
//! A redb database with five tables. `shards`: chunk id and index (33 bytes) → location (14). `segments`: number →
//! length, bytes that live, bytes punched out. `pending`: records whose deletion is durable but whose space is
//! not yet given back. `unmended`: shards that were found damaged or lost, until they are held again or not missed
//! any more. `state`: counters, and the checkpoint: everything before it in the segments is in the durable index.

use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::sync::Arc;

use redb::{Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, Table, TableDefinition};

use super::record::{Location, SEGMENT_HEADER_LEN};
use super::types::ShardKey;
use crate::database::{self, failed, guarded};
use crate::files::StoreFile;
use crate::ids::ChunkId;

/// An index up to this size, some 200,000 shards, is checked as a whole when it is opened, which takes less than
/// 0.1 s. A larger one is trusted, so that opening does not take longer the more there is.
const MAX_CHECKED_BYTES: u64 = 32 << 20;

const KEY_LEN: usize = 33;
const SHARDS: TableDefinition<'_, &[u8; KEY_LEN], &[u8; Location::ENCODED_LEN]> =
    TableDefinition::new("shards");
const SEGMENTS: TableDefinition<'_, u32, (u64, u64, u64)> = TableDefinition::new("segments");
const PENDING: TableDefinition<'_, (u32, u32), u64> = TableDefinition::new("pending");
const UNMENDED: TableDefinition<'_, &[u8; KEY_LEN], ()> = TableDefinition::new("unmended");
const STATE: TableDefinition<'_, (), (u32, u64, u32, u64, u64)> = TableDefinition::new("state");

/// What a segment amounts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct SegmentStats {
    /// Length of the file, as far as it is used.
    pub(super) len: u64,
    /// Bytes of records that live.
    pub(super) live: u64,
    /// Bytes given back as holes.
    pub(super) punched: u64,
}

impl SegmentStats {
    /// What it takes on disk, in blocks of 4 KiB.
    pub(super) fn disk_bytes(&self) -> u64 {
        self.len.div_ceil(4096).saturating_mul(4096).saturating_sub(self.punched)
    }

    /// What a segment with nothing but what lives in this one would take on disk.
    pub(super) fn alone(&self) -> u64 {
        match self.live {
            0 => 0,
            live => Self { len: live.saturating_add(SEGMENT_HEADER_LEN), live, punched: 0 }.disk_bytes(),
        }
    }
}

/// Counters and the checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct State {
    pub(super) checkpoint_segment: u32,
    pub(super) checkpoint_offset: u64,
    pub(super) next_segment: u32,
    pub(super) shards: u64,
    pub(super) payload_bytes: u64,
}

pub(super) struct Index {
    /// `None` only while it is dropped.
    db: Option<Database>,
    file: Arc<dyn StoreFile>,
}

/// The tables within one write transaction.
pub(super) struct Tables<'txn> {
    pub(super) shards: Table<'txn, &'static [u8; KEY_LEN], &'static [u8; Location::ENCODED_LEN]>,
    segments: Table<'txn, u32, (u64, u64, u64)>,
    pending: Table<'txn, (u32, u32), u64>,
    unmended: Table<'txn, &'static [u8; KEY_LEN], ()>,
    state: Table<'txn, (), (u32, u64, u32, u64, u64)>,
}

fn key(key: ShardKey) -> [u8; KEY_LEN] {
    let mut out = [0u8; KEY_LEN];
    out[..32].copy_from_slice(&key.chunk.0);
    out[32] = key.index;
    out
}

fn parse_key(bytes: &[u8; KEY_LEN]) -> ShardKey {
    let [chunk @ .., index] = *bytes;
    ShardKey { chunk: ChunkId(chunk), index }
}

impl Index {
    /// Opens or creates the index. If the file is not an index, the error says that it is damaged.
    pub(super) fn open(file: Arc<dyn StoreFile>, cache_bytes: usize) -> io::Result<Self> {
        let check = file.allocated()? <= MAX_CHECKED_BYTES;
        let db = database::open(Arc::clone(&file), cache_bytes, check)?;
        Ok(Self { db: Some(db), file })
    }

    fn db(&self) -> io::Result<&Database> {
        self.db.as_ref().ok_or_else(|| io::Error::other("the index is closed"))
    }

    /// What the index's file takes on disk. Its length would be too much: redb doubles it, ahead of need.
    pub(super) fn disk_bytes(&self) -> io::Result<u64> {
        self.file.allocated()
    }

    /// Changes the index. A durable change survives a crash, together with all changes before it. Readers see any other
    /// change at once too, but a crash may undo it. After an error no part of the change is visible.
    pub(super) fn write<T>(
        &self,
        durable: bool,
        change: impl FnOnce(&mut Tables<'_>) -> io::Result<T>,
    ) -> io::Result<T> {
        guarded(|| self.write_unguarded(durable, change))
    }

    fn write_unguarded<T>(
        &self,
        durable: bool,
        change: impl FnOnce(&mut Tables<'_>) -> io::Result<T>,
    ) -> io::Result<T> {
        let txn = database::begin_write(self.db()?, durable)?;
        let result = {
            let mut tables = Tables {
                shards: txn.open_table(SHARDS).map_err(failed)?,
                segments: txn.open_table(SEGMENTS).map_err(failed)?,
                pending: txn.open_table(PENDING).map_err(failed)?,
                unmended: txn.open_table(UNMENDED).map_err(failed)?,
                state: txn.open_table(STATE).map_err(failed)?,
            };
            change(&mut tables)
        };
        match result {
            Ok(value) => {
                txn.commit().map_err(failed)?;
                Ok(value)
            }
            Err(error) => {
                txn.abort().map_err(failed)?;
                Err(error)
            }
        }
    }

    /// Shards held of each chunk, with where they lie, by index.
    pub(super) fn locations(&self, chunks: &[ChunkId]) -> io::Result<Vec<Vec<(u8, Location)>>> {
        guarded(|| self.locations_unguarded(chunks))
    }

    fn locations_unguarded(&self, chunks: &[ChunkId]) -> io::Result<Vec<Vec<(u8, Location)>>> {
        let txn = self.db()?.begin_read().map_err(failed)?;
        let table = txn.open_table(SHARDS).map_err(failed)?;
        let mut found = Vec::with_capacity(chunks.len());
        for &chunk in chunks {
            let (first, last) = (key(ShardKey { chunk, index: 0 }), key(ShardKey { chunk, index: u8::MAX }));
            let mut shards = Vec::new();
            for entry in table.range::<&[u8; KEY_LEN]>(&first..=&last).map_err(failed)? {
                let (key, location) = entry.map_err(failed)?;
                shards.push((parse_key(key.value()).index, Location::decode(location.value())));
            }
            found.push(shards);
        }
        Ok(found)
    }

    /// At most `limit` shards behind `after` in the order of their ids.
    pub(super) fn list(
        &self,
        after: Option<ShardKey>,
        limit: usize,
    ) -> io::Result<Vec<(ShardKey, Location)>> {
        guarded(|| self.list_unguarded(after, limit))
    }

    fn list_unguarded(&self, after: Option<ShardKey>, limit: usize) -> io::Result<Vec<(ShardKey, Location)>> {
        let txn = self.db()?.begin_read().map_err(failed)?;
        let table = txn.open_table(SHARDS).map_err(failed)?;
        let start = after.map(key);
        let start = start.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let range = table.range::<&[u8; KEY_LEN]>((start, Bound::Unbounded)).map_err(failed)?;
        let mut found = Vec::new();
        for entry in range.take(limit) {
            let (key, location) = entry.map_err(failed)?;
            found.push((parse_key(key.value()), Location::decode(location.value())));
        }
        Ok(found)
    }

    /// How many shards were found damaged or lost and are not made good.
    pub(super) fn unmended(&self) -> io::Result<u64> {
        guarded(|| {
            let txn = self.db()?.begin_read().map_err(failed)?;
            match txn.open_table(UNMENDED) {
                Ok(table) => table.len().map_err(failed),
                // An earlier version wrote this index, and nothing was changed since.
                Err(redb::TableError::TableDoesNotExist(_)) => Ok(0),
                Err(error) => Err(failed(error)),
            }
        })
    }

    /// At most `limit` unmended shards with keys greater than `after`, in ascending order.
    pub(super) fn list_unmended(&self, after: Option<ShardKey>, limit: usize) -> io::Result<Vec<ShardKey>> {
        guarded(|| {
            let txn = self.db()?.begin_read().map_err(failed)?;
            let table = match txn.open_table(UNMENDED) {
                Ok(table) => table,
                Err(redb::TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
                Err(error) => return Err(failed(error)),
            };
            let start = after.map(key);
            let start = start.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
            let range = table.range::<&[u8; KEY_LEN]>((start, Bound::Unbounded)).map_err(failed)?;
            range.take(limit).map(|row| Ok(parse_key(row.map_err(failed)?.0.value()))).collect()
        })
    }

    /// Counters and segments as of the last change; `None` for a new index.
    pub(super) fn state(&self) -> io::Result<Option<(State, BTreeMap<u32, SegmentStats>)>> {
        self.write(false, |tables| {
            let Some(state) = tables.state.get(()).map_err(failed)?.map(|row| row.value()) else {
                return Ok(None);
            };
            let (checkpoint_segment, checkpoint_offset, next_segment, shards, payload_bytes) = state;
            let state = State { checkpoint_segment, checkpoint_offset, next_segment, shards, payload_bytes };
            if tables.shards.len().map_err(failed)? != shards {
                return Err(database::damaged("a table of it is lost"));
            }
            let mut segments = BTreeMap::new();
            for row in tables.segments.iter().map_err(failed)? {
                let (segment, stats) = row.map_err(failed)?;
                let (len, live, punched) = stats.value();
                segments.insert(segment.value(), SegmentStats { len, live, punched });
            }
            Ok(Some((state, segments)))
        })
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        let db = self.db.take();
        let _ = guarded(move || {
            drop(db);
            Ok(())
        });
    }
}

impl Tables<'_> {
    pub(super) fn get(&self, shard: ShardKey) -> io::Result<Option<Location>> {
        let row = self.shards.get(&key(shard)).map_err(failed)?;
        Ok(row.map(|row| Location::decode(row.value())))
    }

    pub(super) fn insert(&mut self, shard: ShardKey, location: Location) -> io::Result<()> {
        self.shards.insert(&key(shard), &location.encode()).map_err(failed)?;
        self.mended(shard)
    }

    /// Remembers that a shard was found damaged or lost.
    pub(super) fn miss(&mut self, shard: ShardKey) -> io::Result<()> {
        self.unmended.insert(&key(shard), ()).map_err(failed)?;
        Ok(())
    }

    /// A shard that was found damaged or lost is held again, or not missed any more.
    pub(super) fn mended(&mut self, shard: ShardKey) -> io::Result<()> {
        self.unmended.remove(&key(shard)).map_err(failed)?;
        Ok(())
    }

    pub(super) fn remove(&mut self, shard: ShardKey) -> io::Result<Option<Location>> {
        let row = self.shards.remove(&key(shard)).map_err(failed)?;
        Ok(row.map(|row| Location::decode(row.value())))
    }

    pub(super) fn set_segment(&mut self, segment: u32, stats: SegmentStats) -> io::Result<()> {
        self.segments.insert(segment, (stats.len, stats.live, stats.punched)).map_err(failed)?;
        Ok(())
    }

    pub(super) fn remove_segment(&mut self, segment: u32) -> io::Result<()> {
        self.segments.remove(segment).map_err(failed)?;
        Ok(())
    }

    pub(super) fn set_state(&mut self, state: State) -> io::Result<()> {
        let State { checkpoint_segment, checkpoint_offset, next_segment, shards, payload_bytes } = state;
        let row = (checkpoint_segment, checkpoint_offset, next_segment, shards, payload_bytes);
        self.state.insert((), row).map_err(failed)?;
        Ok(())
    }

    /// Remembers that a record's space is to be given back.
    pub(super) fn add_pending(&mut self, segment: u32, offset: u32, len: u64) -> io::Result<()> {
        self.pending.insert((segment, offset), len).map_err(failed)?;
        Ok(())
    }

    /// At most `limit` records whose space is to be given back.
    pub(super) fn pending(&self, limit: usize) -> io::Result<Vec<(u32, u32, u64)>> {
        let rows = self.pending.iter().map_err(failed)?;
        let rows = rows.take(limit).map(|row| {
            let (place, len) = row.map_err(failed)?;
            let (segment, offset) = place.value();
            Ok((segment, offset, len.value()))
        });
        rows.collect()
    }

    pub(super) fn remove_pending(&mut self, segment: u32, offset: u32) -> io::Result<()> {
        self.pending.remove((segment, offset)).map_err(failed)?;
        Ok(())
    }
}
