//! The demo: a network of real daemons stores real files, loses as many daemons to SIGKILL as the code
//! tolerates, and gives every byte back through a daemon that has never seen the file.

mod client_command;
mod compare;
mod outcome;
mod ring;
mod sample;
mod stage;
mod story;
mod victims;

use std::path::PathBuf;

use chordage_api::Redundancy;
use tempfile::TempDir;

use crate::error::{CliError, shell_word};
use crate::exit::ExitStatus;
use crate::interrupt::Interrupt;
use crate::printer::Printer;
use stage::Stage;

/// What to show.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// What to store; a generated tree if nothing is given.
    pub(crate) path: Option<PathBuf>,
    /// Daemons.
    pub(crate) nodes: usize,
    /// Redundancy; what the daemons choose for their number if nothing is given.
    pub(crate) redundancy: Option<Redundancy>,
    /// Daemons to kill; as many as the code tolerates if nothing is given.
    pub(crate) kill: Option<usize>,
    /// Leave the daemons running and the files in place.
    pub(crate) keep: bool,
    /// Seed of the generated tree and of the keys that are looked up.
    pub(crate) seed: u64,
    /// Bytes of the generated tree.
    pub(crate) size: u64,
}

/// Runs the demo. Whatever happens, nothing of it is left running or lying about, unless it was told to
/// keep things and got to its end.
pub(crate) async fn run(options: &Options, printer: &Printer) -> Result<(), CliError> {
    check(options)?;
    let mut interrupt = Interrupt::listen()?;
    let dir = tempfile::Builder::new()
        .prefix("chordage-demo-")
        .tempdir()
        .map_err(|error| CliError::file("make a directory in", &std::env::temp_dir(), &error))?;
    tokio::select! {
        // The network is dropped with the future, and kills its daemons; the directory goes after them.
        () = interrupt.wait() => {
            Err(CliError::interrupted("the demo's daemons are stopped and its files are removed"))
        }
        result = show(options, printer, &dir) => {
            let (network, result) = result?;
            if options.keep {
                network.detach()?;
                let dir = shell_word(&dir.keep().join("net"));
                printer.tell(format!(
                    "kept, with its daemons running: {dir}\nlook: chordage testnet status --dir {dir}\nend:  chordage testnet down --dir {dir}"
                ));
            }
            result
        }
    }
}

/// The whole story. The outer result is about things that prevent the telling; the inner one is its end.
async fn show(
    options: &Options,
    printer: &Printer,
    dir: &TempDir,
) -> Result<(chordage_testnet::Testnet, Result<(), CliError>), CliError> {
    let mut stage = Stage::open(options, printer, dir.path()).await?;
    let result = stage.play().await;
    let outcome = stage.outcome();
    let reported = if printer.is_json() { printer.json(outcome) } else { Ok(()) };
    Ok((stage.into_network(), result.and(reported)))
}

fn check(options: &Options) -> Result<(), CliError> {
    let usage =
        |message: String| CliError::new(ExitStatus::Usage, "usage", message).state("nothing was started");
    if options.nodes == 0 {
        return Err(usage("a demo needs at least one daemon".into()));
    }
    if let Some(kill) = options.kill
        && kill >= options.nodes
    {
        let message = format!(
            "of {} daemons at most {} can be killed: one has to be left to ask",
            options.nodes,
            options.nodes - 1
        );
        return Err(usage(message));
    }
    if let Some(redundancy) = options.redundancy
        && usize::from(redundancy.n()) > options.nodes
    {
        let message =
            format!("{redundancy} needs {} daemons, there are to be {}", redundancy.n(), options.nodes);
        return Err(CliError::new(ExitStatus::NotDurable, "too_few_nodes", message)
            .state("nothing was started")
            .hint(format!("chordage demo --nodes {} --redundancy {redundancy}", redundancy.n())));
    }
    if let Some(path) = &options.path {
        std::fs::symlink_metadata(path).map_err(|error| CliError::file("read", path, &error))?;
    }
    Ok(())
}
