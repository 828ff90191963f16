//! Why a restore does not go on.

use std::io;
use std::path::PathBuf;

use chordage_node::archive::{Quoted, ReadError};
use rustix::io::Errno;

use super::Restored;
use crate::human;

/// Why a restore was not begun, or ended early. It says what is now true.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RestoreError {
    /// There is something where nothing may be.
    #[error("{path:?} is not empty; nothing was restored")]
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// Another restore has begun there, and this one does not go on with it.
    #[error("{path:?} {by}; nothing was restored")]
    Occupied {
        /// The directory.
        path: PathBuf,
        /// What it holds, or who is at work there.
        by: &'static str,
    },
    /// The directory cannot be used.
    #[error("cannot {doing} {path:?}: {error}; nothing was restored")]
    Target {
        /// What was tried.
        doing: &'static str,
        /// The directory.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// It ended early. What was restored until then is there.
    #[error("{why}; {}", so_far(.dir, .done))]
    Stopped {
        /// Why.
        why: Trouble,
        /// The directory.
        dir: PathBuf,
        /// What was restored.
        done: Box<Restored>,
    },
}

fn so_far(dir: &PathBuf, done: &Restored) -> String {
    let files = human::count(done.files, "file", "files");
    let bytes = human::bytes(done.bytes);
    format!(
        "{dir:?} has what comes before in the backup, whole and with its metadata: {files} with {bytes}; nothing that follows is there"
    )
}

/// Why an entry was not restored, or nothing can be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// The archive is damaged or ends early.
    #[error(transparent)]
    Archive(#[from] ReadError),
    /// The file system refused.
    #[error("cannot {doing} {}: {error}", Quoted(.path))]
    File {
        /// What was tried.
        doing: &'static str,
        /// Path in the archive.
        path: Vec<u8>,
        /// What the system said.
        error: io::Error,
    },
}

impl Trouble {
    /// Whether something is there already.
    pub(super) fn is_found(&self) -> bool {
        matches!(self, Trouble::File { error, .. } if error.kind() == io::ErrorKind::AlreadyExists)
    }

    pub(super) fn file(doing: &'static str, path: &[u8], error: impl Into<io::Error>) -> Self {
        Trouble::File { doing, path: path.to_vec(), error: error.into() }
    }

    /// Whether whatever follows would fail likewise.
    pub(super) fn is_fatal(&self) -> bool {
        let Trouble::File { error, .. } = self else { return true };
        matches!(
            Errno::from_io_error(error),
            Some(
                Errno::NOSPC
                    | Errno::DQUOT
                    | Errno::IO
                    | Errno::ROFS
                    | Errno::MFILE
                    | Errno::NFILE
                    | Errno::NOMEM
            )
        )
    }
}
