//! The data directory: who owns it, which version wrote it, and the small files in it. All of it is closed to other
//! users.
//!
//! ```text
//! config.toml  settings (optional)             lock       held while a daemon runs
//! format       version of this layout          key        Ed25519 secret key
//! secret       convergence secret              listen     addresses of the last run, to be kept
//! peers        addresses of known peers        shards/    the shard store
//! api          address of the running API      api.sock, api.token
//! catalog/     what was put before, a cache  keeps/     what is kept in the network
//! claims/      who wants what is held here    renewed    how far renewing is
//! reserve      room for the books, given back when the disk is full
//! opened       which files the last start had
//! record       versions of the own record     services/  what is registered from here
//! network      papers of a private network    invites    those that were made here
//! network.key  that network's key, at its founder's
//! ```

mod opened;
mod place;
mod secret;

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use chordage_storage::private::{self, PrivateError};
use chordage_storage::store::Reserve;

/// Version of the layout that this program writes and reads.
const FORMAT: u32 = 1;

/// A data directory that this process holds locked.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    /// Released by the system when the process ends, however it ends.
    _lock: File,
}

/// Why a data directory could not be opened. It is unchanged, unless `Io` says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// A daemon runs on it.
    #[error("{path} is in use by another daemon{}", pid.map(|p| format!(" (pid {p})")).unwrap_or_default())]
    Locked {
        /// The directory.
        path: PathBuf,
        /// The holder's process id, if it could be read.
        pid: Option<u32>,
    },
    /// Its path is none that clients could be told.
    #[error("{path:?} cannot be a data directory: clients find a daemon by one line of text, and {problem}")]
    Name {
        /// The directory.
        path: PathBuf,
        /// What is wrong with its path.
        problem: &'static str,
    },
    /// It holds something else.
    #[error("{path} is not empty and no data directory of a daemon: it has {name:?}")]
    InUse {
        /// The directory.
        path: PathBuf,
        /// Something in it that is no daemon's.
        name: OsString,
    },
    /// It is another user's, or others can look into it.
    #[error(transparent)]
    NotPrivate(#[from] PrivateError),
    /// A newer program wrote it.
    #[error("{path} has format {found}, and this program knows formats up to {known}")]
    Newer {
        /// The directory.
        path: PathBuf,
        /// The format found.
        found: u32,
        /// The newest format known here.
        known: u32,
    },
    /// A file in it is damaged.
    #[error("{path} is damaged: {problem}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// In what way.
        problem: &'static str,
    },
    /// The system refused.
    #[error("{path}: {source}")]
    Io {
        /// What was being read or written.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl DataDir {
    /// Creates or opens `path`, locks it, and closes it to other users.
    pub fn open(path: &Path) -> Result<DataDir, DataDirError> {
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| DataDirError::Io { path, source }
        };
        place::check(path)?;
        private::create_dir(path).map_err(io(path))?;
        let lock_path = path.join("lock");
        let mut lock = private::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&lock_path)
            .map_err(io(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let pid = fs::read_to_string(&lock_path).ok().and_then(|text| text.trim().parse().ok());
                return Err(DataDirError::Locked { path: path.to_owned(), pid });
            }
            Err(TryLockError::Error(source)) => return Err(DataDirError::Io { path: lock_path, source }),
        }
        let dir = DataDir { path: path.to_owned(), _lock: lock.try_clone().map_err(io(&lock_path))? };
        dir.check_format()?;
        dir.close()?;
        match lock.set_len(0).and_then(|()| write!(lock, "{}", std::process::id())) {
            // It only tells others who has the directory: a full disk is no reason not to start.
            Err(error) if error.kind() != io::ErrorKind::StorageFull => return Err(io(&lock_path)(error)),
            _ => {}
        }
        Ok(dir)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a file or folder in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Earlier versions left files that others could read, and whoever made the directory may have let them in.
    fn close(&self) -> Result<(), PrivateError> {
        let mut closed = private::close_all(&self.path)?;
        for folder in place::FOLDERS.map(|name| self.join(name)) {
            if folder.is_symlink() && folder.is_dir() {
                closed += private::close_all(&folder)?;
            }
        }
        if closed > 0 {
            tracing::warn!(
                path = %self.path.display(),
                closed,
                "files and directories that were open to other users are closed to them now (modes 0600 and 0700)"
            );
        }
        Ok(())
    }

    fn check_format(&self) -> Result<(), DataDirError> {
        match self.read("format")? {
            None => self.write("format", format!("{FORMAT}\n").as_bytes()),
            Some(bytes) => {
                let found = std::str::from_utf8(&bytes).ok().and_then(|text| text.trim().parse::<u32>().ok());
                match found {
                    Some(found) if found > FORMAT => {
                        Err(DataDirError::Newer { path: self.path.clone(), found, known: FORMAT })
                    }
                    Some(FORMAT) => Ok(()),
                    _ => Err(DataDirError::Damaged { path: self.join("format"), problem: "not a version" }),
                }
            }
        }
    }

    /// Reads a small file; `None` if it does not exist.
    pub(crate) fn read(&self, name: &str) -> Result<Option<Vec<u8>>, DataDirError> {
        let path = self.join(name);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(DataDirError::Io { path, source }),
        }
    }

    /// Replaces a small file so that a crash leaves the old or the new one, never a mixture.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), DataDirError> {
        let path = self.join(name);
        let temporary = self.join(&format!(".{name}.new"));
        let write = || {
            let mut file = private::options().create(true).truncate(true).write(true).open(&temporary)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&temporary, &path)?;
            File::open(&self.path)?.sync_all()
        };
        write()
            .or_else(|error| {
                let full = error.kind() == io::ErrorKind::StorageFull;
                if full && Reserve::new(&self.path, 0).give_back() { write() } else { Err(error) }
            })
            .map_err(|source| DataDirError::Io { path, source })
    }

    /// Removes a file if it is there.
    pub(crate) fn remove(&self, name: &str) {
        // A file that cannot be removed is one that the next start replaces.
        let _ = fs::remove_file(self.join(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_opener_is_told_who_holds_it() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let held = DataDir::open(dir.path()).expect("first");
        match DataDir::open(dir.path()) {
            Err(DataDirError::Locked { pid, .. }) => assert_eq!(pid, Some(std::process::id())),
            other => panic!("{other:?}"),
        }
        drop(held);
        DataDir::open(dir.path()).expect("free again");
    }

    #[test]
    fn a_newer_format_is_left_alone() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        fs::write(dir.path().join("format"), "2\n").expect("writable");
        assert!(matches!(DataDir::open(dir.path()), Err(DataDirError::Newer { found: 2, .. })));
        assert_eq!(fs::read(dir.path().join("format")).expect("there"), b"2\n");
    }
}
