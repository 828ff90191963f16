//! A directory as an archive, written while it is read: parents first, names in byte order, so that equal trees give equal bytes.

use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use chordage_node::archive::{ArchiveWriter, Head, Kind, Mtime};

/// Bytes read at a time.
const BUFFER: usize = 256 * 1024;

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

/// Bytes of content below `dir`, for a progress bar: what cannot be read is found when it is its turn.
pub(crate) fn measure(dir: &Path) -> u64 {
    let Ok(listing) = fs::read_dir(dir) else { return 0 };
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => measure(&entry.path()),
        Ok(metadata) if metadata.is_file() => metadata.len(),
        _ => 0,
    };
    listing.flatten().map(size).sum()
}

/// Writes everything below `dir`, itself included, to `out`.
pub(crate) fn pack<W: Write>(dir: &Path, out: W, watcher: &impl Watcher) -> Result<(), PackError> {
    let mut archive = ArchiveWriter::new(out);
    let metadata = fs::metadata(dir).map_err(failed("read", dir))?;
    archive.begin(&head(Vec::new(), Kind::Dir, &metadata)).map_err(gone)?;

    // A stack of listings rather than recursion: trees can be deeper than thread stacks.
    let mut stack = vec![(dir.to_owned(), Vec::new(), names(dir)?)];
    let mut buffer = vec![0; BUFFER];
    while let Some((parent, prefix, rest)) = stack.last_mut() {
        let Some(name) = rest.pop() else {
            stack.pop();
            continue;
        };
        let path = parent.join(&name);
        let mut inside = prefix.clone();
        if !inside.is_empty() {
            inside.push(b'/');
        }
        inside.extend_from_slice(name.as_bytes());

        let metadata = fs::symlink_metadata(&path).map_err(failed("read", &path))?;
        let kind = metadata.file_type();
        if kind.is_dir() {
            archive.begin(&head(inside.clone(), Kind::Dir, &metadata)).map_err(gone)?;
            let listing = names(&path)?;
            stack.push((path, inside, listing));
        } else if kind.is_symlink() {
            let target = fs::read_link(&path).map_err(failed("read", &path))?.into_os_string().into_vec();
            archive.begin(&head(inside, Kind::Symlink { target }, &metadata)).map_err(gone)?;
        } else if kind.is_file() {
            file(&path, inside, &mut archive, &mut buffer, watcher)?;
        } else {
            let what = match () {
                () if kind.is_fifo() => "a named pipe",
                () if kind.is_socket() => "a socket",
                () => "a device",
            };
            watcher.skipped(&path, what);
        }
    }
    archive.finish().and_then(|mut out| out.flush()).map_err(gone)
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
    archive.begin(&head(inside, Kind::File { size }, &metadata)).map_err(gone)?;
    copy_exactly(path, &mut file, size, buffer, watcher, |bytes| archive.data(bytes))
}

/// Names in a directory, the first of them at the end.
fn names(dir: &Path) -> Result<Vec<OsString>, PackError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed("read directory", dir))? {
        names.push(entry.map_err(failed("read directory", dir))?.file_name());
    }
    names.sort_unstable_by(|a, b| b.as_bytes().cmp(a.as_bytes()));
    Ok(names)
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
