//! A redb database that is opened again after an error, and begun anew when it is damaged. All that the daemon keeps
//! besides shards stands in such files: the books of claims and keeps, the catalog, the ledger of holders, and rows of
//! small things.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use redb::{Database, ReadTransaction, ReadableDatabase, WriteTransaction};

use crate::database;
use crate::files::Files;

/// Databases up to this size are checked as a whole when they are opened, which takes less than 0.1 s.
const MAX_CHECKED_BYTES: u64 = 32 << 20;
/// Pages that redb keeps in memory.
const CACHE_BYTES: usize = 8 << 20;

/// See the module's description.
pub(crate) struct Reopening {
    files: Box<dyn Files>,
    name: &'static str,
    prepare: fn(&WriteTransaction) -> io::Result<()>,
    /// `None` after a failure, until the next call opens it again.
    slot: RwLock<Option<Opened>>,
    /// How often it was opened.
    opened: AtomicU64,
    begun_anew: AtomicU64,
}

/// A database, and which of those that were opened one after the other.
struct Opened {
    db: Database,
    number: u64,
}

impl Reopening {
    /// Opens or creates the file `name`; `prepare` makes its tables, and says that a version which it does not know is
    /// [`damaged`](database::damaged).
    pub(crate) fn open(
        files: Box<dyn Files>,
        name: &'static str,
        prepare: fn(&WriteTransaction) -> io::Result<()>,
    ) -> io::Result<Self> {
        let (slot, opened) = (RwLock::new(None), AtomicU64::new(0));
        let db = Self { files, name, prepare, slot, opened, begun_anew: AtomicU64::new(0) };
        db.with(|_| Ok(()))?;
        Ok(db)
    }

    /// How often it was found damaged, or of another version, and begun anew since it was opened.
    pub(crate) fn begun_anew(&self) -> u64 {
        self.begun_anew.load(Ordering::Relaxed)
    }

    /// Calls `read` with a read transaction and returns its result.
    pub(crate) fn read<T>(&self, read: impl FnOnce(ReadTransaction) -> io::Result<T>) -> io::Result<T> {
        self.with(|db| database::guarded(|| read(db.begin_read().map_err(database::failed)?)))
    }

    /// Makes a change as a whole or not at all. A durable change survives a crash, together with all changes before it.
    /// Any other change is visible at once, but a crash may undo it. If the directory was removed or replaced, the
    /// result is an error.
    pub(crate) fn change<T>(
        &self,
        durable: bool,
        change: impl FnOnce(&WriteTransaction) -> io::Result<T>,
    ) -> io::Result<T> {
        self.with(|db| {
            database::guarded(|| {
                let txn = database::begin_write(db, durable)?;
                match change(&txn) {
                    Ok(value) => txn.commit().map(|()| value).map_err(database::failed),
                    Err(error) => txn.abort().map_err(database::failed).and(Err(error)),
                }
            })
        })
        .and_then(|value| self.files.check_in_place().map(|()| value))
    }

    fn with<T>(&self, call: impl FnOnce(&Database) -> io::Result<T>) -> io::Result<T> {
        self.reopen()?;
        let guard = self.slot.read().unwrap_or_else(PoisonError::into_inner);
        let opened = guard.as_ref().ok_or_else(|| io::Error::other("the database is closed"))?;
        let (number, result) = (opened.number, call(&opened.db));
        drop(guard);
        if let Err(error) = &result {
            // After an error of the disk redb wants to be opened again.
            self.close(number, database::is_damaged(error))?;
        }
        result
    }

    /// Closes the database with this number, and removes its file if it is damaged. Does nothing if another call has
    /// done so: whatever is open by now is another database.
    fn close(&self, number: u64, damaged: bool) -> io::Result<()> {
        let mut slot = self.slot.write().unwrap_or_else(PoisonError::into_inner);
        let Some(failed) = slot.take_if(|opened| opened.number == number) else { return Ok(()) };
        let _ = database::guarded(move || {
            drop(failed);
            Ok(())
        });
        if damaged { self.begin_anew() } else { Ok(()) }
    }

    fn reopen(&self) -> io::Result<()> {
        if self.slot.read().unwrap_or_else(PoisonError::into_inner).is_some() {
            return Ok(());
        }
        let mut slot = self.slot.write().unwrap_or_else(PoisonError::into_inner);
        if slot.is_some() {
            return Ok(());
        }
        let db = match self.open_once() {
            Err(error) if database::is_damaged(&error) => {
                self.begin_anew()?;
                self.open_once()?
            }
            db => db?,
        };
        *slot = Some(Opened { db, number: self.opened.fetch_add(1, Ordering::Relaxed) });
        Ok(())
    }

    fn begin_anew(&self) -> io::Result<()> {
        self.begun_anew.fetch_add(1, Ordering::Relaxed);
        self.files.remove(self.name)
    }

    fn open_once(&self) -> io::Result<Database> {
        let file = match self.files.open(self.name)? {
            Some(file) => file,
            None => {
                let file = self.files.create(self.name)?;
                // Otherwise the first durable change could be lost with its file's name.
                self.files.sync_directory()?;
                file
            }
        };
        let check = file.allocated()? <= MAX_CHECKED_BYTES;
        let db = database::open(file, CACHE_BYTES, check)?;
        database::guarded(|| {
            let txn = database::begin_write(&db, false)?;
            (self.prepare)(&txn)?;
            txn.commit().map_err(database::failed)
        })?;
        Ok(db)
    }
}

impl std::fmt::Debug for Reopening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reopening").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use redb::TableDefinition;

    use super::*;
    use crate::database::failed;
    use crate::files::OsFiles;

    const TABLE: TableDefinition<'static, u64, u64> = TableDefinition::new("table");

    fn prepare(txn: &WriteTransaction) -> io::Result<()> {
        txn.open_table(TABLE).map(drop).map_err(failed)
    }

    fn put(db: &Reopening, key: u64) {
        db.change(true, |txn| {
            txn.open_table(TABLE).map_err(failed)?.insert(key, 1).map(drop).map_err(failed)
        })
        .unwrap();
    }

    fn has(db: &Reopening, key: u64) -> bool {
        db.read(|txn| Ok(txn.open_table(TABLE).map_err(failed)?.get(key).map_err(failed)?.is_some())).unwrap()
    }

    #[test]
    fn a_damaged_database_is_begun_anew_once_however_many_have_met_the_damage() {
        let dir = tempfile::tempdir().unwrap();
        let files = OsFiles::lock(dir.path()).unwrap().unwrap();
        let db = Reopening::open(Box::new(files), "db.redb", prepare).unwrap();
        put(&db, 1);
        let damaged = db.slot.read().unwrap().as_ref().unwrap().number;
        // Two calls have met the damage. One of them is faster, and somebody writes before the other comes.
        db.close(damaged, true).unwrap();
        assert!(!has(&db, 1), "it was begun anew");
        put(&db, 2);
        db.close(damaged, true).unwrap();
        assert!(has(&db, 2), "what was written since stays");
        assert_eq!(db.begun_anew(), 1);
    }

    #[test]
    fn after_another_error_it_is_opened_again_with_all_that_it_had() {
        let dir = tempfile::tempdir().unwrap();
        let files = OsFiles::lock(dir.path()).unwrap().unwrap();
        let db = Reopening::open(Box::new(files), "db.redb", prepare).unwrap();
        put(&db, 1);
        let refused: io::Result<()> = db.read(|_| Err(io::ErrorKind::PermissionDenied.into()));
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        assert!(db.slot.read().unwrap().is_none(), "it is closed until the next call");
        assert!(has(&db, 1));
        assert_eq!(db.begun_anew(), 0);
    }
}
