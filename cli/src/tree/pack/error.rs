//! Why something could not be packed.

use std::io;
use std::path::{Path, PathBuf};

use chordage_node::archive::PATH_BYTES_MAX;
use rustix::io::Errno;

/// Why a file or directory could not be taken in. Nothing claims to be stored then.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PackError {
    /// The system refused; `doing` completes "cannot …".
    #[error("cannot {doing} {path:?}: {error}")]
    File {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// It was written to while it was read, and when it was read again.
    #[error("{path:?} changes while it is read")]
    Changes {
        /// The file.
        path: PathBuf,
    },
    /// A file, directory or symlink became something else between being listed and being read.
    #[error("{path:?}, or a directory above it, became something else while the tree was read")]
    Replaced {
        /// What it was listed as.
        path: PathBuf,
    },
    /// No archive can hold it.
    #[error(
        "the path of {path:?} is too long: {bytes} bytes inside the tree, and at most {PATH_BYTES_MAX} are possible"
    )]
    PathTooLong {
        /// The whole path.
        path: PathBuf,
        /// Its length inside the tree, for a directory with a slash behind it.
        bytes: usize,
    },
    /// It failed when its beginning was sent already, so that what was sent has to be given up.
    #[error(transparent)]
    Midway(Box<PackError>),
    /// The receiver is gone; it knows why.
    #[error("the connection to the daemon is gone")]
    Gone,
}

impl PackError {
    /// The entry that this is about, if nothing of it was sent.
    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            PackError::File { path, .. }
            | PackError::Changes { path }
            | PackError::Replaced { path }
            | PackError::PathTooLong { path, .. } => Some(path),
            PackError::Midway(_) | PackError::Gone => None,
        }
    }

    /// The file whose beginning was sent.
    pub(crate) fn broken_off(&self) -> Option<&Path> {
        match self {
            PackError::Midway(error) => error.path(),
            _ => None,
        }
    }
}

/// What the system said when it refused to do something with a path.
pub(crate) fn failed<E: Into<io::Error>>(doing: &'static str, path: &Path) -> impl FnOnce(E) -> PackError {
    let path = path.to_owned();
    move |error| {
        let error = error.into();
        // What nothing but a symlink, or a file in the place of a directory, is refused with.
        match Errno::from_io_error(&error) {
            Some(Errno::LOOP | Errno::NOTDIR) => PackError::Replaced { path },
            _ => PackError::File { doing, path, error },
        }
    }
}

/// The only way in which writing to the daemon fails.
pub(super) fn gone(_: io::Error) -> PackError {
    PackError::Gone
}
