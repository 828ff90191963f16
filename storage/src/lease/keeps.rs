//! What a daemon keeps in the network: objects that were put through it, and those of others that it was told to keep.
//!
//! | table | key | value |
//! |---|---|---|
//! | `objects` | root chunk id | state u8, by put u8, since u64, bytes u64, stored bytes u64, until u64, retained until u64, chunks u64 |
//! | `refs` | chunk id, root chunk id (64 bytes) | n u8 |
//! | `parts` | root chunk id, chunk id (64 bytes) | nothing |
//! | `state` | nothing | version u32 |
//! | `unconfirmed` | root chunk id | nothing |
//! | `names`, `maps`, `uses` | | see the modules `names` and `maps` |
//! | `said` | nothing | the first number that was never reserved u64 |
//!
//! There are no counters: whether a chunk is still needed is whether `refs` has a row of it that belongs to a kept
//! object, and an object and all its rows are entered in one durable change. So there is nothing that a crash could
//! leave wrong.

use std::io;
use std::path::Path;

use redb::{ReadableTable, TableDefinition, WriteTransaction};

use super::{maps, names};
use crate::database::{damaged, failed};
use crate::files::{Files, OsFiles};
use crate::ids::ChunkId;
use crate::reopening::Reopening;
use crate::repair::Moment;

const FILE: &str = "keeps.redb";
const VERSION: u32 = 1;

pub(super) type ObjectRow = (u8, u8, u64, u64, u64, u64, u64, u64);
pub(super) const OBJECTS: TableDefinition<'static, &[u8; 32], ObjectRow> = TableDefinition::new("objects");
pub(super) const REFS: TableDefinition<'static, &[u8; 64], u8> = TableDefinition::new("refs");
pub(super) const PARTS: TableDefinition<'static, &[u8; 64], ()> = TableDefinition::new("parts");
const STATE: TableDefinition<'static, (), u32> = TableDefinition::new("state");
pub(super) const UNCONFIRMED: TableDefinition<'static, &[u8; 32], ()> = TableDefinition::new("unconfirmed");
const SAID: TableDefinition<'static, (), u64> = TableDefinition::new("said");

/// What is to become of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeptState {
    /// Its chunks are renewed.
    Kept,
    /// Its chunks are being dropped, as far as no other object needs them.
    Forgetting,
    /// All holders that were there have been told. It is remembered, so that those which were absent are told as well.
    Forgotten,
}

/// An object that is kept. Times are wall time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its root chunk.
    pub root: ChunkId,
    /// What is to become of it.
    pub state: KeptState,
    /// It was put through this daemon, rather than kept later.
    pub put: bool,
    /// Since when.
    pub since: Moment,
    /// Bytes of content.
    pub bytes: u64,
    /// Bytes of shards, at its redundancy.
    pub stored_bytes: u64,
    /// It is renewed until then; `None`: until it is forgotten. Of what is forgotten: it is remembered until then.
    pub until: Option<Moment>,
    /// Before then it cannot be forgotten; `Moment(0)`: at any time.
    pub retained_until: Moment,
    /// Chunks it consists of.
    pub chunks: u64,
    /// Its holders keep it for a whole lease, rather than for as long as a put takes that may never be finished.
    pub confirmed: bool,
}

impl Kept {
    pub(super) fn row(&self) -> ObjectRow {
        (
            match self.state {
                KeptState::Kept => 0,
                KeptState::Forgetting => 1,
                KeptState::Forgotten => 2,
            },
            u8::from(self.put),
            self.since.0,
            self.bytes,
            self.stored_bytes,
            self.until.map_or(u64::MAX, |until| until.0),
            self.retained_until.0,
            self.chunks,
        )
    }

    pub(super) fn from_row(root: ChunkId, row: ObjectRow) -> Self {
        let (state, put, since, bytes, stored_bytes, until, retained_until, chunks) = row;
        Self {
            root,
            state: match state {
                0 => KeptState::Kept,
                2 => KeptState::Forgotten,
                _ => KeptState::Forgetting,
            },
            put: put != 0,
            since: Moment(since),
            bytes,
            stored_bytes,
            until: (until != u64::MAX).then_some(Moment(until)),
            retained_until: Moment(retained_until),
            chunks,
            confirmed: true,
        }
    }
}

/// A chunk that kept objects need. Times are wall time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeededChunk {
    /// Which.
    pub chunk: ChunkId,
    /// Shards that it has.
    pub n: u8,
    /// It is renewed until then; `None`: as long as an object needs it.
    pub until: Option<Moment>,
    /// Before then it cannot be dropped.
    pub retained_until: Moment,
}

/// A chunk of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectChunk {
    /// Which.
    pub chunk: ChunkId,
    /// Shards that it has.
    pub n: u8,
    /// No kept object needs it.
    pub free: bool,
}

/// See the module's description.
#[derive(Debug)]
pub struct Keeps {
    pub(super) db: Reopening,
}

impl Keeps {
    /// Opens or creates the book in `directory`; one that is damaged is begun anew, and what it kept expires unless it
    /// is kept again. `None` if another process has it open.
    pub fn open(directory: &Path) -> io::Result<Option<Self>> {
        match OsFiles::lock(directory)? {
            Some(files) => Self::open_files(Box::new(files)).map(Some),
            None => Ok(None),
        }
    }

    /// Opens it in files of any kind.
    pub fn open_files(files: Box<dyn Files>) -> io::Result<Self> {
        Ok(Self { db: Reopening::open(files, FILE, prepare)? })
    }

    /// How often the book was found damaged and begun anew since it was opened: then nothing of it was left.
    pub fn begun_anew(&self) -> u64 {
        self.db.begun_anew()
    }

    /// Enters an object with all its chunks and how many shards each has, durably. One that is kept already stays so at
    /// least as long as before; one that is being forgotten is kept again. Unless it says so itself, it is not
    /// confirmed until [`confirmed`](Self::confirmed) is called.
    pub fn keep(&self, object: &Kept, chunks: &[(ChunkId, u8)]) -> io::Result<()> {
        self.db.change(true, |txn| {
            let mut objects = txn.open_table(OBJECTS).map_err(failed)?;
            let mut refs = txn.open_table(REFS).map_err(failed)?;
            let mut parts = txn.open_table(PARTS).map_err(failed)?;
            let old = objects.get(&object.root.0).map_err(failed)?.map(|row| row.value());
            let old =
                old.map(|row| Kept::from_row(object.root, row)).filter(|old| old.state == KeptState::Kept);
            let mut new = *object;
            if let Some(old) = old {
                new.since = old.since;
                new.put |= old.put;
                new.until = old.until.zip(new.until).map(|(old, new)| old.max(new));
                new.retained_until = new.retained_until.max(old.retained_until);
            }
            if old.is_none() {
                names::remove(txn, object.root)?;
            }
            objects.insert(&object.root.0, new.row()).map_err(failed)?;
            let mut unconfirmed = txn.open_table(UNCONFIRMED).map_err(failed)?;
            if object.confirmed {
                unconfirmed.remove(&object.root.0).map_err(failed)?;
            } else {
                unconfirmed.insert(&object.root.0, ()).map_err(failed)?;
            }
            for (chunk, n) in chunks {
                refs.insert(&pair(*chunk, object.root), *n).map_err(failed)?;
                parts.insert(&pair(object.root, *chunk), ()).map_err(failed)?;
            }
            Ok(())
        })
    }

    /// Reserves `count` numbers for what the writer says to holders, durably, and returns the first of them. Each call
    /// returns numbers above all that were returned before. A book without any reserved numbers begins with `first`.
    pub fn reserve_said(&self, first: u64, count: u64) -> io::Result<u64> {
        self.db.change(true, |txn| {
            let mut said = txn.open_table(SAID).map_err(failed)?;
            let next = said.get(()).map_err(failed)?.map_or(first, |row| row.value());
            said.insert((), next.saturating_add(count)).map_err(failed)?;
            Ok(next)
        })
    }

    /// Makes sure, durably, that the numbers reserved next are not below `at_least`. A book that was lost and begun
    /// anew, or that was restored from an older copy, may not know all numbers that were used.
    pub fn raise_said(&self, at_least: u64) -> io::Result<()> {
        self.db.change(true, |txn| {
            let mut said = txn.open_table(SAID).map_err(failed)?;
            let next = said.get(()).map_err(failed)?.map_or(0, |row| row.value());
            said.insert((), next.max(at_least)).map_err(failed)?;
            Ok(())
        })
    }

    /// One object.
    pub fn get(&self, root: ChunkId) -> io::Result<Option<Kept>> {
        self.db.read(|txn| {
            let objects = txn.open_table(OBJECTS).map_err(failed)?;
            let row = objects.get(&root.0).map_err(failed)?.map(|row| row.value());
            let unconfirmed = txn.open_table(UNCONFIRMED).map_err(failed)?;
            row.map(|row| with_confirmation(&unconfirmed, Kept::from_row(root, row))).transpose()
        })
    }

    /// At most `most` kept objects behind `after` whose holders keep them for no longer than a put takes.
    pub fn unconfirmed(&self, after: Option<ChunkId>, most: usize) -> io::Result<Vec<ChunkId>> {
        use std::ops::Bound;
        self.db.read(|txn| {
            let unconfirmed = txn.open_table(UNCONFIRMED).map_err(failed)?;
            let after = after.map(|after| after.0);
            let start = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
            let rows = unconfirmed.range::<&[u8; 32]>((start, Bound::Unbounded)).map_err(failed)?.take(most);
            rows.map(|row| Ok(ChunkId(*row.map_err(failed)?.0.value()))).collect()
        })
    }

    /// Notes that the holders of an object keep it for a whole lease. What a crash takes back is found out again.
    pub fn confirmed(&self, root: ChunkId) -> io::Result<()> {
        self.db.change(false, |txn| {
            txn.open_table(UNCONFIRMED).map_err(failed)?.remove(&root.0).map_err(failed)?;
            Ok(())
        })
    }

    /// At most `most` objects behind `after` that are kept or being forgotten, in the order of their addresses.
    pub fn list(&self, after: Option<ChunkId>, most: usize) -> io::Result<Vec<Kept>> {
        self.list_those(after, most, |state| state != KeptState::Forgotten)
    }

    /// At most `most` objects behind `after` of which holders have to be told that they are not kept any more, in the
    /// order of their addresses.
    pub fn unkept(&self, after: Option<ChunkId>, most: usize) -> io::Result<Vec<Kept>> {
        self.list_those(after, most, |state| state != KeptState::Kept)
    }

    fn list_those(
        &self,
        after: Option<ChunkId>,
        most: usize,
        wanted: impl Fn(KeptState) -> bool,
    ) -> io::Result<Vec<Kept>> {
        use std::ops::Bound;
        self.db.read(|txn| {
            let objects = txn.open_table(OBJECTS).map_err(failed)?;
            let after = after.map(|after| after.0);
            let start = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
            let rows = objects.range::<&[u8; 32]>((start, Bound::Unbounded)).map_err(failed)?;
            let unconfirmed = txn.open_table(UNCONFIRMED).map_err(failed)?;
            rows.map(|row| {
                let (root, row) = row.map_err(failed)?;
                with_confirmation(&unconfirmed, Kept::from_row(ChunkId(*root.value()), row.value()))
            })
            .filter(|kept| kept.as_ref().map_or(true, |kept: &Kept| wanted(kept.state)))
            .take(most)
            .collect()
        })
    }

    /// Says that an object is not to be kept any more, durably; `None` if it was not kept.
    pub fn begin_forgetting(&self, root: ChunkId) -> io::Result<Option<Kept>> {
        self.db.change(true, |txn| {
            let mut objects = txn.open_table(OBJECTS).map_err(failed)?;
            let row = objects.get(&root.0).map_err(failed)?.map(|row| row.value());
            let Some(kept) = row.map(|row| Kept::from_row(root, row)) else { return Ok(None) };
            if kept.state == KeptState::Forgotten {
                return Ok(None);
            }
            let kept = Kept { state: KeptState::Forgetting, ..kept };
            objects.insert(&root.0, kept.row()).map_err(failed)?;
            txn.open_table(UNCONFIRMED).map_err(failed)?.remove(&root.0).map_err(failed)?;
            Ok(Some(kept))
        })
    }

    /// Notes, durably, that the holders of an object that were there have been told that it is not kept any more. It is
    /// remembered until `until`, which is wall time.
    pub fn told(&self, root: ChunkId, until: Moment) -> io::Result<()> {
        self.db.change(true, |txn| {
            let mut objects = txn.open_table(OBJECTS).map_err(failed)?;
            let row = objects.get(&root.0).map_err(failed)?.map(|row| row.value());
            let Some(object) = row.map(|row| Kept::from_row(root, row)) else { return Ok(()) };
            // It may be kept again by now.
            if object.state == KeptState::Forgetting {
                names::remove(txn, root)?;
                let told = Kept { state: KeptState::Forgotten, until: Some(until), ..object };
                objects.insert(&root.0, told.row()).map_err(failed)?;
            }
            Ok(())
        })
    }

    /// At most `most` chunks behind `after` of an object, in the order of their addresses.
    pub fn chunks_of(
        &self,
        root: ChunkId,
        after: Option<ChunkId>,
        most: usize,
    ) -> io::Result<Vec<ObjectChunk>> {
        use std::ops::Bound;
        self.db.read(|txn| {
            let objects = txn.open_table(OBJECTS).map_err(failed)?;
            let refs = txn.open_table(REFS).map_err(failed)?;
            let parts = txn.open_table(PARTS).map_err(failed)?;
            let (first, last) = (pair(root, ChunkId([0; 32])), pair(root, ChunkId([0xff; 32])));
            let after = after.map(|after| pair(root, after));
            let start = after.as_ref().map_or(Bound::Included(&first), Bound::Excluded);
            let rows = parts.range::<&[u8; 64]>((start, Bound::Included(&last))).map_err(failed)?;
            rows.take(most)
                .map(|row| {
                    let chunk = second(row.map_err(failed)?.0.value());
                    let n = refs.get(&pair(chunk, root)).map_err(failed)?.map_or(0, |n| n.value());
                    Ok(ObjectChunk { chunk, n, free: !needed(&objects, &refs, chunk)? })
                })
                .collect()
        })
    }

    /// Notes that an object has done with these chunks; with the last one the object is gone. What a crash takes back
    /// is done again.
    pub fn forgot(&self, root: ChunkId, chunks: &[ChunkId]) -> io::Result<()> {
        self.db.change(true, |txn| {
            let mut objects = txn.open_table(OBJECTS).map_err(failed)?;
            let mut refs = txn.open_table(REFS).map_err(failed)?;
            let mut parts = txn.open_table(PARTS).map_err(failed)?;
            let row = objects.get(&root.0).map_err(failed)?.map(|row| row.value());
            // It may be kept again by now.
            if row.is_none_or(|row| Kept::from_row(root, row).state == KeptState::Kept) {
                return Ok(());
            }
            for chunk in chunks {
                refs.remove(&pair(*chunk, root)).map_err(failed)?;
                parts.remove(&pair(root, *chunk)).map_err(failed)?;
            }
            maps::forgot(txn, root, chunks)?;
            let (first, last) = (pair(root, ChunkId([0; 32])), pair(root, ChunkId([0xff; 32])));
            if parts.range::<&[u8; 64]>(&first..=&last).map_err(failed)?.next().is_none() {
                objects.remove(&root.0).map_err(failed)?;
                names::remove(txn, root)?;
            }
            Ok(())
        })
    }

    /// At most `most` chunks behind `after` that kept objects need, in the order of their addresses.
    pub fn chunks(&self, after: Option<ChunkId>, most: usize) -> io::Result<Vec<NeededChunk>> {
        self.db.read(|txn| {
            let objects = txn.open_table(OBJECTS).map_err(failed)?;
            let refs = txn.open_table(REFS).map_err(failed)?;
            let start = after.map_or([0; 64], |after| pair(after, ChunkId([0xff; 32])));
            let mut found: Vec<NeededChunk> = Vec::new();
            for row in refs.range::<&[u8; 64]>(&start..).map_err(failed)? {
                let (key, n) = row.map_err(failed)?;
                let (chunk, root) = (first_of(key.value()), second(key.value()));
                if Some(chunk) == after {
                    continue;
                }
                let Some(object) = objects.get(&root.0).map_err(failed)?.map(|row| row.value()) else {
                    continue;
                };
                let object = Kept::from_row(root, object);
                if object.state != KeptState::Kept {
                    continue;
                }
                let full = found.len() >= most;
                match found.last_mut() {
                    Some(last) if last.chunk == chunk => {
                        last.n = last.n.max(n.value());
                        last.until = last.until.zip(object.until).map(|(a, b)| a.max(b));
                        last.retained_until = last.retained_until.max(object.retained_until);
                    }
                    _ if full => break,
                    _ => found.push(NeededChunk {
                        chunk,
                        n: n.value(),
                        until: object.until,
                        retained_until: object.retained_until,
                    }),
                }
            }
            Ok(found)
        })
    }

    /// Chunks of an object that no other kept object needs: what forgetting it would free.
    pub fn own_chunks(&self, root: ChunkId) -> io::Result<u64> {
        self.db.read(|txn| {
            let objects = txn.open_table(OBJECTS).map_err(failed)?;
            let refs = txn.open_table(REFS).map_err(failed)?;
            let parts = txn.open_table(PARTS).map_err(failed)?;
            let (first, last) = (pair(root, ChunkId([0; 32])), pair(root, ChunkId([0xff; 32])));
            let mut own = 0;
            for row in parts.range::<&[u8; 64]>(&first..=&last).map_err(failed)? {
                let chunk = second(row.map_err(failed)?.0.value());
                own += u64::from(!needed_beside(&objects, &refs, chunk, Some(root))?);
            }
            Ok(own)
        })
    }
}

fn prepare(txn: &WriteTransaction) -> io::Result<()> {
    let mut state = txn.open_table(STATE).map_err(failed)?;
    let version = state.get(()).map_err(failed)?.map(|row| row.value());
    match version {
        Some(VERSION) => {}
        Some(_) => return Err(damaged("its version is unknown")),
        None => drop(state.insert((), VERSION).map_err(failed)?),
    }
    txn.open_table(OBJECTS).map_err(failed)?;
    txn.open_table(REFS).map_err(failed)?;
    txn.open_table(PARTS).map_err(failed)?;
    txn.open_table(UNCONFIRMED).map_err(failed)?;
    txn.open_table(SAID).map_err(failed)?;
    maps::prepare(txn)?;
    names::prepare(txn)
}

fn with_confirmation(
    unconfirmed: &impl ReadableTable<&'static [u8; 32], ()>,
    kept: Kept,
) -> io::Result<Kept> {
    Ok(Kept { confirmed: unconfirmed.get(&kept.root.0).map_err(failed)?.is_none(), ..kept })
}

/// Whether a kept object needs a chunk.
fn needed(
    objects: &impl ReadableTable<&'static [u8; 32], ObjectRow>,
    refs: &impl ReadableTable<&'static [u8; 64], u8>,
    chunk: ChunkId,
) -> io::Result<bool> {
    needed_beside(objects, refs, chunk, None)
}

/// The same, without counting one of them.
fn needed_beside(
    objects: &impl ReadableTable<&'static [u8; 32], ObjectRow>,
    refs: &impl ReadableTable<&'static [u8; 64], u8>,
    chunk: ChunkId,
    beside: Option<ChunkId>,
) -> io::Result<bool> {
    let (first, last) = (pair(chunk, ChunkId([0; 32])), pair(chunk, ChunkId([0xff; 32])));
    for row in refs.range::<&[u8; 64]>(&first..=&last).map_err(failed)? {
        let root = second(row.map_err(failed)?.0.value());
        if Some(root) == beside {
            continue;
        }
        let object = objects.get(&root.0).map_err(failed)?.map(|row| row.value());
        if object.is_some_and(|row| Kept::from_row(root, row).state == KeptState::Kept) {
            return Ok(true);
        }
    }
    Ok(false)
}

pub(super) fn pair(first: ChunkId, second: ChunkId) -> [u8; 64] {
    let mut key = [0; 64];
    key[..32].copy_from_slice(&first.0);
    key[32..].copy_from_slice(&second.0);
    key
}

fn first_of(key: &[u8; 64]) -> ChunkId {
    let mut id = [0; 32];
    id.copy_from_slice(&key[..32]);
    ChunkId(id)
}

fn second(key: &[u8; 64]) -> ChunkId {
    let mut id = [0; 32];
    id.copy_from_slice(&key[32..]);
    ChunkId(id)
}
