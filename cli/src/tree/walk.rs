//! Everything in a directory, in the order in which it is packed: parents first, names in byte order.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::datadir::is_data_dir;
use super::pack::{PackError, failed};

/// One thing in a tree.
pub(crate) struct Item {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// The same, seen from the tree's root.
    pub(crate) inside: Vec<u8>,
    /// What the system says of it; of a symlink itself.
    pub(crate) metadata: Metadata,
    /// It is a daemon's, and what is in it does not follow.
    pub(crate) is_data_dir: bool,
}

/// Walks a tree. A stack of listings rather than recursion: trees can be deeper than thread stacks.
pub(crate) struct Walk {
    stack: Vec<Listing>,
}

struct Listing {
    dir: PathBuf,
    inside: Vec<u8>,
    /// The next one is the last.
    names: Vec<OsString>,
}

impl Walk {
    /// Of what is below `dir`, itself left out.
    pub(crate) fn below(dir: &Path) -> Result<Self, PackError> {
        Ok(Walk { stack: vec![Listing { dir: dir.to_owned(), inside: Vec::new(), names: names(dir)? }] })
    }

    fn step(&mut self) -> Result<Option<Item>, PackError> {
        let (path, inside) = loop {
            let Some(Listing { dir, inside, names }) = self.stack.last_mut() else { return Ok(None) };
            match names.pop() {
                Some(name) => {
                    let mut inside = inside.clone();
                    if !inside.is_empty() {
                        inside.push(b'/');
                    }
                    inside.extend_from_slice(name.as_bytes());
                    break (dir.join(name), inside);
                }
                None => drop(self.stack.pop()),
            }
        };
        let metadata = fs::symlink_metadata(&path).map_err(failed("read", &path))?;
        let is_data_dir = metadata.is_dir() && is_data_dir(&path);
        if metadata.is_dir() && !is_data_dir {
            let names = names(&path)?;
            self.stack.push(Listing { dir: path.clone(), inside: inside.clone(), names });
        }
        Ok(Some(Item { path, inside, metadata, is_data_dir }))
    }
}

impl Iterator for Walk {
    type Item = Result<Item, PackError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step().transpose()
    }
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

/// Bytes of content below `dir`, for a progress bar: what cannot be read is found when it is its turn.
pub(crate) fn measure(dir: &Path) -> u64 {
    let Ok(listing) = fs::read_dir(dir) else { return 0 };
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() && is_data_dir(&entry.path()) => 0,
        Ok(metadata) if metadata.is_dir() => measure(&entry.path()),
        Ok(metadata) if metadata.is_file() => metadata.len(),
        _ => 0,
    };
    listing.flatten().map(size).sum()
}
