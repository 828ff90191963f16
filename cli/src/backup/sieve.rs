//! Takes out of the archive of a snapshot what is wanted, and notes what is in it.
//!
//! The daemon sends the whole snapshot or all below a path, and patterns are matched here. Directories above something
//! that is wanted are needed too. Of several names of one file the first carries the content; if it is not wanted and a
//! later one is, the content is put by until that comes.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use chordage_api::types::{VolumeEntry, VolumeEntryKind};
use chordage_node::archive::{ArchiveReader, ArchiveWriter, Detail, Head, Kind, ReadError, SparseMap};

use super::entry::path_of;
use super::patterns::Patterns;
use super::verification::Notes;

/// Bytes moved at a time.
const BUFFER: usize = 256 * 1024;

/// What of a snapshot is wanted.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// Only what these name and what is below; if there are none, everything.
    pub(crate) include: Patterns,
    /// Not what these name, nor what is below.
    pub(crate) exclude: Patterns,
    /// Where in the snapshot the archive begins. Patterns are seen from the root of the snapshot.
    pub(crate) below: Vec<u8>,
}

impl Wanted {
    /// Whether everything is.
    pub(crate) fn is_all(&self) -> bool {
        self.include.is_empty() && self.exclude.is_empty()
    }

    fn has(&self, path: &[u8], is_dir: bool) -> bool {
        let whole = match (&self.below[..], path) {
            (b"", path) | (path, b"") => path.to_vec(),
            (below, path) => [below, path].join(&b'/'),
        };
        (self.include.is_empty() || self.include.take(&whole, is_dir)) && !self.exclude.take(&whole, is_dir)
    }
}

/// Files with several names of which the first is not wanted and another one is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Orphans {
    /// Link groups that were met, and whether their first name is wanted.
    seen: BTreeMap<u64, bool>,
    groups: BTreeSet<u64>,
}

impl Orphans {
    /// Notes an entry of the listing of what the archive will have, in its order, with paths from the root of the
    /// snapshot.
    pub(crate) fn note(&mut self, entry: &VolumeEntry, wanted: &Wanted) {
        let Some(group) = entry.link_group else { return };
        let whole = Wanted { below: Vec::new(), ..wanted.clone() };
        let has = whole.has(&path_of(entry), entry.kind == VolumeEntryKind::Directory);
        if !*self.seen.entry(group).or_insert(has) && has {
            self.groups.insert(group);
        }
    }
}

/// Why nothing more comes out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SieveError {
    /// What comes in is damaged or ends early.
    #[error(transparent)]
    Archive(#[from] ReadError),
    /// Nobody takes what comes out; whoever did knows why.
    #[error("what was to be restored is not taken any more")]
    Gone,
    /// There is no place for what has to be put by.
    #[error("cannot write a temporary file in {place:?}: {error}")]
    PutBy {
        /// The directory.
        place: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

/// The content of a file whose first name is not wanted.
struct Content {
    size: u64,
    sparse: Option<SparseMap>,
    state: State,
}

enum State {
    /// In a temporary file.
    PutBy(File),
    /// Given to the first name that is wanted.
    At(Vec<u8>),
}

/// One archive in, one out.
pub(crate) struct Sieve<'a, W: Write> {
    wanted: &'a Wanted,
    orphans: &'a Orphans,
    out: ArchiveWriter<W>,
    /// What is to be looked at again when all is restored.
    notes: Option<&'a mut Notes>,
    /// Where temporary files lie.
    place: &'a Path,
    /// Directories above the last entry that nothing was wanted of so far.
    waiting: Vec<Head>,
    contents: BTreeMap<u64, Content>,
    buffer: Vec<u8>,
}

impl<'a, W: Write> Sieve<'a, W> {
    /// Lets through what is wanted.
    pub(crate) fn new(
        wanted: &'a Wanted,
        orphans: &'a Orphans,
        out: W,
        notes: Option<&'a mut Notes>,
        place: &'a Path,
    ) -> Self {
        let (waiting, contents, buffer) = (Vec::new(), BTreeMap::new(), vec![0; BUFFER]);
        Sieve { wanted, orphans, out: ArchiveWriter::new(out), notes, place, waiting, contents, buffer }
    }

    /// Moves everything.
    pub(crate) fn run(mut self, source: impl Read) -> Result<(), SieveError> {
        let mut archive = ArchiveReader::with_detail(source, Detail::Full);
        while let Some(head) = archive.next_entry()? {
            self.waiting.retain(|dir| is_in(&head.path, &dir.path));
            let is_dir = head.kind == Kind::Dir;
            match self.wanted.has(&head.path, is_dir) {
                true => {
                    self.lead_to_it()?;
                    self.entry(head, &mut archive)?;
                }
                false if is_dir => self.waiting.push(head),
                false => self.left_out(head, &mut archive)?,
            }
        }
        let mut out = self.out.finish().map_err(gone)?;
        out.flush().map_err(gone)
    }

    /// Writes the directories that something wanted is in.
    fn lead_to_it(&mut self) -> Result<(), SieveError> {
        for dir in std::mem::take(&mut self.waiting) {
            self.out.begin(&dir).map_err(gone)?;
        }
        Ok(())
    }

    fn entry(&mut self, mut head: Head, archive: &mut ArchiveReader<impl Read>) -> Result<(), SieveError> {
        let group = head.full.as_ref().and_then(|full| full.link_group);
        match (&mut head.kind, group.and_then(|group| self.contents.get_mut(&group))) {
            (Kind::HardLink { target }, Some(Content { state: State::At(path), .. })) => {
                target.clone_from(path);
                self.out.begin(&head).map_err(gone)
            }
            (Kind::HardLink { .. }, Some(content)) => {
                let state = std::mem::replace(&mut content.state, State::At(head.path.clone()));
                let State::PutBy(mut file) = state else { return Ok(()) };
                head.kind = Kind::File { size: content.size };
                if let Some(full) = &mut head.full {
                    full.sparse = content.sparse.clone();
                }
                self.begin_file(&head)?;
                self.copy(|buffer| file.read(buffer).map_err(SieveError::put_by(self.place)))
            }
            (Kind::File { .. }, _) => {
                self.begin_file(&head)?;
                self.copy(|buffer| Ok(archive.read(buffer)?))
            }
            _ => self.out.begin(&head).map_err(gone),
        }
    }

    fn begin_file(&mut self, head: &Head) -> Result<(), SieveError> {
        self.out.begin(head).map_err(gone)?;
        match &mut self.notes {
            Some(notes) => notes.begin(head).map_err(SieveError::put_by(self.place)),
            None => Ok(()),
        }
    }

    /// Moves the content of a file that has begun.
    fn copy(
        &mut self,
        mut read: impl FnMut(&mut [u8]) -> Result<usize, SieveError>,
    ) -> Result<(), SieveError> {
        loop {
            let length = read(&mut self.buffer)?;
            let bytes = &self.buffer[..length];
            if bytes.is_empty() {
                break;
            }
            self.out.data(bytes).map_err(gone)?;
            if let Some(notes) = &mut self.notes {
                notes.content(bytes);
            }
        }
        match &mut self.notes {
            Some(notes) => notes.end().map_err(SieveError::put_by(self.place)),
            None => Ok(()),
        }
    }

    /// Puts the content by of an entry that is not wanted, if it will be.
    fn left_out(&mut self, head: Head, archive: &mut ArchiveReader<impl Read>) -> Result<(), SieveError> {
        let Some(full) = head.full else { return Ok(()) };
        let group = full.link_group.filter(|group| self.orphans.groups.contains(group));
        let (Kind::File { size }, Some(group)) = (head.kind, group) else { return Ok(()) };
        let put_by = || SieveError::put_by(self.place);
        let mut file = tempfile::tempfile_in(self.place).map_err(put_by())?;
        loop {
            let length = archive.read(&mut self.buffer)?;
            if length == 0 {
                break;
            }
            file.write_all(&self.buffer[..length]).map_err(put_by())?;
        }
        file.rewind().map_err(put_by())?;
        self.contents.insert(group, Content { size, sparse: full.sparse, state: State::PutBy(file) });
        Ok(())
    }
}

impl SieveError {
    fn put_by(place: &Path) -> impl FnOnce(io::Error) -> Self {
        let place = place.to_owned();
        move |error| SieveError::PutBy { place, error }
    }
}

/// The only way in which writing fails.
fn gone(_: io::Error) -> SieveError {
    SieveError::Gone
}

/// Whether a path lies in a directory.
fn is_in(path: &[u8], dir: &[u8]) -> bool {
    dir.is_empty() || path.strip_prefix(dir).is_some_and(|rest| rest.first() == Some(&b'/'))
}
