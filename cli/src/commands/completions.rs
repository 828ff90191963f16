//! `chordage completions`.

use clap::{Args, Command};
use clap_complete::Shell;

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

/// Runs the command. `program`: what is completed.
pub(crate) fn run(
    args: &CompletionsArgs,
    mut program: Command,
    printer: &Printer,
) -> Result<ExitStatus, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut program, "chordage", &mut script);
    printer.raw(&script)?;
    Ok(ExitStatus::Success)
}
