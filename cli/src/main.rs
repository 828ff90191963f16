//! The `chordage` command.

mod access;
mod args;
mod backup;
mod bundle;
mod charset;
mod commands;
mod connect;
mod datadir;
mod demo;
mod error;
mod exit;
mod follow;
mod global;
mod holes;
mod human;
mod input;
mod interrupt;
mod link;
mod manager;
#[cfg(target_os = "linux")]
mod mount;
mod name;
mod overview;
mod passphrase;
mod phrase;
mod picture;
mod pieces;
mod printer;
mod progress;
mod qr;
mod rename;
mod ring;
mod sending;
mod settings;
mod source;
mod staging;
mod target;
mod threads;
mod tree;
mod trying;
mod unfinished;
mod width;

use std::process::ExitCode;

use clap::error::ErrorKind;

use crate::args::{Cli, Command};
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::global::GlobalArgs;
use crate::printer::{OUTPUT_CLOSED, Printer};

fn main() -> ExitCode {
    let cli = match Cli::read() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error).into(),
    };
    let printer = Printer::new(cli.global.json, cli.global.quiet);
    let outcome = match cli.command {
        Command::Daemon(args) => commands::daemon::run(args, &cli.global, &printer),
        command => run_client(command, &cli.global, &printer),
    };
    match outcome {
        Ok(status) => status.into(),
        Err(error) => {
            if error.code != OUTPUT_CLOSED {
                printer.error(&error);
            }
            error.status().into()
        }
    }
}

/// Runs a command that talks to a daemon, on this thread.
fn run_client(command: Command, global: &GlobalArgs, printer: &Printer) -> Result<ExitStatus, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::new(ExitStatus::Internal, "internal", format!("cannot start: {error}")))?;
    let outcome = runtime.block_on(run(command, global, printer));
    // A thread may still wait for standard input; nothing it could do matters any more.
    runtime.shutdown_background();
    outcome
}

async fn run(command: Command, global: &GlobalArgs, printer: &Printer) -> Result<ExitStatus, CliError> {
    match command {
        Command::Daemon(args) => commands::daemon::run(args, global, printer),
        Command::Put(args) => commands::put::run(args, global, printer).await,
        Command::Get(args) => commands::get::run(args, global, printer).await,
        Command::Cat(args) => commands::cat::run(args, global, printer).await,
        Command::Ls(args) => commands::ls::run(args, global, printer).await,
        Command::Stat(args) => commands::stat::run(args, global, printer).await,
        Command::Status(args) => commands::status::run(args, global, printer).await,
        Command::Doctor(args) => commands::doctor::run(args, global, printer).await,
        Command::Config(args) => commands::config::run(args, global, printer).await,
        Command::Debug(args) => commands::debug::run(args, global, printer).await,
        Command::Members(args) => commands::members::run(args, global, printer).await,
        Command::Superpeers(args) => commands::superpeers::run(args, global, printer).await,
        Command::Network(args) => commands::network::run(args, global, printer).await,
        Command::Invite(args) => commands::invite::run(args, global, printer).await,
        Command::Join(args) => commands::join::run(args, global, printer).await,
        Command::Peers(args) => commands::peers::run(args, global, printer).await,
        Command::Explain(args) => commands::explain::run(args, global, printer).await,
        Command::Follow(args) => commands::follow::run(args, global, printer).await,
        Command::Keep(args) => commands::keep::run(args, global, printer).await,
        Command::Keeps(args) => commands::keeps::run(args, global, printer).await,
        Command::Forget(args) => commands::forget::run(args, global, printer).await,
        Command::Drain(args) => commands::drain::run(args, global, printer).await,
        Command::Backup(args) => commands::backup::run(args, global, printer).await,
        Command::Volume(args) => commands::volume::run(args, global, printer).await,
        Command::Home(args) => commands::home::run(args, global, printer).await,
        Command::Recover(args) => commands::recover::run(args, global, printer).await,
        Command::Name(args) => commands::name::run(args, global, printer).await,
        Command::Service(args) => commands::service::run(args, global, printer).await,
        Command::Topic(args) => commands::topic::run(args, global, printer).await,
        Command::ResticUser(args) => commands::restic_user::run(&args, printer),
        Command::Scrub(args) => commands::scrub::run(args, global, printer).await,
        Command::Ring(args) => commands::ring::run(args, global, printer).await,
        Command::Trace(args) => commands::trace::run(args, global, printer).await,
        Command::Testnet(args) => commands::testnet::run(args, printer).await,
        Command::Demo(args) => commands::demo::run(args, printer).await,
        Command::Sim(args) => commands::sim::run(args, printer),
        Command::Completions(args) => commands::completions::run(&args, Cli::described(), printer),
        Command::Man(args) => commands::man::run(&args, Cli::described(), printer),
    }
}

/// Help and version are no errors; with `--json` a wrong command line is a JSON object like every other error.
fn refuse(error: &clap::Error) -> ExitStatus {
    if !error.use_stderr() {
        // A closed standard output is not worth an error here either.
        let _ = error.print();
        return ExitStatus::Success;
    }
    if std::env::args_os().any(|arg| arg == "--json") {
        Printer::new(true, false).error(&usage_error(error));
    } else {
        let _ = error.print();
    }
    ExitStatus::Usage
}

/// What is wrong in one line, and the usage as the hint. What clap writes for people is longer: help, if a command is
/// missing.
fn usage_error(error: &clap::Error) -> CliError {
    let text = error.render().to_string();
    let missing = [ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand, ErrorKind::MissingSubcommand];
    let message = if missing.contains(&error.kind()) {
        "a command is missing".to_owned()
    } else {
        let said: Vec<&str> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
        let said = said.join(" ");
        said.strip_prefix("error: ").unwrap_or(&said).to_owned()
    };
    let usage = text.lines().map(str::trim).find(|line| line.starts_with("Usage:"));
    CliError::new(ExitStatus::Usage, "usage", message)
        .state("nothing was done")
        .hint(usage.unwrap_or("chordage --help"))
}
