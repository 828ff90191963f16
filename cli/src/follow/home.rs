//! Where follow keeps its own things: a directory inside of the one that follows, so that everything is renamed from
//! there.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::record::Record;
use super::state::{State, StateError};
use crate::error::{CliError, shell_word};
use crate::exit::ExitStatus;
use crate::name::quoted;

/// Its name.
pub(crate) const HOME: &str = ".chordage-follow";

/// The directory that follows, locked for one process, and what is known of it.
#[derive(Debug)]
pub(crate) struct Home {
    dir: PathBuf,
    /// What was brought.
    pub(crate) state: State,
    /// What may have been brought by a switch that was cut off.
    pub(crate) begun: BTreeMap<Vec<u8>, Record>,
    _lock: Option<File>,
}

impl Home {
    /// Opens `dir`, which is made if it is not there, unless nothing is to be done. Refused if another process follows
    /// into it, or another name is followed.
    pub(crate) fn open(dir: &Path, name: &str, dry_run: bool) -> Result<Self, CliError> {
        if dry_run && fs::symlink_metadata(dir.join(HOME)).is_err() {
            let state = State { name: name.to_owned(), ..State::default() };
            return Ok(Home { dir: dir.to_owned(), state, begun: BTreeMap::new(), _lock: None });
        }
        let refused = |doing: &str, path: &Path, error: &io::Error| {
            CliError::file(doing, path, error).state("nothing was changed")
        };
        fs::create_dir_all(dir).map_err(|error| refused("create", dir, &error))?;
        let home = dir.join(HOME);
        match DirBuilder::new().mode(0o700).create(&home) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(refused("create", &home, &error));
            }
            _ => {}
        }
        let metadata = fs::symlink_metadata(&home).map_err(|error| refused("look at", &home, &error))?;
        if !metadata.is_dir() || metadata.uid() != rustix::process::geteuid().as_raw() {
            let message = format!("{} is not a directory of yours", quoted(&home));
            return Err(CliError::new(ExitStatus::LocalFile, "exists", message)
                .state("nothing was changed")
                .hint("choose another directory, or remove it if you know what it is"));
        }
        let private = fs::Permissions::from_mode(0o700);
        fs::set_permissions(&home, private).map_err(|error| refused("change", &home, &error))?;
        let lock = lock(dir, &home.join("lock"))?;
        let state = State::load(&home.join("state")).map_err(|error| unreadable(&error, &home))?;
        let begun = State::load(&home.join("next")).map_err(|error| unreadable(&error, &home))?;
        let state = state.unwrap_or_else(|| State { name: name.to_owned(), ..State::default() });
        if state.name != name {
            let message = format!("{} follows {} already", quoted(dir), state.name);
            return Err(CliError::new(ExitStatus::Usage, "other_name", message)
                .state("nothing was changed")
                .hint(format!(
                    "follow {name} into another directory; or have this one forget what it was brought: rm -r {}",
                    shell_word(&home)
                )));
        }
        let begun = begun.filter(|begun| begun.name == name).map(|begun| begun.records).unwrap_or_default();
        Ok(Home { dir: dir.to_owned(), state, begun, _lock: lock })
    }

    /// The directory that follows.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where what was fetched waits.
    pub(crate) fn own(&self) -> PathBuf {
        self.dir.join(HOME)
    }

    /// Writes the state down.
    pub(crate) fn save(&self) -> io::Result<()> {
        self.state.save(&self.own().join("state"))
    }

    /// Writes down what will have been brought. What is in the state and in it is known as brought, whatever comes.
    pub(crate) fn begin(&mut self, next: State) -> io::Result<()> {
        next.save(&self.own().join("next"))?;
        self.begun = next.records;
        Ok(())
    }

    /// Takes a state that has been reached for the one that counts.
    pub(crate) fn reached(&mut self, state: State) -> io::Result<()> {
        self.state = state;
        self.save()?;
        match fs::remove_file(self.own().join("next")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        self.begun.clear();
        Ok(())
    }
}

/// One process at a time. Without locks on that file system, it is up to the user.
fn lock(dir: &Path, path: &Path) -> Result<Option<File>, CliError> {
    let file = File::options().write(true).create(true).truncate(false).mode(0o600).open(path);
    let file = file.map_err(|error| CliError::file("create", path, &error).state("nothing was changed"))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => {
            let message = format!("another process follows into {} already", quoted(dir));
            Err(CliError::new(ExitStatus::InUse, "being_followed", message)
                .state("nothing was changed")
                .hint("stop it first, or choose another directory"))
        }
        Err(TryLockError::Error(_)) => Ok(None),
    }
}

fn unreadable(error: &StateError, home: &Path) -> CliError {
    let (status, code, hint) = match error {
        StateError::Io(error) => {
            return CliError::file("read the state in", home, error).state("nothing was changed");
        }
        StateError::Newer(_) => (ExitStatus::InUse, "newer_state", "use the newer chordage".to_owned()),
        StateError::Damaged(_) => (
            ExitStatus::LocalFile,
            "bad_state",
            format!(
                "have it forget what it has brought: rm -r {}; then files that are the same stay, others are kept aside",
                shell_word(home)
            ),
        ),
    };
    CliError::new(status, code, format!("the state in {} cannot be read: {error}", quoted(home)))
        .state("nothing was changed")
        .hint(hint)
}
