//! Where records of chunks are kept over restarts.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use redb::backends::FileBackend;
use redb::{Database, ReadableDatabase, TableDefinition};

use super::record::ChunkRecord;
use crate::database::{begin_write, failed, guarded};
use crate::ids::ChunkId;
use crate::private;

const CHUNKS: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("chunks");
/// Memory for its cache.
const CACHE_BYTES: usize = 4 << 20;

/// The ledger could not be used. Nothing is lost but what was learnt of others, and that can be asked for again.
#[derive(Debug, thiserror::Error)]
#[error("the ledger of holders: {0}")]
pub struct LedgerError(#[from] io::Error);

/// A table from chunk to [`ChunkRecord`], in a redb database of its own. It holds only what can be learnt again, so
/// that a damaged one is made anew, and its changes are made durable by whoever calls [`flush`](Self::flush).
#[derive(Debug)]
pub struct Ledger {
    db: Database,
    begun_anew: bool,
}

impl Ledger {
    /// Opens or creates the ledger at `path`; one that cannot be read is replaced.
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        let open = || {
            guarded(|| {
                let file =
                    private::options().read(true).write(true).create(true).truncate(false).open(path)?;
                let db = redb::Builder::new()
                    .set_cache_size(CACHE_BYTES)
                    .set_check_integrity_on_open(true)
                    .create_with_backend(FileBackend::new(file).map_err(failed)?)
                    .map_err(failed)?;
                let txn = begin_write(&db, true)?;
                txn.open_table(CHUNKS).map_err(failed)?;
                txn.commit().map_err(failed)?;
                Ok(Self { db, begun_anew: false })
            })
        };
        open().or_else(|_| {
            // The directory is locked, so that nobody else has it open. What cannot be removed cannot be created either,
            // and that error says why.
            let _ = std::fs::remove_file(path);
            Ok(Self { begun_anew: true, ..open()? })
        })
    }

    /// Whether it could not be read when it was opened, and was replaced by an empty one.
    pub fn begun_anew(&self) -> bool {
        self.begun_anew
    }

    /// The record of one chunk.
    pub fn get(&self, chunk: &ChunkId) -> Result<Option<ChunkRecord>, LedgerError> {
        Ok(self.range(chunk, chunk)?.remove(chunk))
    }

    /// The records of the chunks from `first` to `last`.
    pub fn range(
        &self,
        first: &ChunkId,
        last: &ChunkId,
    ) -> Result<BTreeMap<ChunkId, ChunkRecord>, LedgerError> {
        Ok(guarded(|| {
            let txn = self.db.begin_read().map_err(failed)?;
            let table = txn.open_table(CHUNKS).map_err(failed)?;
            let mut found = BTreeMap::new();
            for row in table.range::<&[u8; 32]>(&first.0..=&last.0).map_err(failed)? {
                let (chunk, record) = row.map_err(failed)?;
                if let Some(record) = ChunkRecord::decode(record.value()) {
                    found.insert(ChunkId(*chunk.value()), record);
                }
            }
            Ok(found)
        })?)
    }

    /// Writes records (`Some`) and removes them (`None`). Seen by readers at once; a crash may take it back.
    pub fn write<'a>(
        &self,
        changes: impl IntoIterator<Item = (&'a ChunkId, Option<&'a ChunkRecord>)>,
    ) -> Result<(), LedgerError> {
        Ok(guarded(|| {
            let txn = begin_write(&self.db, false)?;
            {
                let mut table = txn.open_table(CHUNKS).map_err(failed)?;
                for (chunk, record) in changes {
                    match record {
                        Some(record) => {
                            drop(table.insert(&chunk.0, record.encode().as_slice()).map_err(failed)?);
                        }
                        None => drop(table.remove(&chunk.0).map_err(failed)?),
                    }
                }
            }
            txn.commit().map_err(failed)
        })?)
    }

    /// Makes everything written so far durable.
    pub fn flush(&self) -> Result<(), LedgerError> {
        Ok(guarded(|| begin_write(&self.db, true)?.commit().map_err(failed))?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::moment::Moment;
    use super::*;
    use crate::redundancy::Redundancy;

    fn record(shard_len: u32) -> ChunkRecord {
        ChunkRecord::new(Redundancy::new(2, 4).unwrap(), shard_len, Moment(7))
    }

    #[test]
    fn what_is_written_is_found_in_its_range_and_again_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("holders.redb");
        let ids: Vec<ChunkId> = (0..10).map(|i| ChunkId([i; 32])).collect();
        let ledger = Ledger::open(&path).unwrap();
        let records: Vec<ChunkRecord> = (0..10).map(record).collect();
        ledger.write(ids.iter().zip(records.iter().map(Some))).unwrap();
        ledger.write([(&ids[4], None)]).unwrap();
        ledger.flush().unwrap();
        drop(ledger);
        let ledger = Ledger::open(&path).unwrap();
        assert!(!ledger.begun_anew());
        let found = ledger.range(&ids[3], &ids[6]).unwrap();
        assert_eq!(found.into_keys().collect::<Vec<_>>(), [ids[3], ids[5], ids[6]]);
        assert_eq!(ledger.get(&ids[5]).unwrap(), Some(record(5)));
        assert_eq!(ledger.get(&ids[4]).unwrap(), None);
    }

    #[test]
    fn a_damaged_ledger_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("holders.redb");
        std::fs::write(&path, [0x5a; 9000]).unwrap();
        let ledger = Ledger::open(&path).unwrap();
        assert!(ledger.begun_anew());
        assert_eq!(ledger.get(&ChunkId([0; 32])).unwrap(), None);
        ledger.write([(&ChunkId([0; 32]), Some(&record(1)))]).unwrap();
    }
}
