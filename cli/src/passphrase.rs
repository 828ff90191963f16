//! Passphrases: from a file, from the environment, or asked for on the terminal without being shown.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::error::CliError;
use crate::exit::ExitStatus;

/// Variable with the passphrase.
const VARIABLE: &str = "CHORDAGE_PASSPHRASE";
/// Longest passphrase, bytes.
const MAX: u64 = 1024;

/// The passphrase. `twice`: it is a new one, and a slip would be noticed too late.
pub(crate) fn read(file: Option<&Path>, twice: bool) -> Result<String, CliError> {
    if let Some(path) = file {
        let text = std::fs::read_to_string(path).map_err(|error| {
            CliError::file("read the passphrase in", path, &error).state("nothing was changed")
        })?;
        return Ok(first_line(&text));
    }
    if let Some(text) = std::env::var_os(VARIABLE).filter(|text| !text.is_empty()) {
        return Ok(text.to_string_lossy().into_owned());
    }
    let tty = File::options().read(true).write(true).open("/dev/tty").map_err(|_| {
        let message = "there is no terminal to ask for a passphrase";
        CliError::new(ExitStatus::Usage, "no_passphrase", message)
            .state("nothing was changed")
            .hint(format!("give --passphrase-file FILE, or set {VARIABLE}"))
    })?;
    let failed = |error: io::Error| {
        CliError::new(ExitStatus::Usage, "no_passphrase", format!("cannot read from the terminal: {error}"))
            .state("nothing was changed")
    };
    let first = ask(&tty, "passphrase: ").map_err(failed)?;
    if twice && ask(&tty, "the same again: ").map_err(failed)? != first {
        return Err(CliError::new(
            ExitStatus::Usage,
            "no_passphrase",
            "the two passphrases are not the same",
        )
        .state("nothing was changed")
        .hint("try again"));
    }
    Ok(first)
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// A terminal that does not show what is typed until this is dropped.
struct Silent<'a>(&'a File, Termios);

impl Drop for Silent<'_> {
    fn drop(&mut self) {
        // A terminal that is gone shows nothing either.
        let _ = tcsetattr(self.0, OptionalActions::Flush, &self.1);
    }
}

fn ask(tty: &File, prompt: &str) -> io::Result<String> {
    let before = tcgetattr(tty)?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    let mut out = tty;
    out.write_all(prompt.as_bytes())?;
    tcsetattr(tty, OptionalActions::Flush, &silent)?;
    let restore = Silent(tty, before);
    let mut line = String::new();
    let read = BufReader::new(io::Read::take(tty, MAX)).read_line(&mut line);
    drop(restore);
    out.write_all(b"\n")?;
    read?;
    Ok(first_line(&line))
}
