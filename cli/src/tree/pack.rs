//! Trees as an archive, written while they are read: parents first, names in byte order, so that equal trees give equal
//! bytes.

mod content;
mod entry;
mod error;
mod full;

use std::collections::VecDeque;
use std::fs::{self, Metadata};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use chordage_api::{Fingerprint, fingerprint};
use chordage_node::archive::{Detail, SparseMap};

use super::dirs::Dirs;
use super::extents;
use super::selection::Selection;
use super::walk::{Item, Walk};
use entry::Packer;

pub(crate) use content::{catalogued_as, copy_steadily, open};
pub(crate) use error::{PackError, failed};

/// Entries that are looked at ahead, in order to ask about all their files at once; about 500 bytes each.
const WINDOW: usize = 8192;
/// Files up to this size are held in memory until it is certain that they are of one state. Of larger ones the
/// beginning is sent before the end is read.
const HELD_MAX: u64 = 4 << 20;

/// What happens on the way.
pub(crate) trait Watcher {
    /// So many bytes of content were read, or passed over because they are holes or stored already.
    fn advance(&self, bytes: u64);
    /// Something was left out.
    fn skipped(&self, path: &Path, what: &'static str);
    /// Something was left out because it cannot be read.
    fn unreadable(&self, path: &Path, error: &PackError);
    /// So many entries were left out because the user says so.
    fn excluded(&self, entries: u64);
    /// Something was packed, and yet is not all that it was.
    fn flawed(&self, _path: &Path, _flaw: &Flaw) {}
}

/// Why what was packed is not all that it was. Only with [`Detail::Full`].
#[derive(Debug, thiserror::Error)]
pub(crate) enum Flaw {
    /// It was written to whenever it was read, so that its content may be of several states.
    #[error("it was written to whenever it was read, and its content may be of several states")]
    Changed,
    /// Some or all of its extended attributes are missing.
    #[error("it is without some of its extended attributes, which cannot be read: {0}")]
    Attributes(io::Error),
}

/// Tells which files need not be read.
pub(crate) trait Memory {
    /// For each file whether its content is stored already. Fewer answers mean no for the rest. Whoever does not
    /// answer at all is gone.
    fn unchanged(&mut self, files: &[Fingerprint]) -> Result<Vec<bool>, PackError>;
}

/// What was packed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Packed {
    /// Regular files, each once however many names it has.
    pub(crate) files: u64,
    /// Bytes in them, without holes.
    pub(crate) bytes: u64,
    /// Those of the files that were not read, because they are stored already.
    pub(crate) unchanged: u64,
    /// Those of the files that have holes.
    pub(crate) sparse: u64,
    /// Directories.
    pub(crate) dirs: u64,
    /// Symbolic links.
    pub(crate) symlinks: u64,
    /// Further names of what has one in the archive.
    pub(crate) hard_links: u64,
    /// Devices.
    pub(crate) devices: u64,
    /// Named pipes.
    pub(crate) fifos: u64,
}

/// What a file is stored as already.
struct Known {
    fingerprint: Fingerprint,
    map: Option<SparseMap>,
}

/// Writes what is selected below `dir`, and itself, to `out`.
pub(crate) fn pack<W: Write>(
    dir: &Path,
    selection: &Selection,
    out: W,
    watcher: &impl Watcher,
    memory: &mut impl Memory,
) -> Result<(), PackError> {
    let walk = Walk::below(dir, selection)?;
    pack_walk(walk, dir, selection, Detail::Basic, out, watcher, memory).map(drop)
}

/// Writes what is selected of these paths to `out`, each under its absolute path without the first slash, with the
/// directories above them. Symlinks above a path are resolved; one that is named itself is packed as a symlink, unless
/// there is a slash behind it. What is named is packed whatever patterns say, which are for what is below. They see
/// everything from the root of the file system.
///
/// With [`Detail::Full`] what cannot be read is always left out, and told.
pub(crate) fn pack_paths<W: Write>(
    paths: &[PathBuf],
    selection: &Selection,
    detail: Detail,
    out: W,
    watcher: &impl Watcher,
    memory: &mut impl Memory,
) -> Result<Packed, PackError> {
    let (walk, refused) = Walk::of_paths(paths, selection)?;
    for error in refused {
        left_out(error, selection, detail, watcher)?;
    }
    pack_walk(walk, Path::new("/"), selection, detail, out, watcher, memory)
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
    let dirs = Dirs::to_read(parent, true).map_err(failed("read directory", parent))?;
    let metadata = fs::symlink_metadata(path).map_err(failed("read", path))?;
    let known = fingerprint(&metadata);
    let known = (memory.unchanged(&[known])? == [true]).then_some(Known { fingerprint: known, map: None });
    let mut packer = Packer::new(dirs, Detail::Basic, out, watcher);
    packer.entry(Item { path: path.to_owned(), inside, metadata, is_data_dir: false }, known)?;
    packer.finish().map(drop)
}

/// Writes all of a walk that starts at `root`, and the root itself.
fn pack_walk<W: Write>(
    mut walk: Walk<'_>,
    root: &Path,
    selection: &Selection,
    detail: Detail,
    out: W,
    watcher: &impl Watcher,
    memory: &mut impl Memory,
) -> Result<Packed, PackError> {
    let again = || walk.dirs().again().map_err(failed("read directory", root));
    let mut packer = Packer::new(again()?, detail, out, watcher);
    let mut dirs = again()?;
    packer.root(root)?;
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
                Err(error) => left_out(error, selection, detail, watcher)?,
            }
        }
        if ended {
            break;
        }
        let mut known = ask(&items, &mut dirs, detail, memory)?;
        for item in items {
            let known = if item.metadata.is_file() { known.pop_front().flatten() } else { None };
            if let Err(error) = packer.entry(item, known) {
                left_out(error, selection, detail, watcher)?;
            }
        }
    }
    watcher.excluded(walk.excluded());
    packer.finish()
}

/// For each of the files among these what it is stored as already.
fn ask(
    items: &[Item],
    dirs: &mut Dirs,
    detail: Detail,
    memory: &mut impl Memory,
) -> Result<VecDeque<Option<Known>>, PackError> {
    let files = items.iter().filter(|item| item.metadata.is_file());
    let files: Vec<Known> = files.map(|item| stored_as(item, dirs, detail)).collect();
    if files.is_empty() {
        return Ok(VecDeque::new());
    }
    let fingerprints: Vec<Fingerprint> = files.iter().map(|file| file.fingerprint).collect();
    let answers = memory.unchanged(&fingerprints)?.into_iter().chain(std::iter::repeat(false));
    Ok(files.into_iter().zip(answers).map(|(file, unchanged)| unchanged.then_some(file)).collect())
}

/// What a file is stored as, if it is.
fn stored_as(item: &Item, dirs: &mut Dirs, detail: Detail) -> Known {
    let of_file = fingerprint(&item.metadata);
    let mut map = None;
    if detail == Detail::Full && extents::may_have_holes(&item.metadata) {
        // Whatever is wrong with it shows when it is read.
        let file = dirs.open_to_read(&item.inside).ok();
        map = file.and_then(|file| extents::map(&file, &item.metadata).ok().flatten());
    }
    let fingerprint = map.as_ref().map_or(of_file, |map| map.fingerprint(&of_file));
    Known { fingerprint, map }
}

/// Leaves out what cannot be read, if that is wanted and nothing of it was sent.
fn left_out(
    error: PackError,
    selection: &Selection,
    detail: Detail,
    watcher: &impl Watcher,
) -> Result<(), PackError> {
    match error.path().map(Path::to_owned) {
        Some(path) if selection.skip_unreadable || detail == Detail::Full => {
            watcher.unreadable(&path, &error);
            Ok(())
        }
        _ => Err(error),
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
