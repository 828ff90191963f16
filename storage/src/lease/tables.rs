//! The tables in a holder's book of claims, and what changes several of them in one go.
//!
//! | table | key | value |
//! |---|---|---|
//! | `claims` | chunk id, writer (64 bytes) | until when u64, retained until u64, bytes u64, said u64 (32 bytes) |
//! | `ends` | end u64 (big endian), chunk id, writer (72 bytes) | nothing |
//! | `freeing` | chunk id | bytes u64 |
//! | `writers` | writer | claims u64, bytes u64 |
//! | `state` | nothing | version u32, lease time u64, wall time u64 |
//! | `anew` | nothing | lease time u64; there if the book was begun anew beside shards: what nobody claims is kept until then |
//! | `lengthened` | nothing | nothing; its row is there once [`Claims::lengthen_all`] needs not be called |
//!
//! The end of a claim is the later one of its two times. `ends` is an index of it, `writers` a sum, both changed in the
//! same transaction.

use std::io;
use std::time::Duration;

use redb::{ReadableTable, TableDefinition, WriteTransaction};

use super::ORPHAN;
use super::claim::{ClaimState, MAX_WRITERS, NewClaim};
use crate::database::{damaged, failed};
use crate::ids::{ChunkId, Writer};
use crate::repair::Moment;

pub(super) const VERSION: u32 = 1;

pub(super) type Key = [u8; 64];
pub(super) type EndKey = [u8; 72];
pub(super) const CLAIMS: TableDefinition<'static, &Key, &[u8; 32]> = TableDefinition::new("claims");
pub(super) const ENDS: TableDefinition<'static, &EndKey, ()> = TableDefinition::new("ends");
pub(super) const FREEING: TableDefinition<'static, &[u8; 32], u64> = TableDefinition::new("freeing");
pub(super) const WRITERS: TableDefinition<'static, &[u8; 32], (u64, u64)> = TableDefinition::new("writers");
pub(super) const STATE: TableDefinition<'static, (), (u32, u64, u64)> = TableDefinition::new("state");
pub(super) const ANEW: TableDefinition<'static, (), u64> = TableDefinition::new("anew");
pub(super) const LENGTHENED: TableDefinition<'static, (), ()> = TableDefinition::new("lengthened");

pub(super) type ClaimTable<'txn> = redb::Table<'txn, &'static Key, &'static [u8; 32]>;
pub(super) type EndTable<'txn> = redb::Table<'txn, &'static EndKey, ()>;
pub(super) type FreeingTable<'txn> = redb::Table<'txn, &'static [u8; 32], u64>;
pub(super) type WriterTable<'txn> = redb::Table<'txn, &'static [u8; 32], (u64, u64)>;

pub(super) fn prepare(txn: &WriteTransaction) -> io::Result<()> {
    let mut state = txn.open_table(STATE).map_err(failed)?;
    let version = state.get(()).map_err(failed)?.map(|row| row.value().0);
    match version {
        Some(VERSION) => {}
        Some(_) => return Err(damaged("its version is unknown")),
        None => {
            state.insert((), (VERSION, 0, 0)).map_err(failed)?;
            txn.open_table(LENGTHENED).map_err(failed)?.insert((), ()).map_err(failed)?;
        }
    }
    txn.open_table(LENGTHENED).map_err(failed)?;
    txn.open_table(ANEW).map_err(failed)?;
    Tables::open(txn).map(drop)
}

pub(super) fn key(chunk: ChunkId, writer: Writer) -> Key {
    let mut key = [0; 64];
    key[..32].copy_from_slice(&chunk.0);
    key[32..].copy_from_slice(&writer.0);
    key
}

pub(super) fn parts(key: &Key) -> (ChunkId, Writer) {
    let (mut chunk, mut writer) = ([0; 32], [0; 32]);
    chunk.copy_from_slice(&key[..32]);
    writer.copy_from_slice(&key[32..]);
    (ChunkId(chunk), Writer(writer))
}

pub(super) fn end_key(end: Moment, claim: &Key) -> EndKey {
    let mut key = [0; 72];
    key[..8].copy_from_slice(&end.0.to_be_bytes());
    key[8..].copy_from_slice(claim);
    key
}

pub(super) fn of(
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
pub(super) struct Tables<'txn> {
    claims: ClaimTable<'txn>,
    ends: EndTable<'txn>,
    freeing: FreeingTable<'txn>,
    writers: WriterTable<'txn>,
}

impl<'txn> Tables<'txn> {
    pub(super) fn open(txn: &'txn WriteTransaction) -> io::Result<Self> {
        Ok(Self {
            claims: txn.open_table(CLAIMS).map_err(failed)?,
            ends: txn.open_table(ENDS).map_err(failed)?,
            freeing: txn.open_table(FREEING).map_err(failed)?,
            writers: txn.open_table(WRITERS).map_err(failed)?,
        })
    }

    pub(super) fn get(&self, chunk: ChunkId, writer: Writer) -> io::Result<Option<ClaimState>> {
        let row = self.claims.get(&key(chunk, writer)).map_err(failed)?;
        Ok(row.map(|row| ClaimState::decode(writer, row.value())))
    }

    pub(super) fn enter(&mut self, now: Moment, new: &NewClaim) -> io::Result<bool> {
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
    pub(super) fn adopt(
        &mut self,
        now: Moment,
        chunk: ChunkId,
        bytes: u64,
        grace: Duration,
    ) -> io::Result<bool> {
        let waits = self.freeing.get(&chunk.0).map_err(failed)?.is_some();
        if waits || !of(&self.claims, chunk)?.is_empty() {
            return Ok(false);
        }
        let until = now.after(grace);
        let state = ClaimState { writer: ORPHAN, until, retained_until: Moment(0), bytes, said: 0 };
        self.set(chunk, None, &state)?;
        Ok(true)
    }

    pub(super) fn shorten_nobodys(&mut self, chunk: ChunkId, until: Moment) -> io::Result<()> {
        match self.get(chunk, ORPHAN)? {
            Some(state) if state.until > until => {
                self.set(chunk, Some(&state), &ClaimState { until, ..state })
            }
            _ => Ok(()),
        }
    }

    pub(super) fn set(
        &mut self,
        chunk: ChunkId,
        old: Option<&ClaimState>,
        new: &ClaimState,
    ) -> io::Result<()> {
        let key = key(chunk, new.writer);
        if let Some(old) = old.filter(|old| old.end() != new.end()) {
            self.ends.remove(&end_key(old.end(), &key)).map_err(failed)?;
        }
        self.ends.insert(&end_key(new.end(), &key), ()).map_err(failed)?;
        self.claims.insert(&key, &new.encode()).map_err(failed)?;
        let before = old.map_or(0, |old| old.bytes);
        self.count(new.writer, u64::from(old.is_none()), new.bytes.saturating_sub(before), 0, 0)
    }

    pub(super) fn remove(&mut self, chunk: ChunkId, state: &ClaimState) -> io::Result<()> {
        let key = key(chunk, state.writer);
        self.ends.remove(&end_key(state.end(), &key)).map_err(failed)?;
        self.claims.remove(&key).map_err(failed)?;
        self.count(state.writer, 0, 0, 1, state.bytes)?;
        if of(&self.claims, chunk)?.is_empty() {
            self.freeing.insert(&chunk.0, state.bytes).map_err(failed)?;
        }
        Ok(())
    }

    pub(super) fn count(
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
