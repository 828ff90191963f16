//! Errors as people meet them: what is wrong, what is true now, what to type next.

use std::fmt::Display;
use std::io;
use std::path::Path;

use chordage_api::client::ClientError;
use chordage_api::endpoint::EndpointError;
use chordage_api::types::{Problem, ProblemCode};
use chordage_api::{LinkError, Redundancy};
use serde::Serialize;

use crate::exit::ExitStatus;
use crate::name::quoted;

/// What to do when the system does not let us talk to a daemon.
const OTHER_USER: &str = "the daemon there belongs to another user, and serves only that one: run this as that user, or start \
                          one of your own with `chordage daemon` and name its data directory with --data-dir";

/// A failure that ends the program. Also the JSON object on standard error with `--json`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct CliError {
    /// Stable word for programs.
    pub(crate) code: String,
    /// What is wrong.
    pub(crate) message: String,
    /// What is true now; may be empty.
    pub(crate) state: String,
    /// What to do next, usually a command; may be empty.
    pub(crate) hint: String,
    /// The exit code, for those who only see the text.
    pub(crate) exit_code: u8,
    #[serde(skip)]
    status: ExitStatus,
}

impl CliError {
    /// An error with nothing but a message. `code` is the stable word.
    pub(crate) fn new(status: ExitStatus, code: &str, message: impl Display) -> Self {
        CliError {
            code: code.to_owned(),
            message: message.to_string(),
            state: String::new(),
            hint: String::new(),
            exit_code: status.code(),
            status,
        }
    }

    /// Says what is true now.
    pub(crate) fn state(mut self, state: impl Display) -> Self {
        self.state = state.to_string();
        self
    }

    /// Says what to do next.
    pub(crate) fn hint(mut self, hint: impl Display) -> Self {
        self.hint = hint.to_string();
        self
    }

    /// Has the program end otherwise.
    pub(crate) fn ending(mut self, status: ExitStatus) -> Self {
        (self.status, self.exit_code) = (status, status.code());
        self
    }

    /// How the program ends.
    pub(crate) fn status(&self) -> ExitStatus {
        self.status
    }

    /// A local file or directory that cannot be used; `doing` completes "cannot …".
    pub(crate) fn file(doing: &str, path: &Path, error: &io::Error) -> Self {
        let code = match error.kind() {
            io::ErrorKind::NotFound => "missing",
            io::ErrorKind::PermissionDenied => "permission_denied",
            io::ErrorKind::AlreadyExists => "exists",
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "disk_full",
            _ => "local_file",
        };
        CliError::new(
            ExitStatus::LocalFile,
            code,
            format!("cannot {doing} {}: {}", quoted(path), plain(error)),
        )
    }

    /// Ctrl-C, SIGTERM or SIGHUP.
    pub(crate) fn interrupted(state: impl Display) -> Self {
        CliError::new(ExitStatus::Interrupted, "interrupted", "interrupted").state(state)
    }

    /// A link that is not one.
    pub(crate) fn bad_link(error: &LinkError) -> Self {
        let code = match error {
            LinkError::NotALink => "not_a_link",
            LinkError::UnsupportedVersion(_) => "link_version",
            LinkError::WrongLength { .. } => "link_length",
            LinkError::BadCharacter { .. } => "link_character",
            LinkError::ChecksumMismatch => "link_checksum",
        };
        CliError::new(ExitStatus::BadLink, code, error)
            .state("nothing was asked of the network")
            .hint("copy the whole link again, from `chord1` to its last character")
    }
}

/// The system's message without Rust's "(os error 2)".
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    match text.rfind(" (os error ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

impl From<Problem> for CliError {
    fn from(problem: Problem) -> Self {
        let status = match problem.code {
            ProblemCode::BadRequest
            | ProblemCode::Conflict
            | ProblemCode::NotOwned
            | ProblemCode::RangeNotSatisfiable
            | ProblemCode::NotKept
            | ProblemCode::Retained => ExitStatus::Usage,
            ProblemCode::BadLink
            | ProblemCode::BadName
            | ProblemCode::BadPhrase
            | ProblemCode::NotReadable => ExitStatus::BadLink,
            ProblemCode::Unavailable
            | ProblemCode::Ambiguous
            | ProblemCode::NoSuchName
            | ProblemCode::NoSuchPath
            | ProblemCode::NoSuchHome
            | ProblemCode::NoSuchVolume
            | ProblemCode::NoSuchSnapshot
            | ProblemCode::NoSuchInvite
            | ProblemCode::RolledBack => ExitStatus::Unavailable,
            ProblemCode::NoMajority
            | ProblemCode::TooFewNodes
            | ProblemCode::NotDurable
            | ProblemCode::Forgotten => ExitStatus::NotDurable,
            ProblemCode::TimedOut => ExitStatus::Deadline,
            ProblemCode::Busy
            | ProblemCode::NotJoined
            | ProblemCode::ShuttingDown
            | ProblemCode::Unauthorized => ExitStatus::NoDaemon,
            ProblemCode::DiskFull | ProblemCode::DiskFailed => ExitStatus::LocalFile,
            ProblemCode::NotFound | ProblemCode::Internal => ExitStatus::Internal,
        };
        let code = match serde_json::to_value(problem.code) {
            Ok(serde_json::Value::String(word)) => word,
            _ => "problem".to_owned(),
        };
        CliError::new(status, &code, problem.message).state(problem.state).hint(problem.hint)
    }
}

impl From<ClientError> for CliError {
    fn from(error: ClientError) -> Self {
        let message = &error;
        match &error {
            ClientError::Problem(problem) => problem.clone().into(),
            ClientError::Unreachable { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                CliError::new(ExitStatus::NoDaemon, "no_daemon", message)
                    .state("nothing was asked of the network")
                    .hint(OTHER_USER)
            }
            ClientError::Unreachable { .. } => CliError::new(ExitStatus::NoDaemon, "no_daemon", message)
                .state("nothing was asked of the network")
                .hint("start one with `chordage daemon`, or name another with --api"),
            ClientError::Lost(_) => CliError::new(ExitStatus::NoDaemon, "connection_lost", message)
                .state("the request did not finish")
                .hint("see with `chordage status` whether the daemon still runs, then try again"),
            ClientError::Stalled { .. } => CliError::new(ExitStatus::Deadline, "stalled", message)
                .state("the request did not finish")
                .hint("see with `chordage status` whether the daemon answers at all, then try again"),
            ClientError::Unexpected(_) => CliError::new(ExitStatus::NoDaemon, "not_this_api", message).hint(
                "check the address given with --api; see `chordage --version` for this program's version",
            ),
            ClientError::Unsendable(_) => CliError::new(ExitStatus::Usage, "bad_request", message)
                .hint("check the token given with --api-token-file"),
        }
    }
}

impl From<EndpointError> for CliError {
    fn from(error: EndpointError) -> Self {
        let forms = "give --api as unix:/path, http://127.0.0.1:PORT, a socket or a data directory";
        match &error {
            EndpointError::Malformed(_) | EndpointError::NotLoopback(_) => {
                CliError::new(ExitStatus::Usage, "bad_api_address", &error).hint(forms)
            }
            EndpointError::NoDaemon(dir) => CliError::new(ExitStatus::NoDaemon, "no_daemon", &error)
                .state("nothing was asked of the network")
                .hint(format!("start one with `chordage daemon --data-dir {}`", shell_word(dir))),
            EndpointError::NoSuchPath(_) => {
                CliError::new(ExitStatus::NoDaemon, "no_daemon", &error).hint(forms)
            }
            EndpointError::Unreadable { .. } => CliError::new(ExitStatus::NoDaemon, "no_daemon", &error)
                .state("nothing was asked of the network")
                .hint(match &error {
                    EndpointError::Unreadable { source, .. }
                        if source.kind() == io::ErrorKind::PermissionDenied =>
                    {
                        OTHER_USER
                    }
                    _ => "run as the user who runs the daemon",
                }),
        }
    }
}

/// A path as one word of a command line to paste into a shell, and that no command takes for a flag.
pub(crate) fn shell_word(path: &Path) -> String {
    let mut text = path.to_string_lossy();
    if text.starts_with('-') {
        text = format!("./{text}").into();
    }
    let safe = |c: char| c.is_ascii_alphanumeric() || "/._-+=:@,%".contains(c);
    if !text.is_empty() && text.chars().all(safe) {
        text.into_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// `K/N` as clap reads it.
pub(crate) fn redundancy(text: &str) -> Result<Redundancy, String> {
    text.parse().map_err(|error: chordage_api::RedundancyError| error.to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    #[test]
    fn who_may_not_talk_to_a_daemon_is_told_whose_it_is() {
        let unreachable = |kind: ErrorKind| {
            let endpoint = "unix:/home/other/api.sock".parse().unwrap();
            CliError::from(ClientError::Unreachable { endpoint, source: kind.into() })
        };
        let unreadable = |kind: ErrorKind| {
            CliError::from(EndpointError::Unreadable { path: "/home/other/api".into(), source: kind.into() })
        };
        for error in [unreachable(ErrorKind::PermissionDenied), unreadable(ErrorKind::PermissionDenied)] {
            assert!(error.hint.contains("belongs to another user"), "{error:?}");
        }
        for error in [unreachable(ErrorKind::ConnectionRefused), unreadable(ErrorKind::InvalidData)] {
            assert!(!error.hint.contains("another user"), "{error:?}");
        }
    }
}
