//! The files under a store, as few operations as it needs, so that a test can put a disk there that tears and
//! reorders writes, fills up, or loses power.

mod os;
mod reserve;

use std::fmt::Debug;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

pub use self::os::OsFiles;
pub use self::reserve::Reserve;

/// One directory of files. Only one store uses it at a time; the implementation sees to that.
pub trait Files: Send + Sync + 'static {
    /// Opens a file for reading and writing; `None` if there is no such file.
    fn open(&self, name: &str) -> io::Result<Option<Arc<dyn StoreFile>>>;

    /// Creates an empty file, in place of any that exists. It survives a crash only after
    /// [`sync_directory`](Self::sync_directory).
    fn create(&self, name: &str) -> io::Result<Arc<dyn StoreFile>>;

    /// Removes a file if it exists. Handles that are open stay readable.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// The names of all files.
    fn names(&self) -> io::Result<Vec<String>>;

    /// Makes creations and removals durable.
    fn sync_directory(&self) -> io::Result<()>;

    /// Whether the files are still where they were opened. Where somebody removed or replaced their directory, what is
    /// written into open files works, and is gone when the process ends: nothing may be called durable then. The error
    /// says so, and [`is_removed`] knows it.
    fn check_in_place(&self) -> io::Result<()> {
        Ok(())
    }

    /// Bytes that shards may still take on the disk: what is free, less what has to stay free for the books beside
    /// them.
    fn room(&self) -> io::Result<u64> {
        Ok(u64::MAX)
    }

    /// Syncs of files and of the directory so far, where somebody counts them.
    fn syncs(&self) -> u64 {
        0
    }
}

/// The directory of the files was removed or replaced while they were in use.
#[derive(Debug, thiserror::Error)]
#[error("{} was removed or replaced while it was in use", directory.display())]
pub struct Removed {
    /// The directory.
    pub directory: PathBuf,
}

impl From<Removed> for io::Error {
    fn from(removed: Removed) -> Self {
        io::Error::new(io::ErrorKind::NotFound, removed)
    }
}

/// Whether an error says that a directory was [`Removed`].
pub fn is_removed(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Removed>())
}

/// One file. All calls may come from several threads at once.
pub trait StoreFile: Debug + Send + Sync {
    /// Length in bytes.
    fn size(&self) -> io::Result<u64>;

    /// Bytes that it takes on disk: less than its length if it has holes.
    fn allocated(&self) -> io::Result<u64>;

    /// Fills `buffer` from `offset` on; an error if the file ends before.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;

    /// Writes `parts` one behind the other from `offset` on. After an error any of it may have been written.
    fn write_all_at(&self, parts: &[&[u8]], offset: u64) -> io::Result<()>;

    /// Cuts the file off or extends it with zeros.
    fn set_size(&self, size: u64) -> io::Result<()>;

    /// Makes everything written so far durable. After an error it may or may not be.
    fn sync(&self) -> io::Result<()>;

    /// Gives back what is kept in reserve for books that find the disk full; whether there was anything. The file
    /// itself stays as it is.
    fn give_reserve_back(&self) -> bool {
        false
    }

    /// Gives the space of a range back to the file system; the range reads as zeros from then on. `false` if the
    /// file system cannot do that, and nothing happened.
    fn punch_hole(&self, offset: u64, len: u64) -> io::Result<bool>;
}
