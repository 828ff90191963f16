//! An archive into an empty directory, without trusting it.
//!
//! Every name is opened relative to its directory and never through a symlink, so that an archive which first makes `a`
//! a symlink to `/etc` and then writes `a/passwd` fails instead. Nothing that exists is overwritten. Set-user-id and
//! set-group-id bits are not restored: with them, a stranger's file would run with the rights of whoever got it.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use chordage_node::archive::{ArchiveReader, Head, Kind, Mtime, Quoted, ReadError};
use rustix::fs::{AtFlags, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT};
use rustix::io::Errno;

use super::dirs::{DIR_FLAGS, Dirs, parent_and_name};
use crate::holes::Sparse;
use crate::unfinished::{Journal, Resumed};

/// Bytes written at a time.
const BUFFER: usize = 256 * 1024;
/// Set-user-id and set-group-id.
const DANGEROUS_BITS: u32 = 0o6000;

/// Why an archive could not be unpacked. What was made until then is in the directory.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnpackError {
    /// The archive is damaged or not acceptable.
    #[error(transparent)]
    Archive(#[from] ReadError),
    /// The file system refused.
    #[error("cannot {doing} {}: {error}", Quoted(.path))]
    File {
        /// What was tried.
        doing: &'static str,
        /// Path in the archive.
        path: Vec<u8>,
        /// What the system said.
        error: io::Error,
    },
}

/// What was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unpacked {
    /// Regular files.
    pub(crate) files: u64,
    /// Bytes in them.
    pub(crate) bytes: u64,
    /// Directories, without the root.
    pub(crate) dirs: u64,
    /// Symbolic links.
    pub(crate) symlinks: u64,
    /// The name of the only thing that was made, when the archive is of a file or symlink rather than of a directory.
    pub(crate) single: Option<Vec<u8>>,
}

/// Opens a file below `dir`, never through a symlink.
pub(crate) fn open_below(dir: &Path, path: &[u8]) -> io::Result<File> {
    let mut fd = rustix::fs::open(dir, DIR_FLAGS, Mode::empty())?;
    let mut names = path.split(|byte| *byte == b'/').peekable();
    while let Some(name) = names.next() {
        if matches!(name, b"" | b"." | b"..") {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let last = names.peek().is_none();
        // Without waiting, should it be a pipe.
        let file_flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        fd = rustix::fs::openat(&fd, name, if last { file_flags } else { DIR_FLAGS }, Mode::empty())?;
    }
    Ok(File::from(fd))
}

/// Unpacks into `dir`, which is ours and has what `resumed` says; the archive is without those files. What is unpacked
/// is noted in the journal.
pub(crate) fn unpack<R: Read>(
    source: R,
    dir: &Path,
    resumed: Resumed,
    journal: Option<Journal>,
) -> Result<Unpacked, UnpackError> {
    let tree = Dirs::below(dir, false).map_err(|error| failed("open", b"", error))?;
    let mut archive = ArchiveReader::new(io::BufReader::with_capacity(BUFFER, source));
    let again = resumed.files > 0 || journal.is_some();
    let mut unpacker = Unpacker { tree, dirs: Vec::new(), buffer: vec![0; BUFFER], again, journal };
    let mut done = Unpacked { files: resumed.files, bytes: resumed.bytes, ..Unpacked::default() };
    if resumed.files > 0 {
        done.single = Some(resumed.last);
    }
    let mut has_root = false;
    while let Some(head) = archive.next_entry()? {
        if head.path.is_empty() {
            has_root = true;
            unpacker.dirs.push(head);
            continue;
        }
        match &head.kind {
            Kind::Dir => {
                unpacker.dir(&head)?;
                done.dirs += 1;
                unpacker.dirs.push(head);
            }
            Kind::File { size } => {
                unpacker.file(&head, &mut archive)?;
                done.files += 1;
                done.bytes += size;
                done.single = Some(head.path);
            }
            // Only a put may leave content out; and the reader refuses the others.
            Kind::Unchanged { .. }
            | Kind::Fifo
            | Kind::CharDevice { .. }
            | Kind::BlockDevice { .. }
            | Kind::HardLink { .. } => {
                return Err(failed("write", &head.path, rustix::io::Errno::NOTSUP));
            }
            Kind::Symlink { target } => {
                unpacker.symlink(&head, target)?;
                done.symlinks += 1;
                done.single = Some(head.path);
            }
        }
    }
    unpacker.finish_dirs()?;
    if has_root || done.dirs > 0 || done.files + done.symlinks != 1 {
        done.single = None;
    }
    Ok(done)
}

struct Unpacker {
    tree: Dirs,
    /// Modes and times of directories come last: a read-only one could not be filled, and filling changes the time.
    dirs: Vec<Head>,
    buffer: Vec<u8>,
    /// An earlier attempt may have left something that is to be made again.
    again: bool,
    journal: Option<Journal>,
}

impl Unpacker {
    fn dir(&mut self, head: &Head) -> Result<(), UnpackError> {
        let again = self.again;
        let (parent, name) = self.place(&head.path)?;
        match rustix::fs::mkdirat(parent, name, Mode::RWXU) {
            // It may have its final mode already. Our own directory holds no symlink where the archive has a directory,
            // and nobody else can enter it.
            Err(Errno::EXIST) if again => rustix::fs::openat(parent, name, DIR_FLAGS, Mode::empty())
                .and_then(|dir| rustix::fs::fchmod(dir, Mode::RWXU)),
            made => made,
        }
        .map_err(|error| failed("create", &head.path, error))
    }

    /// Makes something that must not exist; what an earlier attempt left in its place is removed.
    fn make<T>(
        &mut self,
        head: &Head,
        make: impl Fn(&OwnedFd, &[u8]) -> Result<T, Errno>,
    ) -> Result<T, UnpackError> {
        let again = self.again;
        let (parent, name) = self.place(&head.path)?;
        match make(parent, name) {
            Err(Errno::EXIST) if again => {
                rustix::fs::unlinkat(parent, name, AtFlags::empty()).and_then(|()| make(parent, name))
            }
            made => made,
        }
        .map_err(|error| failed("create", &head.path, error))
    }

    fn file<R: Read>(&mut self, head: &Head, archive: &mut ArchiveReader<R>) -> Result<(), UnpackError> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd =
            self.make(head, |parent, name| rustix::fs::openat(parent, name, flags, Mode::RUSR | Mode::WUSR))?;
        let wrong = |error| UnpackError::File { doing: "write", path: head.path.clone(), error };
        let mut file = Sparse::new(File::from(fd), 0).map_err(wrong)?;
        let mut hasher = self.journal.is_some().then(blake3::Hasher::new);
        let mut written = 0;
        loop {
            match archive.read(&mut buffer)? {
                0 => break,
                length => {
                    let bytes = &buffer[..length];
                    file.write_all(bytes).map_err(wrong)?;
                    written += length as u64;
                    hasher.as_mut().map(|hasher| hasher.update(bytes));
                }
            }
        }
        self.buffer = buffer;
        finish(&file.into_file().map_err(wrong)?, head)?;
        if let (Some(journal), Some(hasher)) = (&mut self.journal, hasher) {
            journal.note(&head.path, written, &hasher.finalize());
        }
        Ok(())
    }

    fn symlink(&mut self, head: &Head, target: &[u8]) -> Result<(), UnpackError> {
        self.make(head, |parent, name| rustix::fs::symlinkat(target, parent, name))?;
        let (parent, name) = self.place(&head.path)?;
        rustix::fs::utimensat(parent, name, &times(head.mtime), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| failed("set the time of", &head.path, error))
    }

    /// The open directory in which `path` lies, and its name there.
    fn place<'a>(&'a mut self, path: &'a [u8]) -> Result<(&'a OwnedFd, &'a [u8]), UnpackError> {
        self.tree.place(path).map_err(|error| failed("enter", parent_and_name(path).0, error))
    }

    /// Modes and times of all directories, the deepest first.
    fn finish_dirs(&mut self) -> Result<(), UnpackError> {
        while let Some(head) = self.dirs.pop() {
            let dir = self.tree.dir(&head.path).map_err(|error| failed("enter", &head.path, error))?;
            finish(dir, &head)?;
        }
        Ok(())
    }
}

fn finish(fd: impl AsFd, head: &Head) -> Result<(), UnpackError> {
    rustix::fs::fchmod(&fd, Mode::from_raw_mode(head.mode & !DANGEROUS_BITS))
        .map_err(|error| failed("set the mode of", &head.path, error))?;
    rustix::fs::futimens(&fd, &times(head.mtime))
        .map_err(|error| failed("set the time of", &head.path, error))
}

fn times(mtime: Mtime) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT as _ },
        last_modification: Timespec { tv_sec: mtime.seconds, tv_nsec: mtime.nanos.into() },
    }
}

fn failed(doing: &'static str, path: &[u8], error: rustix::io::Errno) -> UnpackError {
    UnpackError::File { doing, path: path.to_vec(), error: error.into() }
}

#[cfg(test)]
mod tests;
