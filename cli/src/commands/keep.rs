//! `chordage keep`.

use clap::Args;

use crate::connect;
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::global::GlobalArgs;
use crate::human;
use crate::link;
use crate::printer::Printer;

/// Keep an object in the network until it is forgotten
///
/// The daemon asks the holders of the object to keep it, and goes on asking as long as it runs. What it has put itself
/// it keeps already; this is for objects of others, and for what was stored before there were leases.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  chordage keep chord1r...
  chordage keep --json LINK | jq .chunks")]
pub(crate) struct KeepArgs {
    /// The read link, or a verify link of what is kept already; - to read it from standard input
    #[arg(value_name = "LINK")]
    link: String,
}

/// Runs the command.
pub(crate) async fn run(
    args: KeepArgs,
    global: &GlobalArgs,
    printer: &Printer,
) -> Result<ExitStatus, CliError> {
    let link = link::parse(&link::argument(&args.link)?)?;
    let kept = connect::client(global)?.keep(&link.to_string()).await?;
    if printer.is_json() {
        printer.json(&kept)?;
    } else {
        printer.line(format!(
            "kept: {} in {}",
            human::bytes(kept.bytes),
            human::count(kept.chunks, "chunk", "chunks")
        ))?;
    }
    Ok(ExitStatus::Success)
}
