//! `chordage demo`.

use std::path::PathBuf;

use chordage_api::Redundancy;
use clap::Args;

use crate::demo;
use crate::error::{CliError, redundancy};
use crate::exit::ExitStatus;
use crate::human::parse_bytes;
use crate::printer::Printer;

/// Show it all: daemons store files, half of them are killed, and every byte comes back
///
/// Starts real daemons in a temporary directory, stores PATH through one of them, kills as many as the
/// redundancy tolerates with SIGKILL, starts a new daemon that has never seen the file, reads everything back
/// through it and compares every byte, name, mode, time and link. Stops and removes everything at the end.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  chordage demo                               twelve daemons, a generated tree
  chordage demo ~/Pictures                    your own files, which are only read
  chordage demo --nodes 20 --redundancy 8/20  another network
  chordage demo --kill 7                      one more than 4-of-10 tolerates: exit code 4")]
pub(crate) struct DemoArgs {
    /// File or directory to store; by default a generated tree with awkward names
    #[arg(value_name = "PATH")]
    path: Option<PathBuf>,
    /// How many daemons
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u16).range(1..=200))]
    nodes: u16,
    /// Any K of N shards give a chunk back; by default what the daemons choose for their number
    #[arg(long, value_name = "K/N", value_parser = redundancy)]
    redundancy: Option<Redundancy>,
    /// How many daemons to kill; by default as many as the redundancy tolerates
    #[arg(long, value_name = "M")]
    kill: Option<usize>,
    /// Leave the daemons running and the files in place at the end, and say where
    #[arg(long)]
    keep: bool,
    /// Seed of the generated tree
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Size of the generated tree
    #[arg(long, value_name = "SIZE", default_value = "64M", value_parser = parse_bytes)]
    size: u64,
}

/// Runs the command.
pub(crate) async fn run(args: DemoArgs, printer: &Printer) -> Result<ExitStatus, CliError> {
    let options = demo::Options {
        path: args.path,
        nodes: args.nodes.into(),
        redundancy: args.redundancy,
        kill: args.kill,
        keep: args.keep,
        seed: args.seed,
        size: args.size,
    };
    demo::run(&options, printer).await?;
    Ok(ExitStatus::Success)
}
