//! Trees as tar archives: how they enter and leave a daemon.
//!
//! [`ArchiveWriter`] writes POSIX.1-2001 ("pax") archives: plain ustar headers, and extended records where ustar is too narrow
//! (names over 100 bytes, sizes over 8 GiB, times with nanoseconds or before 1970). [`ArchiveReader`] reads those and what
//! GNU tar, bsdtar and Python write. Both move names as bytes and hold no more than one header in memory.
//!
//! Two extended records are ours, on the way into a daemon only, with a fingerprint of 64 hexadecimal digits each:
//! `CHORDAGE.fingerprint` asks for the file to be catalogued under it, `CHORDAGE.unchanged` stands for the content.

mod header;
mod name;
mod pax;
mod read;
mod shown;
mod write;

use chordage_storage::Fingerprint;

pub use name::{NameError, PATH_BYTES_MAX, check_path};
pub use read::{ArchiveReader, ReadError};
pub use shown::{Quoted, escaped};
pub use write::ArchiveWriter;
pub(crate) use write::{END, head_bytes, padding};

/// Bytes in a block; everything in an archive is aligned to it.
const BLOCK: usize = 512;

/// What an archive says of one file, directory or symlink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Path in the archive as components joined by `/`; empty for the root itself.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Unix permission bits, `0o7777` at most.
    pub mode: u32,
    /// Modification time.
    pub mtime: Mtime,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file of so many bytes, which follow.
    File {
        /// Bytes of content.
        size: u64,
    },
    /// A directory.
    Dir,
    /// A symbolic link.
    Symlink {
        /// Where it points; not checked, because a link may point anywhere.
        target: Vec<u8>,
    },
    /// A regular file whose content does not follow, because the receiver has it stored. Only in what is put.
    Unchanged {
        /// What the receiver knows it by.
        fingerprint: Fingerprint,
    },
}

/// A point in time, in seconds since 1970 (before it: negative) and nanoseconds after that second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mtime {
    /// Whole seconds, rounded down.
    pub seconds: i64,
    /// 0 to 999,999,999.
    pub nanos: u32,
}

#[cfg(test)]
mod tests;
