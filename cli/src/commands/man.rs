//! `chordage man`.

use std::path::PathBuf;

use clap::{Args, Command};

use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::name::quoted;
use crate::printer::Printer;

/// Write manual pages
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  chordage man | man -l -                          read the page of the program
  chordage man --out ~/.local/share/man/man1       write one page per command")]
pub(crate) struct ManArgs {
    /// Directory for one page per command; without it, the page of the program goes to standard output
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Runs the command. `program`: what the pages are about.
pub(crate) fn run(args: &ManArgs, program: Command, printer: &Printer) -> Result<ExitStatus, CliError> {
    let mut command = without_help(program);
    command.build();
    match &args.out {
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(command).render(&mut page).map_err(|error| {
                CliError::new(ExitStatus::Internal, "internal", format!("cannot make the page: {error}"))
            })?;
            printer.raw(&page)?;
        }
        Some(dir) => {
            std::fs::create_dir_all(dir).map_err(|error| CliError::file("create", dir, &error))?;
            clap_mangen::generate_to(command, dir)
                .map_err(|error| CliError::file("write to", dir, &error))?;
            printer.tell(format!("wrote the pages to {}", quoted(dir)));
        }
    }
    Ok(ExitStatus::Success)
}

/// Without the subcommand `help` at any level, whose pages would say nothing.
fn without_help(command: Command) -> Command {
    command.disable_help_subcommand(true).mut_subcommands(without_help)
}
