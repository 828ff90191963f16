//! Room for the books on a disk that others fill.
//!
//! Shards are refused while the file system has little room, so that the daemons on it never fill it. Others do. So a
//! daemon keeps a file of a few MiB beside its books. Where one of these finds the disk full, the file is removed, and
//! the book is written into its room: what is forgotten then frees more.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::private;

/// Its name in the data directory. Every book finds it there without being told.
const FILE: &str = "reserve";
/// Room on a file system that shards leave free: books of several daemons grow by a few MiB before they free anything.
const KEEP_FREE: u64 = 64 << 20;
/// No more than this part of a small file system.
const KEEP_FREE_PART: u64 = 16;

/// A file that holds room.
#[derive(Clone, Debug)]
pub struct Reserve {
    path: PathBuf,
    bytes: u64,
}

impl Reserve {
    /// The reserve of a data directory. Nothing is made yet.
    pub fn new(data_directory: &Path, bytes: u64) -> Self {
        Self { path: of(data_directory), bytes }
    }

    /// Makes the file, if it is not there and there is room for it beside what is to stay free; whether it is there.
    pub fn fill(&self) -> io::Result<bool> {
        let there = std::fs::metadata(&self.path).map_or(0, |file| file.len());
        if there == self.bytes {
            return Ok(true);
        }
        let directory = self.path.parent().unwrap_or(Path::new("."));
        if room(directory)? < self.bytes {
            return Ok(false);
        }
        let file = private::options().write(true).create(true).truncate(true).open(&self.path)?;
        let filled = allocate(&file, self.bytes);
        if !matches!(filled, Ok(true)) {
            // A file of the right length that holds no room would pass for the reserve.
            give_back(&self.path);
        }
        filled
    }

    /// Removes the file if the file system has less room than it holds; whether it did. For the start of a daemon,
    /// which writes before it can look at anything.
    pub fn give_back_if_full(&self) -> bool {
        let directory = self.path.parent().unwrap_or(Path::new("."));
        free(directory).is_ok_and(|(free, _)| free < self.bytes) && give_back(&self.path)
    }

    /// Removes the file, because something could not be written; whether it was there.
    pub fn give_back(&self) -> bool {
        give_back(&self.path)
    }
}

/// Where the reserve for the books in `directory` is.
pub(super) fn beside(directory: &Path) -> PathBuf {
    of(directory.parent().unwrap_or(directory))
}

/// Where the reserve of a data directory is.
pub(super) fn of(data_directory: &Path) -> PathBuf {
    data_directory.join(FILE)
}

/// Removes a reserve; whether it was there.
pub(super) fn give_back(path: &Path) -> bool {
    std::fs::remove_file(path).is_ok()
}

/// Bytes that shards may still take on the file system of `directory`: what is free, less what is to stay free.
pub(super) fn room(directory: &Path) -> io::Result<u64> {
    let (free, all) = free(directory)?;
    Ok(free.saturating_sub(KEEP_FREE.min(all / KEEP_FREE_PART)))
}

/// Bytes free for this user, and of the whole file system.
fn free(directory: &Path) -> io::Result<(u64, u64)> {
    let system = rustix::fs::statvfs(directory)?;
    Ok((system.f_bavail.saturating_mul(system.f_frsize), system.f_blocks.saturating_mul(system.f_frsize)))
}

/// Takes room for a file; `false` where the file system cannot do that.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn allocate(file: &File, bytes: u64) -> io::Result<bool> {
    use rustix::fs::{FallocateFlags, fallocate};
    match fallocate(file, FallocateFlags::empty(), 0, bytes).map_err(io::Error::from) {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::StorageFull) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn allocate(_file: &File, _bytes: u64) -> io::Result<bool> {
    Ok(false)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_reserve_holds_its_room_until_it_is_given_back() {
        let directory = tempfile::tempdir().unwrap();
        let reserve = Reserve::new(directory.path(), 1 << 20);
        assert!(!reserve.give_back(), "nothing is made before it is filled");
        if !reserve.fill().unwrap() {
            return; // a file system that cannot
        }
        let file = directory.path().join(FILE);
        assert!(std::fs::metadata(&file).unwrap().blocks() * 512 >= 1 << 20);
        assert!(reserve.fill().unwrap());
        assert!(!reserve.give_back_if_full(), "the disk has room");
        assert!(reserve.give_back() && !file.exists());
        // One that was cut short is made anew.
        std::fs::write(&file, b"short").unwrap();
        assert!(reserve.fill().unwrap());
        assert_eq!(std::fs::metadata(&file).unwrap().len(), 1 << 20);
    }

    #[test]
    fn a_reserve_takes_no_room_that_is_not_there() {
        let directory = tempfile::tempdir().unwrap();
        let reserve = Reserve::new(directory.path(), u64::MAX / 2);
        assert!(!reserve.fill().unwrap());
        assert!(!directory.path().join(FILE).exists());
        std::fs::write(directory.path().join(FILE), b"").unwrap();
        assert!(reserve.give_back_if_full(), "the disk has less room than it would hold");
    }

    #[test]
    fn some_room_stays_free() {
        let (free, all) = free(Path::new("/")).unwrap();
        let room = room(Path::new("/")).unwrap();
        assert!(all > 0 && (room < free || free == 0), "{room} of {free}");
    }
}
