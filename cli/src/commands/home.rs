//! `chordage home`.

use chordage_api::client::Client;
use chordage_api::types::HomeStatus;
use clap::{Args, Subcommand};

use crate::connect;
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::global::GlobalArgs;
use crate::human;
use crate::phrase;
use crate::printer::Printer;

/// Twelve words that bring everything back when this machine is lost
///
/// A home holds what opens your volumes, with all their backups, and the keys of your names. It lies in the network,
/// encrypted, and a recovery phrase of twelve words opens it: `chordage recover` on an empty machine needs nothing
/// else. What you make later is entered by itself within seconds.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  chordage home create                         prints the phrase: write it on paper
  chordage home check                          type it once more: is it written down right?
  chordage home status
  chordage recover                             on the new machine, or on your next one")]
pub(crate) struct HomeArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a home, and print its recovery phrase, which is not kept anywhere
    ///
    /// The phrase alone goes to standard output. Whoever has it can read all your backups, write to them, and publish
    /// under your names.
    Create,
    /// Say what the recovery phrase brings back
    Status,
    /// Say whether a phrase, from standard input, is that of this daemon's home
    Check,
}

/// Runs the command.
pub(crate) async fn run(
    args: HomeArgs,
    global: &GlobalArgs,
    printer: &Printer,
) -> Result<ExitStatus, CliError> {
    match args.action {
        Action::Create => create(&connect::client(global)?, printer).await,
        Action::Status => status(&connect::client(global)?, printer).await,
        Action::Check => {
            let phrase = phrase::read()?;
            check(&phrase.to_string(), &connect::client(global)?, printer).await
        }
    }
}

async fn create(client: &Client, printer: &Printer) -> Result<ExitStatus, CliError> {
    let created = client.create_home().await?;
    // Nobody has the phrase if it cannot be printed.
    let lost = |error: CliError| {
        error.state("a home was made whose phrase nobody has").hint(
            "make another: chordage volume remove home --yes && chordage home create, and look where it prints to",
        )
    };
    match printer.is_json() {
        true => printer.json(&created).map_err(lost)?,
        false => printer.line(&created.phrase).map_err(lost)?,
    }
    printer.warn(
        "this phrase is shown only now: write it on paper. Whoever has it can read and change all that is yours here, \
         and without it there is no way back if this machine is lost",
    );
    warn_if_alone(client, printer).await;
    printer.tell(format!("it brings back {}, and what you make from now on", contents(&created.home)));
    printer.tell("next: `chordage home check`, and type it from the paper");
    Ok(ExitStatus::Success)
}

async fn status(client: &Client, printer: &Printer) -> Result<ExitStatus, CliError> {
    let status = client.home().await?;
    if printer.is_json() {
        printer.json(&status)?;
        return Ok(ExitStatus::Success);
    }
    match &status.volume {
        None => {
            printer.line("this daemon has no home: if this machine is lost, so is what opens its volumes")?;
            printer.tell("next: chordage home create");
        }
        Some(volume) => {
            printer.line(format!("home     {volume}"))?;
            printer.line(format!("entered  {}", contents(&status)))?;
            if status.waiting > 0 {
                let waiting = human::count(status.waiting, "entry waits", "entries wait");
                printer.line(format!("waiting  {waiting} for the network to store them"))?;
            }
        }
    }
    Ok(ExitStatus::Success)
}

/// What lies on this machine only is lost with it, whoever has the phrase.
async fn warn_if_alone(client: &Client, printer: &Printer) {
    // The home is made, whether this can be asked or not.
    let Ok(status) = client.status().await else { return };
    if status.overlay.network_nodes_exact && status.overlay.network_nodes <= 1 {
        printer.warn(
            "this daemon is alone in its network: the home is on this machine only, and would be lost with it. Start \
             others, then make another: chordage volume remove home --yes && chordage home create",
        );
    }
}

async fn check(phrase: &str, client: &Client, printer: &Printer) -> Result<ExitStatus, CliError> {
    let checked = client.check_phrase(phrase).await?;
    if printer.is_json() {
        printer.json(&checked)?;
    }
    if !checked.opens {
        let message = "this is a recovery phrase, but that of another home";
        return Err(CliError::new(ExitStatus::BadLink, "other_home", message).state("nothing was changed"));
    }
    printer.tell("this phrase opens the home of this daemon");
    Ok(ExitStatus::Success)
}

fn contents(status: &HomeStatus) -> String {
    let volumes = human::count(status.volumes, "volume", "volumes");
    format!("{volumes} and {}", human::count(status.names, "key of names", "keys of names"))
}
