//! The directories of a tree, each opened relative to the one above it and never through a symlink: whatever is
//! exchanged for a symlink meanwhile, nothing leads out of the tree.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// A directory, and no symlink to one.
pub(crate) const DIR_FLAGS: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Directories on the way to the one that was used last which stay open for somebody who only reads: whoever walks a
/// tree comes back to them. Trees are seldom deeper.
const KEPT_MAX: usize = 32;

/// Opens what lies in a tree by its path inside. Holds a bounded number of descriptors, however deep the tree is.
pub(crate) struct Dirs {
    root: OwnedFd,
    flags: OFlags,
    /// Those on the way to the directory that was used last, itself at the end, because the next one is usually it,
    /// below it, or beside it.
    kept: Vec<(Vec<u8>, OwnedFd)>,
    /// Most of them. Whoever changes the tree keeps one, since others may be replaced.
    kept_max: usize,
}

impl Dirs {
    /// Below this directory. With `follow` it may be a symlink to one, for a path that the user has named.
    pub(crate) fn below(dir: &Path, follow: bool) -> Result<Self, Errno> {
        Dirs::open_root(dir, follow, DIR_FLAGS, 1)
    }

    /// The same for somebody who only reads: what is above need not be readable, as long as it leads on.
    pub(crate) fn to_read(dir: &Path, follow: bool) -> Result<Self, Errno> {
        Dirs::open_root(dir, follow, DIR_FLAGS | OFlags::PATH, KEPT_MAX)
    }

    fn open_root(dir: &Path, follow: bool, flags: OFlags, kept_max: usize) -> Result<Self, Errno> {
        let of_root = if follow { flags.difference(OFlags::NOFOLLOW) } else { flags };
        let root = rustix::fs::open(dir, of_root, Mode::empty())?;
        Ok(Dirs { root, flags, kept: Vec::new(), kept_max })
    }

    /// The same tree, for somebody who is elsewhere in it.
    pub(crate) fn again(&self) -> Result<Self, Errno> {
        let root = rustix::io::fcntl_dupfd_cloexec(&self.root, 0)?;
        Ok(Dirs { root, flags: self.flags, kept: Vec::new(), kept_max: self.kept_max })
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

    /// The open directory at `path`, opened one component at a time from the nearest one that is open.
    pub(crate) fn dir(&mut self, path: &[u8]) -> Result<&OwnedFd, Errno> {
        while self.kept.last().is_some_and(|(known, _)| !leads_to(known, path)) {
            self.kept.pop();
        }
        let mut at = self.kept.last().map_or(0, |(known, _)| known.len());
        while at < path.len() {
            let begin = if at == 0 { 0 } else { at + 1 };
            let end =
                path[begin..].iter().position(|byte| *byte == b'/').map_or(path.len(), |slash| begin + slash);
            let above = self.kept.last().map_or(&self.root, |(_, fd)| fd);
            let fd = rustix::fs::openat(above, &path[begin..end], self.flags, Mode::empty())?;
            if self.kept.len() == self.kept_max {
                self.kept.remove(0);
            }
            self.kept.push((path[..end].to_vec(), fd));
            at = end;
        }
        Ok(self.kept.last().map_or(&self.root, |(_, fd)| fd))
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

/// Whether a directory is the one at `path`, or on the way there.
fn leads_to(dir: &[u8], path: &[u8]) -> bool {
    path.strip_prefix(dir).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    use super::*;

    /// Every directory of a tree that is deeper than what is kept open, in the order of a walk, and back and forth.
    #[test]
    fn whoever_goes_up_down_and_sideways_finds_the_directory_that_was_asked_for() {
        let tree = tempfile::tempdir().unwrap();
        let mut paths = vec![String::new()];
        for depth in 0..2 * KEPT_MAX {
            let above = paths.last().unwrap().clone();
            let below =
                |name: &str| if above.is_empty() { name.to_owned() } else { format!("{above}/{name}") };
            paths.push(below(&format!("beside{depth}")));
            // One that begins like its neighbour.
            paths.push(below("a"));
            paths.push(below("ab"));
        }
        paths.iter().for_each(|path| fs::create_dir_all(tree.path().join(path)).unwrap());
        let there_and_back: Vec<&String> = paths.iter().chain(paths.iter().rev()).collect();
        for mut dirs in [Dirs::to_read(tree.path(), true).unwrap(), Dirs::below(tree.path(), true).unwrap()] {
            for path in &there_and_back {
                let found = rustix::fs::fstat(dirs.dir(path.as_bytes()).unwrap()).unwrap();
                assert_eq!(found.st_ino, fs::metadata(tree.path().join(path)).unwrap().ino(), "{path}");
                assert!(dirs.kept.len() <= dirs.kept_max);
            }
            assert_eq!(dirs.dir(b"a/nowhere").unwrap_err(), Errno::NOENT);
            assert!(dirs.dir(b"a").is_ok());
        }
    }
}
