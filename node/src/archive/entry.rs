//! What a header and its extended records say together.

use super::header::Block;
use super::metadata::{Detail, FullMetadata, MetadataError, Xattr};
use super::name::{NameError, check_path};
use super::pax::{FullRecords, Records};
use super::{Kind, Mtime};

/// Longest target of a symlink, as in Linux.
const TARGET_BYTES_MAX: usize = 4096;

/// Why an entry is not taken.
pub(super) enum Refused {
    /// Its header is damaged there.
    Header(&'static str),
    /// It is something that cannot be stored.
    Unsupported(&'static str),
    /// Its metadata are impossible.
    Metadata(MetadataError),
    /// It is a hard link to a path that must not be followed.
    Target(Vec<u8>, NameError),
}

impl From<MetadataError> for Refused {
    fn from(error: MetadataError) -> Self {
        Refused::Metadata(error)
    }
}

/// A header with what goes before it.
pub(super) struct Announced<'a> {
    pub(super) block: &'a Block,
    pub(super) records: &'a Records,
    pub(super) path: &'a [u8],
    pub(super) target: Vec<u8>,
    pub(super) detail: Detail,
}

impl Announced<'_> {
    /// Bytes that follow it, if it is a file.
    pub(super) fn size(&self) -> Result<u64, Refused> {
        self.records.size.or_else(|| self.block.size()).ok_or(Refused::Header("size"))
    }

    /// What it is. A file with holes comes with their map in its content.
    pub(super) fn kind(&self) -> Result<Kind, Refused> {
        let unsupported = |what| Err(Refused::Unsupported(what));
        if self.records.sparse && self.sparse_size().is_none() {
            return unsupported("sparse file");
        }
        let size = self.size()?;
        let full = self.detail == Detail::Full;
        let kind = match self.block.kind() {
            // Before POSIX, a directory was a file whose name ends in a slash.
            b'0' | 0 | b'7' if self.path.ends_with(b"/") => Kind::Dir,
            b'0' | 0 | b'7' => match self.records.unchanged {
                Some(_) if size > 0 && !self.records.sparse => {
                    return unsupported("file that is said to be unchanged and yet has content");
                }
                Some(fingerprint) => Kind::Unchanged { fingerprint },
                None => Kind::File { size },
            },
            b'5' => Kind::Dir,
            b'2' => match &self.target[..] {
                [] => return unsupported("symlink without a possible target"),
                target if target.len() > TARGET_BYTES_MAX || target.contains(&0) => {
                    return unsupported("symlink without a possible target");
                }
                target => Kind::Symlink { target: target.to_vec() },
            },
            b'1' if full => self.hard_link(size)?,
            b'3' if full => self.device(|major, minor| Kind::CharDevice { major, minor })?,
            b'4' if full => self.device(|major, minor| Kind::BlockDevice { major, minor })?,
            b'6' if full => Kind::Fifo,
            b'1' => return unsupported("hard link"),
            b'3' => return unsupported("character device"),
            b'4' => return unsupported("block device"),
            b'6' => return unsupported("named pipe"),
            b'S' => return unsupported("sparse file"),
            _ => return unsupported("kind of entry that is not known here"),
        };
        match kind {
            Kind::File { .. } | Kind::Unchanged { .. } => {}
            _ if self.records.sparse => return unsupported("sparse file that is no file"),
            _ => {}
        }
        Ok(kind)
    }

    fn hard_link(&self, size: u64) -> Result<Kind, Refused> {
        // POSIX lets them repeat the content, so a size may not be passed over as that of a directory is.
        if size > 0 {
            return Err(Refused::Unsupported("hard link with content"));
        }
        match check_path(&self.target) {
            Ok(target) if target.is_empty() => Err(Refused::Unsupported("hard link without a target")),
            Ok(target) => Ok(Kind::HardLink { target }),
            Err(reason) => Err(Refused::Target(self.target.clone(), reason)),
        }
    }

    fn device(&self, kind: impl Fn(u32, u32) -> Kind) -> Result<Kind, Refused> {
        let records = self.records.full.as_deref();
        let major = records.and_then(|records| records.device_major).or_else(|| self.block.device_major());
        let minor = records.and_then(|records| records.device_minor).or_else(|| self.block.device_minor());
        Ok(kind(small(major)?, small(minor)?))
    }

    /// Length of the whole file, if this is one with a map of holes that we can read.
    pub(super) fn sparse_size(&self) -> Option<u64> {
        let file = &self.records.full.as_ref()?.of_file;
        let known = self.records.sparse && file.sparse_version == (Some(1), Some(0));
        file.sparse_size.filter(|_| known)
    }

    pub(super) fn mode(&self) -> Result<u32, Refused> {
        self.block.mode().ok_or(Refused::Header("mode"))
    }

    pub(super) fn mtime(&self) -> Result<Mtime, Refused> {
        match self.records.mtime {
            Some(mtime) => Ok(mtime),
            None => Ok(Mtime { seconds: self.block.mtime().ok_or(Refused::Header("time"))?, nanos: 0 }),
        }
    }

    /// All else but the map of holes, if it is wanted.
    pub(super) fn full(&self) -> Result<Option<Box<FullMetadata>>, Refused> {
        let Some(records) = self.records.full.as_deref() else { return Ok(None) };
        let FullRecords { uid, gid, user, group, of_file, .. } = records;
        if of_file.too_many_xattrs {
            return Err(MetadataError::XattrsTooLarge.into());
        }
        let xattrs = of_file.xattrs.iter();
        let full = FullMetadata {
            uid: small(uid.or_else(|| self.block.uid()))?,
            gid: small(gid.or_else(|| self.block.gid()))?,
            user: user.clone().unwrap_or_else(|| self.block.user().to_vec()),
            group: group.clone().unwrap_or_else(|| self.block.group().to_vec()),
            xattrs: xattrs.map(|(name, value)| Xattr { name: name.clone(), value: value.clone() }).collect(),
            link_group: of_file.link_group,
            sparse: None,
        };
        full.check()?;
        Ok(Some(Box::new(full)))
    }
}

/// A number of an owner or a device.
fn small(number: Option<u64>) -> Result<u32, Refused> {
    number.and_then(|number| u32::try_from(number).ok()).ok_or(Refused::Metadata(MetadataError::Number))
}
