//! Files of the operating system.

use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind, IoSlice};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::reserve;
use super::{Files, Removed, StoreFile};
use crate::private;

/// Name of the file whose lock shows that the directory is in use.
const LOCK: &str = "lock";
/// Slices in one system call (Linux: IOV_MAX).
const MAX_SLICES: usize = 1024;

/// A directory, locked for as long as this lives.
#[derive(Debug)]
pub struct OsFiles {
    directory: PathBuf,
    /// None if the caller has locked it, who also finds out whether it is still there.
    lock: Option<File>,
    syncs: Arc<AtomicU64>,
    /// The file that is removed when a book needs room.
    reserve: Arc<Path>,
}

impl OsFiles {
    /// Creates the directory if need be and locks it; `None` if another process, or another store in this one,
    /// has it locked.
    pub fn lock(directory: &Path) -> io::Result<Option<Self>> {
        private::create_dir(directory)?;
        let lock = private::options().write(true).create(true).truncate(false).open(directory.join(LOCK))?;
        match lock.try_lock() {
            Ok(()) => {
                let reserve = reserve::beside(directory).into();
                Ok(Some(Self {
                    directory: directory.to_owned(),
                    lock: Some(lock),
                    syncs: Arc::default(),
                    reserve,
                }))
            }
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// The files of a data directory itself, which the caller has created and locked.
    pub fn in_locked(directory: &Path) -> Self {
        let reserve = reserve::of(directory).into();
        Self { directory: directory.to_owned(), lock: None, syncs: Arc::default(), reserve }
    }

    fn file(&self, file: File) -> Arc<dyn StoreFile> {
        Arc::new(OsFile { file, syncs: self.syncs.clone(), reserve: self.reserve.clone() })
    }
}

impl Files for OsFiles {
    fn open(&self, name: &str) -> io::Result<Option<Arc<dyn StoreFile>>> {
        match File::options().read(true).write(true).open(self.directory.join(name)) {
            Ok(file) => Ok(Some(self.file(file))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn StoreFile>> {
        let path = self.directory.join(name);
        let file = private::options().read(true).write(true).create(true).truncate(true).open(path)?;
        Ok(self.file(file))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        match std::fs::remove_file(self.directory.join(name)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.directory)? {
            // What is not UTF-8 is not ours.
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.syncs.fetch_add(1, Ordering::Relaxed);
        File::open(&self.directory)?.sync_all()
    }

    fn check_in_place(&self) -> io::Result<()> {
        // The lock is open, so that no other file has its inode, and it is in the directory: it goes with all of it.
        let Some(lock) = &self.lock else { return Ok(()) };
        let ours = lock.metadata()?;
        match std::fs::metadata(self.directory.join(LOCK)) {
            Ok(there) if (there.dev(), there.ino()) == (ours.dev(), ours.ino()) => Ok(()),
            Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                Err(error)
            }
            _ => Err(Removed { directory: self.directory.clone() }.into()),
        }
    }

    fn room(&self) -> io::Result<u64> {
        reserve::room(&self.directory)
    }

    fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
struct OsFile {
    file: File,
    syncs: Arc<AtomicU64>,
    reserve: Arc<Path>,
}

impl StoreFile for OsFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn allocated(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.blocks() * 512)
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }

    fn write_all_at(&self, parts: &[&[u8]], mut offset: u64) -> io::Result<()> {
        for some in parts.chunks(MAX_SLICES) {
            let mut slices: Vec<IoSlice<'_>> = some.iter().map(|part| IoSlice::new(part)).collect();
            let mut rest = &mut slices[..];
            IoSlice::advance_slices(&mut rest, 0); // drops leading empty slices
            while !rest.is_empty() {
                match rustix::io::pwritev(&self.file, rest, offset) {
                    Ok(0) => return Err(ErrorKind::WriteZero.into()),
                    Ok(written) => {
                        offset += written as u64;
                        IoSlice::advance_slices(&mut rest, written);
                    }
                    Err(rustix::io::Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        self.file.set_len(size)
    }

    fn sync(&self) -> io::Result<()> {
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.file.sync_data()
    }

    fn give_reserve_back(&self) -> bool {
        reserve::give_back(&self.reserve)
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn punch_hole(&self, offset: u64, len: u64) -> io::Result<bool> {
        use rustix::fs::{FallocateFlags, fallocate};
        use rustix::io::Errno;
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match fallocate(&self.file, flags, offset, len) {
            Ok(()) => Ok(true),
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn punch_hole(&self, _offset: u64, _len: u64) -> io::Result<bool> {
        Ok(false)
    }
}
