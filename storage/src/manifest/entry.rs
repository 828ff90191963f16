//! Records of directories, files and symbolic links.
//!
//! ```text
//!  kind, 1 byte │ depth │ name length │ name │ mode │ mtime s (zigzag) │ mtime ns │ …
//!      0 directory: nothing more
//!      1 file:      size │ number of extents │ extents
//!      2 symlink:   target length │ target                       (all numbers varints)
//! ```

use super::extents::decode_extent;
use crate::path::{EntryPath, check_name};
use crate::varint::{Malformed, Reader, put_varint, unzigzag, zigzag};

/// The longest target of a symbolic link, in bytes.
pub const MAX_TARGET_LEN: usize = 4096;

/// What is kept about every entry besides its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Metadata {
    /// Permission bits, with set-user-id, set-group-id and sticky: at most 0o7777.
    pub mode: u32,
    /// Time of last modification, whole seconds since 1970, may be negative.
    pub mtime_s: i64,
    /// Its fraction in nanoseconds, below 10⁹.
    pub mtime_ns: u32,
}

impl Metadata {
    pub(crate) fn is_valid(&self) -> bool {
        self.mode <= 0o7777 && self.mtime_ns < 1_000_000_000
    }
}

/// One directory, file or symbolic link of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it is; the root for the entry that is the object itself.
    pub path: EntryPath,
    /// Mode and time.
    pub metadata: Metadata,
    /// What it is.
    pub kind: EntryKind,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A directory. Its children follow it.
    Directory,
    /// A file.
    File(FileEntry),
    /// A symbolic link.
    Symlink {
        /// Where it points: any bytes but NUL, 1 to 4,096 of them. It may point out of the object.
        target: Vec<u8>,
    },
}

/// A file of an object. [`Manifest::extents`](super::Manifest::extents) says where its bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileEntry {
    size: u64,
    pub(crate) extent_count: u64,
    /// Where in the entries the extents begin.
    pub(crate) extents_at: usize,
}

impl FileEntry {
    /// Length in bytes.
    pub const fn size(&self) -> u64 {
        self.size
    }
}

/// An entry as encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    pub(crate) depth: usize,
    pub(crate) name: &'a [u8],
    pub(crate) metadata: Metadata,
    pub(crate) kind: RecordKind<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecordKind<'a> {
    Directory,
    File { size: u64, extent_count: u64, extents: &'a [u8] },
    Symlink { target: &'a [u8] },
}

impl<'a> Record<'a> {
    pub(crate) fn is_directory(&self) -> bool {
        matches!(self.kind, RecordKind::Directory)
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.push(match self.kind {
            RecordKind::Directory => 0,
            RecordKind::File { .. } => 1,
            RecordKind::Symlink { .. } => 2,
        });
        put_varint(out, self.depth as u64);
        put_varint(out, self.name.len() as u64);
        out.extend_from_slice(self.name);
        put_varint(out, self.metadata.mode.into());
        put_varint(out, zigzag(self.metadata.mtime_s));
        put_varint(out, self.metadata.mtime_ns.into());
        match self.kind {
            RecordKind::Directory => {}
            RecordKind::File { size, extent_count, extents } => {
                put_varint(out, size);
                put_varint(out, extent_count);
                out.extend_from_slice(extents);
            }
            RecordKind::Symlink { target } => {
                put_varint(out, target.len() as u64);
                out.extend_from_slice(target);
            }
        }
    }

    /// Reads one record. Everything is checked that can be without the records before it or the table: names,
    /// limits, and that a file's extents are not empty and add up to its size.
    pub(crate) fn decode(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let kind = reader.byte()?;
        let depth = reader.varint_u32()? as usize;
        let name_len = reader.varint_u32()? as usize;
        let name = reader.bytes(name_len)?;
        if depth > 0 {
            check_name(name).map_err(|_| Malformed("a name is not one that a file can have"))?;
        } else if !name.is_empty() {
            return Err(Malformed("the root has a name"));
        }
        let metadata = Metadata {
            mode: reader.varint_u32()?,
            mtime_s: unzigzag(reader.varint()?),
            mtime_ns: reader.varint_u32()?,
        };
        if !metadata.is_valid() {
            return Err(Malformed("a mode or time is out of range"));
        }
        let kind = match kind {
            0 => RecordKind::Directory,
            1 => {
                let (size, extent_count) = (reader.varint()?, reader.varint()?);
                RecordKind::File { size, extent_count, extents: check_extents(reader, size, extent_count)? }
            }
            2 => {
                let len = reader.varint_u32()? as usize;
                let target = reader.bytes(len)?;
                if !is_target(target) {
                    return Err(Malformed("a symbolic link has an impossible target"));
                }
                RecordKind::Symlink { target }
            }
            _ => return Err(Malformed("an entry is of no known kind")),
        };
        Ok(Self { depth, name, metadata, kind })
    }
}

/// The bytes of a file's extents.
fn check_extents<'a>(reader: &mut Reader<'a>, size: u64, count: u64) -> Result<&'a [u8], Malformed> {
    let start = reader.rest;
    let (mut sum, mut previous) = (0u64, 0);
    // Every extent takes three bytes or more, so that this ends with the bytes, however large the count.
    for _ in 0..count {
        let place = decode_extent(reader, previous)?;
        if place.len == 0 {
            return Err(Malformed("an extent is empty"));
        }
        sum = sum.checked_add(place.len.into()).ok_or(Malformed("a file is too large"))?;
        previous = place.chunk;
    }
    if sum != size {
        return Err(Malformed("a file's extents do not add up to its size"));
    }
    Ok(&start[..start.len() - reader.rest.len()])
}

/// Whether a symbolic link may have this target.
pub(crate) fn is_target(target: &[u8]) -> bool {
    !target.is_empty() && target.len() <= MAX_TARGET_LEN && !target.contains(&0)
}

impl FileEntry {
    pub(crate) fn new(size: u64, extent_count: u64, extents_at: usize) -> Self {
        Self { size, extent_count, extents_at }
    }
}
