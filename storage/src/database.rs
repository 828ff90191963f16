//! redb over [`StoreFile`], with its errors and panics tamed.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use redb::{Database, Durability, StorageBackend, WriteTransaction};

use crate::files::StoreFile;

/// redb's errors, with the kind kept where it is an I/O error; `InvalidData` says that the file is damaged.
pub(crate) fn failed(error: impl Into<redb::Error>) -> io::Error {
    match error.into() {
        redb::Error::Io(error) => cut_off(error),
        error @ redb::Error::Corrupted(_) => io::Error::new(io::ErrorKind::InvalidData, error),
        other => io::Error::other(other),
    }
}

/// A file that ends before its own pages do is damaged.
fn cut_off(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => io::Error::new(io::ErrorKind::InvalidData, error),
        _ => error,
    }
}

/// Calls redb, which trusts its file: where a bit of it has flipped, it may panic. What is kept in it can be made
/// again, so that this is no reason for the process to go down.
pub(crate) fn guarded<T>(call: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let damaged = |_| io::Error::new(io::ErrorKind::InvalidData, "the index is damaged");
    // Whatever state the panic leaves the database in: after `InvalidData` it is dropped and its file removed.
    catch_unwind(AssertUnwindSafe(call)).map_err(damaged)?
}

/// Opens or creates a database. An error of kind `InvalidData` says that the file is none, or damaged; `check`
/// looks at every page of it, at some GB/s.
pub(crate) fn open(file: Arc<dyn StoreFile>, cache_bytes: usize, check: bool) -> io::Result<Database> {
    guarded(|| {
        let db = redb::Builder::new()
            .set_cache_size(cache_bytes)
            .set_check_integrity_on_open(check)
            .create_with_backend(Backend(file));
        db.map_err(|error| match error.into() {
            redb::Error::Io(error) => cut_off(error),
            other => io::Error::new(io::ErrorKind::InvalidData, other),
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
        self.0.size()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(out, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_size(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        let result = self.0.sync();
        if result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::StorageFull) {
            // This change is lost all the same: after a failed sync nobody knows what the disk has. The next will do.
            self.0.give_reserve_back();
        }
        result
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        match self.0.write_all_at(&[data], offset) {
            // What frees room is written down before it does. A write may be done again, other than a sync.
            Err(error) if error.kind() == io::ErrorKind::StorageFull && self.0.give_reserve_back() => {
                self.0.write_all_at(&[data], offset)
            }
            result => result,
        }
    }
}
