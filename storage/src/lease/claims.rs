//! A holder's book of claims.

use std::io;
use std::path::Path;
use std::time::Duration;

use redb::{ReadableTable, WriteTransaction};

use super::claim::{ClaimState, Dropped, Listed, NewClaim, Totals};
use super::clock::Reading;
use super::tables::{
    ANEW, CLAIMS, ENDS, EndKey, FREEING, Key, LENGTHENED, STATE, Tables, VERSION, WRITERS, end_key, key, of,
    parts, prepare,
};
use crate::database::failed;
use crate::files::{Files, OsFiles};
use crate::ids::{ChunkId, Writer};
use crate::reopening::Reopening;
use crate::repair::Moment;

const FILE: &str = "claims.redb";
/// Claims that one change lengthens.
const LENGTHENED_TOGETHER: usize = 4096;

/// A holder's book of claims: see the description of [`lease`](super). Changes of the shard store that depend on it
/// must come one at a time: freeing is safe only if no shard is put between the look into the book and the deletion.
#[derive(Debug)]
pub struct Claims {
    db: Reopening,
}

impl Claims {
    /// Opens or creates the book in `directory`; one that is damaged is begun anew. `None` if another process has it
    /// open.
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

    /// What was last written down of the clock.
    pub fn reading(&self) -> io::Result<Reading> {
        self.db.read(|txn| {
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
        self.db.change(true, |txn| {
            let mut table = txn.open_table(STATE).map_err(failed)?;
            table.insert((), (VERSION, reading.lease.0, reading.wall.0)).map_err(failed)?;
            Ok(())
        })
    }

    /// Enters claims in one change. Returns for each claim whether it was entered: it is not if its writer has no claim
    /// on the chunk yet and the chunk already has as many claims as it may have. No claim shortens one that exists.
    ///
    /// If shards of a chunk were held before and nobody claims them, they first get a claim of
    /// [`ORPHAN`](super::ORPHAN) for `grace`: a crash may have taken somebody else's claim, and then the new claim must
    /// not be the only one.
    ///
    /// The change is durable if shards of one of the chunks were held before, if a claim retains, or if a chunk waits
    /// to be freed. Otherwise a crash may undo it, and leaves shards without a claim, which are then adopted.
    pub fn enter(&self, now: Moment, claims: &[NewClaim], grace: Duration) -> io::Result<Vec<bool>> {
        // A crash must not put a chunk back on the list that has been put anew.
        let chunks: Vec<ChunkId> = claims.iter().map(|claim| claim.chunk).collect();
        let durable = claims.iter().any(|new| new.held_before > 0 || new.claim.retain_seconds > 0)
            || self.waiting(&chunks)?.contains(&true);
        self.db.change(durable, |txn| {
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

    /// Drops a writer's claims, durably. One that is retained ends with its retention, and one that the writer said
    /// after `said` stays: a drop may be overtaken by a claim.
    ///
    /// A claim of nobody's on the same chunk lasts for `nobodys` more at the most: it may stand for the claim of this
    /// very writer, which a crash took. Whoever else it may stand for has time to renew.
    pub fn drop_claims(
        &self,
        now: Moment,
        writer: Writer,
        said: u64,
        nobodys: Duration,
        chunks: &[ChunkId],
    ) -> io::Result<Dropped> {
        self.db.change(true, |txn| {
            let mut tables = Tables::open(txn)?;
            let mut done = Dropped::default();
            for chunk in chunks {
                let state = tables.get(*chunk, writer)?;
                if state.is_none_or(|state| state.said <= said) {
                    tables.shorten_nobodys(*chunk, now.after(nobodys))?;
                }
                let Some(state) = state else {
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
        self.db.change(true, |txn| {
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

    /// Notes, durably, that the book was begun anew beside shards, whose claims are lost: what nobody claims is to be
    /// kept until `until`.
    pub fn begin_anew(&self, until: Moment) -> io::Result<()> {
        self.db.change(true, |txn| {
            txn.open_table(ANEW).map_err(failed)?.insert((), until.0).map_err(failed)?;
            Ok(())
        })
    }

    /// Until when what nobody claims is to be kept, because the book was begun anew beside shards; `Moment(0)` if it
    /// was not.
    pub fn anew_until(&self) -> io::Result<Moment> {
        self.db.read(|txn| {
            let until = txn.open_table(ANEW).map_err(failed)?.get(()).map_err(failed)?.map(|row| row.value());
            Ok(Moment(until.unwrap_or(0)))
        })
    }

    /// Once in the life of a book: lets every claim last until `until` at least, and makes that durable. A book that
    /// was written by a version under which claims did not end by default is lengthened so that nothing ends which its
    /// writer believed to be kept; one that was begun by a later version needs nothing. Returns how many claims were
    /// lengthened.
    pub fn lengthen_all(&self, until: Moment) -> io::Result<usize> {
        let done = self.db.read(|txn| {
            use redb::ReadableTableMetadata;
            Ok(!txn.open_table(LENGTHENED).map_err(failed)?.is_empty().map_err(failed)?)
        })?;
        if done {
            return Ok(0);
        }
        let mut lengthened = 0;
        let mut after: Option<Key> = None;
        loop {
            use std::ops::Bound;
            let start = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
            let some: Vec<(Key, ClaimState)> = self.db.read(|txn| {
                let claims = txn.open_table(CLAIMS).map_err(failed)?;
                let rows = claims.range::<&Key>((start, Bound::Unbounded)).map_err(failed)?;
                let state = |row: Result<_, redb::StorageError>| {
                    let (key, state): (redb::AccessGuard<'_, &Key>, redb::AccessGuard<'_, &[u8; 32]>) =
                        row.map_err(failed)?;
                    Ok((*key.value(), ClaimState::decode(parts(key.value()).1, state.value())))
                };
                rows.take(LENGTHENED_TOGETHER).map(state).collect()
            })?;
            let Some((last, _)) = some.last() else { break };
            after = Some(*last);
            let short: Vec<_> = some.into_iter().filter(|(_, state)| state.until < until).collect();
            self.db.change(false, |txn| {
                let mut tables = Tables::open(txn)?;
                for (key, state) in &short {
                    tables.set(parts(key).0, Some(state), &ClaimState { until, ..*state })?;
                }
                Ok(())
            })?;
            lengthened += short.len();
        }
        self.db.change(true, |txn| {
            txn.open_table(LENGTHENED).map_err(failed)?.insert((), ()).map_err(failed)?;
            Ok(())
        })?;
        Ok(lengthened)
    }

    fn is_due(&self, now: Moment) -> io::Result<bool> {
        self.db.read(|txn| {
            let ends = txn.open_table(ENDS).map_err(failed)?;
            let mut due = ends.range::<&EndKey>(..=&end_key(now, &[0xff; 64])).map_err(failed)?;
            Ok(due.next().transpose().map_err(failed)?.is_some())
        })
    }

    /// Up to `most` chunks on which no claim is left. Their shards may be deleted, if nothing else was put meanwhile.
    pub fn to_free(&self, most: usize) -> io::Result<Vec<ChunkId>> {
        self.db.read(|txn| {
            let table = txn.open_table(FREEING).map_err(failed)?;
            let rows = table.iter().map_err(failed)?.take(most);
            rows.map(|row| Ok(ChunkId(*row.map_err(failed)?.0.value()))).collect()
        })
    }

    /// Returns how many chunks wait to be freed (as `claims`), and a lower bound of their bytes, which counts only the
    /// first `most` chunks.
    pub fn freeing(&self, most: usize) -> io::Result<Totals> {
        self.db.read(|txn| {
            use redb::ReadableTableMetadata;
            let table = txn.open_table(FREEING).map_err(failed)?;
            let mut bytes = 0u64;
            for row in table.iter().map_err(failed)?.take(most) {
                bytes = bytes.saturating_add(row.map_err(failed)?.1.value());
            }
            Ok(Totals { claims: table.len().map_err(failed)?, bytes })
        })
    }

    /// Notes, durably, that the shards of these chunks are deleted: a crash must not have them deleted once more when
    /// they have been put anew.
    pub fn freed(&self, chunks: &[ChunkId]) -> io::Result<()> {
        self.db.change(true, |txn| {
            let mut table = txn.open_table(FREEING).map_err(failed)?;
            for chunk in chunks {
                table.remove(&chunk.0).map_err(failed)?;
            }
            Ok(())
        })
    }

    /// The claims on each chunk.
    pub fn of(&self, chunks: &[ChunkId]) -> io::Result<Vec<Vec<ClaimState>>> {
        self.db.read(|txn| {
            let table = txn.open_table(CLAIMS).map_err(failed)?;
            chunks.iter().map(|chunk| of(&table, *chunk)).collect()
        })
    }

    /// At most `most` claims of one writer behind `after` in the order of chunks, and where to go on; `None` when there
    /// are no more. It looks at 32 claims of anybody's for each of `most`, and then at the rest of those on the same
    /// chunk, so that there may be more even where few are returned.
    pub fn listed(&self, writer: Writer, after: Option<ChunkId>, most: usize) -> io::Result<Listed> {
        use std::ops::Bound;
        self.db.read(|txn| {
            // A stranger's question costs nothing.
            if txn.open_table(WRITERS).map_err(failed)?.get(&writer.0).map_err(failed)?.is_none() {
                return Ok(Listed::default());
            }
            let claims = txn.open_table(CLAIMS).map_err(failed)?;
            let after = after.map(|after| key(after, Writer([0xff; 32])));
            let start = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
            let (mut found, mut last) = (Vec::new(), None);
            for (looked, row) in claims.range::<&Key>((start, Bound::Unbounded)).map_err(failed)?.enumerate()
            {
                let (key, state) = row.map_err(failed)?;
                let (chunk, by) = parts(key.value());
                // Whoever goes on does so behind a chunk: all claims on it have to have been looked at.
                if looked >= most.saturating_mul(32) && last.is_some_and(|last| last != chunk) {
                    return Ok(Listed { claims: found, next: last });
                }
                if by == writer {
                    found.push((chunk, ClaimState::decode(by, state.value())));
                }
                if found.len() >= most {
                    return Ok(Listed { claims: found, next: Some(chunk) });
                }
                last = Some(chunk);
            }
            Ok(Listed { claims: found, next: None })
        })
    }

    /// What one writer has claimed.
    pub fn of_writer(&self, writer: Writer) -> io::Result<Totals> {
        self.db.read(|txn| {
            let table = txn.open_table(WRITERS).map_err(failed)?;
            let row = table.get(&writer.0).map_err(failed)?.map(|row| row.value());
            Ok(row.map_or(Totals::default(), |(claims, bytes)| Totals { claims, bytes }))
        })
    }

    /// What each writer has claimed, at most `most` writers in the order of their ids.
    pub fn writers(&self, most: usize) -> io::Result<Vec<(Writer, Totals)>> {
        self.db.read(|txn| {
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

    /// Takes chunks, each with the bytes of its shards that are held, and gives every one of them that has no claim and
    /// does not wait to be freed a claim of [`ORPHAN`](super::ORPHAN). Returns the number of chunks that got one.
    pub fn adopt(&self, now: Moment, chunks: &[(ChunkId, u64)], grace: Duration) -> io::Result<usize> {
        let ids: Vec<ChunkId> = chunks.iter().map(|(chunk, _)| *chunk).collect();
        let unclaimed = |(claims, waiting): (&Vec<ClaimState>, bool)| claims.is_empty() && !waiting;
        if !self.of(&ids)?.iter().zip(self.waiting(&ids)?).any(unclaimed) {
            return Ok(0);
        }
        self.db.change(false, |txn| {
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
        self.db.read(|txn| {
            let table = txn.open_table(FREEING).map_err(failed)?;
            chunks.iter().map(|chunk| Ok(table.get(&chunk.0).map_err(failed)?.is_some())).collect()
        })
    }
}
