//! `chordage restic-user`.

use std::path::PathBuf;

use chordage_gateway::front::{LineError, user_line};
use clap::Args;
use serde_json::json;

use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::passphrase;
use crate::printer::Printer;

/// Print the line of a user for `daemon --restic-users FILE`
///
/// Asks for a password of at least 10 characters and prints NAME:HASH. The hash is Argon2id, which takes 64 MiB and a
/// good part of a second to look at, so that a stolen file is hard to guess from. Each user sees the repositories below
/// /NAME/ and no others.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  chordage restic-user alice >> users
  chordage daemon --restic 0.0.0.0:8017 --restic-users users
  restic -r rest:http://alice:PASSWORD@192.0.2.7:8017/alice/laptop/ init

Passwords go over plain HTTP: between machines put a proxy with TLS in front, or a tunnel.")]
pub(crate) struct ResticUserArgs {
    /// What the user is called: 1 to 100 bytes without a slash or colon
    #[arg(value_name = "NAME")]
    name: String,
    /// A file whose first line is the password. Otherwise CHORDAGE_PASSPHRASE is it, or the terminal is asked
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

/// Runs the command.
pub(crate) fn run(args: &ResticUserArgs, printer: &Printer) -> Result<ExitStatus, CliError> {
    let password = passphrase::read(args.passphrase_file.as_deref(), true)?;
    let line = user_line(&args.name, &password).map_err(|error| refused(&error))?;
    if printer.is_json() {
        printer.json(&json!({ "user": args.name, "line": line }))?;
    } else {
        printer.line(line)?;
    }
    Ok(ExitStatus::Success)
}

fn refused(error: &LineError) -> CliError {
    let (status, hint) = match error {
        LineError::Password => (ExitStatus::Usage, "take a longer one: others can try as many as they like"),
        LineError::System => (ExitStatus::Internal, "try again with more free memory"),
        _ => (ExitStatus::Usage, "take another name"),
    };
    CliError::new(status, "bad_user", error).state("nothing was printed").hint(hint)
}
