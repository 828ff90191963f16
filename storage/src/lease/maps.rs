//! Maps of volumes among what is kept: an object whose chunks change with the map, by difference.
//!
//! | table | key | value |
//! |---|---|---|
//! | `maps` | volume | root chunk id of its object (32 bytes), the state that its rows are those of |
//! | `uses` | root chunk id, chunk id (64 bytes) | how often the state needs the chunk, if more than once u64 |
//!
//! ```text
//!  a change:  keep(exchange, new chunks) ──▶ the state is published ──▶ step: map ◀─ new chunks ── exchange
//!                                                                          map ── left over ───▶ exchange ──▶ forgotten soon
//! ```
//! Before a state is published the chunks that it needs beside those of the map are kept as an object of their own.
//! After it was published, the two exchange chunks, in one durable change together with the name of the state. So there
//! is no moment at which a chunk of either state has no row, and whatever a crash leaves undone is an object that is
//! found and forgotten.

use std::io;

use redb::{ReadableTable, Table, TableDefinition, WriteTransaction};

use super::keeps::{Keeps, Kept, KeptState, OBJECTS, ObjectRow, PARTS, REFS, UNCONFIRMED, pair};
use crate::database::failed;
use crate::ids::ChunkId;

type PairTable<'txn, V> = Table<'txn, &'static [u8; 64], V>;

const MAPS: TableDefinition<'static, &[u8; 32], &[u8]> = TableDefinition::new("maps");
const USES: TableDefinition<'static, &[u8; 64], u64> = TableDefinition::new("uses");

/// The map of a volume, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptMap {
    /// The object that has its chunks.
    pub object: ChunkId,
    /// The state that needs them: whatever its writer calls it.
    pub state: Vec<u8>,
}

/// From one state of a map to another.
#[derive(Clone, Debug)]
pub struct MapStep {
    /// Whose map it is.
    pub volume: [u8; 32],
    /// How the map is kept so far. `None` if it is not kept, or not in a way from which a step can be made.
    pub from: Option<KeptMap>,
    /// As what it is kept from now on. Its object is that of `from`, or one that never was.
    pub to: KeptMap,
    /// A kept object that has all chunks which `to` needs and `from` does not. It takes those that are left over.
    pub exchange: ChunkId,
    /// Chunks that the new state needs more often, and how much more often.
    pub more: Vec<(ChunkId, u64)>,
    /// Chunks that it needs less often, and how much less often.
    pub less: Vec<(ChunkId, u64)>,
}

impl Keeps {
    /// As what the map of a volume is kept; `None` if it is not.
    pub fn map_of(&self, volume: [u8; 32]) -> io::Result<Option<KeptMap>> {
        self.db.read(|txn| {
            let (maps, objects) =
                (txn.open_table(MAPS).map_err(failed)?, txn.open_table(OBJECTS).map_err(failed)?);
            map_in(&maps, &objects, volume)
        })
    }

    /// Goes from one state of a map to another, durably. Nothing changes, and it returns `false`, if the map is not
    /// kept as `from` says, or `exchange` has not got what is needed: somebody else was faster, or has forgotten one of
    /// them.
    pub fn step(&self, step: &MapStep) -> io::Result<bool> {
        self.db.change(true, |txn| {
            let mut rows = Rows {
                objects: txn.open_table(OBJECTS).map_err(failed)?,
                refs: txn.open_table(REFS).map_err(failed)?,
                parts: txn.open_table(PARTS).map_err(failed)?,
                uses: txn.open_table(USES).map_err(failed)?,
            };
            let mut maps = txn.open_table(MAPS).map_err(failed)?;
            let now = map_in(&maps, &rows.objects, step.volume)?;
            if step.from.is_some() && now != step.from {
                return Ok(false);
            }
            let (map, exchange) = (step.to.object, step.exchange);
            let before = rows.kept(map)?;
            if before.is_some() != step.from.is_some() {
                return Ok(false);
            }
            let Some(mut given) = rows.kept(exchange)?.filter(|kept| kept.state == KeptState::Kept) else {
                return Ok(false);
            };
            for (chunk, _) in &step.more {
                if !rows.has(map, *chunk)? && !rows.has(exchange, *chunk)? {
                    return Ok(false);
                }
            }
            let mut kept = before.unwrap_or(Kept { root: map, chunks: 0, ..given });
            for (chunk, times) in &step.more {
                let n = rows.take(exchange, *chunk)?;
                given.chunks = given.chunks.saturating_sub(n.is_some().into());
                kept.chunks += u64::from(rows.need_more(map, *chunk, n, *times)?);
            }
            for (chunk, times) in &step.less {
                if let Some(n) = rows.need_less(map, *chunk, *times)? {
                    kept.chunks = kept.chunks.saturating_sub(1);
                    given.chunks += u64::from(rows.enter(exchange, *chunk, n)?);
                }
            }
            kept.retained_until = kept.retained_until.max(given.retained_until);
            rows.objects.insert(&map.0, kept.row()).map_err(failed)?;
            rows.objects.insert(&exchange.0, given.row()).map_err(failed)?;
            maps.insert(&step.volume, [&map.0[..], &step.to.state].concat().as_slice()).map_err(failed)?;
            // What holders were not asked yet to keep for a whole lease is the map's now.
            let mut unconfirmed = txn.open_table(UNCONFIRMED).map_err(failed)?;
            if unconfirmed.get(&exchange.0).map_err(failed)?.is_some() {
                unconfirmed.insert(&map.0, ()).map_err(failed)?;
            }
            Ok(true)
        })
    }
}

pub(super) fn prepare(txn: &WriteTransaction) -> io::Result<()> {
    txn.open_table(MAPS).map_err(failed)?;
    txn.open_table(USES).map_err(failed).map(drop)
}

/// An object has done with a chunk.
pub(super) fn forgot(txn: &WriteTransaction, root: ChunkId, chunks: &[ChunkId]) -> io::Result<()> {
    let mut uses = txn.open_table(USES).map_err(failed)?;
    for chunk in chunks {
        uses.remove(&pair(root, *chunk)).map_err(failed)?;
    }
    Ok(())
}

fn map_in(
    maps: &impl ReadableTable<&'static [u8; 32], &'static [u8]>,
    objects: &impl ReadableTable<&'static [u8; 32], ObjectRow>,
    volume: [u8; 32],
) -> io::Result<Option<KeptMap>> {
    let Some(row) = maps.get(&volume).map_err(failed)? else { return Ok(None) };
    let Some((root, state)) = row.value().split_first_chunk::<32>() else { return Ok(None) };
    let object = objects.get(root).map_err(failed)?.map(|row| Kept::from_row(ChunkId(*root), row.value()));
    let is_kept = object.is_some_and(|object| object.state == KeptState::Kept);
    Ok(is_kept.then(|| KeptMap { object: ChunkId(*root), state: state.to_vec() }))
}

/// The tables of a step.
struct Rows<'txn> {
    objects: Table<'txn, &'static [u8; 32], ObjectRow>,
    refs: PairTable<'txn, u8>,
    parts: PairTable<'txn, ()>,
    uses: PairTable<'txn, u64>,
}

impl Rows<'_> {
    fn kept(&self, root: ChunkId) -> io::Result<Option<Kept>> {
        let row = self.objects.get(&root.0).map_err(failed)?;
        Ok(row.map(|row| Kept::from_row(root, row.value())))
    }

    fn has(&self, root: ChunkId, chunk: ChunkId) -> io::Result<bool> {
        Ok(self.parts.get(&pair(root, chunk)).map_err(failed)?.is_some())
    }

    /// Enters a chunk; whether it is new.
    fn enter(&mut self, root: ChunkId, chunk: ChunkId, n: u8) -> io::Result<bool> {
        self.refs.insert(&pair(chunk, root), n).map_err(failed)?;
        Ok(self.parts.insert(&pair(root, chunk), ()).map_err(failed)?.is_none())
    }

    /// Takes a chunk out; its n, if it was there.
    fn take(&mut self, root: ChunkId, chunk: ChunkId) -> io::Result<Option<u8>> {
        self.parts.remove(&pair(root, chunk)).map_err(failed)?;
        Ok(self.refs.remove(&pair(chunk, root)).map_err(failed)?.map(|n| n.value()))
    }

    /// How often a chunk is needed.
    fn uses(&self, root: ChunkId, chunk: ChunkId) -> io::Result<u64> {
        let uses = self.uses.get(&pair(root, chunk)).map_err(failed)?.map(|uses| uses.value());
        Ok(uses.unwrap_or(self.has(root, chunk)?.into()))
    }

    fn set_uses(&mut self, root: ChunkId, chunk: ChunkId, uses: u64) -> io::Result<()> {
        let key = pair(root, chunk);
        if uses > 1 {
            self.uses.insert(&key, uses).map_err(failed).map(drop)
        } else {
            self.uses.remove(&key).map_err(failed).map(drop)
        }
    }

    /// Counts a chunk as needed `times` more often. `n` is its number of shards if it may be new to the object; the
    /// chunk is then entered. Returns whether it was entered and is new.
    fn need_more(&mut self, root: ChunkId, chunk: ChunkId, n: Option<u8>, times: u64) -> io::Result<bool> {
        let uses = self.uses(root, chunk)?.saturating_add(times);
        self.set_uses(root, chunk, uses)?;
        n.map_or(Ok(false), |n| self.enter(root, chunk, n))
    }

    /// Its n, if it is not needed at all any more.
    fn need_less(&mut self, root: ChunkId, chunk: ChunkId, times: u64) -> io::Result<Option<u8>> {
        let uses = self.uses(root, chunk)?.saturating_sub(times);
        self.set_uses(root, chunk, uses)?;
        if uses > 0 { Ok(None) } else { self.take(root, chunk) }
    }
}
