//! The recovery phrase, from the terminal or from standard input: it need not stand in the process list.

use std::io::{BufRead, BufReader, Read};

use chordage_api::phrase::{RecoveryPhrase, WORDS};

use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::input::Stdin;

/// Most of what is read as a phrase, bytes.
const PHRASE_BYTES_MAX: u64 = 4096;

/// Reads a phrase. A mistyped one is found here, before anybody is asked.
pub(crate) fn read() -> Result<RecoveryPhrase, CliError> {
    if rustix::termios::isatty(rustix::stdio::stdin()) {
        eprintln!("the {WORDS} words of the recovery phrase, on one line or several:");
    }
    let mut input = BufReader::new(Stdin::open()?.take(PHRASE_BYTES_MAX));
    let mut text = String::new();
    // Whoever types need not say that this was the end.
    while text.split_whitespace().count() < WORDS {
        let read = input.read_line(&mut text).map_err(|error| {
            let message = format!("cannot read the recovery phrase on standard input: {error}");
            CliError::new(ExitStatus::LocalFile, "input", message).state("nothing was changed")
        })?;
        if read == 0 {
            break;
        }
    }
    text.parse().map_err(|error| {
        CliError::new(ExitStatus::BadLink, "bad_phrase", error)
            .state("nothing was asked of the network, nothing was changed")
            .hint("give the twelve words that `chordage home create` printed, in their order")
    })
}
