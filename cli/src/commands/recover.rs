//! `chordage recover`.

use chordage_api::types::HomeRecovered;
use clap::Args;

use crate::connect;
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::global::GlobalArgs;
use crate::human;
use crate::phrase;
use crate::printer::Printer;

/// Bring everything back that a recovery phrase opens: volumes with all their backups, and names
///
/// The phrase comes from the terminal, or from standard input. This machine needs a daemon in the network in which the
/// home was made, and nothing else. It also keeps everything from then on: what the lost machine kept stays for
/// as long as this one, or another one of yours, comes by once a year.
///
/// The same command gives another machine of yours all that you have, and may be repeated.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  chordage daemon --bootstrap ADDRESS          on the new machine: one address of anybody in the network
  chordage recover                             and type the twelve words
  chordage backup list
  chordage backup restore latest --target ~/back")]
pub(crate) struct RecoverArgs {}

/// Runs the command.
pub(crate) async fn run(
    _args: RecoverArgs,
    global: &GlobalArgs,
    printer: &Printer,
) -> Result<ExitStatus, CliError> {
    // Before somebody types twelve words.
    let client = connect::client(global)?;
    let phrase = phrase::read()?;
    let recovered = client.recover(&phrase.to_string()).await?;
    if printer.is_json() {
        printer.json(&recovered)?;
    } else {
        show(&recovered, printer)?;
    }
    let next = if recovered.volumes.iter().any(|volume| volume.petname == "backup") {
        "chordage backup list"
    } else {
        "chordage volume list"
    };
    printer.tell(format!("next: {next}"));
    Ok(ExitStatus::Success)
}

fn show(recovered: &HomeRecovered, printer: &Printer) -> Result<(), CliError> {
    for volume in &recovered.volumes {
        let access = if volume.writable { "reads and writes" } else { "reads" };
        printer.line(format!("volume  {}  {access}", volume.petname))?;
    }
    for name in &recovered.names {
        printer.line(format!("name    {}  {}", name.petname, name.key))?;
    }
    let volumes = human::count(recovered.volumes.len() as u64, "volume", "volumes");
    let names = human::count(recovered.names.len() as u64, "key of names", "keys of names");
    printer.tell(format!("brought back {volumes} and {names}; {} were here already", recovered.known));
    if recovered.not_understood > 0 {
        let entries = human::count(recovered.not_understood, "entry", "entries");
        printer.warn(format!(
            "{entries} of this home were made by a newer version, and are not understood here"
        ));
    }
    Ok(())
}
