//! The directories of a tree, each opened relative to the one above it and never through a symlink: whatever is exchanged
//! for a symlink meanwhile, nothing leads out of the tree.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// A directory, and no symlink to one.
pub(crate) const DIR_FLAGS: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Opens what lies in a tree by its path inside. Holds two descriptors, however deep the tree is.
pub(crate) struct Dirs {
    root: OwnedFd,
    flags: OFlags,
    /// The directory that was used last, because the next one is usually it or below it.
    last: Option<(Vec<u8>, OwnedFd)>,
}

impl Dirs {
    /// Below this directory. With `follow` it may be a symlink to one, for a path that the user has named.
    pub(crate) fn below(dir: &Path, follow: bool) -> Result<Self, Errno> {
        Dirs::open_root(dir, follow, DIR_FLAGS)
    }

    /// The same for somebody who only reads: what is above need not be readable, as long as it leads on.
    pub(crate) fn to_read(dir: &Path, follow: bool) -> Result<Self, Errno> {
        Dirs::open_root(dir, follow, DIR_FLAGS | OFlags::PATH)
    }

    fn open_root(dir: &Path, follow: bool, flags: OFlags) -> Result<Self, Errno> {
        let of_root = if follow { flags.difference(OFlags::NOFOLLOW) } else { flags };
        Ok(Dirs { root: rustix::fs::open(dir, of_root, Mode::empty())?, flags, last: None })
    }

    /// The same tree, for somebody who is elsewhere in it.
    pub(crate) fn again(&self) -> Result<Self, Errno> {
        let root = rustix::io::fcntl_dupfd_cloexec(&self.root, 0)?;
        Ok(Dirs { root, flags: self.flags, last: None })
    }

    /// The root.
    pub(crate) fn root(&self) -> &OwnedFd {
        &self.root
    }

    /// The open directory in which `path` lies, and its name there.
    pub(crate) fn place<'a>(&'a mut self, path: &'a [u8]) -> Result<(&'a OwnedFd, &'a [u8]), Errno> {
        let (parent, name) = parent_and_name(path);
        Ok((self.dir(parent)?, name))
    }

    /// The open directory at `path`.
    pub(crate) fn dir(&mut self, path: &[u8]) -> Result<&OwnedFd, Errno> {
        if path.is_empty() {
            return Ok(&self.root);
        }
        if self.last.as_ref().is_none_or(|(known, _)| known != path) {
            self.last = Some((path.to_vec(), self.open(path)?));
        }
        let (_, fd) = self.last.as_ref().expect("it was just set");
        Ok(fd)
    }

    /// Opens a directory one component at a time, from the last one if it leads there.
    fn open(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        let (mut fd, rest) = match &self.last {
            Some((known, fd)) if path.strip_prefix(&known[..]).is_some_and(|rest| rest.starts_with(b"/")) => {
                (rustix::io::fcntl_dupfd_cloexec(fd, 0)?, &path[known.len() + 1..])
            }
            _ => (rustix::io::fcntl_dupfd_cloexec(&self.root, 0)?, path),
        };
        for name in rest.split(|byte| *byte == b'/') {
            fd = rustix::fs::openat(&fd, name, self.flags, Mode::empty())?;
        }
        Ok(fd)
    }

    /// Opens the file at `path` for reading, without waiting, should it be a pipe by now.
    pub(crate) fn open_to_read(&mut self, path: &[u8]) -> Result<File, Errno> {
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let (parent, name) = self.place(path)?;
        Ok(File::from(rustix::fs::openat(parent, name, flags, Mode::empty())?))
    }
}

/// The path of the directory in which `path` lies, and its name there.
pub(crate) fn parent_and_name(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}
