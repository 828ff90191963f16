//! Starting one daemon process.

use std::fs;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use chordage_api::endpoint::ENDPOINT_FILE;
use chordage_node::private;

use crate::process::ProcessId;

/// What ties a daemon's life to ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// It ends when this process ends, however this process ends: its standard input is a pipe of ours and
    /// the daemon leaves when that closes. Nothing else is certain to happen when a test is killed.
    Owned,
    /// It may go on without us (after [`detach`](crate::Testnet::detach)).
    Detachable,
}

/// How to start one daemon.
#[derive(Debug)]
pub(crate) struct Launch<'a> {
    pub(crate) program: &'a Path,
    pub(crate) data_dir: &'a Path,
    pub(crate) log: &'a Path,
    /// Nowhere, for a client.
    pub(crate) listen: &'a [String],
    pub(crate) client: bool,
    /// Which of the network's failure domains it is in.
    pub(crate) zone: Option<usize>,
    pub(crate) bootstrap: &'a [String],
    pub(crate) daemon_args: &'a [String],
    pub(crate) lifetime: Lifetime,
}

/// A daemon could not be started. There is no process.
#[derive(Debug, thiserror::Error)]
#[error("cannot start {}: {error}", what.display())]
pub struct LaunchError {
    /// The program, or the file it needed.
    pub what: PathBuf,
    /// What the system said.
    pub error: io::Error,
}

/// Variables that would make a daemon something else than its arguments say.
const FOREIGN_VARIABLES: [&str; 4] =
    ["CHORDAGE_API", "CHORDAGE_API_TOKEN", "CHORDAGE_DATA_DIR", "SSLKEYLOGFILE"];

impl Launch<'_> {
    /// Starts the process. It is in a process group of its own, so that Ctrl-C in a terminal reaches only
    /// us and we decide in which order things end.
    pub(crate) fn spawn(&self) -> Result<(Child, ProcessId), LaunchError> {
        let at = |path: &Path| {
            let what = path.to_path_buf();
            move |error| LaunchError { what, error }
        };
        private::create_dir(self.data_dir).map_err(at(self.data_dir))?;
        // A killed daemon leaves this file; as long as it is there we could not tell the new one is ready.
        let endpoint_file = self.data_dir.join(ENDPOINT_FILE);
        match fs::remove_file(&endpoint_file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(&endpoint_file)(error)),
            _ => {}
        }
        let mut log = private::options().create(true).append(true).open(self.log).map_err(at(self.log))?;
        // A line of its own between the runs; a log that cannot be written is not worth failing for.
        let _ = writeln!(log, "--- start");
        let log_too = log.try_clone().map_err(at(self.log))?;

        let mut command = Command::new(self.program);
        command.arg("daemon").arg("--data-dir").arg(self.data_dir);
        for address in self.listen {
            command.arg("--listen").arg(address);
        }
        for address in self.bootstrap {
            command.arg("--bootstrap").arg(address);
        }
        if self.client {
            command.args(["--role", "client"]);
        }
        if let Some(zone) = self.zone {
            command.args(["--zone".to_owned(), format!("zone-{zone}")]);
        }
        command.args(self.daemon_args);
        match self.lifetime {
            Lifetime::Owned => command.arg("--exit-on-stdin-close").stdin(Stdio::piped()),
            Lifetime::Detachable => command.stdin(Stdio::null()),
        };
        for variable in FOREIGN_VARIABLES {
            command.env_remove(variable);
        }
        command.stdout(log_too).stderr(log).process_group(0);
        let mut child = command.spawn().map_err(at(self.program))?;
        match ProcessId::of(child.id()) {
            Some(process) => Ok((child, process)),
            None => {
                // Our own child cannot vanish from /proc before we wait for it, so there is no /proc.
                let _ = child.kill();
                let _ = child.wait();
                Err(at(Path::new("/proc"))(io::Error::from(io::ErrorKind::Unsupported)))
            }
        }
    }
}
