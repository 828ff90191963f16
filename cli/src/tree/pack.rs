//! A directory as an archive, written while it is read: parents first, names in byte order, so that equal trees give equal bytes.

use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use chordage_api::{Fingerprint, fingerprint, is_settled};
use chordage_node::archive::{ArchiveWriter, Head, Kind, Mtime, PATH_BYTES_MAX};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::datadir;
use super::dirs::Dirs;
use super::selection::Selection;
use super::steady::{is_still, settled};
use super::walk::{Item, Walk, open_entry};

/// Bytes read at a time.
const BUFFER: usize = 256 * 1024;
/// Entries that are looked at ahead, in order to ask about all their files at once; about 500 bytes each.
const WINDOW: usize = 8192;
/// Files up to this size are held in memory until it is certain that they are of one state. Of larger ones the beginning is
/// sent before the end is read.
const HELD_MAX: u64 = 4 << 20;
/// How often a file that is held is read when it changes each time.
const READS_MAX: usize = 3;

/// Why a file or directory could not be taken in. Nothing claims to be stored then.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PackError {
    /// The system refused; `doing` completes "cannot …".
    #[error("cannot {doing} {path:?}: {error}")]
    File {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// It was written to while it was read, and when it was read again.
    #[error("{path:?} changes while it is read")]
    Changes {
        /// The file.
        path: PathBuf,
    },
    /// A file, directory or symlink became something else between being listed and being read.
    #[error("{path:?}, or a directory above it, became something else while the tree was read")]
    Replaced {
        /// What it was listed as.
        path: PathBuf,
    },
    /// No archive can hold it.
    #[error(
        "the path of {path:?} is too long: {bytes} bytes inside the tree, and at most {PATH_BYTES_MAX} are possible"
    )]
    PathTooLong {
        /// The whole path.
        path: PathBuf,
        /// Its length inside the tree, for a directory with a slash behind it.
        bytes: usize,
    },
    /// It failed when its beginning was sent already, so that what was sent has to be given up.
    #[error(transparent)]
    Midway(Box<PackError>),
    /// The receiver is gone; it knows why.
    #[error("the connection to the daemon is gone")]
    Gone,
}

impl PackError {
    /// The entry that this is about, if nothing of it was sent.
    fn path(&self) -> Option<&Path> {
        match self {
            PackError::File { path, .. }
            | PackError::Changes { path }
            | PackError::Replaced { path }
            | PackError::PathTooLong { path, .. } => Some(path),
            PackError::Midway(_) | PackError::Gone => None,
        }
    }

    /// The file whose beginning was sent.
    pub(crate) fn broken_off(&self) -> Option<&Path> {
        match self {
            PackError::Midway(error) => error.path(),
            _ => None,
        }
    }
}

/// What happens on the way.
pub(crate) trait Watcher {
    /// So many bytes of content were read.
    fn advance(&self, bytes: u64);
    /// Something was left out.
    fn skipped(&self, path: &Path, what: &'static str);
    /// Something was left out because it cannot be read.
    fn unreadable(&self, path: &Path, error: &PackError);
    /// So many entries were left out because the user says so.
    fn excluded(&self, entries: u64);
}

/// Tells which files need not be read.
pub(crate) trait Memory {
    /// For each file whether its content is stored already. Fewer answers mean no for the rest. Whoever does not
    /// answer at all is gone.
    fn unchanged(&mut self, files: &[Fingerprint]) -> Result<Vec<bool>, PackError>;
}

/// Writes what is selected below `dir`, and itself, to `out`.
pub(crate) fn pack<W: Write>(
    dir: &Path,
    selection: &Selection,
    out: W,
    watcher: &impl Watcher,
    memory: &mut impl Memory,
) -> Result<(), PackError> {
    let mut walk = Walk::below(dir, selection)?;
    let dirs = walk.dirs().again().map_err(failed("read directory", dir))?;
    let root = rustix::io::fcntl_dupfd_cloexec(dirs.root(), 0).map_err(failed("read", dir))?;
    let metadata = File::from(root).metadata().map_err(failed("read", dir))?;
    let mut packer = Packer { dirs, archive: ArchiveWriter::new(out), buffer: Vec::new(), watcher };
    packer.archive.begin(&head(Vec::new(), Kind::Dir, &metadata)).map_err(gone)?;

    loop {
        let mut items = Vec::new();
        let mut ended = true;
        for item in walk.by_ref().take(WINDOW) {
            ended = false;
            match item {
                Ok(item) if selection.has_given_up(&item.path) => {
                    let error = PackError::Changes { path: item.path.clone() };
                    watcher.unreadable(&item.path, &error);
                }
                Ok(item) => items.push(item),
                Err(error) => left_out(error, selection, watcher)?,
            }
        }
        if ended {
            break;
        }
        let regular = items.iter().filter(|item| item.metadata.is_file());
        let files: Vec<Fingerprint> = regular.map(|item| fingerprint(&item.metadata)).collect();
        let unchanged = if files.is_empty() { Vec::new() } else { memory.unchanged(&files)? };
        let mut answers = files.into_iter().zip(unchanged.into_iter().chain(std::iter::repeat(false)));
        for item in items {
            let answer = if item.metadata.is_file() { answers.next() } else { None };
            let known = answer.filter(|(_, unchanged)| *unchanged).map(|(fingerprint, _)| fingerprint);
            if let Err(error) = packer.entry(item, known) {
                left_out(error, selection, watcher)?;
            }
        }
    }
    watcher.excluded(walk.excluded());
    packer.archive.finish().and_then(|mut out| out.flush()).map_err(gone)
}

/// Writes the tree that holds only the file at `path`, which is no symlink.
pub(crate) fn pack_file<W: Write>(
    path: &Path,
    out: W,
    watcher: &impl Watcher,
    memory: &mut impl Memory,
) -> Result<(), PackError> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    let inside = path.file_name().unwrap_or_default().as_bytes().to_vec();
    let dirs = Dirs::below(parent, true).map_err(failed("read directory", parent))?;
    let metadata = fs::symlink_metadata(path).map_err(failed("read", path))?;
    let known = fingerprint(&metadata);
    let known = (memory.unchanged(&[known])? == [true]).then_some(known);
    let mut packer = Packer { dirs, archive: ArchiveWriter::new(out), buffer: Vec::new(), watcher };
    packer.entry(Item { path: path.to_owned(), inside, metadata, is_data_dir: false }, known)?;
    packer.archive.finish().and_then(|mut out| out.flush()).map_err(gone)
}

/// Leaves out what cannot be read, if the user wants that and nothing of it was sent.
fn left_out(error: PackError, selection: &Selection, watcher: &impl Watcher) -> Result<(), PackError> {
    match error.path().map(Path::to_owned) {
        Some(path) if selection.skip_unreadable => {
            watcher.unreadable(&path, &error);
            Ok(())
        }
        _ => Err(error),
    }
}

struct Packer<'a, W, T> {
    dirs: Dirs,
    archive: ArchiveWriter<W>,
    buffer: Vec<u8>,
    watcher: &'a T,
}

impl<W: Write, T: Watcher> Packer<'_, W, T> {
    /// Writes one entry; of a file that is known under a fingerprint only that.
    fn entry(&mut self, item: Item, known: Option<Fingerprint>) -> Result<(), PackError> {
        let Item { path, inside, metadata, is_data_dir } = item;
        let kind = metadata.file_type();
        if is_data_dir {
            self.watcher.skipped(&path, datadir::LEFT_OUT);
        } else if kind.is_dir() {
            self.archive.begin(&head(inside, Kind::Dir, &metadata)).map_err(gone)?;
        } else if kind.is_symlink() {
            let target = self.target(&inside).map_err(failed("read", &path))?;
            self.archive.begin(&head(inside, Kind::Symlink { target }, &metadata)).map_err(gone)?;
        } else if let Some(fingerprint) = known {
            self.archive.begin(&head(inside, Kind::Unchanged { fingerprint }, &metadata)).map_err(gone)?;
            self.watcher.advance(metadata.len());
        } else if kind.is_file() {
            self.file(&path, inside)?;
        } else {
            self.watcher.skipped(&path, special(&metadata));
        }
        Ok(())
    }

    /// Where a symlink leads.
    fn target(&mut self, inside: &[u8]) -> Result<Vec<u8>, Errno> {
        let link = open_entry(&mut self.dirs, inside)?;
        match rustix::fs::readlinkat(link, "", Vec::new()) {
            // So the system says that it is no symlink any more.
            Err(Errno::NOENT | Errno::INVAL) => Err(Errno::LOOP),
            target => Ok(target?.into_bytes()),
        }
    }

    fn file(&mut self, path: &Path, inside: Vec<u8>) -> Result<(), PackError> {
        // Without waiting, should it be a pipe by now.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let (parent, name) = self.dirs.place(&inside).map_err(failed("open", path))?;
        let fd = rustix::fs::openat(parent, name, flags, Mode::empty()).map_err(failed("open", path))?;
        let mut file = File::from(fd);
        let listed = file.metadata().map_err(failed("read", path))?;
        if !listed.is_file() {
            return Err(PackError::Replaced { path: path.to_owned() });
        }
        if listed.len() <= HELD_MAX {
            let (before, known_as) = hold(path, &mut file, &mut self.buffer)?;
            self.begin(inside, &before, known_as)?;
            self.archive.data(&self.buffer).map_err(gone)?;
            self.watcher.advance(before.len());
            return Ok(());
        }
        let before = settle(path, &file)?;
        self.begin(inside, &before, catalogued_as(&before))?;
        let archive = &mut self.archive;
        copy_steadily(path, &mut file, &before, self.watcher, |bytes| archive.data(bytes))
    }

    fn begin(
        &mut self,
        inside: Vec<u8>,
        metadata: &Metadata,
        known_as: Option<Fingerprint>,
    ) -> Result<(), PackError> {
        let head = head(inside, Kind::File { size: metadata.len() }, metadata);
        self.archive.begin_catalogued(&head, known_as.as_ref()).map_err(gone)
    }
}

/// What something is that has no content to store.
pub(crate) fn special(metadata: &Metadata) -> &'static str {
    let kind = metadata.file_type();
    match () {
        () if kind.is_fifo() => "a named pipe",
        () if kind.is_socket() => "a socket",
        () => "a device",
    }
}

/// Opens a file for reading, without waiting if it has become a pipe meanwhile.
pub(crate) fn open(path: &Path) -> Result<(File, Metadata), PackError> {
    let flags = OFlags::NONBLOCK.bits() as i32;
    let file = File::options().read(true).custom_flags(flags).open(path).map_err(failed("open", path))?;
    let metadata = file.metadata().map_err(failed("read", path))?;
    if !metadata.is_file() {
        return Err(PackError::Replaced { path: path.to_owned() });
    }
    let metadata = settle(path, &file)?;
    Ok((file, metadata))
}

/// What the system says of a file before it is read, when any later write will show.
fn settle(path: &Path, file: &File) -> Result<Metadata, PackError> {
    let settled = settled(file).map_err(failed("read", path))?;
    settled.ok_or_else(|| PackError::Changes { path: path.to_owned() })
}

/// Reads a file until it did not change meanwhile, and gives what the system says of that state and what it may be
/// remembered under.
fn hold(
    path: &Path,
    file: &mut File,
    buffer: &mut Vec<u8>,
) -> Result<(Metadata, Option<Fingerprint>), PackError> {
    for _ in 0..READS_MAX {
        let before = settle(path, file)?;
        let known_as = catalogued_as(&before);
        buffer.clear();
        // One more, so that growth shows.
        file.take(before.len().min(HELD_MAX) + 1).read_to_end(buffer).map_err(failed("read", path))?;
        let still = is_still(file, &before).map_err(failed("read", path))?;
        if still && buffer.len() as u64 == before.len() {
            return Ok((before, known_as));
        }
    }
    Err(PackError::Changes { path: path.to_owned() })
}

/// Copies all of a file, and makes sure that it stays as it was `before`.
pub(crate) fn copy_steadily(
    path: &Path,
    file: &mut File,
    before: &Metadata,
    watcher: &impl Watcher,
    mut out: impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<(), PackError> {
    let midway = |error| PackError::Midway(Box::new(error));
    let refused = |error: io::Error| midway(failed("read", path)(error));
    let changes = || midway(PackError::Changes { path: path.to_owned() });
    let mut buffer = vec![0; BUFFER];
    let mut left = before.len();
    loop {
        let length = match file.read(&mut buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(refused(error)),
        };
        match (length, left) {
            (0, 0) if is_still(file, before).map_err(refused)? => return Ok(()),
            (0, _) => return Err(changes()),
            (length, left) if length as u64 > left => return Err(changes()),
            _ => {}
        }
        left -= length as u64;
        out(&buffer[..length]).map_err(gone)?;
        watcher.advance(length as u64);
    }
}

/// What content that is read from now on may be remembered under, if any: see [`is_settled`].
pub(crate) fn catalogued_as(metadata: &Metadata) -> Option<Fingerprint> {
    is_settled(metadata, SystemTime::now()).then(|| fingerprint(metadata))
}

fn head(path: Vec<u8>, kind: Kind, metadata: &Metadata) -> Head {
    let nanos = u32::try_from(metadata.mtime_nsec()).unwrap_or(0);
    Head { path, kind, mode: metadata.mode() & 0o7777, mtime: Mtime { seconds: metadata.mtime(), nanos } }
}

pub(crate) fn failed<E: Into<io::Error>>(doing: &'static str, path: &Path) -> impl FnOnce(E) -> PackError {
    let path = path.to_owned();
    move |error| {
        let error = error.into();
        // What nothing but a symlink, or a file in the place of a directory, is refused with.
        match Errno::from_io_error(&error) {
            Some(Errno::LOOP | Errno::NOTDIR) => PackError::Replaced { path },
            _ => PackError::File { doing, path, error },
        }
    }
}

/// The only way in which writing to the daemon fails.
fn gone(_: io::Error) -> PackError {
    PackError::Gone
}
