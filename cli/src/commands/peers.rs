//! `chordage peers`.

use chordage_api::types::PeerStatus;
use clap::Args;

use crate::connect;
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::global::GlobalArgs;
use crate::human;
use crate::printer::Printer;

/// List the peers that the daemon knows, nearest on the ring first
#[derive(Debug, Args)]
#[command(after_help = "\
Columns: id on the ring, how many bits its distance has, round trip, and whether it is connected (c; C: and the connection is \
kept), in the leaf set (l), in the finger table (f).

Examples:
  chordage peers
  chordage peers --json | jq '.[] | select(.connected) | .peer_id'")]
pub(crate) struct PeersArgs {}

/// Runs the command.
pub(crate) async fn run(
    _args: PeersArgs,
    global: &GlobalArgs,
    printer: &Printer,
) -> Result<ExitStatus, CliError> {
    let peers = connect::client(global)?.peers().await?;
    if printer.is_json() {
        printer.json(&peers)?;
    } else if peers.is_empty() {
        printer.tell("no peers: this daemon is alone; start another with --bootstrap and an address from `chordage status`");
    } else {
        for peer in &peers {
            printer.line(row(peer))?;
        }
    }
    Ok(ExitStatus::Success)
}

fn row(peer: &PeerStatus) -> String {
    let flag = |on, letter| if on { letter } else { '-' };
    let rtt = peer.rtt_ms.map_or_else(|| "-".to_owned(), |rtt| format!("{rtt:.1} ms"));
    format!(
        "{}  {:>3} bits  {rtt:>9}  {}{}{}  {}",
        human::short(peer.id),
        peer.distance_bits,
        if peer.warm { 'C' } else { flag(peer.connected, 'c') },
        flag(peer.leaf, 'l'),
        flag(peer.finger, 'f'),
        peer.addrs.first().map_or("", String::as_str)
    )
}
