//! Everything the program says goes through here: results to standard output, the story and errors to standard error.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::progress::Progress;

/// Knows what the user wants to hear.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Printer {
    json: bool,
    quiet: bool,
}

impl Printer {
    /// From the flags `--json` and `--quiet`.
    pub(crate) fn new(json: bool, quiet: bool) -> Self {
        Printer { json, quiet }
    }

    /// Whether results are JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Whether the story is wanted.
    pub(crate) fn tells(&self) -> bool {
        !self.quiet && !self.json
    }

    /// Writes a line of the result.
    pub(crate) fn line(&self, line: impl Display) -> Result<(), CliError> {
        self.raw(format!("{line}\n").as_bytes())
    }

    /// Writes a result as one line of JSON.
    pub(crate) fn json<T: Serialize>(&self, value: &T) -> Result<(), CliError> {
        let text = serde_json::to_string(value)
            .map_err(|error| CliError::new(ExitStatus::Internal, "internal", error))?;
        self.line(text)
    }

    /// Writes bytes of the result.
    pub(crate) fn raw(&self, bytes: &[u8]) -> Result<(), CliError> {
        let mut out = io::stdout().lock();
        out.write_all(bytes).and_then(|()| out.flush()).map_err(|error| output_error(&error))
    }

    /// Tells a line of the story. A standard error that is gone is not worth failing for.
    pub(crate) fn tell(&self, line: impl Display) {
        if self.tells() {
            let _ = writeln!(io::stderr(), "{line}");
        }
    }

    /// Something that the user should know although the command goes on. Not silenced by `--quiet`.
    pub(crate) fn warn(&self, warning: impl Display) {
        if self.json {
            let _ = writeln!(io::stderr(), "{}", serde_json::json!({ "warning": warning.to_string() }));
        } else {
            let _ = writeln!(io::stderr(), "warning: {warning}");
        }
    }

    /// Says why the program ends.
    pub(crate) fn error(&self, error: &CliError) {
        let mut text = if self.json {
            serde_json::to_string(error).unwrap_or_else(|_| error.message.clone())
        } else {
            let mut text = format!("error: {}", error.message);
            if !error.state.is_empty() {
                text.push_str("\n  now: ");
                text.push_str(&error.state);
            }
            if !error.hint.is_empty() {
                text.push_str("\n hint: ");
                text.push_str(&error.hint);
            }
            text
        };
        text.push('\n');
        let _ = io::stderr().write_all(text.as_bytes());
    }

    /// Whether somebody sees a progress bar.
    pub(crate) fn shows_progress(&self) -> bool {
        self.tells() && io::stderr().is_terminal()
    }

    /// A progress bar on the terminal; silent when there is none or nothing is to be told.
    pub(crate) fn progress(&self, verb: &'static str, total: Option<u64>) -> Progress {
        Progress::new(verb, total, self.shows_progress())
    }
}

/// Standard output failed. A reader that had enough (`| head`) is no failure of ours.
pub(crate) fn output_error(error: &io::Error) -> CliError {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return CliError::new(ExitStatus::Success, OUTPUT_CLOSED, error);
    }
    CliError::new(ExitStatus::LocalFile, "output", format!("cannot write to standard output: {error}"))
}

/// Code of the one error that is not reported.
pub(crate) const OUTPUT_CLOSED: &str = "output_closed";
