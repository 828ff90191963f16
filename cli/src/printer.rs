//! Everything the program says goes through here: results to standard output, the story and errors to standard error.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use chordage_node::lines::{Lines, Stream};
use serde::Serialize;

use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::progress::Progress;
use crate::width;

/// Where a fact begins, behind the word before it.
const FACT: usize = 11;

/// Knows what the user wants to hear.
#[derive(Clone, Debug)]
pub(crate) struct Printer {
    json: bool,
    quiet: bool,
    /// Through which everything goes, for a program that must not wait for whoever reads it.
    lines: Option<Lines>,
}

impl Printer {
    /// From the flags `--json` and `--quiet`.
    pub(crate) fn new(json: bool, quiet: bool) -> Self {
        Printer { json, quiet, lines: None }
    }

    /// The same, but through a queue: nothing waits for whoever reads, and nothing fails.
    pub(crate) fn through(&self, lines: &Lines) -> Self {
        Printer { lines: Some(lines.clone()), ..*self }
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

    /// Writes a sentence of the result, on several lines where it is known how wide they may be; those after the first
    /// are indented. Into a pipe it stays one line, for programs that look for it.
    pub(crate) fn sentence(&self, line: impl Display, indent: usize) -> Result<(), CliError> {
        match width::known(io::stdout()) {
            Some(columns) => self.line(width::wrapped(&line.to_string(), columns, indent)),
            None => self.line(line),
        }
    }

    /// Writes a sentence behind a word that says what it is about.
    pub(crate) fn fact(&self, line: impl Display) -> Result<(), CliError> {
        self.sentence(line, FACT)
    }

    /// Writes a result as one line of JSON.
    pub(crate) fn json<T: Serialize>(&self, value: &T) -> Result<(), CliError> {
        let text = serde_json::to_string(value)
            .map_err(|error| CliError::new(ExitStatus::Internal, "internal", error))?;
        self.line(text)
    }

    /// Writes bytes of the result.
    pub(crate) fn raw(&self, bytes: &[u8]) -> Result<(), CliError> {
        if let Some(lines) = &self.lines {
            lines.say(Stream::Out, bytes);
            return Ok(());
        }
        let mut out = io::stdout().lock();
        out.write_all(bytes).and_then(|()| out.flush()).map_err(|error| output_error(&error))
    }

    /// Tells a line of the story.
    pub(crate) fn tell(&self, line: impl Display) {
        if self.tells() {
            self.aside(&line.to_string());
        }
    }

    /// Something that the user should know although the command goes on. Not silenced by `--quiet`.
    pub(crate) fn warn(&self, warning: impl Display) {
        if self.json {
            self.aside(&serde_json::json!({ "warning": warning.to_string() }).to_string());
        } else {
            self.aside(&format!("warning: {warning}"));
        }
    }

    /// Says why the program ends.
    pub(crate) fn error(&self, error: &CliError) {
        let text = if self.json {
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
        self.aside(&text);
    }

    /// To standard error. One that is gone is not worth failing for.
    fn aside(&self, text: &str) {
        let line = format!("{text}\n");
        match &self.lines {
            Some(lines) => lines.say(Stream::Err, line.as_bytes()),
            None => drop(io::stderr().write_all(line.as_bytes())),
        }
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
