//! `testnet.json`: what a network leaves on disk, so that a later command can find its daemons again.
//!
//! ```text
//! DIR/testnet.json   this file, replaced as a whole (write beside, rename over)
//! DIR/testnet.lock   held while a command changes the network
//! DIR/nodes/00/      data directory of daemon 0
//! DIR/logs/00.log    its log, kept over restarts
//! ```
//!
//! All of it is closed to other users, as what is in the data directories is.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use chordage_api::types::NodeId;
use chordage_node::private::{self, PrivateError};
use serde::{Deserialize, Serialize};

use crate::process::ProcessId;

/// The format of the file. Files of another version are refused, not guessed at.
const VERSION: u32 = 1;

/// The contents of `testnet.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct State {
    version: u32,
    /// Arguments that every daemon of this network gets besides the ones that place it.
    pub(crate) daemon_args: Vec<String>,
    /// Into how many failure domains they are put, in turn.
    #[serde(default)]
    pub(crate) zones: usize,
    /// The daemons, in order of their index.
    pub(crate) nodes: Vec<NodeState>,
}

/// One daemon in `testnet.json`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct NodeState {
    /// Its process, unless it was never started or is known to have ended.
    pub(crate) process: Option<ProcessId>,
    /// Its node id, once it has told it.
    pub(crate) id: Option<NodeId>,
    /// Its API address, as it wrote it.
    pub(crate) api: Option<String>,
    /// Whether it is a client.
    #[serde(default)]
    pub(crate) client: bool,
}

/// Why the state of a network could not be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The directory holds no network. Nothing was changed.
    #[error("{} holds no test network (no testnet.json)", .0.display())]
    NoNetwork(PathBuf),
    /// The directory holds something else. Nothing was changed.
    #[error("{} is not empty and holds no test network", .0.display())]
    NotOurs(PathBuf),
    /// The file is damaged. Nothing was changed.
    #[error("{}: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file was written by another version of the program. Nothing was changed.
    #[error("{}: format {found}, this program knows format {VERSION}", path.display())]
    OtherVersion {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// Another command is changing the network right now. Nothing was changed.
    #[error("another command is working on {}", .0.display())]
    Busy(PathBuf),
    /// The directory is another user's, or cannot be closed to others. No daemon was started.
    #[error(transparent)]
    NotPrivate(#[from] PrivateError),
    /// The file system refused.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
}

/// Where things are below a network's directory.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    dir: PathBuf,
}

impl Places {
    /// The places below a directory, which becomes absolute so that daemons and later commands agree on it.
    pub(crate) fn new(dir: &Path) -> Result<Self, StateError> {
        let dir = std::path::absolute(dir).map_err(|error| StateError::Io { path: dir.into(), error })?;
        Ok(Self { dir })
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn data_dir(&self, index: usize) -> PathBuf {
        self.dir.join("nodes").join(format!("{index:02}"))
    }

    pub(crate) fn log(&self, index: usize) -> PathBuf {
        self.dir.join("logs").join(format!("{index:02}.log"))
    }

    fn state_file(&self) -> PathBuf {
        self.dir.join("testnet.json")
    }

    /// Whether a network has been made here.
    pub(crate) fn has_network(&self) -> bool {
        self.state_file().exists()
    }

    /// Makes the directories of a new network and takes it, as [`lock`](Self::lock) does. Refuses a directory that is
    /// in use for something else, and leaves nothing in it then.
    pub(crate) fn prepare(&self) -> Result<File, StateError> {
        let at = |path: &Path| {
            let path = path.to_path_buf();
            move |error| StateError::Io { path, error }
        };
        private::check_owner(&self.dir)?;
        private::create_dir(&self.dir).map_err(at(&self.dir))?;
        self.check_unused()?;
        let lock = self.lock()?;
        // Somebody may have been faster.
        self.check_unused()?;
        for sub in ["nodes", "logs"] {
            let path = self.dir.join(sub);
            private::create_dir(&path).map_err(at(&path))?;
        }
        Ok(lock)
    }

    fn check_unused(&self) -> Result<(), StateError> {
        let entries =
            fs::read_dir(&self.dir).map_err(|error| StateError::Io { path: self.dir.clone(), error })?;
        let mut names = entries.filter_map(Result::ok).filter(|entry| entry.file_name() != "testnet.lock");
        match names.next() {
            Some(_) if !self.has_network() => Err(StateError::NotOurs(self.dir.clone())),
            _ => Ok(()),
        }
    }

    /// Closes the network's directory and its files to other users. The daemons do so for their own.
    pub(crate) fn close(&self) -> Result<(), StateError> {
        private::check_owner(&self.dir)?;
        private::close(&self.dir)?;
        for name in ["testnet.json", "testnet.lock", "nodes"] {
            private::close(&self.dir.join(name))?;
        }
        private::close_all(&self.dir.join("logs"))?;
        Ok(())
    }

    /// Removes the network's files, and its directory if nothing else is in it.
    pub(crate) fn remove(&self) -> Result<(), StateError> {
        let at = |path: &Path| {
            let path = path.to_path_buf();
            move |error| StateError::Io { path, error }
        };
        for sub in ["nodes", "logs"] {
            let path = self.dir.join(sub);
            match fs::remove_dir_all(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(&path)(error)),
                _ => {}
            }
        }
        // Last, so that an interrupted removal can be repeated.
        for path in [self.state_file(), self.dir.join("testnet.lock")] {
            fs::remove_file(&path).map_err(at(&path))?;
        }
        // Fails if the user has put something beside the network, and then it should stay.
        let _ = fs::remove_dir(&self.dir);
        Ok(())
    }

    /// Takes the network for one command. The lock ends with the file that is returned.
    pub(crate) fn lock(&self) -> Result<File, StateError> {
        let path = self.dir.join("testnet.lock");
        let io = |error| StateError::Io { path: path.clone(), error };
        let file = private::options().create(true).append(true).open(&path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(StateError::Busy(self.dir.clone())),
            Err(TryLockError::Error(error)) => Err(io(error)),
        }
    }

    pub(crate) fn load(&self) -> Result<State, StateError> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let path = self.state_file();
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(StateError::NoNetwork(self.dir.clone()));
            }
            Err(error) => return Err(StateError::Io { path, error }),
        };
        let damaged =
            |error: serde_json::Error| StateError::Damaged { path: path.clone(), reason: error.to_string() };
        // The version first: a newer file need not have the shape that the rest of this reads.
        let Version { version } = serde_json::from_slice(&bytes).map_err(damaged)?;
        if version != VERSION {
            return Err(StateError::OtherVersion { path, found: version });
        }
        serde_json::from_slice(&bytes).map_err(damaged)
    }

    pub(crate) fn save(&self, state: &State) -> Result<(), StateError> {
        let path = self.state_file();
        let beside = self.dir.join("testnet.json.new");
        let write = || {
            let mut file = private::options().create(true).truncate(true).write(true).open(&beside)?;
            file.write_all(&serde_json::to_vec_pretty(state)?)?;
            file.sync_data()?;
            fs::rename(&beside, &path)
        };
        write().map_err(|error: io::Error| StateError::Io { path: path.clone(), error })
    }
}

impl State {
    pub(crate) fn new(daemon_args: Vec<String>, zones: usize) -> Self {
        Self { version: VERSION, daemon_args, zones, nodes: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> (tempfile::TempDir, Places) {
        let dir = tempfile::tempdir().expect("tempdir");
        let places = Places::new(dir.path()).expect("absolute");
        (dir, places)
    }

    #[test]
    fn what_is_saved_is_found_again() {
        let (_dir, places) = places();
        drop(places.prepare().expect("prepare"));
        let mut state = State::new(vec!["--metric".into(), "xor".into()], 3);
        let process = ProcessId { pid: 7, start_ticks: 8 };
        state.nodes.push(NodeState {
            process: Some(process),
            id: Some([0xab; 32].into()),
            api: None,
            client: true,
        });
        places.save(&state).expect("save");
        let found = places.load().expect("load");
        assert_eq!(found.daemon_args, ["--metric", "xor"]);
        assert_eq!(found.zones, 3);
        assert_eq!((found.nodes[0].process, found.nodes[0].client), (Some(process), true));
        places.prepare().expect("a network's own directory may be prepared again");
    }

    #[test]
    fn a_directory_with_other_things_is_refused() {
        let (dir, places) = places();
        assert!(matches!(places.load(), Err(StateError::NoNetwork(_))));
        fs::write(dir.path().join("thesis.txt"), "do not touch").expect("write");
        assert!(matches!(places.prepare(), Err(StateError::NotOurs(_))));
        assert_eq!(fs::read_dir(dir.path()).expect("list").count(), 1, "nothing of ours is left there");
    }

    #[test]
    fn damaged_and_newer_files_are_told_apart() {
        let (dir, places) = places();
        let file = dir.path().join("testnet.json");
        fs::write(&file, "{\"version\": 1, \"no").expect("write");
        assert!(matches!(places.load(), Err(StateError::Damaged { .. })));
        fs::write(&file, "{\"version\": 2, \"shape\": \"unknown\"}").expect("write");
        assert!(matches!(places.load(), Err(StateError::OtherVersion { found: 2, .. })));
    }

    #[test]
    fn one_command_at_a_time() {
        let (_dir, places) = places();
        let first = places.lock().expect("free");
        assert!(matches!(places.lock(), Err(StateError::Busy(_))));
        drop(first);
        places.lock().expect("free again");
    }
}
