//! What POSIX says of a file beyond its mode and time, and how much of it an archive may hold.

use super::pax::xattr_keyword;
use super::sparse::{SEGMENTS_MAX, SparseMap};

/// Longest name of a user or group: `LOGIN_NAME_MAX` of Linux without its NUL.
pub const OWNER_NAME_BYTES_MAX: usize = 255;
/// Longest name of an extended attribute, and longest value, as in Linux (`XATTR_NAME_MAX`, `XATTR_SIZE_MAX`).
pub const XATTR_NAME_BYTES_MAX: usize = 255;
/// See [`XATTR_NAME_BYTES_MAX`].
pub const XATTR_VALUE_BYTES_MAX: usize = 64 << 10;
/// All extended attributes of an entry, each counted as [`Xattr::cost`] says. They and the paths fit into one extended
/// header.
pub const XATTR_BYTES_MAX: usize = 768 << 10;
/// What an attribute takes beside its name and value: the prefix of its keyword and the length of its record.
const XATTR_OVERHEAD: usize = 32;

/// How much of an entry is written, or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Files, directories and symlinks with mode and time: what an object holds. Everything else is refused or left
    /// out.
    Basic,
    /// All that POSIX knows, and sparse files: what a backup holds.
    Full,
}

/// What POSIX says of an entry beside its mode and time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FullMetadata {
    /// Number of the owner.
    pub uid: u32,
    /// Number of the group.
    pub gid: u32,
    /// Name of the owner where the entry was read; empty if it had none there.
    pub user: Vec<u8>,
    /// Name of the group, likewise.
    pub group: Vec<u8>,
    /// Extended attributes, sorted by name. POSIX ACLs are among them, as Linux shows them: `system.posix_acl_access`
    /// and `system.posix_acl_default`.
    pub xattrs: Vec<Xattr>,
    /// A number that all names of one inode have in common inside an archive, if it has several names.
    pub link_group: Option<u64>,
    /// Where the content of a sparse file belongs. Only of files.
    pub sparse: Option<SparseMap>,
}

/// An extended attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Xattr {
    /// Its name with its namespace, as in `user.comment`.
    pub name: Vec<u8>,
    /// Its value; may be empty, and need not be text.
    pub value: Vec<u8>,
}

/// What is wrong with metadata. It is damaged, hostile, or of a file system with wider limits than an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// A name of an owner or group is too long.
    #[error("the name of its owner or group is longer than {OWNER_NAME_BYTES_MAX} bytes")]
    OwnerName,
    /// The number of an owner, a group or a device is negative or too large.
    #[error("the number of its owner, group or device is impossible")]
    Number,
    /// All extended attributes together are too large.
    #[error("its extended attributes take more than {} KiB", XATTR_BYTES_MAX >> 10)]
    XattrsTooLarge,
    /// An extended attribute has an impossible name, or one that comes twice or out of order.
    #[error("the name of an extended attribute is impossible")]
    XattrName,
    /// The value of an extended attribute is too long.
    #[error("the value of an extended attribute is longer than {} KiB", XATTR_VALUE_BYTES_MAX >> 10)]
    XattrValue,
    /// The map of a sparse file is malformed, or does not match its content.
    #[error("the map of its holes is impossible")]
    SparseMap,
    /// A sparse file is in too many pieces.
    #[error("it has more than {SEGMENTS_MAX} pieces with holes between them")]
    Segments,
}

impl Xattr {
    /// What it takes in an archive, and somewhat more.
    pub fn cost(&self) -> usize {
        xattr_keyword(&self.name).len() + self.value.len() + XATTR_OVERHEAD
    }

    /// Whether any file system could hold it.
    pub(super) fn check(&self) -> Result<(), MetadataError> {
        if !(1..=XATTR_NAME_BYTES_MAX).contains(&self.name.len()) || self.name.contains(&0) {
            return Err(MetadataError::XattrName);
        }
        if self.value.len() > XATTR_VALUE_BYTES_MAX {
            return Err(MetadataError::XattrValue);
        }
        Ok(())
    }
}

impl FullMetadata {
    /// Checks that an archive may hold it. What [`ArchiveReader`](super::ArchiveReader) gives is checked already.
    pub fn check(&self) -> Result<(), MetadataError> {
        if self.user.len().max(self.group.len()) > OWNER_NAME_BYTES_MAX {
            return Err(MetadataError::OwnerName);
        }
        if self.xattrs.iter().map(Xattr::cost).sum::<usize>() > XATTR_BYTES_MAX {
            return Err(MetadataError::XattrsTooLarge);
        }
        self.xattrs.iter().try_for_each(Xattr::check)?;
        if !self.xattrs.is_sorted_by(|one, next| one.name < next.name) {
            return Err(MetadataError::XattrName);
        }
        self.sparse.as_ref().map_or(Ok(()), SparseMap::check)
    }
}
