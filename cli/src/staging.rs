//! Where a get writes until everything is there: beside its place, under a name that nobody takes for the result, but
//! that the next get of the same thing to the same place finds.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{Mode, OFlags};

use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::human;
use crate::name::quoted;
use crate::target::Target;
use crate::unfinished::{Journal, WORTH_KEEPING, remove};

/// Longest final name that is a part of the temporary one; file systems allow 255 bytes.
const NAME_PART_MAX: usize = 180;

/// A temporary sibling of its target. Dropping it removes what is there, unless it is worth going on with.
#[derive(Debug)]
pub(crate) struct Staging {
    path: PathBuf,
    target: Target,
    /// `None` when it is elsewhere, or when there cannot be one.
    journal: Option<Journal>,
    journal_path: PathBuf,
    owns_journal: bool,
    /// Bytes that the journal knows to be there.
    noted: Arc<AtomicU64>,
}

impl Staging {
    /// For what `id` stands for: where an earlier attempt to get it has left something, this is where. Refused while
    /// another get writes to the same target.
    pub(crate) fn beside(target: Target, id: u64) -> Result<Self, CliError> {
        let prefix = prefix(target.name());
        let named = |id: u64, kind: &str| {
            let mut name = prefix.clone();
            name.push(format!("{id:016x}.{kind}"));
            target.parent().join(name)
        };
        let journal_path = named(id, "journal");
        let journal = Journal::open(&journal_path).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => busy(&target),
            _ => CliError::file("create", &journal_path, &error).state("nothing was fetched"),
        })?;
        let owns_journal = journal.is_some();
        let path = named(if owns_journal { id } else { random() }, "part");
        let noted = journal.as_ref().map(Journal::noted).unwrap_or_default();
        let staging = Staging { path, target, journal, journal_path, owns_journal, noted };
        // Whoever held the journal until now may have made it.
        staging.target.check()?;
        if staging.other_is_writing(&prefix) {
            return Err(busy(&staging.target));
        }
        Ok(staging)
    }

    /// Whether somebody gets something else to the same target: then its journal is locked.
    fn other_is_writing(&self, prefix: &OsStr) -> bool {
        let Ok(entries) = fs::read_dir(self.target.parent()) else { return false };
        let names = entries.filter_map(|entry| entry.ok().map(|entry| entry.file_name()));
        names
            .filter(|name| Some(name.as_os_str()) != self.journal_path.file_name())
            .filter(|name| is_journal(name.as_bytes(), prefix.as_bytes()))
            .any(|name| {
                let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
                let path = self.target.parent().join(name);
                let file = File::options().read(true).custom_flags(flags).open(path);
                file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(fs::TryLockError::WouldBlock)))
            })
    }

    /// What the result is to be.
    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// The journal of what is written. Only once; without it nothing is gone on with.
    pub(crate) fn take_journal(&mut self) -> Option<Journal> {
        self.journal.take()
    }

    /// Bytes that the next attempt finds, if this one fails now.
    fn kept_bytes(&self) -> Option<u64> {
        Some(self.noted.load(Ordering::Relaxed)).filter(|bytes| *bytes >= WORTH_KEEPING)
    }

    /// Adds to an error that ends the get what stays behind, and what it is good for.
    pub(crate) fn tell_kept(&self, error: CliError) -> CliError {
        let Some(bytes) = self.kept_bytes() else { return error };
        let when = if error.code == "exists" { "once nothing is in its way, " } else { "" };
        let kept = format!(
            "{} of it are kept in {}; {when}the same command goes on from there",
            human::bytes(bytes),
            quoted(&self.path)
        );
        let state = if error.state.is_empty() { kept } else { format!("{}; {kept}", error.state) };
        error.state(state)
    }

    /// Where to write.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Moves the result to its place in one step. `single` is a name inside the temporary directory when only that is
    /// the result.
    pub(crate) fn publish(&mut self, single: Option<&OsStr>) -> Result<(), CliError> {
        let source = match single {
            Some(name) => self.path.join(name),
            None => self.path.clone(),
        };
        let bare = fs::symlink_metadata(&self.path).is_ok_and(|data| data.is_file());
        let opened = bare.then(|| File::open(&self.path)).transpose();
        let opened = opened.map_err(|error| CliError::file("open", &self.path, &error))?;
        self.target.take(&source)?;
        // What is left has no further use.
        self.noted.store(0, Ordering::Relaxed);
        if let Some(file) = opened {
            // An object that is a bare file carries no mode: it gets that of any new file, now that it is whole. Only
            // file systems without modes refuse this, and there it has the mode of all others.
            let _ = file.set_permissions(fs::Permissions::from_mode(0o666 & !umask()));
        }
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

fn busy(target: &Target) -> CliError {
    let message = format!("another get is writing to {} already", quoted(target.path()));
    CliError::new(ExitStatus::LocalFile, "being_written", message)
        .state("nothing was fetched")
        .hint("wait until it is done, or choose another name with -o")
}

/// How the temporary names of this target begin, and of no other in its directory.
fn prefix(name: &OsStr) -> OsString {
    let mut prefix = OsString::from(".");
    if name.len() <= NAME_PART_MAX {
        prefix.push(name);
    } else {
        prefix.push(blake3::hash(name.as_bytes()).to_hex().as_str());
    }
    prefix.push(".chordage-");
    prefix
}

fn is_journal(name: &[u8], prefix: &[u8]) -> bool {
    let id = name.strip_prefix(prefix).and_then(|rest| rest.strip_suffix(b".journal"));
    id.is_some_and(|id| id.len() == 16)
}

/// The bits that new files do not get. The system tells them only to whoever sets them; nobody else makes files now.
fn umask() -> u32 {
    let mask = rustix::process::umask(Mode::RWXG | Mode::RWXO);
    rustix::process::umask(mask);
    mask.bits()
}

/// Enough to tell two gets apart that run at the same time.
fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::hash::RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unfinished::Blocks;

    fn beside(target: &Path, force: bool, id: u64) -> Result<Staging, CliError> {
        Staging::beside(Target::find(target, force)?, id)
    }

    fn names(dir: &Path) -> Vec<String> {
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn nothing_stays_behind_unless_it_is_published() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("out");
        let staging = beside(&target, false, 7).unwrap();
        fs::create_dir(staging.path()).unwrap();
        fs::write(staging.path().join("half"), b"x").unwrap();
        drop(staging);
        assert!(names(dir.path()).is_empty());

        let mut staging = beside(&target, false, 7).unwrap();
        fs::write(staging.path(), b"").unwrap();
        staging.publish(None).unwrap();
        drop(staging);
        assert_eq!(names(dir.path()), ["out"]);
    }

    #[test]
    fn what_is_worth_it_stays_for_the_next_and_only_one_at_a_time_may_write_there() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("out");
        let mut first = beside(&target, false, 7).unwrap();
        let journal = first.take_journal();
        let (mut blocks, _) = Blocks::open(first.path(), journal).unwrap();
        for id in [7, 8] {
            assert_eq!(beside(&target, false, id).unwrap_err().code, "being_written", "{id}");
        }
        assert_eq!(names(dir.path()).len(), 2, "those of the first");
        blocks.write(&vec![0; WORTH_KEEPING as usize]).unwrap();
        drop(blocks);
        let part = first.path().to_owned();
        drop(first);
        assert_eq!(names(dir.path()).len(), 2, "the part and its journal");

        // Before it is looked at again, it is there to be kept.
        let again = beside(&target, false, 7).unwrap();
        let told = again.tell_kept(CliError::interrupted("it was stopped"));
        assert!(
            told.state.contains("it was stopped; ") && told.state.contains(part.to_str().unwrap()),
            "{told:?}"
        );
        drop(again);
        let mut again = beside(&target, false, 7).unwrap();
        assert_eq!(again.path(), part);
        again.publish(None).unwrap();
        drop(again);
        assert_eq!(names(dir.path()), ["out"]);
    }

    #[test]
    fn what_exists_is_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("out");
        let mut late = beside(&target, false, 7).unwrap();
        fs::write(late.path(), b"").unwrap();
        fs::write(&target, b"precious").unwrap();
        assert_eq!(beside(&target, false, 7).unwrap_err().code, "exists");
        assert_eq!(late.publish(None).unwrap_err().code, "exists", "it appeared meanwhile");
        drop(late);
        assert_eq!(fs::read(&target).unwrap(), b"precious");
        assert_eq!(names(dir.path()), ["out"]);
    }

    #[test]
    fn force_replaces_files_and_empty_directories_only() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("out");
        let publish_file = || {
            let mut staging = beside(&target, true, 7)?;
            fs::write(staging.path(), b"new").unwrap();
            staging.publish(None)
        };
        let publish_dir = || {
            let mut staging = beside(&target, true, 7)?;
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
