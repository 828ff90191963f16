//! The command line: every flag and its help. What commands do is in `commands`.

use std::io;
use std::path::PathBuf;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::commands;
use crate::exit::EXIT_CODES;
use crate::width;

/// Help is no wider than this: longer lines are hard to read.
const HELP_COLUMNS: usize = 110;

const ABOUT: &str = "Store files in a network of peers, and get them back while enough of the peers live";

const LONG_ABOUT: &str = "\
Store files in a network of peers, and get them back while enough of the peers live.

A file given to any daemon is cut, encrypted and erasure-coded; every piece goes to another daemon. Whoever has the link \
that `put` prints can get the file from any daemon of the network. Whoever has not, sees only ciphertext.";

const EXAMPLES: &str = "\
Examples:
  chordage demo                         twelve daemons, half of them killed, every byte back
  chordage daemon                       run a daemon (the others talk to it)
  chordage put holiday.mp4              store a file, print its link
  chordage put ~/notes                  store a directory
  chordage get chord1r... -o notes      get it back, from any daemon of the network
  chordage cat chord1r... --range 0-99  the first hundred bytes
  chordage ls chord1r...                what a directory link holds
  link=$(chordage put --quiet file)     the link alone goes to standard output";

/// What the user typed.
#[derive(Debug, Parser)]
#[command(
    name = "chordage",
    version,
    about = ABOUT,
    long_about = LONG_ABOUT,
    after_long_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"),
    after_help = format!("{EXAMPLES}\n\n`chordage --help` lists the exit codes; `chordage COMMAND --help` has more examples."),
    subcommand_required = true,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    /// Flags that every command takes.
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Cli {
    /// What the user typed, or the help that was asked for, or what is wrong with it.
    pub(crate) fn read() -> Result<Self, clap::Error> {
        let mut command = Self::command().term_width(width::columns(io::stdout()).min(HELP_COLUMNS));
        let matches = command.try_get_matches_from_mut(std::env::args_os())?;
        Self::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
    }
}

/// Flags that every command takes.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Common options")]
pub(crate) struct GlobalArgs {
    /// Daemon to talk to: unix:/path, http://127.0.0.1:PORT, a socket or a data directory
    ///
    /// By default what CHORDAGE_API says, or else the daemon of the data directory.
    #[arg(long, global = true, value_name = "ADDR")]
    pub(crate) api: Option<String>,
    /// File with the bearer token of an http:// address; or set CHORDAGE_API_TOKEN
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub(crate) api_token_file: Option<PathBuf>,
    /// Data directory of the daemon
    ///
    /// By default what CHORDAGE_DATA_DIR says, or else $XDG_DATA_HOME/chordage, or ~/.local/share/chordage.
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Print results as JSON on standard output, and errors as one JSON object on standard error
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print results and errors only
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
}

/// What to do. Each command's help is on its arguments, in its own file.
#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "there is one value of it in the program's life")]
pub(crate) enum Command {
    Daemon(commands::daemon::DaemonArgs),
    Put(commands::put::PutArgs),
    Get(commands::get::GetArgs),
    Cat(commands::cat::CatArgs),
    Ls(commands::ls::LsArgs),
    Stat(commands::stat::StatArgs),
    Status(commands::status::StatusArgs),
    Peers(commands::peers::PeersArgs),
    Members(commands::members::MembersArgs),
    Superpeers(commands::superpeers::SuperpeersArgs),
    Explain(commands::explain::ExplainArgs),
    Keep(commands::keep::KeepArgs),
    Keeps(commands::keeps::KeepsArgs),
    Forget(commands::forget::ForgetArgs),
    Scrub(commands::scrub::ScrubArgs),
    Drain(commands::drain::DrainArgs),
    Ring(commands::ring::RingArgs),
    Trace(commands::trace::TraceArgs),
    Testnet(commands::testnet::TestnetArgs),
    Demo(commands::demo::DemoArgs),
    Sim(commands::sim::SimArgs),
    Completions(commands::completions::CompletionsArgs),
    Man(commands::man::ManArgs),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
