//! Everything in a directory, in the order in which it is packed: parents first, names in byte order.

use std::fs::{File, Metadata};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use chordage_node::archive::PATH_BYTES_MAX;
use rustix::fs::{Dir, Mode, OFlags};
use rustix::io::Errno;

use super::datadir::is_data_dir;
use super::dirs::{DIR_FLAGS, Dirs};
use super::named::Named;
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

/// Walks a tree. A stack of listings rather than recursion: trees can be deeper than thread stacks. An error is of one
/// entry only, and the walk can go on behind it.
pub(crate) struct Walk<'a> {
    root: PathBuf,
    selection: &'a Selection,
    /// What is wanted of the tree, if not all.
    named: Option<Named>,
    excluded: u64,
    dirs: Dirs,
    stack: Vec<Listing>,
}

struct Listing {
    inside: Vec<u8>,
    /// The next one is the last.
    names: Vec<Vec<u8>>,
    /// Not only what leads to something named.
    whole: bool,
    /// The file system that the directory lies in.
    device: u64,
}

impl<'a> Walk<'a> {
    /// Of what is selected below `dir`, itself left out.
    pub(crate) fn below(dir: &Path, selection: &'a Selection) -> Result<Self, PackError> {
        Walk::new(dir, selection, None)
    }

    /// Of what is selected of these paths and of the directories above them, seen from `/`; and what is wrong with the
    /// others.
    pub(crate) fn of_paths(
        paths: &[PathBuf],
        selection: &'a Selection,
    ) -> Result<(Self, Vec<PackError>), PackError> {
        let (named, refused) = Named::new(paths);
        Ok((Walk::new(Path::new("/"), selection, Some(named))?, refused))
    }

    fn new(dir: &Path, selection: &'a Selection, named: Option<Named>) -> Result<Self, PackError> {
        let dirs = Dirs::to_read(dir, true).map_err(failed("read directory", dir))?;
        let mut walk = Walk { root: dir.to_owned(), selection, named, excluded: 0, dirs, stack: Vec::new() };
        let whole = walk.named.as_ref().is_none_or(|named| named.has(b""));
        let device = rustix::fs::fstat(walk.dirs.root()).map_err(failed("read", dir))?.st_dev;
        walk.list(Vec::new(), whole, device).map_err(failed("read directory", dir))?;
        Ok(walk)
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
        while let Some((inside, whole)) = self.next_inside() {
            let path = shown(&self.root, &inside);
            // In an archive there is a slash behind the name of a directory.
            let fits = |slash: usize| match inside.len() + slash {
                ..=PATH_BYTES_MAX => Ok(()),
                bytes => Err(PackError::PathTooLong { path: path.clone(), bytes }),
            };
            fits(0)?;
            let entry = open_entry(&mut self.dirs, &inside).map_err(failed("read", &path))?;
            let metadata = File::from(entry).metadata().map_err(failed("read", &path))?;
            let wanted = if metadata.is_dir() { self.wanted(&inside, whole, true) } else { Some(whole) };
            let Some(whole) = wanted else {
                self.excluded += 1;
                continue;
            };
            if !whole && !metadata.is_dir() {
                return Err(PackError::Replaced { path });
            }
            let is_data_dir = metadata.is_dir() && is_data_dir(&path);
            let (stays_out, whole) = match self.is_of_another_file_system(&inside, &metadata) {
                // Something in there may be named all the same.
                true => (!self.leads_to_named(&inside), false),
                false => (false, whole),
            };
            if metadata.is_dir() && !is_data_dir && !stays_out {
                fits(1)?;
                let device = metadata.dev();
                self.list(inside.clone(), whole, device).map_err(failed("read directory", &path))?;
            }
            return Ok(Some(Item { path, inside, metadata, is_data_dir }));
        }
        Ok(None)
    }

    /// Whether an entry of the directory that is being listed belongs to another file system than that, which is not
    /// wanted. What is named is wanted wherever it is.
    fn is_of_another_file_system(&self, inside: &[u8], metadata: &Metadata) -> bool {
        let above = self.stack.last().filter(|above| above.whole && above.device != metadata.dev());
        let named = || self.named.as_ref().is_some_and(|named| named.has(inside));
        self.selection.one_file_system && above.is_some() && !named()
    }

    fn leads_to_named(&self, inside: &[u8]) -> bool {
        self.named.as_ref().is_some_and(|named| named.is_below(inside))
    }

    /// Goes into a directory next.
    fn list(&mut self, inside: Vec<u8>, whole: bool, device: u64) -> Result<(), Errno> {
        let mut names = match &self.named {
            Some(named) if !whole => named.names_below(&inside),
            _ => names(self.dirs.dir(&inside)?)?,
        };
        names.sort_unstable_by(|a, b| b.cmp(a));
        self.stack.push(Listing { inside, names, whole, device });
        Ok(())
    }

    /// Where the next entry is, of those that no pattern names whatever they are, and whether all below it is wanted.
    fn next_inside(&mut self) -> Option<(Vec<u8>, bool)> {
        loop {
            let Listing { inside, names, whole, .. } = self.stack.last_mut()?;
            let Some(name) = names.pop() else {
                self.stack.pop();
                continue;
            };
            let mut inside = inside.clone();
            if !inside.is_empty() {
                inside.push(b'/');
            }
            inside.extend_from_slice(&name);
            let whole = *whole;
            if let Some(whole) = self.wanted(&inside, whole, false) {
                return Some((inside, whole));
            }
            self.excluded += 1;
        }
    }

    /// Whether an entry is wanted with all that is below, or only in order to lead to what is named (`false`), or not
    /// at all. It stands in a directory that is wanted with all or not.
    fn wanted(&self, inside: &[u8], above: bool, is_dir: bool) -> Option<bool> {
        let named = self.named.as_ref();
        if named.is_some_and(|named| named.has(inside)) {
            return Some(true);
        }
        if above && !self.selection.leaves_out(inside, is_dir) {
            return Some(true);
        }
        self.leads_to_named(inside).then_some(false)
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

/// Names in a directory, in no order.
fn names(dir: &OwnedFd) -> Result<Vec<Vec<u8>>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::new(rustix::fs::openat(dir, ".", DIR_FLAGS, Mode::empty())?)? {
        let name = entry?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(name);
        }
    }
    Ok(names)
}

/// Bytes of content that are selected below `dir`, for a progress bar: what cannot be read is found when it is its
/// turn.
pub(crate) fn measure(dir: &Path, selection: &Selection) -> u64 {
    Walk::below(dir, selection).map_or(0, bytes)
}

/// The same of these paths.
pub(crate) fn measure_paths(paths: &[PathBuf], selection: &Selection) -> u64 {
    Walk::of_paths(paths, selection).map_or(0, |(walk, _)| bytes(walk))
}

fn bytes(walk: Walk<'_>) -> u64 {
    let items = walk.flatten().map(|item| item.metadata);
    items.filter(Metadata::is_file).map(|metadata| metadata.len()).sum()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn other_file_systems_stay_out_unless_something_in_them_is_named() {
        let device = |path: &str| std::fs::metadata(path).unwrap().dev();
        if device("/") == device("/proc") {
            return;
        }
        let patterns = ["/*", "!/proc"].map(str::to_owned);
        let mut selection = Selection::new(&patterns, &[], true).unwrap();
        let walked = |selection: &Selection, paths: &[&str]| -> Vec<PathBuf> {
            let paths: Vec<PathBuf> = paths.iter().map(PathBuf::from).collect();
            let (walk, refused) = Walk::of_paths(&paths, selection).unwrap();
            assert!(refused.is_empty());
            walk.take(4).map(|item| item.unwrap().path).collect()
        };
        assert_eq!(walked(&selection, &["/"]).len(), 4);
        selection.one_file_system = true;
        assert_eq!(walked(&selection, &["/"]), [Path::new("/proc")]);
        assert_eq!(
            walked(&selection, &["/", "/proc/version"]),
            [Path::new("/proc"), Path::new("/proc/version")]
        );
        assert_eq!(walked(&selection, &["/proc"]).len(), 4);
    }
}
