//! `chordage completions`.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::args::Cli;
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::printer::Printer;

/// Print a completion script for a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  chordage completions bash > ~/.local/share/bash-completion/completions/chordage
  chordage completions zsh > ~/.zfunc/_chordage
  chordage completions fish > ~/.config/fish/completions/chordage.fish")]
pub(crate) struct CompletionsArgs {
    /// Which shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Runs the command.
pub(crate) fn run(args: &CompletionsArgs, printer: &Printer) -> Result<ExitStatus, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "chordage", &mut script);
    printer.raw(&script)?;
    Ok(ExitStatus::Success)
}
