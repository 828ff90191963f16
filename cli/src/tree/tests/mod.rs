//! Trees with all that POSIX knows, packed and restored.

mod awkward;
mod changing;
mod hostile;
mod inventory;
mod limited;
mod paths;
mod stored;
mod unfinished;
mod whole;

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};

use chordage_api::Fingerprint;
use chordage_node::archive::{ArchiveReader, Detail, Head};

use super::pack::{Flaw, Memory, PackError, Packed, Watcher, pack_paths};
use super::selection::Selection;

/// What a watcher was told.
#[derive(Default)]
struct Notes {
    bytes: Cell<u64>,
    skipped: RefCell<Vec<(PathBuf, &'static str)>>,
    unreadable: RefCell<Vec<(PathBuf, String)>>,
    flawed: RefCell<Vec<(PathBuf, String)>>,
    excluded: Cell<u64>,
}

impl Watcher for Notes {
    fn advance(&self, bytes: u64) {
        self.bytes.set(self.bytes.get() + bytes);
    }

    fn skipped(&self, path: &Path, what: &'static str) {
        self.skipped.borrow_mut().push((path.to_owned(), what));
    }

    fn unreadable(&self, path: &Path, error: &PackError) {
        self.unreadable.borrow_mut().push((path.to_owned(), error.to_string()));
    }

    fn excluded(&self, entries: u64) {
        self.excluded.set(entries);
    }

    fn flawed(&self, path: &Path, flaw: &Flaw) {
        self.flawed.borrow_mut().push((path.to_owned(), flaw.to_string()));
    }
}

/// Knows no file.
struct Newcomer;

impl Memory for Newcomer {
    fn unchanged(&mut self, _files: &[Fingerprint]) -> Result<Vec<bool>, PackError> {
        Ok(Vec::new())
    }
}

fn all() -> Selection {
    Selection::new(&[], &[], false).unwrap()
}

/// Packs these paths with full detail.
fn packed(paths: &[&Path], notes: &Notes) -> (Vec<u8>, Packed) {
    let paths: Vec<PathBuf> = paths.iter().map(|path| path.to_path_buf()).collect();
    let mut archive = Vec::new();
    let packed = pack_paths(&paths, &all(), Detail::Full, &mut archive, notes, &mut Newcomer).unwrap();
    (archive, packed)
}

/// All heads of an archive.
fn heads(archive: &[u8]) -> Vec<Head> {
    let mut reader = ArchiveReader::with_detail(archive, Detail::Full);
    std::iter::from_fn(|| reader.next_entry().unwrap()).collect()
}

/// The paths in an archive that lie in a directory, seen from there.
fn paths_below(archive: &[u8], dir: &Path) -> Vec<String> {
    use std::os::unix::ffi::OsStrExt;
    let dir = std::fs::canonicalize(dir).unwrap();
    let prefix = [&dir.as_os_str().as_bytes()[1..], b"/"].concat();
    let heads = heads(archive);
    let below = heads.iter().filter_map(|head| head.path.strip_prefix(&prefix[..]));
    below.map(|path| String::from_utf8_lossy(path).into_owned()).collect()
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
