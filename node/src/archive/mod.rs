//! Trees as tar archives: how they enter and leave a daemon.
//!
//! [`ArchiveWriter`] writes POSIX.1-2001 ("pax") archives: plain ustar headers, and extended records where ustar is too
//! narrow (names over 100 bytes, sizes over 8 GiB, times with nanoseconds or before 1970). [`ArchiveReader`] reads
//! those and what GNU tar, bsdtar and Python write. Both move names as bytes and hold no more than one header in
//! memory.
//!
//! Two extended records are ours, on the way into a daemon only, with a fingerprint of 64 hexadecimal digits each:
//! `CHORDAGE.fingerprint` asks for the file to be catalogued under it, `CHORDAGE.unchanged` stands for the content.
//!
//! With [`Detail::Full`] an archive holds all that POSIX knows, in the words of GNU tar: owners, hard links, devices
//! and pipes as POSIX has them, extended attributes as `SCHILY.xattr.NAME`, sparse files as `GNU.sparse` 1.0. Of our
//! own is `CHORDAGE.linkgroup`, a decimal number that all names of an inode share.

mod entry;
mod header;
mod metadata;
mod name;
mod pax;
mod read;
mod shown;
mod sparse;
mod write;

use chordage_storage::Fingerprint;

pub use metadata::{
    Detail, FullMetadata, MetadataError, OWNER_NAME_BYTES_MAX, XATTR_BYTES_MAX, XATTR_NAME_BYTES_MAX,
    XATTR_VALUE_BYTES_MAX, Xattr,
};
pub use name::{NameError, PATH_BYTES_MAX, check_path};
pub use read::{ArchiveReader, ReadError};
pub use shown::{Quoted, escaped};
pub use sparse::{SEGMENTS_MAX, Segment, SparseMap};
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
    /// All else, where it is wanted. Without it an entry belongs to nobody in particular.
    pub full: Option<Box<FullMetadata>>,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file of so many bytes, which follow.
    File {
        /// Bytes of content. Of a sparse file, those of its segments.
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
        /// What the receiver knows it by; of a sparse file see [`SparseMap::fingerprint`].
        fingerprint: Fingerprint,
    },
    /// A named pipe. It and what follows are read with [`Detail::Full`] only.
    Fifo,
    /// A character device.
    CharDevice {
        /// Number of its driver.
        major: u32,
        /// Number of the device.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Number of its driver.
        major: u32,
        /// Number of the device.
        minor: u32,
    },
    /// One more name of an inode that has one in the archive already.
    HardLink {
        /// The path of that one.
        target: Vec<u8>,
    },
}

impl Head {
    /// Where the content that follows belongs, or that which the receiver knows, of a file with holes.
    pub fn sparse(&self) -> Option<&SparseMap> {
        let is_file = matches!(self.kind, Kind::File { .. } | Kind::Unchanged { .. });
        self.full.as_ref().filter(|_| is_file)?.sparse.as_ref()
    }
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
