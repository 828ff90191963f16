//! Running this program's own client commands, as a person would type them.

use std::ffi::OsStr;
use std::io::IsTerminal;
use std::path::Path;
use std::process::Stdio;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::process::Command;

use crate::error::CliError;
use crate::exit::ExitStatus;

/// One client command on its way. Dropping its future ends the process.
pub(crate) struct ClientCommand {
    command: Command,
    name: &'static str,
}

/// What a failed command says on standard error with `--json`.
#[derive(Deserialize)]
struct Said {
    code: String,
    message: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    hint: String,
}

impl ClientCommand {
    /// `chordage NAME --json --api DATA_DIR`.
    pub(crate) fn new(program: &Path, name: &'static str, data_dir: &Path) -> Self {
        let mut command = Command::new(program);
        command.arg(name).arg("--json").arg("--api").arg(data_dir);
        // Answers must come from the daemon that is meant, whatever the user's shell is set up for.
        for variable in ["CHORDAGE_API", "CHORDAGE_API_TOKEN", "CHORDAGE_DATA_DIR"] {
            command.env_remove(variable);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        Self { command, name }
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// Runs it to its end and reads its answer. A failure keeps its own exit code and words.
    pub(crate) async fn run<T: DeserializeOwned>(mut self) -> Result<T, CliError> {
        let internal = |what: String| CliError::new(ExitStatus::Internal, "internal", what);
        let name = self.name;
        let output =
            self.command.output().await.map_err(|error| internal(format!("cannot run {name}: {error}")))?;
        if !output.status.success() {
            return Err(failure(name, output.status.code(), &output.stderr));
        }
        let answer = output.stdout.split(|&byte| byte == b'\n').rfind(|line| !line.is_empty()).unwrap_or(b"");
        serde_json::from_slice(answer)
            .map_err(|error| internal(format!("{name} answered strangely: {error}")))
    }
}

/// The error of a command that failed, from its exit code and the last JSON line it wrote.
fn failure(name: &str, exit_code: Option<i32>, stderr: &[u8]) -> CliError {
    let text = String::from_utf8_lossy(stderr);
    let said = text.lines().rev().find_map(|line| serde_json::from_str::<Said>(line).ok());
    let status = exit_code.and_then(status_of).unwrap_or(ExitStatus::Internal);
    match said {
        Some(said) => CliError::new(status, &said.code, said.message).state(said.state).hint(said.hint),
        None => {
            let last = text.lines().last().unwrap_or("nothing");
            CliError::new(status, "internal", format!("{name} failed and said {last:?}"))
        }
    }
}

fn status_of(code: i32) -> Option<ExitStatus> {
    use ExitStatus::{
        BadLink, Deadline, InUse, Internal, Interrupted, LocalFile, NoDaemon, NotDurable, Unavailable, Usage,
    };
    [Internal, Usage, NoDaemon, Unavailable, BadLink, NotDurable, LocalFile, Deadline, InUse, Interrupted]
        .into_iter()
        .find(|&status| status as i32 == code)
}

/// Whether standard output is a terminal, on which a step may be announced before it is done.
pub(crate) fn on_terminal() -> bool {
    std::io::stdout().is_terminal()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_keeps_its_code_and_its_words() {
        let stderr = b"{\"warning\":\"x\"}\n{\"code\":\"unavailable\",\"message\":\"7 of 12 chunks\",\"hint\":\"wait\"}\n";
        let error = failure("get", Some(4), stderr);
        assert_eq!(error.status(), ExitStatus::Unavailable);
        assert_eq!((error.message.as_str(), error.hint.as_str()), ("7 of 12 chunks", "wait"));
    }

    #[test]
    fn a_command_that_died_without_a_word_is_an_internal_error() {
        let error = failure("get", None, b"thread 'main' panicked\n");
        assert_eq!(error.status(), ExitStatus::Internal);
        assert!(error.message.contains("panicked"));
    }
}
