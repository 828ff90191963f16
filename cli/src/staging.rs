//! Where a get writes until everything is there: beside its place, under a name that nobody takes for the result, but
//! that the next get of the same thing to the same place finds.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;

use crate::error::{CliError, quoted, shell_word};
use crate::exit::ExitStatus;
use crate::unfinished::{Journal, WORTH_KEEPING, remove};

/// Longest part of the final name that goes into the temporary one; file systems allow 255 bytes.
const NAME_PART_MAX: usize = 180;

/// A temporary sibling of `target`. Dropping it removes what is there, unless it is worth going on with.
#[derive(Debug)]
pub(crate) struct Staging {
    path: PathBuf,
    target: PathBuf,
    force: bool,
    /// `None` when another get of the same is under way.
    journal: Option<Journal>,
    journal_path: PathBuf,
    owns_journal: bool,
    /// Bytes that the journal knows to be there.
    noted: Arc<AtomicU64>,
}

impl Staging {
    /// For what `id` stands for: where an earlier attempt to get it has left something, this is where. Fails early when
    /// the target is in the way.
    pub(crate) fn beside(target: &Path, force: bool, id: u64) -> Result<Self, CliError> {
        let Some(name) = target.file_name() else {
            return Err(CliError::new(
                ExitStatus::Usage,
                "bad_output",
                format!("{} cannot be the name of an output", quoted(target)),
            )
            .hint("name a file or directory that does not exist yet: -o NAME"));
        };
        check_target(target, force)?;
        let parent = match target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        if let Err(error) = fs::read_dir(parent).map(drop)
            && error.kind() == io::ErrorKind::NotFound
        {
            return Err(CliError::file("write into", parent, &error)
                .state("nothing was fetched")
                .hint(format!("mkdir -p {}", shell_word(parent))));
        }
        let mut part = OsString::from(".");
        let bytes = name.as_bytes();
        part.push(OsStr::from_bytes(&bytes[..bytes.len().min(NAME_PART_MAX)]));
        let named = |id: u64, kind: &str| {
            let mut name = part.clone();
            name.push(format!(".chordage-{id:016x}.{kind}"));
            parent.join(name)
        };
        let journal_path = named(id, "journal");
        let journal = Journal::open(&journal_path)
            .map_err(|error| CliError::file("create", &journal_path, &error).state("nothing was fetched"))?;
        let path = named(if journal.is_some() { id } else { random() }, "part");
        let noted = journal.as_ref().map(Journal::noted).unwrap_or_default();
        let owns_journal = journal.is_some();
        Ok(Staging { path, target: target.to_owned(), force, journal, journal_path, owns_journal, noted })
    }

    /// The journal of what is written. Only once; without it nothing is gone on with.
    pub(crate) fn take_journal(&mut self) -> Option<Journal> {
        self.journal.take()
    }

    /// Bytes that the next attempt finds, if this one fails now.
    pub(crate) fn kept_bytes(&self) -> Option<u64> {
        Some(self.noted.load(Ordering::Relaxed)).filter(|bytes| *bytes >= WORTH_KEEPING)
    }

    /// Where to write.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Moves the result to its place in one step. `single` is a name inside the temporary directory when only that is the
    /// result.
    pub(crate) fn publish(self, single: Option<&OsStr>) -> Result<(), CliError> {
        let source = match single {
            Some(name) => self.path.join(name),
            None => self.path.clone(),
        };
        check_target(&self.target, self.force)?;
        let outcome = if self.force { replace(&source, &self.target) } else { place(&source, &self.target) };
        outcome.map_err(|error| match error {
            Errno::EXIST | Errno::NOTEMPTY => exists(&self.target),
            error => CliError::file("write", &self.target, &error.into()),
        })?;
        // What is left has no further use.
        self.noted.store(0, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if self.kept_bytes().is_some() {
            return;
        }
        let _ = remove(&self.path);
        // Somebody else's journal stays.
        if self.owns_journal {
            let _ = remove(&self.journal_path);
        }
    }
}

fn check_target(target: &Path, force: bool) -> Result<(), CliError> {
    match fs::symlink_metadata(target) {
        Ok(_) if !force => Err(exists(target)),
        // What else is in a directory is nobody's to delete.
        Ok(metadata) if metadata.is_dir() => {
            match fs::read_dir(target).map(|mut entries| entries.next().is_none()) {
                Ok(true) => Ok(()),
                _ => Err(CliError::new(
                    ExitStatus::LocalFile,
                    "exists",
                    format!("{} is a directory that is not empty", quoted(target)),
                )
                .state("it was not touched; --force replaces files and empty directories only")
                .hint("choose another name with -o, or remove it yourself")),
            }
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(CliError::file("look at", target, &error)),
    }
}

fn exists(target: &Path) -> CliError {
    CliError::new(ExitStatus::LocalFile, "exists", format!("{} exists already", quoted(target)))
        .state("it was not touched")
        .hint("choose another name with -o, or replace it with --force")
}

/// Renames to a name that is free.
fn place(source: &Path, target: &Path) -> Result<(), Errno> {
    match rustix::fs::renameat_with(CWD, source, CWD, target, RenameFlags::NOREPLACE) {
        // File systems without this look first; somebody may be quicker in between.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            if fs::symlink_metadata(target).is_ok() {
                return Err(Errno::EXIST);
            }
            rustix::fs::rename(source, target)
        }
        other => other,
    }
}

/// Renames over a file or an empty directory.
fn replace(source: &Path, target: &Path) -> Result<(), Errno> {
    match rustix::fs::rename(source, target) {
        // A file takes the place of a directory, or the other way round.
        Err(Errno::ISDIR) => {
            rustix::fs::rmdir(target)?;
            rustix::fs::rename(source, target)
        }
        Err(Errno::NOTDIR) => {
            rustix::fs::unlink(target)?;
            rustix::fs::rename(source, target)
        }
        other => other,
    }
}

/// Enough to tell two gets apart that run at the same time.
fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::hash::RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn nothing_stays_behind_unless_it_is_published() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("out");
        let staging = Staging::beside(&target, false, 7).unwrap();
        fs::create_dir(staging.path()).unwrap();
        fs::write(staging.path().join("half"), b"x").unwrap();
        drop(staging);
        assert!(names(dir.path()).is_empty());

        let staging = Staging::beside(&target, false, 7).unwrap();
        fs::write(staging.path(), b"").unwrap();
        staging.publish(None).unwrap();
        assert_eq!(names(dir.path()), ["out"]);
    }

    #[test]
    fn what_is_worth_it_stays_for_the_next_and_only_one_at_a_time_may_write_there() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("out");
        let mut first = Staging::beside(&target, false, 7).unwrap();
        let mut journal = first.take_journal().unwrap();
        let mut other = Staging::beside(&target, false, 7).unwrap();
        assert!(other.take_journal().is_none() && other.path() != first.path());
        drop(other);
        journal.note(b"", WORTH_KEEPING, &blake3::hash(b""));
        drop(journal);
        fs::write(first.path(), b"much").unwrap();
        let part = first.path().to_owned();
        drop(first);
        assert_eq!(names(dir.path()).len(), 2, "the part and its journal");

        let again = Staging::beside(&target, false, 7).unwrap();
        assert_eq!(again.path(), part);
        again.publish(None).unwrap();
        assert_eq!(names(dir.path()), ["out"]);
    }

    #[test]
    fn what_exists_is_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("out");
        let late = Staging::beside(&target, false, 7).unwrap();
        fs::write(late.path(), b"").unwrap();
        fs::write(&target, b"precious").unwrap();
        assert_eq!(Staging::beside(&target, false, 7).unwrap_err().code, "exists");
        assert_eq!(late.publish(None).unwrap_err().code, "exists", "it appeared meanwhile");
        assert_eq!(fs::read(&target).unwrap(), b"precious");
        assert_eq!(names(dir.path()), ["out"]);
    }

    #[test]
    fn force_replaces_files_and_empty_directories_only() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("out");
        let publish_file = || {
            let staging = Staging::beside(&target, true, 7)?;
            fs::write(staging.path(), b"new").unwrap();
            staging.publish(None)
        };
        let publish_dir = || {
            let staging = Staging::beside(&target, true, 7)?;
            fs::create_dir(staging.path()).unwrap();
            staging.publish(None)
        };
        fs::write(&target, b"old").unwrap();
        publish_file().unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"new");
        publish_dir().unwrap();
        assert!(target.is_dir());
        publish_dir().unwrap();
        publish_file().unwrap();
        publish_dir().unwrap();
        fs::write(target.join("precious"), b"").unwrap();
        assert_eq!(publish_file().unwrap_err().code, "exists");
        assert_eq!(publish_dir().unwrap_err().code, "exists");
        assert!(target.join("precious").exists());
    }
}
