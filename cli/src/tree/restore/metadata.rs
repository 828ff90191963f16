//! Owners, attributes, modes and times of what was made.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use chordage_node::archive::{FullMetadata, Head, Mtime, Xattr};
use rustix::fs::{AtFlags, Gid, Mode, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags};
use rustix::io::Errno;

use super::Missed;
use crate::tree::xattrs::path_of;

/// Set-user-id and set-group-id.
const SET_ID: u32 = 0o6000;

/// Something that was made, and is open.
pub(super) struct Node<'a> {
    fd: BorrowedFd<'a>,
    opened: Opened<'a>,
}

#[derive(Clone, Copy)]
enum Opened<'a> {
    /// For reading or writing.
    Fully,
    /// Only to be named (`O_PATH`), under this name in this directory. With a mode, unless it is a symlink.
    Named { parent: &'a OwnedFd, name: &'a [u8], has_mode: bool },
}

impl<'a> Node<'a> {
    /// A file or directory.
    pub(super) fn open(fd: &'a impl AsFd) -> Self {
        Node { fd: fd.as_fd(), opened: Opened::Fully }
    }

    /// Something else, which `entry` names.
    pub(super) fn named(entry: &'a OwnedFd, parent: &'a OwnedFd, name: &'a [u8], has_mode: bool) -> Self {
        Node { fd: entry.as_fd(), opened: Opened::Named { parent, name, has_mode } }
    }

    /// Gives it all metadata, or all but the mode. The order matters: the owner first, because a change of it clears
    /// set-user-id bits and capabilities; then attributes, which need write permission and may change the mode with an
    /// ACL; times last, when nothing is written any more.
    pub(super) fn give(&self, head: &Head, without_mode: bool, missed: &mut Missed) {
        let mut mode = head.mode;
        let has_owner = head.full.as_ref().is_some_and(|full| self.owner(full, missed));
        // A file that runs as its owner must not run as somebody else: a program of root would become one with which
        // everybody can act as whoever has restored it. Directories only hand their group on.
        let is_dir = matches!(head.kind, chordage_node::archive::Kind::Dir);
        if !has_owner && !is_dir && mode & SET_ID != 0 {
            mode &= !SET_ID;
            missed.set_id += 1;
        }
        if let Some(full) = &head.full {
            // All are tried, also after one that is refused.
            let refused = full.xattrs.iter().filter(|xattr| self.xattr(xattr).is_err()).count();
            missed.attributes += u64::from(refused > 0);
        }
        if !without_mode {
            missed.modes += u64::from(self.mode(Mode::from_raw_mode(mode)).is_err());
        }
        missed.times += u64::from(self.times(head.mtime).is_err());
    }

    /// Whether it belongs to whom it belonged.
    fn owner(&self, full: &FullMetadata, missed: &mut Missed) -> bool {
        // The largest number is none: it tells the system to leave the owner as it is.
        let number = |number: u32| (number != u32::MAX).then_some(number);
        let (uid, gid) = (number(full.uid).map(Uid::from_raw), number(full.gid).map(Gid::from_raw));
        let give = |uid, gid| rustix::fs::chownat(self.fd, "", uid, gid, AtFlags::EMPTY_PATH);
        if uid.is_some() && gid.is_some() && give(uid, gid).is_ok() {
            return true;
        }
        // Whoever is not root may still give it to a group of theirs.
        let _ = give(None, gid);
        missed.owners += 1;
        false
    }

    fn xattr(&self, xattr: &Xattr) -> Result<(), Errno> {
        let Xattr { name, value } = xattr;
        match self.opened {
            Opened::Fully => rustix::fs::fsetxattr(self.fd, &name[..], value, XattrFlags::empty()),
            Opened::Named { .. } => {
                rustix::fs::setxattr(path_of(&self.fd), &name[..], value, XattrFlags::empty())
            }
        }
    }

    fn mode(&self, mode: Mode) -> Result<(), Errno> {
        match self.opened {
            Opened::Fully => rustix::fs::fchmod(self.fd, mode),
            Opened::Named { has_mode: true, .. } => rustix::fs::chmod(path_of(&self.fd), mode),
            Opened::Named { has_mode: false, .. } => Ok(()),
        }
    }

    fn times(&self, mtime: Mtime) -> Result<(), Errno> {
        let times = Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT as _ },
            last_modification: Timespec { tv_sec: mtime.seconds, tv_nsec: mtime.nanos.into() },
        };
        match self.opened {
            Opened::Fully => rustix::fs::futimens(self.fd, &times),
            Opened::Named { parent, name, .. } => {
                rustix::fs::utimensat(parent, name, &times, AtFlags::SYMLINK_NOFOLLOW)
            }
        }
    }
}
