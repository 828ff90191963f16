//! A directory as an archive, written while it is read: parents first, names in byte order, so that equal trees give equal bytes.

use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use chordage_node::api::{Fingerprint, fingerprint, is_settled};
use chordage_node::archive::{ArchiveWriter, Head, Kind, Mtime};

use super::datadir;
use super::walk::{Item, Walk};

/// Bytes read at a time.
const BUFFER: usize = 256 * 1024;
/// Entries that are looked at ahead, in order to ask about all their files at once; about 500 bytes each.
const WINDOW: usize = 8192;

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
    /// It was written to while it was read.
    #[error("{path:?} changed while it was read: it had {announced} bytes and then {}", if *.grew { "more" } else { "fewer" })]
    Changed {
        /// The file.
        path: PathBuf,
        /// Bytes at the beginning.
        announced: u64,
        /// Whether it became longer rather than shorter.
        grew: bool,
    },
    /// The receiver is gone; it knows why.
    #[error("the connection to the daemon is gone")]
    Gone,
}

/// What happens on the way.
pub(crate) trait Watcher {
    /// So many bytes of content were read.
    fn advance(&self, bytes: u64);
    /// Something was left out.
    fn skipped(&self, path: &Path, what: &'static str);
}

/// Tells which files need not be read.
pub(crate) trait Memory {
    /// For each file whether its content is stored already. Fewer answers mean no for the rest.
    fn unchanged(&mut self, files: &[Fingerprint]) -> Vec<bool>;
}

/// Writes everything below `dir`, itself included, to `out`.
pub(crate) fn pack<W: Write>(
    dir: &Path,
    out: W,
    watcher: &impl Watcher,
    memory: &mut impl Memory,
) -> Result<(), PackError> {
    let mut archive = ArchiveWriter::new(out);
    let metadata = fs::metadata(dir).map_err(failed("read", dir))?;
    archive.begin(&head(Vec::new(), Kind::Dir, &metadata)).map_err(gone)?;

    let mut walk = Walk::below(dir)?;
    let mut buffer = vec![0; BUFFER];
    loop {
        let items = walk.by_ref().take(WINDOW).collect::<Result<Vec<Item>, PackError>>()?;
        if items.is_empty() {
            break;
        }
        let regular = items.iter().filter(|item| item.metadata.is_file());
        let files: Vec<Fingerprint> = regular.map(|item| fingerprint(&item.metadata)).collect();
        let unchanged = if files.is_empty() { Vec::new() } else { memory.unchanged(&files) };
        let mut answers = files.into_iter().zip(unchanged.into_iter().chain(std::iter::repeat(false)));
        for item in items {
            let answer = if item.metadata.is_file() { answers.next() } else { None };
            let known = answer.filter(|(_, unchanged)| *unchanged).map(|(fingerprint, _)| fingerprint);
            entry(item, known, &mut archive, &mut buffer, watcher)?;
        }
    }
    archive.finish().and_then(|mut out| out.flush()).map_err(gone)
}

/// Writes one entry; of a file that is known under a fingerprint only that.
fn entry<W: Write>(
    item: Item,
    known: Option<Fingerprint>,
    archive: &mut ArchiveWriter<W>,
    buffer: &mut [u8],
    watcher: &impl Watcher,
) -> Result<(), PackError> {
    let Item { path, inside, metadata, is_data_dir } = item;
    let kind = metadata.file_type();
    if is_data_dir {
        watcher.skipped(&path, datadir::LEFT_OUT);
    } else if kind.is_dir() {
        archive.begin(&head(inside, Kind::Dir, &metadata)).map_err(gone)?;
    } else if kind.is_symlink() {
        let target = fs::read_link(&path).map_err(failed("read", &path))?.into_os_string().into_vec();
        archive.begin(&head(inside, Kind::Symlink { target }, &metadata)).map_err(gone)?;
    } else if let Some(fingerprint) = known {
        archive.begin(&head(inside, Kind::Unchanged { fingerprint }, &metadata)).map_err(gone)?;
        watcher.advance(metadata.len());
    } else if kind.is_file() {
        file(&path, inside, archive, buffer, watcher)?;
    } else {
        let what = match () {
            () if kind.is_fifo() => "a named pipe",
            () if kind.is_socket() => "a socket",
            () => "a device",
        };
        watcher.skipped(&path, what);
    }
    Ok(())
}

/// Opens a regular file for reading, without waiting if it has become a pipe meanwhile.
pub(crate) fn open(path: &Path) -> Result<(File, Metadata), PackError> {
    let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    let file = File::options().read(true).custom_flags(flags).open(path).map_err(failed("open", path))?;
    let metadata = file.metadata().map_err(failed("read", path))?;
    Ok((file, metadata))
}

/// Copies exactly `size` bytes, and makes sure that there are no more.
pub(crate) fn copy_exactly(
    path: &Path,
    file: &mut File,
    size: u64,
    buffer: &mut [u8],
    watcher: &impl Watcher,
    mut out: impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<(), PackError> {
    let changed = |grew| PackError::Changed { path: path.to_owned(), announced: size, grew };
    let mut left = size;
    loop {
        let length = match file.read(buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(failed("read", path)(error)),
        };
        match (length, left) {
            (0, 0) => return Ok(()),
            (0, _) => return Err(changed(false)),
            (length, left) if length as u64 > left => return Err(changed(true)),
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

fn file<W: Write>(
    path: &Path,
    inside: Vec<u8>,
    archive: &mut ArchiveWriter<W>,
    buffer: &mut [u8],
    watcher: &impl Watcher,
) -> Result<(), PackError> {
    let (mut file, metadata) = open(path)?;
    if !metadata.is_file() {
        // It was one a moment ago.
        watcher.skipped(path, "no regular file any more");
        return Ok(());
    }
    let size = metadata.len();
    let known_as = catalogued_as(&metadata);
    let head = head(inside, Kind::File { size }, &metadata);
    archive.begin_catalogued(&head, known_as.as_ref()).map_err(gone)?;
    copy_exactly(path, &mut file, size, buffer, watcher, |bytes| archive.data(bytes))
}

fn head(path: Vec<u8>, kind: Kind, metadata: &Metadata) -> Head {
    let nanos = u32::try_from(metadata.mtime_nsec()).unwrap_or(0);
    Head { path, kind, mode: metadata.mode() & 0o7777, mtime: Mtime { seconds: metadata.mtime(), nanos } }
}

pub(crate) fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PackError {
    let path = path.to_owned();
    move |error| PackError::File { doing, path, error }
}

/// The only way in which writing to the daemon fails.
fn gone(_: io::Error) -> PackError {
    PackError::Gone
}
