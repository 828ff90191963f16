//! One entry after another into an archive.

use std::fs::{File, Metadata};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use chordage_api::Fingerprint;
use chordage_node::archive::{ArchiveWriter, Detail, FullMetadata, Head, Kind, Mtime};
use rustix::io::Errno;

use super::content::{catalogued_as, copy_steadily, hold, settle};
use super::error::{PackError, failed, gone};
use super::full::FullReader;
use super::{HELD_MAX, Known, Packed, Watcher, special};
use crate::tree::datadir;
use crate::tree::dirs::Dirs;
use crate::tree::walk::{Item, open_entry};

/// Writes what a walk finds.
pub(super) struct Packer<'a, W, T> {
    pub(super) dirs: Dirs,
    pub(super) archive: ArchiveWriter<W>,
    pub(super) buffer: Vec<u8>,
    pub(super) watcher: &'a T,
    /// For full detail.
    pub(super) full: Option<FullReader>,
    pub(super) packed: Packed,
}

impl<'a, W: Write, T: Watcher> Packer<'a, W, T> {
    /// Of entries in `dirs`.
    pub(super) fn new(dirs: Dirs, detail: Detail, out: W, watcher: &'a T) -> Self {
        let full = (detail == Detail::Full).then(FullReader::default);
        let (archive, packed) = (ArchiveWriter::new(out), Packed::default());
        Packer { dirs, archive, buffer: Vec::new(), watcher, full, packed }
    }

    /// Writes the root itself.
    pub(super) fn root(&mut self, path: &Path) -> Result<(), PackError> {
        let root = rustix::io::fcntl_dupfd_cloexec(self.dirs.root(), 0).map_err(failed("read", path))?;
        let root = File::from(root);
        let metadata = root.metadata().map_err(failed("read", path))?;
        let full = self.full_metadata(path, root.into(), &metadata, None);
        self.archive.begin(&head(Vec::new(), Kind::Dir, &metadata, full)).map_err(gone)
    }

    /// Writes one entry; of a file that is stored already only as what.
    pub(super) fn entry(&mut self, item: Item, known: Option<Known>) -> Result<(), PackError> {
        let Item { path, inside, metadata, is_data_dir } = item;
        if is_data_dir {
            self.watcher.skipped(&path, datadir::LEFT_OUT);
            return Ok(());
        }
        if self.full.is_some() {
            return self.full_entry(&path, &inside, &metadata, known);
        }
        let kind = metadata.file_type();
        if kind.is_dir() {
            self.begin(&head(inside, Kind::Dir, &metadata, None), None)?;
        } else if kind.is_symlink() {
            let link = open_entry(&mut self.dirs, &inside).map_err(failed("read", &path))?;
            let target = target(&link).map_err(failed("read", &path))?;
            self.begin(&head(inside, Kind::Symlink { target }, &metadata, None), None)?;
        } else if let Some(Known { fingerprint, .. }) = known {
            self.begin(&head(inside, Kind::Unchanged { fingerprint }, &metadata, None), None)?;
            self.watcher.advance(metadata.len());
        } else if kind.is_file() {
            self.file(&path, inside)?;
        } else {
            self.watcher.skipped(&path, special(&metadata));
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, inside: Vec<u8>) -> Result<(), PackError> {
        let (mut file, listed) = self.open(path, &inside)?;
        if listed.len() <= HELD_MAX {
            let (before, known_as) = hold(path, &mut file, &mut self.buffer)?;
            let kind = Kind::File { size: before.len() };
            self.begin(&head(inside, kind, &before, None), known_as)?;
            self.archive.data(&self.buffer).map_err(gone)?;
            self.watcher.advance(before.len());
            return Ok(());
        }
        let before = settle(path, &file)?;
        let kind = Kind::File { size: before.len() };
        self.begin(&head(inside, kind, &before, None), catalogued_as(&before))?;
        let archive = &mut self.archive;
        copy_steadily(path, &mut file, &before, self.watcher, |bytes| archive.data(bytes))
    }

    /// Opens what was listed as a file, and tells what the system says of it now.
    pub(super) fn open(&mut self, path: &Path, inside: &[u8]) -> Result<(File, Metadata), PackError> {
        let file = self.dirs.open_to_read(inside).map_err(failed("open", path))?;
        let listed = file.metadata().map_err(failed("read", path))?;
        if listed.is_file() { Ok((file, listed)) } else { Err(PackError::Replaced { path: path.to_owned() }) }
    }

    /// Begins an entry, and counts it.
    pub(super) fn begin(&mut self, head: &Head, known_as: Option<Fingerprint>) -> Result<(), PackError> {
        self.archive.begin_catalogued(head, known_as.as_ref()).map_err(gone)?;
        let packed = &mut self.packed;
        match &head.kind {
            Kind::Dir => packed.dirs += 1,
            Kind::Symlink { .. } => packed.symlinks += 1,
            Kind::Fifo => packed.fifos += 1,
            Kind::CharDevice { .. } | Kind::BlockDevice { .. } => packed.devices += 1,
            Kind::HardLink { .. } => packed.hard_links += 1,
            Kind::File { size } => {
                packed.files += 1;
                packed.bytes += size;
            }
            Kind::Unchanged { .. } => {
                packed.files += 1;
                packed.unchanged += 1;
            }
        }
        packed.sparse += u64::from(head.sparse().is_some());
        Ok(())
    }

    /// Ends the archive.
    pub(super) fn finish(self) -> Result<Packed, PackError> {
        self.archive.finish().and_then(|mut out| out.flush()).map_err(gone)?;
        Ok(self.packed)
    }
}

/// Where a symlink leads.
pub(super) fn target(link: &OwnedFd) -> Result<Vec<u8>, Errno> {
    match rustix::fs::readlinkat(link, "", Vec::new()) {
        // So the system says that it is no symlink any more.
        Err(Errno::NOENT | Errno::INVAL) => Err(Errno::LOOP),
        target => Ok(target?.into_bytes()),
    }
}

/// What something is that has neither content nor a target.
pub(super) fn kind_of_special(metadata: &Metadata) -> Option<Kind> {
    let kind = metadata.file_type();
    let (major, minor) = (rustix::fs::major(metadata.rdev()), rustix::fs::minor(metadata.rdev()));
    match () {
        () if kind.is_dir() => Some(Kind::Dir),
        () if kind.is_fifo() => Some(Kind::Fifo),
        () if kind.is_char_device() => Some(Kind::CharDevice { major, minor }),
        () if kind.is_block_device() => Some(Kind::BlockDevice { major, minor }),
        () => None,
    }
}

pub(super) fn head(path: Vec<u8>, kind: Kind, metadata: &Metadata, full: Option<Box<FullMetadata>>) -> Head {
    let nanos = u32::try_from(metadata.mtime_nsec()).unwrap_or(0);
    // A file system may say anything. In an archive the digits are read without their sign, and these have no room
    // then.
    let mtime = Mtime { seconds: metadata.mtime().max(i64::MIN + 1), nanos };
    Head { path, kind, mode: metadata.mode() & 0o7777, mtime, full }
}
