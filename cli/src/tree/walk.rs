//! Everything in a directory, in the order in which it is packed: parents first, names in byte order.

use std::fs::{File, Metadata};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use chordage_node::archive::PATH_BYTES_MAX;
use rustix::fs::{Dir, Mode, OFlags};
use rustix::io::Errno;

use super::datadir::is_data_dir;
use super::dirs::Dirs;
use super::pack::{PackError, failed};
use super::selection::Selection;

/// One thing in a tree.
pub(crate) struct Item {
    /// Where it is, for messages.
    pub(crate) path: PathBuf,
    /// The same, seen from the tree's root.
    pub(crate) inside: Vec<u8>,
    /// What the system says of it; of a symlink itself.
    pub(crate) metadata: Metadata,
    /// It is a daemon's, and what is in it does not follow.
    pub(crate) is_data_dir: bool,
}

/// Walks a tree. A stack of listings rather than recursion: trees can be deeper than thread stacks. An error is of one entry
/// only, and the walk can go on behind it.
pub(crate) struct Walk<'a> {
    root: PathBuf,
    selection: &'a Selection,
    excluded: u64,
    dirs: Dirs,
    stack: Vec<Listing>,
}

struct Listing {
    inside: Vec<u8>,
    /// The next one is the last.
    names: Vec<Vec<u8>>,
}

impl<'a> Walk<'a> {
    /// Of what is selected below `dir`, itself left out.
    pub(crate) fn below(dir: &Path, selection: &'a Selection) -> Result<Self, PackError> {
        let dirs = Dirs::below(dir, true).map_err(failed("read directory", dir))?;
        let names = names(dirs.root()).map_err(failed("read directory", dir))?;
        let stack = vec![Listing { inside: Vec::new(), names }];
        Ok(Walk { root: dir.to_owned(), selection, excluded: 0, dirs, stack })
    }

    /// The tree, for whoever reads what is listed.
    pub(crate) fn dirs(&self) -> &Dirs {
        &self.dirs
    }

    /// Entries that patterns have left out so far.
    pub(crate) fn excluded(&self) -> u64 {
        self.excluded
    }

    fn step(&mut self) -> Result<Option<Item>, PackError> {
        while let Some(inside) = self.next_inside() {
            let path = shown(&self.root, &inside);
            // In an archive there is a slash behind the name of a directory.
            let fits = |slash: usize| match inside.len() + slash {
                ..=PATH_BYTES_MAX => Ok(()),
                bytes => Err(PackError::PathTooLong { path: path.clone(), bytes }),
            };
            fits(0)?;
            let entry = open_entry(&mut self.dirs, &inside).map_err(failed("read", &path))?;
            let metadata = File::from(entry).metadata().map_err(failed("read", &path))?;
            if metadata.is_dir() && self.selection.leaves_out(&inside, true) {
                self.excluded += 1;
                continue;
            }
            let is_data_dir = metadata.is_dir() && is_data_dir(&path);
            if metadata.is_dir() && !is_data_dir {
                fits(1)?;
                let names =
                    self.dirs.dir(&inside).and_then(names).map_err(failed("read directory", &path))?;
                self.stack.push(Listing { inside: inside.clone(), names });
            }
            return Ok(Some(Item { path, inside, metadata, is_data_dir }));
        }
        Ok(None)
    }

    /// Where the next entry is, of those that no pattern names whatever they are.
    fn next_inside(&mut self) -> Option<Vec<u8>> {
        loop {
            let Listing { inside, names } = self.stack.last_mut()?;
            let Some(name) = names.pop() else {
                self.stack.pop();
                continue;
            };
            let mut inside = inside.clone();
            if !inside.is_empty() {
                inside.push(b'/');
            }
            inside.extend_from_slice(&name);
            if !self.selection.leaves_out(&inside, false) {
                return Some(inside);
            }
            self.excluded += 1;
        }
    }
}

impl Iterator for Walk<'_> {
    type Item = Result<Item, PackError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step().transpose()
    }
}

/// Where the entry at `inside` is, for messages: nothing is opened by it.
fn shown(root: &Path, inside: &[u8]) -> PathBuf {
    root.join(std::ffi::OsStr::from_bytes(inside))
}

/// The entry itself, whatever it is, without access to its content.
pub(crate) fn open_entry(dirs: &mut Dirs, inside: &[u8]) -> Result<OwnedFd, Errno> {
    let (parent, name) = dirs.place(inside)?;
    rustix::fs::openat(parent, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

/// Names in a directory, the first of them at the end.
fn names(dir: &OwnedFd) -> Result<Vec<Vec<u8>>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        let name = entry?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(name);
        }
    }
    names.sort_unstable_by(|a, b| b.cmp(a));
    Ok(names)
}

/// Bytes of content that are selected below `dir`, for a progress bar: what cannot be read is found when it is its turn.
pub(crate) fn measure(dir: &Path, selection: &Selection) -> u64 {
    let Ok(walk) = Walk::below(dir, selection) else { return 0 };
    let items = walk.flatten().map(|item| item.metadata);
    items.filter(Metadata::is_file).map(|metadata| metadata.len()).sum()
}
