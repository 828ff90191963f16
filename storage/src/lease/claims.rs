//! A holder's book of claims.
//!
//! | table | key | value |
//! |---|---|---|
//! | `claims` | chunk id, writer (64 bytes) | until when u64, retained until u64, bytes u64 (24 bytes) |
//! | `ends` | end u64 (big endian), chunk id, writer (72 bytes) | nothing |
//! | `freeing` | chunk id | nothing |
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
use super::claim::{Claim, ClaimState, Dropped, MAX_WRITERS, NewClaim, Totals};
use super::clock::Reading;
use crate::database::failed;
use crate::ids::{ChunkId, Writer};
use crate::repair::Moment;
use crate::store::{Files, OsFiles};

const FILE: &str = "claims.redb";
const VERSION: u32 = 1;

type Key = [u8; 64];
type EndKey = [u8; 72];
const CLAIMS: TableDefinition<'static, &Key, &[u8; 24]> = TableDefinition::new("claims");
const ENDS: TableDefinition<'static, &EndKey, ()> = TableDefinition::new("ends");
const FREEING: TableDefinition<'static, &[u8; 32], ()> = TableDefinition::new("freeing");
const WRITERS: TableDefinition<'static, &[u8; 32], (u64, u64)> = TableDefinition::new("writers");
const STATE: TableDefinition<'static, (), (u32, u64, u64)> = TableDefinition::new("state");

type ClaimTable<'txn> = redb::Table<'txn, &'static Key, &'static [u8; 24]>;
type EndTable<'txn> = redb::Table<'txn, &'static EndKey, ()>;
type FreeingTable<'txn> = redb::Table<'txn, &'static [u8; 32], ()>;
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

    /// Enters claims. They never shorten one that is there. Returns how many found no place among those of their chunk.
    ///
    /// Chunks of which shards were held before have to be given to [`adopt`](Self::adopt) first: where a crash took the claim of
    /// somebody else, this one must not be the last.
    pub fn enter(&self, now: Moment, claims: &[NewClaim], durable: bool) -> io::Result<u32> {
        // A crash must not put a chunk back on the list that has been put anew.
        let chunks: Vec<ChunkId> = claims.iter().map(|claim| claim.chunk).collect();
        let durable = durable || self.waiting(&chunks)?.contains(&true);
        self.book.change(durable, |txn| {
            let mut tables = Tables::open(txn)?;
            let mut rejected = 0;
            for claim in claims {
                rejected += u32::from(!tables.enter(now, claim)?);
            }
            Ok(rejected)
        })
    }

    /// Drops a writer's claims, durably. One that is retained ends with its retention.
    pub fn drop_claims(&self, now: Moment, writer: Writer, chunks: &[ChunkId]) -> io::Result<Dropped> {
        self.book.change(true, |txn| {
            let mut tables = Tables::open(txn)?;
            let mut done = Dropped::default();
            for chunk in chunks {
                let Some(state) = tables.get(*chunk, writer)? else {
                    done.unknown += 1;
                    continue;
                };
                if state.retained_until > now {
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

    /// Chunks that wait to be freed.
    pub fn freeing(&self) -> io::Result<u64> {
        self.book.read(|txn| {
            use redb::ReadableTableMetadata;
            txn.open_table(FREEING).map_err(failed)?.len().map_err(failed)
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

    /// Of chunks of which shards are held, gives those on which there is no claim one that belongs to nobody; returns how
    /// many those were.
    pub fn adopt(&self, now: Moment, chunks: &[(ChunkId, u64)], lease: Duration) -> io::Result<usize> {
        let ids: Vec<ChunkId> = chunks.iter().map(|(chunk, _)| *chunk).collect();
        let (claimed, waiting) = (self.of(&ids)?, self.waiting(&ids)?);
        let lease_seconds = u32::try_from(lease.as_secs()).unwrap_or(u32::MAX);
        let orphans: Vec<NewClaim> = chunks
            .iter()
            .zip(claimed.iter().zip(waiting))
            .filter(|(_, (claims, waiting))| claims.is_empty() && !waiting)
            .map(|((chunk, bytes), _)| NewClaim {
                chunk: *chunk,
                claim: Claim { writer: ORPHAN, lease_seconds, retain_seconds: 0 },
                bytes: *bytes,
                written: false,
                hearsay: true,
            })
            .collect();
        if !orphans.is_empty() {
            self.enter(now, &orphans, false)?;
        }
        Ok(orphans.len())
    }

    /// Which of the chunks wait to be freed.
    fn waiting(&self, chunks: &[ChunkId]) -> io::Result<Vec<bool>> {
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
    table: &impl ReadableTable<&'static Key, &'static [u8; 24]>,
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
        let NewClaim { chunk, claim, bytes, written, hearsay } = *new;
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
                ..old
            },
            None => {
                if of(&self.claims, chunk)?.len() >= MAX_WRITERS {
                    return Ok(false);
                }
                ClaimState {
                    writer: claim.writer,
                    until: after(claim.lease_seconds).max(now),
                    retained_until: after(claim.retain_seconds),
                    bytes,
                }
            }
        };
        self.set(chunk, old.as_ref(), &state)?;
        self.freeing.remove(&chunk.0).map_err(failed)?;
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
            self.freeing.insert(&chunk.0, ()).map_err(failed)?;
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
