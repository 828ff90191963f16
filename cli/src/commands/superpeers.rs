//! `chordage superpeers`.

use chordage_api::types::SuperPeerStatus;
use clap::Args;

use crate::connect;
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::global::GlobalArgs;
use crate::human;
use crate::printer::Printer;

/// List the super-peers of a large network, as far as the daemon knows them
///
/// In a network of more than `overlay.members_max` nodes (2,000, unless config.toml says otherwise) one of 32 is drawn
/// to list all members and answer others from the list. Nobody chooses: a hash of the id and the time decides, and a
/// seat ends after four hours. Lookups ask the fastest first, and go on by fingers all the same.
#[derive(Debug, Args)]
#[command(after_help = "\
Columns: id, what the daemon thinks of it, for how long it has known it, when its seat ends, round trip, and of those that are asked \
first the share of questions that they have answered.

Examples:
  chordage superpeers
  chordage superpeers --json | jq '.[] | select(.score != null) | [.id, .rtt_ms]'")]
pub(crate) struct SuperpeersArgs {}

/// Runs the command.
pub(crate) async fn run(
    _args: SuperpeersArgs,
    global: &GlobalArgs,
    printer: &Printer,
) -> Result<ExitStatus, CliError> {
    let known = connect::client(global)?.super_peers().await?;
    if printer.is_json() {
        printer.json(&known)?;
        return Ok(ExitStatus::Success);
    }
    if known.is_empty() {
        printer.tell(
            "no super-peers: this network is small enough for every daemon to list it, or none is known yet",
        );
        return Ok(ExitStatus::Success);
    }
    printer.line("id                state    known for  seat ends in  round trip  score")?;
    for super_peer in &known {
        printer.line(row(super_peer))?;
    }
    Ok(ExitStatus::Success)
}

fn row(known: &SuperPeerStatus) -> String {
    let rtt = known.rtt_ms.map_or_else(|| "-".to_owned(), |rtt| format!("{rtt:.1} ms"));
    let score = known.score.map_or_else(|| "-".to_owned(), |score| format!("{score:.2}"));
    let note = if known.is_self { "  this daemon" } else { "" };
    format!(
        "{}  {:<7}  {:>9}  {:>12}  {rtt:>10}  {score:>5}{note}",
        human::short(known.id),
        known.state,
        human::seconds(known.age_seconds),
        human::seconds(known.seat_ends_seconds as f64)
    )
}
