//! Where a get writes until everything is there: beside its place, under a name that nobody takes for the result.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;

use crate::error::{CliError, quoted, shell_word};
use crate::exit::ExitStatus;

/// Longest part of the final name that goes into the temporary one; file systems allow 255 bytes.
const NAME_PART_MAX: usize = 180;

/// A temporary sibling of `target`. Dropping it removes what is there.
#[derive(Debug)]
pub(crate) struct Staging {
    path: PathBuf,
    target: PathBuf,
    force: bool,
}

impl Staging {
    /// Reserves nothing yet; fails early when the target is in the way.
    pub(crate) fn beside(target: &Path, force: bool) -> Result<Self, CliError> {
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
        part.push(format!(".chordage-{:016x}.part", random()));
        Ok(Staging { path: parent.join(part), target: target.to_owned(), force })
    }

    /// Where to write.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Creates the temporary file.
    pub(crate) fn create_file(&self) -> Result<fs::File, CliError> {
        // With the user's own default mode: an object that is a bare file carries none.
        fs::File::create_new(&self.path).map_err(|error| CliError::file("create", &self.path, &error))
    }

    /// Creates the temporary directory, which nobody else can enter while it fills.
    pub(crate) fn create_dir(&self) -> Result<(), CliError> {
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&self.path)
            .map_err(|error| CliError::file("create", &self.path, &error))
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
        })
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // Whichever it is; after publishing, neither.
        if fs::remove_file(&self.path).is_err() {
            let _ = fs::remove_dir_all(&self.path);
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
        let staging = Staging::beside(&target, false).unwrap();
        staging.create_dir().unwrap();
        fs::write(staging.path().join("half"), b"x").unwrap();
        drop(staging);
        assert!(names(dir.path()).is_empty());

        let staging = Staging::beside(&target, false).unwrap();
        staging.create_file().unwrap();
        staging.publish(None).unwrap();
        assert_eq!(names(dir.path()), ["out"]);
    }

    #[test]
    fn what_exists_is_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("out");
        let late = Staging::beside(&target, false).unwrap();
        late.create_file().unwrap();
        fs::write(&target, b"precious").unwrap();
        assert_eq!(Staging::beside(&target, false).unwrap_err().code, "exists");
        assert_eq!(late.publish(None).unwrap_err().code, "exists", "it appeared meanwhile");
        assert_eq!(fs::read(&target).unwrap(), b"precious");
        assert_eq!(names(dir.path()), ["out"]);
    }

    #[test]
    fn force_replaces_files_and_empty_directories_only() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("out");
        let publish_file = || {
            let staging = Staging::beside(&target, true)?;
            fs::write(staging.path(), b"new").unwrap();
            staging.publish(None)
        };
        let publish_dir = || {
            let staging = Staging::beside(&target, true)?;
            staging.create_dir()?;
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
