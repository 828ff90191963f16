//! An archive with all that POSIX knows into an empty directory, or into one that has a part of it.
//!
//! Every name is opened relative to its directory and never through a symlink, and nothing that exists is overwritten:
//! see [`unpack`](super::unpack), which trusts an archive even less. Here the archive is the user's own backup, so it
//! may set owners, set-user-id bits and attributes, as far as the system lets the user do that. What cannot be restored
//! is counted and told, and the rest is restored; only a full or broken disk, or a damaged archive, ends it.

mod entry;
mod error;
mod metadata;
mod report;
mod target;
mod unfinished;

use std::io::{self, Read};
use std::path::Path;

use chordage_node::archive::{ArchiveReader, Detail, Head};
use rustix::fs::Mode;

use super::dirs::Dirs;
use metadata::Node;
use target::Target;

pub(crate) use error::{RestoreError, Trouble};
pub(crate) use report::{Missed, Restored};
pub(crate) use unfinished::UNFINISHED;
use unfinished::Unfinished;

/// Bytes written at a time.
const BUFFER: usize = 256 * 1024;

/// Restores into `dir`, which is made if it is absent and otherwise must be empty, or have a part of the same: `what`
/// says what is restored, and is kept there until all is. `progress` is told bytes of content.
pub(crate) fn restore<R: Read>(
    source: R,
    dir: &Path,
    what: &str,
    progress: &dyn Fn(u64),
) -> Result<Restored, RestoreError> {
    let Target { tree, unfinished, inherited } = target::prepare(dir, what)?;
    let source = io::BufReader::with_capacity(BUFFER, source);
    let mut archive = ArchiveReader::with_detail(source, Detail::Full);
    let mut restorer = Restorer {
        tree,
        unfinished,
        above: Vec::new(),
        has_root: false,
        closed: Vec::new(),
        buffer: vec![0; BUFFER],
        done: Restored::default(),
        progress,
    };
    let mut restored = restorer.all(&mut archive);
    // Also of what was restored before an error: it is all that there is.
    restorer.leave(Some(b""));
    restorer.close();
    if restored.is_ok() {
        restored = restorer
            .unfinished
            .finish()
            .map_err(|error| Trouble::file("remove", UNFINISHED.as_bytes(), error));
    }
    // Only now nothing changes its time any more.
    restorer.leave(None);
    if let Some(acl) = inherited.filter(|_| !restorer.has_root) {
        target::give_back(restorer.tree.root(), &acl);
    }
    match restored {
        Ok(()) => Ok(restorer.done),
        Err(why) => Err(RestoreError::Stopped { why, dir: dir.to_owned(), done: Box::new(restorer.done) }),
    }
}

struct Restorer<'a> {
    tree: Dirs,
    unfinished: Unfinished,
    /// The directories above the last entry, which get their metadata when all that is in them is there.
    above: Vec<Head>,
    /// The archive says what the directory itself is to be.
    has_root: bool,
    /// Modes of directories that cannot be entered with them.
    closed: Vec<(Vec<u8>, Mode)>,
    buffer: Vec<u8>,
    done: Restored,
    progress: &'a dyn Fn(u64),
}

impl Restorer<'_> {
    fn all<R: Read>(&mut self, archive: &mut ArchiveReader<R>) -> Result<(), Trouble> {
        while let Some(head) = archive.next_entry()? {
            self.leave(Some(&head.path));
            match self.entry(head, archive) {
                Ok(()) => {}
                Err(trouble) if trouble.is_fatal() => return Err(trouble),
                Err(trouble) => self.done.missed.failed(&trouble),
            }
        }
        Ok(())
    }

    /// Gives the directories that `next` does not lie in their metadata, the deepest first.
    fn leave(&mut self, next: Option<&[u8]>) {
        while let Some(head) = self.above.pop_if(|head| !next.is_some_and(|next| is_in(next, &head.path))) {
            let dir = match self.tree.dir(&head.path) {
                Ok(dir) => dir,
                Err(error) => {
                    self.done.missed.failed(&Trouble::file("enter", &head.path, error));
                    continue;
                }
            };
            // Others may still have to find something in it: what they are hard links to.
            let mode = Mode::from_raw_mode(head.mode);
            let later = !mode.contains(Mode::RUSR | Mode::XUSR);
            Node::open(dir).give(&head, later, &mut self.done.missed);
            if later {
                self.closed.push((head.path, mode));
            }
        }
    }

    /// Gives directories the modes with which they cannot be entered, as they were left: the deepest first.
    fn close(&mut self) {
        for (path, mode) in std::mem::take(&mut self.closed) {
            let set = self.tree.dir(&path).and_then(|dir| rustix::fs::fchmod(dir, mode));
            self.done.missed.modes += u64::from(set.is_err());
        }
    }
}

/// Whether a path lies in a directory.
fn is_in(path: &[u8], dir: &[u8]) -> bool {
    dir.is_empty() || path.strip_prefix(dir).is_some_and(|rest| rest.first() == Some(&b'/'))
}
