//! The place that a get writes to: what may be replaced there, and what cannot work is found out before it costs
//! anything.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, CWD};
use rustix::io::Errno;

use crate::error::{CliError, shell_word};
use crate::exit::ExitStatus;
use crate::human;
use crate::name::quoted;
use crate::rename;

const NOTHING_FETCHED: &str = "nothing was fetched";

/// A name in a directory that exists and may be written to.
#[derive(Debug)]
pub(crate) struct Target {
    path: PathBuf,
    force: bool,
    /// It was given with a slash at the end, which only a directory's name may have.
    directory: bool,
}

impl Target {
    /// Fails when something is in the way there, or nothing can be made there.
    pub(crate) fn find(given: &Path, force: bool) -> Result<Self, CliError> {
        let Some(name) = given.file_name() else {
            return Err(CliError::new(
                ExitStatus::Usage,
                "bad_output",
                format!("{} cannot be the name of an output", quoted(given)),
            )
            .hint("name a file or directory that does not exist yet: -o NAME"));
        };
        let bytes = given.as_os_str().as_encoded_bytes();
        let directory = bytes.ends_with(b"/") || bytes.ends_with(b"/.");
        // Without that slash: behind it, a symbolic link would stand for what it points to.
        let path = given.with_file_name(name);
        let target = Target { path, force, directory };
        target.check()?;
        let parent = target.parent();
        let refused = |error| CliError::file("write into", parent, &error).state(NOTHING_FETCHED);
        match fs::metadata(parent) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => return Err(refused(Errno::NOTDIR.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(refused(error).hint(format!("mkdir -p {}", shell_word(parent))));
            }
            Err(error) => return Err(refused(error)),
        }
        rustix::fs::access(parent, Access::WRITE_OK | Access::EXEC_OK).map_err(|error| {
            refused(error.into())
                .hint("name a place where you may write: -o PATH, or `-o -` for standard output")
        })?;
        Ok(target)
    }

    /// Where the result will be.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Its name in its directory.
    pub(crate) fn name(&self) -> &OsStr {
        self.path.file_name().unwrap_or_default()
    }

    /// The directory it is in.
    pub(crate) fn parent(&self) -> &Path {
        match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        }
    }

    /// Fails when the place is a directory's by its name, since what comes is a file.
    pub(crate) fn check_takes_a_file(&self) -> Result<(), CliError> {
        if !self.directory {
            return Ok(());
        }
        let message = format!(
            "what the link stands for is a file, and {} a directory's name",
            quoted(&self.path.join(""))
        );
        Err(CliError::new(ExitStatus::LocalFile, "not_a_directory", message)
            .state(NOTHING_FETCHED)
            .hint(format!("leave the slash away: -o {}", shell_word(&self.path))))
    }

    /// Fails when the file system has less room than `bytes`.
    pub(crate) fn check_room(&self, bytes: u64) -> Result<(), CliError> {
        let Ok(disk) = rustix::fs::statvfs(self.parent()) else { return Ok(()) };
        let blocks = if rustix::process::geteuid().is_root() { disk.f_bfree } else { disk.f_bavail };
        let free = blocks.saturating_mul(disk.f_frsize);
        // One that cannot tell says that it has no blocks at all.
        if disk.f_blocks == 0 || bytes <= free {
            return Ok(());
        }
        let message = format!(
            "{} has {} of room, and {} are to come",
            quoted(self.parent()),
            human::bytes(free),
            human::bytes(bytes)
        );
        Err(CliError::new(ExitStatus::LocalFile, "disk_full", message)
            .state(NOTHING_FETCHED)
            .hint("free some space, or name a place on another disk with -o"))
    }

    /// Fails when something is in the way that may not be replaced.
    pub(crate) fn check(&self) -> Result<(), CliError> {
        let target = &self.path;
        let metadata = match fs::symlink_metadata(target) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(CliError::file("look at", target, &error).state(NOTHING_FETCHED)),
        };
        // A link to a device, such as /dev/stdout, is as good as the device to those who write to it.
        let meant = fs::metadata(target).unwrap_or_else(|_| metadata.clone());
        let kind = meant.file_type();
        let special = match () {
            () if kind.is_fifo() => Some("a named pipe"),
            () if kind.is_socket() => Some("a socket"),
            () if kind.is_block_device() || kind.is_char_device() => Some("a device"),
            () if leads_to_the_system(target) => Some("a link to what the system keeps open"),
            () => None,
        };
        if let Some(what) = special {
            let message = format!("{} is {what}, which a file cannot take the place of", quoted(target));
            return Err(CliError::new(ExitStatus::LocalFile, "not_a_file", message)
                .state("it was not touched, and nothing was fetched")
                .hint(format!("to write into it: -o - > {}", shell_word(target))));
        }
        if !self.force {
            return Err(self.exists());
        }
        // What else is in a directory is nobody's to delete.
        let empty = || fs::read_dir(target).map(|mut entries| entries.next().is_none());
        if metadata.is_dir() && !empty().unwrap_or(false) {
            let message = format!("{} is a directory that is not empty", quoted(target));
            return Err(CliError::new(ExitStatus::LocalFile, "exists", message)
                .state("it was not touched; --force replaces files and empty directories only")
                .hint("choose another name with -o, or remove it yourself"));
        }
        Ok(())
    }

    /// Gives `source`, which lies beside it, its name.
    pub(crate) fn take(&self, source: &Path) -> Result<(), CliError> {
        self.check()?;
        let taken = if self.force {
            replace(source, &self.path)
        } else {
            rename::to_free_name(CWD, source, CWD, &self.path)
        };
        taken.map_err(|error| match error {
            Errno::EXIST | Errno::NOTEMPTY => self.exists(),
            error => CliError::file("write", &self.path, &error.into()),
        })
    }

    fn exists(&self) -> CliError {
        CliError::new(ExitStatus::LocalFile, "exists", format!("{} exists already", quoted(&self.path)))
            .state("it was not touched")
            .hint("choose another name with -o, or replace it with --force")
    }
}

/// Whether it is a link such as /dev/stdout, that the system needs and that often leads to a plain file.
fn leads_to_the_system(target: &Path) -> bool {
    fs::read_link(target).is_ok_and(|to| to.starts_with("/proc") || to.starts_with("/dev"))
}

/// Renames over a file, a symbolic link (not what it points to) or an empty directory.
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn force_replaces_a_link_and_not_what_it_points_to() {
        let dir = tempfile::tempdir().unwrap();
        let [source, link, victim] = ["source", "link", "victim"].map(|name| dir.path().join(name));
        for to in [&victim, &dir.path().join("nowhere")] {
            fs::write(&source, b"new").unwrap();
            fs::write(&victim, b"mine").unwrap();
            symlink(to, &link).unwrap();
            assert_eq!(Target::find(&link, false).unwrap_err().code, "exists");
            Target::find(&link, true).unwrap().take(&source).unwrap();
            assert_eq!(
                (fs::read(&link).unwrap(), fs::read(&victim).unwrap()),
                (b"new".into(), b"mine".into())
            );
            fs::remove_file(&link).unwrap();
        }
        // Also when it is given with a slash, and a directory comes.
        let inside = dir.path().join("inside");
        fs::create_dir(&inside).unwrap();
        symlink(&inside, &link).unwrap();
        fs::create_dir(source.with_extension("d")).unwrap();
        Target::find(&dir.path().join("link/"), true).unwrap().take(&source.with_extension("d")).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_dir() && inside.exists());
    }

    #[test]
    fn devices_pipes_and_sockets_stay_what_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let kind = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(CWD, at("pipe"), kind, rustix::fs::Mode::RUSR, 0).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        symlink("/dev/null", at("null")).unwrap();
        symlink("/proc/self/fd/1", at("stdout")).unwrap();
        for path in ["pipe", "socket", "null", "stdout"].map(at).into_iter().chain(["/dev/null".into()]) {
            for force in [false, true] {
                let error = Target::find(&path, force).unwrap_err();
                assert_eq!(error.code, "not_a_file", "{}", path.display());
                assert!(error.hint.contains("-o - > "), "{error:?}");
            }
        }
    }

    #[test]
    fn what_cannot_work_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let refused = |name: &str| Target::find(&dir.path().join(name), true).unwrap_err();
        fs::write(dir.path().join("file"), b"").unwrap();
        assert_eq!(refused("no/such").code, "missing");
        assert!(refused("file/below").message.contains("Not a directory"));
        assert!(refused(&"n".repeat(256)).message.contains("too long"));
        let target = Target::find(&dir.path().join("absent/"), false).unwrap();
        assert_eq!(target.path(), dir.path().join("absent"));
        assert_eq!(target.check_takes_a_file().unwrap_err().code, "not_a_directory");
        assert!(target.check_room(0).is_ok());
        let error = target.check_room(u64::MAX).unwrap_err();
        assert_eq!((error.code.as_str(), error.state.as_str()), ("disk_full", NOTHING_FETCHED));
    }
}
