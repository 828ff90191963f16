//! redb over [`StoreFile`], with its errors and panics tamed.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use redb::{Database, Durability, StorageBackend, WriteTransaction};

use crate::files::StoreFile;

/// A database's file is damaged, or is not a database of ours. An error that the operating system reports for the disk
/// is never `Damaged`, whatever its [`io::ErrorKind`]: the file may be whole then, and must not be removed for it.
#[derive(Debug, thiserror::Error)]
#[error("the database is damaged: {0}")]
pub(crate) struct Damaged(Box<dyn std::error::Error + Send + Sync>);

impl From<Damaged> for io::Error {
    fn from(damaged: Damaged) -> Self {
        io::Error::new(io::ErrorKind::InvalidData, damaged)
    }
}

/// The error that says that a database is damaged.
pub(crate) fn damaged(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    Damaged(why.into()).into()
}

/// Whether an error says that a database is [`Damaged`].
pub(crate) fn is_damaged(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Damaged>())
}

/// redb's errors: those of the disk as they are, and [`Damaged`] if the file is.
pub(crate) fn failed(error: impl Into<redb::Error>) -> io::Error {
    match error.into() {
        redb::Error::Io(error) => told(error),
        error @ redb::Error::Corrupted(_) => damaged(error),
        other => io::Error::other(other),
    }
}

/// An error of the disk on its way through redb, which has errors of the same type for a file that it does not like.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct OfDisk(io::Error);

/// Marks an error of the disk. A file that ends before its own pages do is damaged, and the disk is not.
fn of_disk(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => error,
        kind => io::Error::new(kind, OfDisk(error)),
    }
}

/// Tells errors of the disk, as the system put them, from what redb says of the file.
fn told(error: io::Error) -> io::Error {
    match error.downcast::<OfDisk>() {
        Ok(OfDisk(error)) => error,
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) => {
            damaged(error)
        }
        Err(error) => error,
    }
}

/// Calls redb, which trusts its file and may panic if a bit of it has flipped. A panic becomes the error that says that
/// the file is [`Damaged`], so that it does not end the process.
pub(crate) fn guarded<T>(call: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    // Whatever state the panic leaves the database in: it is dropped then, and its file removed.
    catch_unwind(AssertUnwindSafe(call)).map_err(|_| damaged("a part of it makes no sense"))?
}

/// Opens or creates a database. If the file is not a database, the error says that it is [`Damaged`]. With `check`,
/// every page is verified, at some GB/s.
pub(crate) fn open(file: Arc<dyn StoreFile>, cache_bytes: usize, check: bool) -> io::Result<Database> {
    guarded(|| {
        let db = redb::Builder::new()
            .set_cache_size(cache_bytes)
            .set_check_integrity_on_open(check)
            .create_with_backend(Backend(file));
        db.map_err(|error| match error.into() {
            redb::Error::Io(error) => told(error),
            other => damaged(other),
        })
    })
}

/// Begins a change. A durable one survives a crash, and so do all before it; another is seen by readers once it
/// is committed, but may be lost.
pub(crate) fn begin_write(db: &Database, durable: bool) -> io::Result<WriteTransaction> {
    let mut txn = db.begin_write().map_err(failed)?;
    if durable {
        // The allocator's state is saved along, so that opening after a crash need not walk the whole file.
        txn.set_quick_repair(true);
    } else {
        txn.set_durability(Durability::None).map_err(|error| io::Error::other(error.to_string()))?;
    }
    Ok(txn)
}

/// Lets redb keep its file through [`StoreFile`].
#[derive(Debug)]
struct Backend(Arc<dyn StoreFile>);

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.0.size().map_err(of_disk)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(out, offset).map_err(of_disk)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_size(len).map_err(of_disk)
    }

    fn sync_data(&self) -> io::Result<()> {
        let result = self.0.sync();
        if result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::StorageFull) {
            // This change is lost all the same: after a failed sync nobody knows what the disk has. The next will do.
            self.0.give_reserve_back();
        }
        result.map_err(of_disk)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        match self.0.write_all_at(&[data], offset) {
            // A change that will free room needs some room itself first, which the reserve gives. A failed write may be
            // repeated, unlike a failed sync.
            Err(error) if error.kind() == io::ErrorKind::StorageFull && self.0.give_reserve_back() => {
                self.0.write_all_at(&[data], offset)
            }
            result => result,
        }
        .map_err(of_disk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_redb_says_of_a_file_is_damage_and_what_the_system_says_of_the_disk_is_not() {
        for kind in [io::ErrorKind::InvalidData, io::ErrorKind::UnexpectedEof] {
            assert!(is_damaged(&failed(redb::Error::Io(kind.into()))), "{kind:?}");
        }
        for kind in [io::ErrorKind::InvalidData, io::ErrorKind::PermissionDenied, io::ErrorKind::StorageFull]
        {
            let error = failed(redb::Error::Io(of_disk(kind.into())));
            assert!(!is_damaged(&error) && error.kind() == kind && error.get_ref().is_none(), "{error:?}");
        }
        let cut_off = io::Error::from(io::ErrorKind::UnexpectedEof);
        assert!(is_damaged(&failed(redb::Error::Io(of_disk(cut_off)))), "the file is too short");
        assert!(is_damaged(&failed(redb::Error::Corrupted("a page".into()))));
        assert!(!is_damaged(&failed(redb::Error::LockPoisoned(std::panic::Location::caller()))));
    }

    #[test]
    fn a_panic_of_redb_is_damage_and_an_error_is_itself() {
        let panics: io::Result<()> = guarded(|| panic!("a page makes no sense"));
        assert!(is_damaged(&panics.unwrap_err()));
        assert_eq!(guarded(|| Ok(7)).unwrap(), 7);
        let refused: io::Result<()> = guarded(|| Err(io::ErrorKind::PermissionDenied.into()));
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    }
}
