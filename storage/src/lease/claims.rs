//! A holder's book of claims.
//!
//! | table | key | value |
//! |---|---|---|
//! | `claims` | chunk id, writer (64 bytes) | until when u64, retained until u64, bytes u64, said u64 (32 bytes) |
//! | `ends` | end u64 (big endian), chunk id, writer (72 bytes) | nothing |
//! | `freeing` | chunk id | bytes u64 |
//! | `writers` | writer | claims u64, bytes u64 |
//! | `state` | nothing | version u32, lease time u64, wall time u64 |
//!
//! The end of a claim is the later one of its two times. `ends` is an index of it, `writers` a sum, both changed in the
//! same transaction.

use std::io;
use std::path::Path;
use std::time::Duration;

use redb::{ReadableTable, TableDefinition, WriteTransaction};

use super::ORPHAN;
use super::book::Book;
use super::claim::{ClaimState, Dropped, MAX_WRITERS, NewClaim, Totals};
use super::clock::Reading;
use crate::database::failed;
use crate::ids::{ChunkId, Writer};
use crate::repair::Moment;
use crate::store::{Files, OsFiles};

const FILE: &str = "claims.redb";
const VERSION: u32 = 1;

type Key = [u8; 64];
type EndKey = [u8; 72];
const CLAIMS: TableDefinition<'static, &Key, &[u8; 32]> = TableDefinition::new("claims");
const ENDS: TableDefinition<'static, &EndKey, ()> = TableDefinition::new("ends");
const FREEING: TableDefinition<'static, &[u8; 32], u64> = TableDefinition::new("freeing");
const WRITERS: TableDefinition<'static, &[u8; 32], (u64, u64)> = TableDefinition::new("writers");
const STATE: TableDefinition<'static, (), (u32, u64, u64)> = TableDefinition::new("state");

type ClaimTable<'txn> = redb::Table<'txn, &'static Key, &'static [u8; 32]>;
type EndTable<'txn> = redb::Table<'txn, &'static EndKey, ()>;
type FreeingTable<'txn> = redb::Table<'txn, &'static [u8; 32], u64>;
type WriterTable<'txn> = redb::Table<'txn, &'static [u8; 32], (u64, u64)>;

/// See the module's description. It is consulted by whoever changes the shard store, one at a time: what makes freeing
/// safe is that nobody puts a shard between the look here and the deletion there.
#[derive(Debug)]
pub struct Claims {
    book: Book,
}

impl Claims {
    /// Opens or creates the book in `directory`; one that is damaged is begun anew. `None` if another process has it open.
    pub fn open(directory: &Path) -> io::Result<Option<Self>> {
        match OsFiles::lock(directory)? {
            Some(files) => Self::open_files(Box::new(files)).map(Some),
            None => Ok(None),
        }
    }

    /// Opens it in files of any kind.
    pub fn open_files(files: Box<dyn Files>) -> io::Result<Self> {
        Ok(Self { book: Book::open(files, FILE, prepare)? })
    }

    /// How often the book was found damaged and begun anew since it was opened: then nothing of it was left.
    pub fn begun_anew(&self) -> u64 {
        self.book.begun_anew()
    }

    /// What was last written down of the clock.
    pub fn reading(&self) -> io::Result<Reading> {
        self.book.read(|txn| {
            let table = txn.open_table(STATE).map_err(failed)?;
            let row = table.get(()).map_err(failed)?.map(|row| row.value());
            Ok(row.map_or(Reading::default(), |(_, lease, wall)| Reading {
                lease: Moment(lease),
                wall: Moment(wall),
            }))
        })
    }

    /// Writes down what the clock shows, and makes everything so far durable.
    pub fn flush(&self, reading: Reading) -> io::Result<()> {
        self.book.change(true, |txn| {
            let mut table = txn.open_table(STATE).map_err(failed)?;
            table.insert((), (VERSION, reading.lease.0, reading.wall.0)).map_err(failed)?;
            Ok(())
        })
    }

    /// Enters claims, all of them in one change, and tells of each whether it found a place among those of its chunk. None
    /// shortens one that is there.
    ///
    /// Shards that were held before and that nobody claims are nobody's first, for `grace`: a crash may have taken the claim
    /// of somebody else, and then the new one must not be the last.
    ///
    /// Durable, unless all of it is about shards that were not held before: those a crash would leave to be adopted.
    pub fn enter(&self, now: Moment, claims: &[NewClaim], grace: Duration) -> io::Result<Vec<bool>> {
        // A crash must not put a chunk back on the list that has been put anew.
        let chunks: Vec<ChunkId> = claims.iter().map(|claim| claim.chunk).collect();
        let durable = claims.iter().any(|new| new.held_before > 0 || new.claim.retain_seconds > 0)
            || self.waiting(&chunks)?.contains(&true);
        self.book.change(durable, |txn| {
            let mut tables = Tables::open(txn)?;
            let mut entered = Vec::with_capacity(claims.len());
            for claim in claims {
                if claim.held_before > 0 {
                    tables.adopt(now, claim.chunk, claim.held_before, grace)?;
                }
                entered.push(tables.enter(now, claim)?);
            }
            Ok(entered)
        })
    }

    /// Drops a writer's claims, durably. One that is retained ends with its retention, and one that the writer said after
    /// `said` stays: a drop may be overtaken by a claim.
    pub fn drop_claims(
        &self,
        now: Moment,
        writer: Writer,
        said: u64,
        chunks: &[ChunkId],
    ) -> io::Result<Dropped> {
        self.book.change(true, |txn| {
            let mut tables = Tables::open(txn)?;
            let mut done = Dropped::default();
            for chunk in chunks {
                let Some(state) = tables.get(*chunk, writer)? else {
                    done.unknown += 1;
                    continue;
                };
                if state.said > said {
                    done.overtaken += 1;
                } else if state.retained_until > now {
                    tables.set(*chunk, Some(&state), &ClaimState { until: now, ..state })?;
                    done.retained += 1;
                } else {
                    tables.remove(*chunk, &state)?;
                    done.dropped += 1;
                }
            }
            Ok(done)
        })
    }

    /// Ends up to `most` claims whose time has come, durably; returns how many.
    pub fn expire(&self, now: Moment, most: usize) -> io::Result<usize> {
        let due = |txn: &WriteTransaction| {
            let ends = txn.open_table(ENDS).map_err(failed)?;
            let mut due = Vec::new();
            for row in ends.range::<&EndKey>(..=&end_key(now, &[0xff; 64])).map_err(failed)?.take(most) {
                let key = *row.map_err(failed)?.0.value();
                let mut claim = [0; 64];
                claim.copy_from_slice(&key[8..]);
                due.push(claim);
            }
            Ok::<_, io::Error>(due)
        };
        if !self.is_due(now)? {
            return Ok(0);
        }
        self.book.change(true, |txn| {
            let due = due(txn)?;
            let mut tables = Tables::open(txn)?;
            for key in &due {
                let (chunk, writer) = parts(key);
                if let Some(state) = tables.get(chunk, writer)? {
                    tables.remove(chunk, &state)?;
                }
            }
            Ok(due.len())
        })
    }

    fn is_due(&self, now: Moment) -> io::Result<bool> {
        self.book.read(|txn| {
            let ends = txn.open_table(ENDS).map_err(failed)?;
            let mut due = ends.range::<&EndKey>(..=&end_key(now, &[0xff; 64])).map_err(failed)?;
            Ok(due.next().transpose().map_err(failed)?.is_some())
        })
    }

    /// Up to `most` chunks on which no claim is left. Their shards may be deleted, if nothing else was put meanwhile.
    pub fn to_free(&self, most: usize) -> io::Result<Vec<ChunkId>> {
        self.book.read(|txn| {
            let table = txn.open_table(FREEING).map_err(failed)?;
            let rows = table.iter().map_err(failed)?.take(most);
            rows.map(|row| Ok(ChunkId(*row.map_err(failed)?.0.value()))).collect()
        })
    }

    /// How many chunks wait to be freed, and how many bytes at least, counted over `most` of them.
    pub fn freeing(&self, most: usize) -> io::Result<Totals> {
        self.book.read(|txn| {
            use redb::ReadableTableMetadata;
            let table = txn.open_table(FREEING).map_err(failed)?;
            let mut bytes = 0u64;
            for row in table.iter().map_err(failed)?.take(most) {
                bytes = bytes.saturating_add(row.map_err(failed)?.1.value());
            }
            Ok(Totals { claims: table.len().map_err(failed)?, bytes })
        })
    }

    /// Notes, durably, that the shards of these chunks are deleted: a crash must not have them deleted once more when they
    /// have been put anew.
    pub fn freed(&self, chunks: &[ChunkId]) -> io::Result<()> {
        self.book.change(true, |txn| {
            let mut table = txn.open_table(FREEING).map_err(failed)?;
            for chunk in chunks {
                table.remove(&chunk.0).map_err(failed)?;
            }
            Ok(())
        })
    }

    /// The claims on each chunk.
    pub fn of(&self, chunks: &[ChunkId]) -> io::Result<Vec<Vec<ClaimState>>> {
        self.book.read(|txn| {
            let table = txn.open_table(CLAIMS).map_err(failed)?;
            chunks.iter().map(|chunk| of(&table, *chunk)).collect()
        })
    }

    /// What one writer has claimed.
    pub fn of_writer(&self, writer: Writer) -> io::Result<Totals> {
        self.book.read(|txn| {
            let table = txn.open_table(WRITERS).map_err(failed)?;
            let row = table.get(&writer.0).map_err(failed)?.map(|row| row.value());
            Ok(row.map_or(Totals::default(), |(claims, bytes)| Totals { claims, bytes }))
        })
    }

    /// What each writer has claimed, at most `most` writers in the order of their ids.
    pub fn writers(&self, most: usize) -> io::Result<Vec<(Writer, Totals)>> {
        self.book.read(|txn| {
            let table = txn.open_table(WRITERS).map_err(failed)?;
            let mut found = Vec::new();
            for row in table.iter().map_err(failed)?.take(most) {
                let (writer, totals) = row.map_err(failed)?;
                let (claims, bytes) = totals.value();
                found.push((Writer(*writer.value()), Totals { claims, bytes }));
            }
            Ok(found)
        })
    }

    /// Of chunks of which so many bytes of shards are held, gives those on which there is no claim one that belongs to
    /// nobody; returns how many those were.
    pub fn adopt(&self, now: Moment, chunks: &[(ChunkId, u64)], grace: Duration) -> io::Result<usize> {
        let ids: Vec<ChunkId> = chunks.iter().map(|(chunk, _)| *chunk).collect();
        let unclaimed = |(claims, waiting): (&Vec<ClaimState>, bool)| claims.is_empty() && !waiting;
        if !self.of(&ids)?.iter().zip(self.waiting(&ids)?).any(unclaimed) {
            return Ok(0);
        }
        self.book.change(false, |txn| {
            let mut tables = Tables::open(txn)?;
            let mut adopted = 0;
            for (chunk, bytes) in chunks {
                adopted += usize::from(tables.adopt(now, *chunk, *bytes, grace)?);
            }
            Ok(adopted)
        })
    }

    /// Which of the chunks wait to be freed.
    pub fn waiting(&self, chunks: &[ChunkId]) -> io::Result<Vec<bool>> {
        self.book.read(|txn| {
            let table = txn.open_table(FREEING).map_err(failed)?;
            chunks.iter().map(|chunk| Ok(table.get(&chunk.0).map_err(failed)?.is_some())).collect()
        })
    }
}

fn prepare(txn: &WriteTransaction) -> io::Result<()> {
    let mut state = txn.open_table(STATE).map_err(failed)?;
    let version = state.get(()).map_err(failed)?.map(|row| row.value().0);
    match version {
        Some(VERSION) => {}
        Some(_) => return Err(io::Error::new(io::ErrorKind::InvalidData, "an unknown version")),
        None => drop(state.insert((), (VERSION, 0, 0)).map_err(failed)?),
    }
    Tables::open(txn).map(drop)
}

fn key(chunk: ChunkId, writer: Writer) -> Key {
    let mut key = [0; 64];
    key[..32].copy_from_slice(&chunk.0);
    key[32..].copy_from_slice(&writer.0);
    key
}

fn parts(key: &Key) -> (ChunkId, Writer) {
    let (mut chunk, mut writer) = ([0; 32], [0; 32]);
    chunk.copy_from_slice(&key[..32]);
    writer.copy_from_slice(&key[32..]);
    (ChunkId(chunk), Writer(writer))
}

fn end_key(end: Moment, claim: &Key) -> EndKey {
    let mut key = [0; 72];
    key[..8].copy_from_slice(&end.0.to_be_bytes());
    key[8..].copy_from_slice(claim);
    key
}

fn of(
    table: &impl ReadableTable<&'static Key, &'static [u8; 32]>,
    chunk: ChunkId,
) -> io::Result<Vec<ClaimState>> {
    let (first, last) = (key(chunk, Writer([0; 32])), key(chunk, Writer([0xff; 32])));
    let rows = table.range::<&Key>(&first..=&last).map_err(failed)?;
    rows.map(|row| {
        let (key, state) = row.map_err(failed)?;
        Ok(ClaimState::decode(parts(key.value()).1, state.value()))
    })
    .collect()
}

/// The tables of a change.
struct Tables<'txn> {
    claims: ClaimTable<'txn>,
    ends: EndTable<'txn>,
    freeing: FreeingTable<'txn>,
    writers: WriterTable<'txn>,
}

impl<'txn> Tables<'txn> {
    fn open(txn: &'txn WriteTransaction) -> io::Result<Self> {
        Ok(Self {
            claims: txn.open_table(CLAIMS).map_err(failed)?,
            ends: txn.open_table(ENDS).map_err(failed)?,
            freeing: txn.open_table(FREEING).map_err(failed)?,
            writers: txn.open_table(WRITERS).map_err(failed)?,
        })
    }

    fn get(&self, chunk: ChunkId, writer: Writer) -> io::Result<Option<ClaimState>> {
        let row = self.claims.get(&key(chunk, writer)).map_err(failed)?;
        Ok(row.map(|row| ClaimState::decode(writer, row.value())))
    }

    fn enter(&mut self, now: Moment, new: &NewClaim) -> io::Result<bool> {
        let NewClaim { chunk, claim, bytes, written, hearsay, said, .. } = *new;
        let old = self.get(chunk, claim.writer)?;
        let more = if written { bytes } else { 0 };
        let after = |seconds: u32| match seconds {
            0 => Moment(0),
            seconds => now.after(Duration::from_secs(seconds.into())),
        };
        let state = match old {
            Some(old) if hearsay => ClaimState { bytes: old.bytes.saturating_add(more), ..old },
            Some(old) => ClaimState {
                until: old.until.max(after(claim.lease_seconds)),
                retained_until: old.retained_until.max(after(claim.retain_seconds)),
                bytes: old.bytes.saturating_add(more),
                said: old.said.max(said),
                ..old
            },
            None => {
                // What is only heard of must not keep out who comes in person.
                let most = if hearsay { MAX_WRITERS / 2 } else { MAX_WRITERS };
                if of(&self.claims, chunk)?.len() >= most {
                    return Ok(false);
                }
                ClaimState {
                    writer: claim.writer,
                    until: after(claim.lease_seconds).max(now),
                    retained_until: after(claim.retain_seconds),
                    bytes,
                    said,
                }
            }
        };
        self.set(chunk, old.as_ref(), &state)?;
        self.freeing.remove(&chunk.0).map_err(failed)?;
        Ok(true)
    }

    /// Gives a chunk that nobody claims, and that does not wait to be freed, a claim that is nobody's.
    fn adopt(&mut self, now: Moment, chunk: ChunkId, bytes: u64, grace: Duration) -> io::Result<bool> {
        let waits = self.freeing.get(&chunk.0).map_err(failed)?.is_some();
        if waits || !of(&self.claims, chunk)?.is_empty() {
            return Ok(false);
        }
        let until = now.after(grace);
        let state = ClaimState { writer: ORPHAN, until, retained_until: Moment(0), bytes, said: 0 };
        self.set(chunk, None, &state)?;
        Ok(true)
    }

    fn set(&mut self, chunk: ChunkId, old: Option<&ClaimState>, new: &ClaimState) -> io::Result<()> {
        let key = key(chunk, new.writer);
        if let Some(old) = old.filter(|old| old.end() != new.end()) {
            self.ends.remove(&end_key(old.end(), &key)).map_err(failed)?;
        }
        self.ends.insert(&end_key(new.end(), &key), ()).map_err(failed)?;
        self.claims.insert(&key, &new.encode()).map_err(failed)?;
        let before = old.map_or(0, |old| old.bytes);
        self.count(new.writer, u64::from(old.is_none()), new.bytes.saturating_sub(before), 0, 0)
    }

    fn remove(&mut self, chunk: ChunkId, state: &ClaimState) -> io::Result<()> {
        let key = key(chunk, state.writer);
        self.ends.remove(&end_key(state.end(), &key)).map_err(failed)?;
        self.claims.remove(&key).map_err(failed)?;
        self.count(state.writer, 0, 0, 1, state.bytes)?;
        if of(&self.claims, chunk)?.is_empty() {
            self.freeing.insert(&chunk.0, state.bytes).map_err(failed)?;
        }
        Ok(())
    }

    fn count(
        &mut self,
        writer: Writer,
        more: u64,
        more_bytes: u64,
        fewer: u64,
        fewer_bytes: u64,
    ) -> io::Result<()> {
        let row = self.writers.get(&writer.0).map_err(failed)?.map(|row| row.value());
        let (claims, bytes) = row.unwrap_or_default();
        let claims = claims.saturating_add(more).saturating_sub(fewer);
        let bytes = bytes.saturating_add(more_bytes).saturating_sub(fewer_bytes);
        if claims == 0 {
            self.writers.remove(&writer.0).map_err(failed)?;
        } else {
            self.writers.insert(&writer.0, (claims, bytes)).map_err(failed)?;
        }
        Ok(())
    }
}
