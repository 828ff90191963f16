//! Where records of chunks are kept over restarts.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use redb::TableDefinition;

use super::record::ChunkRecord;
use crate::database::failed;
use crate::files::{Files, OsFiles};
use crate::ids::ChunkId;
use crate::reopening::Reopening;

const CHUNKS: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("chunks");

/// The ledger could not be used. Nothing is lost but what was learnt of others, and that can be asked for again.
#[derive(Debug, thiserror::Error)]
#[error("the ledger of holders: {0}")]
pub struct LedgerError(#[from] io::Error);

/// A table from chunk to [`ChunkRecord`], in a redb database of its own. It holds only what can be learnt again, so
/// that a damaged one is begun anew, and its changes are made durable by whoever calls [`flush`](Self::flush).
#[derive(Debug)]
pub struct Ledger {
    db: Reopening,
}

impl Ledger {
    /// Opens or creates the ledger in the file `name` of a directory that the caller has locked; one that is damaged is
    /// begun anew. Where the disk cannot be read, it stays as it is.
    pub fn open(directory: &Path, name: &'static str) -> Result<Self, LedgerError> {
        Self::open_files(Box::new(OsFiles::in_locked(directory)), name)
    }

    /// Opens it in files of any kind.
    pub fn open_files(files: Box<dyn Files>, name: &'static str) -> Result<Self, LedgerError> {
        Ok(Self { db: Reopening::open(files, name, |txn| txn.open_table(CHUNKS).map(drop).map_err(failed))? })
    }

    /// Whether it was found damaged, and begun anew, since it was opened.
    pub fn begun_anew(&self) -> bool {
        self.db.begun_anew() > 0
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
        Ok(self.db.read(|txn| {
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
        Ok(self.db.change(false, |txn| {
            let mut table = txn.open_table(CHUNKS).map_err(failed)?;
            for (chunk, record) in changes {
                match record {
                    Some(record) => {
                        drop(table.insert(&chunk.0, record.encode().as_slice()).map_err(failed)?);
                    }
                    None => drop(table.remove(&chunk.0).map_err(failed)?),
                }
            }
            Ok(())
        })?)
    }

    /// Makes everything written so far durable.
    pub fn flush(&self) -> Result<(), LedgerError> {
        Ok(self.db.change(true, |_| Ok(()))?)
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
        let ids: Vec<ChunkId> = (0..10).map(|i| ChunkId([i; 32])).collect();
        let ledger = Ledger::open(dir.path(), "holders.redb").unwrap();
        let records: Vec<ChunkRecord> = (0..10).map(record).collect();
        ledger.write(ids.iter().zip(records.iter().map(Some))).unwrap();
        ledger.write([(&ids[4], None)]).unwrap();
        ledger.flush().unwrap();
        drop(ledger);
        let ledger = Ledger::open(dir.path(), "holders.redb").unwrap();
        assert!(!ledger.begun_anew());
        let found = ledger.range(&ids[3], &ids[6]).unwrap();
        assert_eq!(found.into_keys().collect::<Vec<_>>(), [ids[3], ids[5], ids[6]]);
        assert_eq!(ledger.get(&ids[5]).unwrap(), Some(record(5)));
        assert_eq!(ledger.get(&ids[4]).unwrap(), None);
    }

    #[test]
    fn a_damaged_ledger_is_begun_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("holders.redb");
        std::fs::write(&path, [0x5a; 9000]).unwrap();
        let ledger = Ledger::open(dir.path(), "holders.redb").unwrap();
        assert!(ledger.begun_anew());
        assert_eq!(ledger.get(&ChunkId([0; 32])).unwrap(), None);
        ledger.write([(&ChunkId([0; 32]), Some(&record(1)))]).unwrap();
    }
}
