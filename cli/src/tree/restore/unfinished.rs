//! The mark of a restore that is not done: it lies in the target until all is there, so that no part looks like the
//! whole.
//!
//! | in the target | |
//! |---|---|
//! | `.chordage-unfinished` | what is being restored; locked by whoever restores it |
//! | `.chordage-unfinished.part` | a file that is being written; it gets its name when it is whole |
//!
//! Whoever restores the same into the same directory after a crash goes on there: what has its name is whole.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Dir, FlockOperation, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

/// The name of the mark.
pub(crate) const UNFINISHED: &str = ".chordage-unfinished";
const PART: &str = ".chordage-unfinished.part";
/// A file that is ours until it is whole.
const NEW_FILE: OFlags =
    OFlags::CREATE.union(OFlags::EXCL).union(OFlags::WRONLY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// See the module's description.
pub(super) struct Unfinished {
    root: OwnedFd,
    /// Locked as long as it is open.
    _mark: File,
    /// Some of it may be there.
    pub(super) goes_on: bool,
}

/// Why a directory is not restored into.
pub(super) enum Occupied {
    /// Something lies there.
    Others,
    /// A part of something else does.
    AnotherPart,
    /// Another process restores into it.
    AnotherProcess,
}

impl Unfinished {
    /// Marks `root` as a part of `what`.
    pub(super) fn begin(root: &OwnedFd, what: &str) -> io::Result<Result<Self, Occupied>> {
        let goes_on = has_others(root)?;
        let may_create = if goes_on { OFlags::empty() } else { OFlags::CREATE };
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | may_create;
        let mut mark = match rustix::fs::openat(root, UNFINISHED, flags, Mode::RUSR | Mode::WUSR) {
            Ok(mark) => File::from(mark),
            Err(Errno::NOENT) => return Ok(Err(Occupied::Others)),
            Err(error) => return Err(error.into()),
        };
        // File systems without locks are used by one at a time.
        if rustix::fs::flock(&mark, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK) {
            return Ok(Err(Occupied::AnotherProcess));
        }
        // Whoever had the lock before may have finished meanwhile.
        if rustix::fs::fstat(&mark)?.st_nlink == 0 {
            return Ok(Err(Occupied::Others));
        }
        if goes_on {
            let mut found = String::new();
            mark.read_to_string(&mut found)?;
            if found != what {
                return Ok(Err(Occupied::AnotherPart));
            }
        } else {
            mark.set_len(0)?;
            mark.write_all(what.as_bytes())?;
        }
        let root = rustix::io::fcntl_dupfd_cloexec(root, 0)?;
        let unfinished = Unfinished { root, _mark: mark, goes_on };
        unfinished.drop_part();
        Ok(Ok(unfinished))
    }

    /// A file without its name yet. There is one at a time.
    pub(super) fn part(&self) -> Result<File, Errno> {
        rustix::fs::openat(&self.root, PART, NEW_FILE, Mode::RUSR | Mode::WUSR).map(File::from)
    }

    /// Gives it its name, which nothing may have.
    pub(super) fn place(&self, parent: &OwnedFd, name: &[u8]) -> Result<(), Errno> {
        match rustix::fs::renameat_with(&self.root, PART, parent, name, RenameFlags::NOREPLACE) {
            // The file system cannot be asked not to replace anything.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
                    Err(Errno::NOENT) => rustix::fs::renameat(&self.root, PART, parent, name),
                    Ok(_) => Err(Errno::EXIST),
                    Err(error) => Err(error),
                }
            }
            placed => placed,
        }
    }

    /// Removes what did not become whole.
    pub(super) fn drop_part(&self) {
        // If it cannot be removed, the next one cannot be made, and says so.
        let _ = rustix::fs::unlinkat(&self.root, PART, AtFlags::empty());
    }

    /// Everything is there.
    pub(super) fn finish(&self) -> Result<(), Errno> {
        rustix::fs::unlinkat(&self.root, UNFINISHED, AtFlags::empty())
    }
}

/// Whether a path of an archive is taken by the mark.
pub(super) fn is_mark(path: &[u8]) -> bool {
    let first = path.split(|byte| *byte == b'/').next();
    first.is_some_and(|name| name == UNFINISHED.as_bytes() || name == PART.as_bytes())
}

/// Whether anything but the mark lies in a directory.
fn has_others(dir: &OwnedFd) -> io::Result<bool> {
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b"..") && !is_mark(name) {
            return Ok(true);
        }
    }
    Ok(false)
}
