//! Files and directories that only their owner may use.
//!
//! What a daemon keeps tells what its user stores and how to read it. So everything is created closed to others, rather
//! than by a umask, which belongs to the whole process; and what is open to them is closed.

use std::fs::{self, DirBuilder, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// What others may do with a file or directory, in its mode.
const OTHERS: u32 = 0o077;

/// Why something is not ours alone.
#[derive(Debug, thiserror::Error)]
pub enum PrivateError {
    /// Its owner can do with it what they want.
    #[error("{} belongs to another user", .0.display())]
    NotOurs(PathBuf),
    /// It may be open to others.
    #[error("it is not certain that {} is closed to other users: {source}", path.display())]
    Open {
        /// Which file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Creates a directory, and those above it, with mode 0700. One that is there stays as it is.
pub fn create_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Options for opening files; what they create has mode 0600.
pub fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

/// Whether a file or directory is ours; one that is not there is nobody's.
pub fn check_owner(path: &Path) -> Result<(), PrivateError> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.uid() != rustix::process::geteuid().as_raw() => {
            Err(PrivateError::NotOurs(path.to_owned()))
        }
        Err(source) if source.kind() != ErrorKind::NotFound => {
            Err(PrivateError::Open { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// Closes a file or directory to others; whether it was open. A symlink is followed.
pub fn close(path: &Path) -> Result<bool, PrivateError> {
    Ok(there(path, fs::metadata(path))?.map(|found| close_found(path, &found)).transpose()?.unwrap_or(false))
}

/// Closes a directory and everything below it; returns how many were open. Symlinks below it are left alone.
pub fn close_all(directory: &Path) -> Result<u64, PrivateError> {
    // From above, so that nobody gets at what is below meanwhile.
    let mut closed = u64::from(close(directory)?);
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        let Some(entries) = there(&directory, fs::read_dir(&directory))? else { continue };
        for entry in entries {
            let path = entry.map_err(|source| PrivateError::Open { path: directory.clone(), source })?.path();
            let Some(found) = there(&path, fs::symlink_metadata(&path))? else { continue };
            // What is another user's there (settings, `lost+found`) only they can change, or root.
            let own = rustix::process::geteuid();
            if found.is_symlink() || !(own.is_root() || found.uid() == own.as_raw()) {
                continue;
            }
            closed += u64::from(close_found(&path, &found)?);
            if found.is_dir() {
                open.push(path);
            }
        }
    }
    Ok(closed)
}

fn close_found(path: &Path, found: &Metadata) -> Result<bool, PrivateError> {
    if found.mode() & OTHERS == 0 {
        return Ok(false);
    }
    let closed = Permissions::from_mode(found.mode() & 0o7777 & !OTHERS);
    let changed = match fs::set_permissions(path, closed) {
        // Settings that are mounted there. If all of it is read-only, no daemon starts on it.
        Err(error) if error.kind() == ErrorKind::ReadOnlyFilesystem => return Ok(false),
        changed => there(path, changed)?,
    };
    if changed.is_none() {
        return Ok(false);
    }
    // Some file systems have no modes, and do not say so.
    match there(path, fs::metadata(path))? {
        Some(now) if now.mode() & OTHERS != 0 => {
            let source = io::Error::new(ErrorKind::Unsupported, "its file system keeps no permissions");
            Err(PrivateError::Open { path: path.to_owned(), source })
        }
        _ => Ok(true),
    }
}

/// What may vanish at any time, because its directory is in use, is nothing to be closed.
fn there<T>(path: &Path, found: io::Result<T>) -> Result<Option<T>, PrivateError> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(PrivateError::Open { path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{chown, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn what_is_created_and_what_is_closed_is_for_its_owner_alone() {
        let temporary = tempfile::tempdir().unwrap();
        let dir = temporary.path().join("a/b");
        create_dir(&dir).unwrap();
        options().write(true).create(true).open(dir.join("file")).unwrap();
        assert_eq!((mode(&dir), mode(&dir.join("file"))), (0o700, 0o600));
        assert_eq!(close_all(&dir).unwrap(), 0);

        let outside = temporary.path().join("outside");
        fs::write(&outside, b"").unwrap();
        symlink(&outside, dir.join("link")).unwrap();
        for (path, mode) in [(&dir, 0o755), (&dir.join("file"), 0o640), (&outside, 0o644)] {
            fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        }
        assert_eq!(close_all(&dir).unwrap(), 2);
        assert_eq!((mode(&dir), mode(&dir.join("file")), mode(&outside)), (0o700, 0o600, 0o644));
        assert!(!close(&temporary.path().join("nothing")).unwrap());
    }

    #[test]
    fn what_another_user_owns_is_not_ours() {
        let temporary = tempfile::tempdir().unwrap();
        check_owner(temporary.path()).unwrap();
        check_owner(&temporary.path().join("nothing")).unwrap();
        // Only root may give things away.
        if chown(temporary.path(), Some(65534), None).is_ok() {
            assert!(matches!(check_owner(temporary.path()), Err(PrivateError::NotOurs(_))));
        }
    }
}
