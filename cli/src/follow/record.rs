//! What was brought: enough to know it again.

use rustix::fs::Stat;
use serde::{Deserialize, Serialize};

/// What the system says of a file. One that is the same has the same content, unless it was written to in the moment
/// it was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    /// Number of the inode.
    pub(crate) ino: u64,
    /// Length.
    pub(crate) size: u64,
    /// Time of modification.
    pub(crate) mtime: (i64, u32),
    /// Time of change, which no program can set.
    pub(crate) ctime: (i64, u32),
}

impl Stamp {
    /// From what the system says.
    #[allow(clippy::unnecessary_cast, reason = "the types of the fields differ between systems")]
    pub(crate) fn of(stat: &Stat) -> Self {
        Stamp {
            ino: stat.st_ino as u64,
            size: stat.st_size as u64,
            mtime: (stat.st_mtime as i64, stat.st_mtime_nsec as u32),
            ctime: (stat.st_ctime as i64, stat.st_ctime_nsec as u32),
        }
    }

    /// Whether it is the same file, which may have been renamed since: that changes the time of change.
    pub(crate) fn is_but_renamed(&self, before: &Stamp) -> bool {
        Stamp { ctime: before.ctime, ..*self } == *before
    }
}

/// Mode and time of modification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Metadata {
    /// Permission bits, without set-user-id and set-group-id.
    pub(crate) mode: u32,
    /// Seconds since 1970 and nanoseconds.
    pub(crate) mtime: (i64, u32),
}

/// A file that was brought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileRecord {
    /// What the listing calls its content.
    pub(crate) content: String,
    /// BLAKE3 of it.
    pub(crate) hash: String,
    /// As it was to be.
    pub(crate) metadata: Metadata,
    /// As it lay there.
    pub(crate) stamp: Stamp,
    /// Whether the stamp was old enough that any later change shows in it.
    pub(crate) sure: bool,
    /// It was there before and is only the same: it is replaced by newer versions, and never removed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) adopted: bool,
}

/// What was brought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Record {
    /// A directory that was made.
    Dir,
    /// A symbolic link.
    Symlink {
        /// Where it leads, in hexadecimal digits.
        target: String,
    },
    /// A file.
    File(FileRecord),
}
