//! One entry after another out of an archive.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use chordage_node::archive::{ArchiveReader, Head, Kind, SparseMap};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::error::Trouble;
use super::metadata::Node;
use super::unfinished::is_mark;
use super::{BUFFER, Restorer};
use crate::holes::Sparse;
use crate::tree::dirs::{DIR_FLAGS, parent_and_name};
use crate::tree::xattrs::path_of;

/// Largest numbers of devices in Linux. The system would cut off what is beyond them, and make another device.
const MAJOR_MAX: u32 = (1 << 12) - 1;
const MINOR_MAX: u32 = (1 << 20) - 1;

impl Restorer<'_> {
    pub(super) fn entry<R: Read>(
        &mut self,
        head: Head,
        archive: &mut ArchiveReader<R>,
    ) -> Result<(), Trouble> {
        if is_mark(&head.path) {
            return Err(Trouble::file("create", &head.path, Errno::EXIST));
        }
        match &head.kind {
            Kind::Dir if head.path.is_empty() => {
                self.has_root = true;
                self.above.insert(0, head);
            }
            Kind::Dir => {
                self.dir(&head)?;
                self.done.dirs += 1;
                self.above.push(head);
            }
            Kind::File { .. } => self.file(&head, archive)?,
            Kind::Symlink { target } => {
                self.symlink(&head, target)?;
                self.give(&head, FileType::Symlink)?;
                self.done.symlinks += 1;
            }
            Kind::Fifo => self.special(&head, FileType::Fifo, 0, 0)?,
            Kind::CharDevice { major, minor } => {
                self.special(&head, FileType::CharacterDevice, *major, *minor)?;
            }
            Kind::BlockDevice { major, minor } => {
                self.special(&head, FileType::BlockDevice, *major, *minor)?;
            }
            Kind::HardLink { target } => self.hard_link(&head, target)?,
            // Only on the way into a daemon may content be left out.
            Kind::Unchanged { .. } => return Err(Trouble::file("write", &head.path, Errno::NOTSUP)),
        }
        Ok(())
    }

    /// Makes something that must not exist.
    fn make<T>(
        &mut self,
        head: &Head,
        make: impl FnOnce(&OwnedFd, &[u8]) -> Result<T, Errno>,
    ) -> Result<T, Trouble> {
        let (parent, name) = self.place(&head.path)?;
        make(parent, name).map_err(|error| Trouble::file("create", &head.path, error))
    }

    /// The open directory in which `path` lies, and its name there.
    fn place<'a>(&'a mut self, path: &'a [u8]) -> Result<(&'a OwnedFd, &'a [u8]), Trouble> {
        self.tree.place(path).map_err(|error| match error {
            // For people: the path itself, and not the directory that is missing for it.
            Errno::NOENT => Trouble::file("create", path, error),
            error => Trouble::file("enter", parent_and_name(path).0, error),
        })
    }

    fn dir(&mut self, head: &Head) -> Result<(), Trouble> {
        let made = self.make(head, |parent, name| rustix::fs::mkdirat(parent, name, Mode::RWXU));
        match made {
            // It may have its own mode by now, and more is to be made in it.
            Err(trouble) if trouble.is_found() && self.unfinished.goes_on => {
                self.make(head, |parent, name| {
                    let dir = rustix::fs::openat(parent, name, DIR_FLAGS | OFlags::PATH, Mode::empty())?;
                    rustix::fs::chmod(path_of(&dir), Mode::RWXU)
                })
            }
            made => made,
        }
    }

    fn symlink(&mut self, head: &Head, target: &[u8]) -> Result<(), Trouble> {
        let made = self.make(head, |parent, name| rustix::fs::symlinkat(target, parent, name));
        match made {
            Err(trouble) if trouble.is_found() && self.unfinished.goes_on => {
                let found =
                    self.make(head, |parent, name| rustix::fs::readlinkat(parent, name, Vec::new()))?;
                if found.as_bytes() == target { Ok(()) } else { Err(trouble) }
            }
            made => made,
        }
    }

    /// Whether a file is there from before: it got its name when it was whole.
    fn is_whole(&mut self, head: &Head) -> bool {
        let Kind::File { size } = head.kind else { return false };
        let size = head.sparse().map_or(size, |sparse| sparse.size);
        let found =
            self.make(head, |parent, name| rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW));
        found.is_ok_and(|stat| {
            FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
                && u64::try_from(stat.st_size) == Ok(size)
                && (stat.st_mtime, stat.st_mtime_nsec) == (head.mtime.seconds, head.mtime.nanos.into())
        })
    }

    fn file<R: Read>(&mut self, head: &Head, archive: &mut ArchiveReader<R>) -> Result<(), Trouble> {
        if self.unfinished.goes_on && self.is_whole(head) {
            self.give(head, FileType::RegularFile)?;
            let Kind::File { size } = head.kind else { return Ok(()) };
            self.count(head, size);
            (self.progress)(size);
            return Ok(());
        }
        // What has no place is not written first.
        self.place(&head.path)?;
        let fd = self.part(head)?;
        let mut buffer = std::mem::take(&mut self.buffer);
        let written = content(&fd, head, archive, &mut buffer, self.progress);
        self.buffer = buffer;
        match written {
            Ok(bytes) => {
                Node::open(&fd).give(head, false, &mut self.done.missed);
                self.name_part(head)?;
                self.count(head, bytes);
                Ok(())
            }
            Err(trouble) => {
                self.unfinished.drop_part();
                Err(trouble)
            }
        }
    }

    fn count(&mut self, head: &Head, bytes: u64) {
        self.done.files += 1;
        self.done.bytes += bytes;
        self.done.sparse += u64::from(head.sparse().is_some());
    }

    /// A file that has no name yet, so that nobody takes it for whole.
    fn part(&self, head: &Head) -> Result<File, Trouble> {
        self.unfinished.part().map_err(|error| Trouble::file("create", &head.path, error))
    }

    /// Gives it its name, with all that belongs to it.
    fn name_part(&mut self, head: &Head) -> Result<(), Trouble> {
        let placed = match self.tree.place(&head.path) {
            Ok((parent, name)) => self.unfinished.place(parent, name),
            Err(error) => Err(error),
        };
        placed.map_err(|error| {
            self.unfinished.drop_part();
            Trouble::file("create", &head.path, error)
        })
    }

    /// A pipe or a device.
    fn special(&mut self, head: &Head, kind: FileType, major: u32, minor: u32) -> Result<(), Trouble> {
        if major > MAJOR_MAX || minor > MINOR_MAX {
            return Err(Trouble::file("create", &head.path, Errno::INVAL));
        }
        let device = rustix::fs::makedev(major, minor);
        let mode = Mode::RUSR | Mode::WUSR;
        let (parent, name) = self.place(&head.path)?;
        match rustix::fs::mknodat(parent, name, kind, mode, device) {
            Ok(()) => {}
            // Of what sort it is will be seen.
            Err(Errno::EXIST) if self.unfinished.goes_on => {}
            // Not root, or a file system that has none.
            Err(Errno::PERM | Errno::NOTSUP | Errno::NOSYS) => {
                self.done.missed.devices += 1;
                return Ok(());
            }
            Err(error) => return Err(Trouble::file("create", &head.path, error)),
        }
        self.give(head, kind)?;
        match kind {
            FileType::Fifo => self.done.fifos += 1,
            _ => self.done.devices += 1,
        }
        Ok(())
    }

    /// Gives its metadata to what was just made and is neither a file nor a directory.
    fn give(&mut self, head: &Head, kind: FileType) -> Result<(), Trouble> {
        let (parent, name) =
            self.tree.place(&head.path).map_err(|error| Trouble::file("enter", &head.path, error))?;
        let failed = |error| Trouble::file("open", &head.path, error);
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let entry = rustix::fs::openat(parent, name, flags, Mode::empty()).map_err(failed)?;
        let now = rustix::fs::fstat(&entry).map_err(failed)?;
        if FileType::from_raw_mode(now.st_mode) != kind {
            return Err(failed(Errno::LOOP));
        }
        let has_mode = kind != FileType::Symlink;
        Node::named(&entry, parent, name, has_mode).give(head, false, &mut self.done.missed);
        Ok(())
    }

    /// One more name of what has been restored. Nothing leads out of the tree: no name on the way is a symlink's, and
    /// one at the end is linked itself.
    fn hard_link(&mut self, head: &Head, target: &[u8]) -> Result<(), Trouble> {
        let failed = |error: Errno| Trouble::file("link", &head.path, error);
        let (from_parent, from_name) = parent_and_name(target);
        let from = self.tree.dir(from_parent).map_err(failed)?;
        let from = rustix::io::fcntl_dupfd_cloexec(from, 0).map_err(failed)?;
        let goes_on = self.unfinished.goes_on;
        let (parent, name) = self.place(&head.path)?;
        match rustix::fs::linkat(&from, from_name, parent, name, AtFlags::empty()) {
            Ok(()) => {
                self.done.hard_links += 1;
                Ok(())
            }
            // The file system has none, or not so many of one file.
            Err(Errno::PERM | Errno::MLINK | Errno::NOTSUP | Errno::NOSYS | Errno::XDEV) => {
                let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
                let original = rustix::fs::openat(&from, from_name, flags, Mode::empty()).map_err(failed)?;
                self.copy(head, &File::from(original))
            }
            Err(Errno::EXIST) if goes_on => {
                let flags = AtFlags::SYMLINK_NOFOLLOW;
                let found = rustix::fs::statat(parent, name, flags).map_err(failed)?;
                let original = rustix::fs::statat(&from, from_name, flags).map_err(failed)?;
                let same_file = (found.st_dev, found.st_ino) == (original.st_dev, original.st_ino);
                let times = |stat: &Stat| (stat.st_mode, stat.st_size, stat.st_mtime, stat.st_mtime_nsec);
                if !same_file && times(&found) != times(&original) {
                    return Err(failed(Errno::EXIST));
                }
                self.done.hard_links += u64::from(same_file);
                self.done.files += u64::from(!same_file);
                self.done.missed.links += u64::from(!same_file);
                Ok(())
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// A file with the content of another one.
    fn copy(&mut self, head: &Head, original: &File) -> Result<(), Trouble> {
        let failed = |error: io::Error| Trouble::file("copy to", &head.path, error);
        if !original.metadata().map_err(failed)?.is_file() {
            return Err(Trouble::file("link", &head.path, Errno::PERM));
        }
        let copied = Sparse::new(self.part(head)?, 0).and_then(|mut copy| {
            let mut buffer = vec![0; BUFFER];
            loop {
                match (&mut &*original).read(&mut buffer)? {
                    0 => return copy.into_file(),
                    length => copy.write_all(&buffer[..length])?,
                }
            }
        });
        match copied {
            Ok(copy) => {
                Node::open(&copy).give(head, false, &mut self.done.missed);
                self.name_part(head)?;
                self.done.files += 1;
                self.done.missed.links += 1;
                Ok(())
            }
            Err(error) => {
                self.unfinished.drop_part();
                Err(failed(error))
            }
        }
    }
}

/// Writes what follows of a file, each part where it belongs; returns how much it is.
fn content<R: Read>(
    mut file: &File,
    head: &Head,
    archive: &mut ArchiveReader<R>,
    buffer: &mut [u8],
    progress: &dyn Fn(u64),
) -> Result<u64, Trouble> {
    let failed = |error: io::Error| Trouble::file("write", &head.path, error);
    let mut written = 0;
    let Some(SparseMap { size, segments }) = head.sparse() else {
        loop {
            match archive.read(buffer)? {
                0 => return Ok(written),
                length => {
                    file.write_all(&buffer[..length]).map_err(failed)?;
                    written += length as u64;
                    progress(length as u64);
                }
            }
        }
    };
    // As long as it is to be, and nothing but a hole.
    file.set_len(*size).map_err(failed)?;
    for segment in segments {
        let mut at = segment.offset;
        let end = segment.offset + segment.len;
        while at < end {
            let wanted = usize::try_from(end - at).unwrap_or(usize::MAX).min(buffer.len());
            let length = archive.read(&mut buffer[..wanted])?;
            if length == 0 {
                // The reader has checked that all segments are there.
                return Err(failed(io::ErrorKind::UnexpectedEof.into()));
            }
            file.write_all_at(&buffer[..length], at).map_err(failed)?;
            at += length as u64;
            written += length as u64;
            progress(length as u64);
        }
    }
    Ok(written)
}
