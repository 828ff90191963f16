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
    db: RwLock<Option<Database>>,
    begun_anew: AtomicU64,
}

impl Reopening {
    /// Opens or creates the file `name`; `prepare` makes its tables, and says that a version which it does not know is
    /// [`damaged`](database::damaged).
    pub(crate) fn open(
        files: Box<dyn Files>,
        name: &'static str,
        prepare: fn(&WriteTransaction) -> io::Result<()>,
    ) -> io::Result<Self> {
        let db = Self { files, name, prepare, db: RwLock::new(None), begun_anew: AtomicU64::new(0) };
        db.with(|_| Ok(()))?;
        Ok(db)
    }

    /// How often it was found damaged, or of another version, and begun anew since it was opened.
    pub(crate) fn begun_anew(&self) -> u64 {
        self.begun_anew.load(Ordering::Relaxed)
    }

    /// Reads.
    pub(crate) fn read<T>(&self, read: impl FnOnce(ReadTransaction) -> io::Result<T>) -> io::Result<T> {
        self.with(|db| database::guarded(|| read(db.begin_read().map_err(database::failed)?)))
    }

    /// Changes all or nothing. A durable change survives a crash, and so do all before it; another is seen at once, but
    /// a crash may take it back. None succeeds when its directory was removed.
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
        let guard = self.db.read().unwrap_or_else(PoisonError::into_inner);
        let db = guard.as_ref().ok_or_else(|| io::Error::other("the database is closed"))?;
        let result = call(db);
        drop(guard);
        if let Err(error) = &result {
            // After an error of the disk redb wants to be opened again.
            let mut slot = self.db.write().unwrap_or_else(PoisonError::into_inner);
            let old = slot.take();
            let _ = database::guarded(move || {
                drop(old);
                Ok(())
            });
            if database::is_damaged(error) {
                self.begin_anew()?;
            }
        }
        result
    }

    fn reopen(&self) -> io::Result<()> {
        if self.db.read().unwrap_or_else(PoisonError::into_inner).is_some() {
            return Ok(());
        }
        let mut slot = self.db.write().unwrap_or_else(PoisonError::into_inner);
        if slot.is_some() {
            return Ok(());
        }
        *slot = match self.open_once() {
            Err(error) if database::is_damaged(&error) => {
                self.begin_anew()?;
                Some(self.open_once()?)
            }
            db => Some(db?),
        };
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
