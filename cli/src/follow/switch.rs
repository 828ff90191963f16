//! Takes a directory from one version to the next, when everything for it has been fetched.
//!
//! Every name is opened relative to its directory and never through a symlink, and what was not brought is never
//! overwritten: what has changed since it was looked at is found out by exchanging it, and is put back under another
//! name.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;

use chordage_api::hex;
use chordage_node::archive::Quoted;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::listing::{Entry, Kind, Listing};
use super::local::hash_of;
use super::plan::{Over, Plan, Step, Why};
use super::record::{FileRecord, Metadata, Record, Stamp};
use super::stage::{Stage, give, key, times};
use crate::rename::to_free_name;
use crate::tree::dirs::{DIR_FLAGS, Dirs, parent_and_name};

/// The longest name that file systems allow.
const NAME_BYTES_MAX: usize = 255;
/// Names that are tried for what is kept aside.
const NAMES_MAX: u32 = 1000;
/// What a symbolic link is called until it is at its place.
const NEW_LINK: &[u8] = b"new-link";

/// Why a switch ended before its end.
#[derive(Debug, thiserror::Error)]
#[error("cannot switch {}: {error}", Quoted(.path))]
pub(crate) struct SwitchError {
    /// Where.
    pub(crate) path: Vec<u8>,
    /// What the system said.
    pub(crate) error: io::Error,
}

/// A change here that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Conflict {
    /// Where.
    pub(crate) path: Vec<u8>,
    /// In what way.
    pub(crate) why: Why,
    /// Where what was there lies now, if it is elsewhere.
    pub(crate) kept_as: Option<Vec<u8>>,
}

/// What was done.
#[derive(Debug, Default)]
pub(crate) struct Done {
    /// What has been brought now.
    pub(crate) records: BTreeMap<Vec<u8>, Record>,
    /// What was removed.
    pub(crate) removed: Vec<Vec<u8>>,
    /// What was changed here.
    pub(crate) conflicts: Vec<Conflict>,
}

/// A switch under way.
pub(crate) struct Switch<'a> {
    tree: Dirs,
    own: File,
    listing: &'a Listing,
    stage: &'a Stage,
    /// Behind the name of what is kept aside.
    mark: String,
    /// What was done until now.
    pub(crate) done: Done,
}

impl<'a> Switch<'a> {
    /// In the directory `dir`, whose own directory is `own`.
    pub(crate) fn new(
        dir: &Path,
        own: &Path,
        listing: &'a Listing,
        stage: &'a Stage,
        mark: String,
    ) -> Result<Self, SwitchError> {
        let failed = |error| SwitchError { path: Vec::new(), error };
        let tree = Dirs::below(dir, true).map_err(|error| failed(error.into()))?;
        let own = rustix::fs::open(own, DIR_FLAGS, Mode::empty()).map_err(|error| failed(error.into()))?;
        Ok(Switch { tree, own: File::from(own), listing, stage, mark, done: Done::default() })
    }

    /// Does what is planned.
    pub(crate) fn run(&mut self, plan: &Plan) -> Result<(), SwitchError> {
        self.done.records = plan.kept.clone();
        for step in &plan.steps {
            self.step(step).map_err(|error| SwitchError { path: self.path_of(step).to_vec(), error })?;
        }
        self.finish_dirs()
    }

    fn path_of<'b>(&'b self, step: &'b Step) -> &'b [u8] {
        match step {
            Step::Left(path, _) | Step::Remove(path, _) | Step::RemoveDir(path) => path,
            Step::MakeDir(at, ..) | Step::Place(at, ..) | Step::Link(at, ..) | Step::Touch(at, _) => {
                &self.listing.entries[*at].path
            }
        }
    }

    fn step(&mut self, step: &Step) -> io::Result<()> {
        let listing = self.listing;
        match step {
            Step::Left(path, why) => self.conflict(path, *why, None),
            Step::Remove(path, stamp) => {
                if self.remove(path, stamp)? {
                    self.done.removed.push(path.clone());
                }
            }
            Step::RemoveDir(path) => self.remove_dir(path)?,
            Step::MakeDir(at, over, why) => self.make_dir(&listing.entries[*at], *over, *why)?,
            Step::Place(at, over, why) => self.place(&listing.entries[*at], *over, *why)?,
            Step::Link(at, over, why) => self.link(&listing.entries[*at], *over, *why)?,
            Step::Touch(at, record) => self.touch(&listing.entries[*at], record)?,
        }
        Ok(())
    }

    fn conflict(&mut self, path: &[u8], why: Why, kept_as: Option<Vec<u8>>) {
        self.done.conflicts.push(Conflict { path: path.to_vec(), why, kept_as });
    }

    /// Removes what was brought, unless it was changed a moment ago. Whether it did.
    fn remove(&mut self, path: &[u8], stamp: &Stamp) -> io::Result<bool> {
        let (parent, name) = self.tree.place(path)?;
        let taken = (0..NAMES_MAX).find_map(|number| {
            let gone = format!("gone-{number}").into_bytes();
            match to_free_name(parent, name, &self.own, &gone[..]) {
                Err(Errno::EXIST) => None,
                moved => Some(moved.map(|()| gone)),
            }
        });
        match taken.unwrap_or(Err(Errno::EXIST)) {
            Ok(gone) => self.settle(&gone, path, stamp, Why::ChangedHere),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes what was taken away from `path` if it is what `stamp` is of; otherwise it is put aside. Whether it was
    /// removed.
    fn settle(&mut self, taken: &[u8], path: &[u8], stamp: &Stamp, why: Why) -> io::Result<bool> {
        let now = rustix::fs::statat(&self.own, taken, AtFlags::SYMLINK_NOFOLLOW)?;
        if Stamp::of(&now).is_but_renamed(stamp) {
            rustix::fs::unlinkat(&self.own, taken, AtFlags::empty())?;
            return Ok(true);
        }
        let (parent, name) = self.tree.place(path)?;
        let kept = free_name(name, &self.mark, |kept| to_free_name(&self.own, taken, parent, kept))?;
        self.conflict(path, why, Some(beside(path, &kept)));
        Ok(false)
    }

    fn remove_dir(&mut self, path: &[u8]) -> io::Result<()> {
        let removed = self
            .tree
            .place(path)
            .and_then(|(parent, name)| rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR));
        self.tree = self.tree.again()?;
        match removed {
            Ok(()) => Ok(()),
            // What else is in it was not brought.
            Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives what lies at `path` another name.
    fn put_aside(&mut self, path: &[u8], why: Why) -> io::Result<()> {
        let (parent, name) = self.tree.place(path)?;
        let kept = free_name(name, &self.mark, |kept| to_free_name(parent, name, parent, kept))?;
        // It may have been a directory that is held open.
        self.tree = self.tree.again()?;
        self.conflict(path, why, Some(beside(path, &kept)));
        Ok(())
    }

    fn make_dir(&mut self, entry: &Entry, over: Over, why: Why) -> io::Result<()> {
        if let Over::Brought(stamp) = over {
            self.remove(&entry.path, &stamp)?;
        }
        loop {
            let (parent, name) = self.tree.place(&entry.path)?;
            match rustix::fs::mkdirat(parent, name, Mode::RWXU) {
                Ok(()) => break,
                Err(Errno::EXIST) if is_dir(&mut self.tree, &entry.path)? => return Ok(()),
                Err(Errno::EXIST) => self.put_aside(&entry.path, why)?,
                Err(error) => return Err(error.into()),
            }
        }
        self.done.records.insert(entry.path.clone(), Record::Dir);
        Ok(())
    }

    fn place(&mut self, entry: &Entry, over: Over, why: Why) -> io::Result<()> {
        let Kind::File { content, size, .. } = &entry.kind else { return Ok(()) };
        let key = key(entry);
        let staged = format!("part-{key}").into_bytes();
        let hash = self.stage.hash(&key).cloned().ok_or(io::ErrorKind::NotFound)?;
        let mut adopted = false;
        if over == Over::Other && self.has(&entry.path, *size, &hash)? {
            // It is the same already; whoever put it there may have it.
            rustix::fs::unlinkat(&self.own, &staged[..], AtFlags::empty())?;
            adopted = why == Why::InTheWay;
        } else {
            self.bring(&staged, &entry.path, over, why)?;
        }
        let (parent, name) = self.tree.place(&entry.path)?;
        let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let metadata = entry.metadata.unwrap_or(Metadata { mode: 0, mtime: (0, 0) });
        let (content, stamp) = (content.clone(), Stamp::of(&stat));
        let record = FileRecord { content, hash, metadata, stamp, sure: false, adopted };
        self.done.records.insert(entry.path.clone(), Record::File(record));
        Ok(())
    }

    /// Whether a file has this content.
    fn has(&mut self, path: &[u8], size: u64, hash: &str) -> io::Result<bool> {
        let (parent, name) = self.tree.place(path)?;
        match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => {
                if Stamp::of(&stat).size != size {
                    return Ok(false);
                }
                match self.tree.open_to_read(path) {
                    Ok(mut file) => Ok(hash_of(&mut file)? == hash),
                    // What cannot be read is kept aside.
                    Err(_) => Ok(false),
                }
            }
            _ => Ok(false),
        }
    }

    /// Brings something from the own directory to its place.
    fn bring(&mut self, staged: &[u8], path: &[u8], over: Over, why: Why) -> io::Result<()> {
        if let Over::Brought(stamp) = over {
            let (parent, name) = self.tree.place(path)?;
            match rustix::fs::renameat_with(&self.own, staged, parent, name, RenameFlags::EXCHANGE) {
                Ok(()) => return self.settle(staged, path, &stamp, why).map(drop),
                // It was removed a moment ago.
                Err(Errno::NOENT) => {}
                // File systems without this: somebody may write to it in between.
                Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => drop(self.remove(path, &stamp)?),
                Err(error) => return Err(error.into()),
            }
        }
        for _ in 0..NAMES_MAX {
            let (parent, name) = self.tree.place(path)?;
            match to_free_name(&self.own, staged, parent, name) {
                Err(Errno::EXIST) => self.put_aside(path, why)?,
                moved => return Ok(moved?),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    fn link(&mut self, entry: &Entry, over: Over, why: Why) -> io::Result<()> {
        let Kind::Symlink(target) = &entry.kind else { return Ok(()) };
        if over == Over::Other {
            let (parent, name) = self.tree.place(&entry.path)?;
            let there = rustix::fs::readlinkat(parent, name, Vec::new());
            // It is the same already, and not ours.
            if there.is_ok_and(|there| there.as_bytes() == target) {
                return Ok(());
            }
        }
        match rustix::fs::unlinkat(&self.own, NEW_LINK, AtFlags::empty()) {
            Err(error) if error != Errno::NOENT => return Err(error.into()),
            _ => {}
        }
        rustix::fs::symlinkat(&target[..], &self.own, NEW_LINK)?;
        if let Some(metadata) = entry.metadata {
            rustix::fs::utimensat(&self.own, NEW_LINK, &times(metadata), AtFlags::SYMLINK_NOFOLLOW)?;
        }
        self.bring(NEW_LINK, &entry.path, over, why)?;
        self.done.records.insert(entry.path.clone(), Record::Symlink { target: hex(target) });
        Ok(())
    }

    fn touch(&mut self, entry: &Entry, record: &FileRecord) -> io::Result<()> {
        let Some(metadata) = entry.metadata else { return Ok(()) };
        let file = self.tree.open_to_read(&entry.path)?;
        give(&file, Some(metadata))?;
        let stamp = Stamp::of(&rustix::fs::fstat(&file)?);
        // If it was written to since it was looked at, the stamp of then shows that, and the content is looked at
        // again.
        let stamp = Stamp { size: record.stamp.size, ..stamp };
        let record = FileRecord { metadata, stamp, sure: false, ..record.clone() };
        self.done.records.insert(entry.path.clone(), Record::File(record));
        Ok(())
    }

    /// Modes and times of the directories that were made, the deepest first: what happens in them changes their times.
    fn finish_dirs(&mut self) -> Result<(), SwitchError> {
        for entry in self.listing.entries.iter().rev() {
            let Some(metadata) = entry.metadata else { continue };
            if self.done.records.get(&entry.path) != Some(&Record::Dir) {
                continue;
            }
            let finish = |dir: &mut Dirs| {
                let dir = dir.dir(&entry.path)?;
                rustix::fs::fchmod(dir, Mode::from_raw_mode(metadata.mode))?;
                rustix::fs::futimens(dir, &times(metadata))
            };
            finish(&mut self.tree)
                .map_err(|error| SwitchError { path: entry.path.clone(), error: error.into() })?;
        }
        Ok(())
    }
}

fn is_dir(tree: &mut Dirs, path: &[u8]) -> io::Result<bool> {
    let (parent, name) = tree.place(path)?;
    match rustix::fs::openat(parent, name, DIR_FLAGS | OFlags::PATH, Mode::empty()) {
        Ok(_) => Ok(true),
        Err(Errno::NOTDIR | Errno::LOOP | Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Tries names for what is kept aside, until `rename` takes one.
fn free_name(
    name: &[u8],
    mark: &str,
    mut rename: impl FnMut(&[u8]) -> Result<(), Errno>,
) -> io::Result<Vec<u8>> {
    for number in 1..NAMES_MAX {
        let end = if number == 1 { format!(".local-{mark}") } else { format!(".local-{mark}-{number}") };
        let begin = &name[..name.len().min(NAME_BYTES_MAX.saturating_sub(end.len()))];
        let kept = [begin, end.as_bytes()].concat();
        match rename(&kept) {
            Ok(()) => return Ok(kept),
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// The path of `name` in the directory in which `path` lies.
fn beside(path: &[u8], name: &[u8]) -> Vec<u8> {
    match parent_and_name(path) {
        (b"", _) => name.to_vec(),
        (parent, _) => [parent, b"/", name].concat(),
    }
}

#[cfg(test)]
mod tests;
