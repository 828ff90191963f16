//! Links on the command line.

use std::io::{BufRead, BufReader};

use chordage_api::Link;

use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::input::Stdin;

/// Reads a link; a damaged one is found here, before anybody is asked.
pub(crate) fn parse(text: &str) -> Result<Link, CliError> {
    text.parse().map_err(|error| CliError::bad_link(&error))
}

/// Reads a link that must be able to read.
pub(crate) fn parse_read(text: &str) -> Result<Link, CliError> {
    match parse(text)? {
        link @ Link::Read { .. } => Ok(link),
        Link::Verify { .. } => Err(CliError::new(
            ExitStatus::BadLink,
            "not_readable",
            "this is a verify link: it names an object but cannot decrypt it",
        )
        .state("nothing was asked of the network")
        .hint("ask its owner for the read link, which begins with chord1r")),
    }
}

/// The link that reads `link` from standard input when it is `-`, so that it need not stand in the process list.
pub(crate) fn argument(text: &str) -> Result<String, CliError> {
    if text != "-" {
        return Ok(text.to_owned());
    }
    let mut line = String::new();
    BufReader::new(Stdin::open()?).read_line(&mut line).map_err(|error| {
        CliError::new(
            ExitStatus::LocalFile,
            "input",
            format!("cannot read the link from standard input: {error}"),
        )
    })?;
    Ok(line.trim().to_owned())
}
