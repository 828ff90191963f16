//! One entry after another out of an archive.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use chordage_node::archive::{ArchiveReader, Head, Kind, SparseMap};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::error::Trouble;
use super::metadata::Node;
use super::{BUFFER, Restorer};
use crate::holes::Sparse;
use crate::tree::dirs::parent_and_name;

/// A file that is ours until it is whole.
const NEW_FILE: OFlags =
    OFlags::CREATE.union(OFlags::EXCL).union(OFlags::WRONLY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// Largest numbers of devices in Linux. The system would cut off what is beyond them, and make another device.
const MAJOR_MAX: u32 = (1 << 12) - 1;
const MINOR_MAX: u32 = (1 << 20) - 1;

impl Restorer<'_> {
    pub(super) fn entry<R: Read>(
        &mut self,
        head: Head,
        archive: &mut ArchiveReader<R>,
    ) -> Result<(), Trouble> {
        match &head.kind {
            Kind::Dir if head.path.is_empty() => {
                self.has_root = true;
                self.above.insert(0, head);
            }
            Kind::Dir => {
                self.make(&head, |parent, name| rustix::fs::mkdirat(parent, name, Mode::RWXU))?;
                self.done.dirs += 1;
                self.above.push(head);
            }
            Kind::File { .. } => self.file(&head, archive)?,
            Kind::Symlink { target } => {
                self.make(&head, |parent, name| rustix::fs::symlinkat(&target[..], parent, name))?;
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

    fn file<R: Read>(&mut self, head: &Head, archive: &mut ArchiveReader<R>) -> Result<(), Trouble> {
        let fd = self.new_file(head)?;
        let mut buffer = std::mem::take(&mut self.buffer);
        let written = content(&fd, head, archive, &mut buffer, self.progress);
        self.buffer = buffer;
        match written {
            Ok(bytes) => {
                Node::open(&fd).give(head, false, &mut self.done.missed);
                self.done.files += 1;
                self.done.bytes += bytes;
                self.done.sparse += u64::from(head.sparse().is_some());
                Ok(())
            }
            Err(trouble) => {
                self.remove(head);
                Err(trouble)
            }
        }
    }

    fn new_file(&mut self, head: &Head) -> Result<File, Trouble> {
        let mode = Mode::RUSR | Mode::WUSR;
        self.make(head, |parent, name| rustix::fs::openat(parent, name, NEW_FILE, mode)).map(File::from)
    }

    /// Removes a file that did not become whole, so that nobody takes it for one.
    fn remove(&mut self, head: &Head) {
        if let Ok((parent, name)) = self.place(&head.path) {
            // If that fails too, the error before it is the one to tell.
            let _ = rustix::fs::unlinkat(parent, name, AtFlags::empty());
        }
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

    /// One more name of what has been restored. Nothing leads out of the tree: no name on the way is a symlink's, and one at
    /// the end is linked itself.
    fn hard_link(&mut self, head: &Head, target: &[u8]) -> Result<(), Trouble> {
        let failed = |error: Errno| Trouble::file("link", &head.path, error);
        let (from_parent, from_name) = parent_and_name(target);
        let from = self.tree.dir(from_parent).map_err(failed)?;
        let from = rustix::io::fcntl_dupfd_cloexec(from, 0).map_err(failed)?;
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
            Err(error) => Err(failed(error)),
        }
    }

    /// A file with the content of another one.
    fn copy(&mut self, head: &Head, original: &File) -> Result<(), Trouble> {
        let failed = |error: io::Error| Trouble::file("copy to", &head.path, error);
        if !original.metadata().map_err(failed)?.is_file() {
            return Err(Trouble::file("link", &head.path, Errno::PERM));
        }
        let copied = Sparse::new(self.new_file(head)?, 0).and_then(|mut copy| {
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
                self.done.files += 1;
                self.done.missed.links += 1;
                Ok(())
            }
            Err(error) => {
                self.remove(head);
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
