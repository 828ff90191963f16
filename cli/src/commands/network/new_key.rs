//! `chordage network new-key`.

use std::time::Duration;

use chordage_api::types::{NetworkInfo, NewKeyWanted};
use clap::Args;

use crate::connect;
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::global::GlobalArgs;
use crate::human;
use crate::printer::Printer;

/// Make a new network key, when the old one may be in other hands or its time has come
///
/// The founder's daemon does this. The old key signs that the new one follows; everybody hears of it within seconds,
/// and whoever is away on coming back. Daemons renew their certificates under the new key by themselves. Until the old
/// key ends both count, and there can be no third: whoever is off for all of that time has to join again, with a new
/// invite.
///
/// Whoever has stolen the old key can do the same, and daemons believe what they hear first. So do it soon, and with a
/// short overlap.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  chordage network new-key                     once a year
  chordage network new-key --overlap 2d        the old key was copied: end it soon")]
pub(super) struct NewKeyArgs {
    /// For how long the old key counts on [default: 90d]
    ///
    /// From 1h to 366d. Daemons that are off for longer have to join again.
    #[arg(long, value_name = "TIME", default_value = "90d", hide_default_value = true, value_parser = human::parse_duration)]
    overlap: Duration,
}

/// Runs the command.
pub(super) async fn run(
    args: NewKeyArgs,
    global: &GlobalArgs,
    printer: &Printer,
) -> Result<ExitStatus, CliError> {
    let wanted = NewKeyWanted { overlap_seconds: args.overlap.as_secs() };
    let info = connect::client(global)?.new_network_key(&wanted).await?;
    if printer.is_json() {
        printer.json(&info)?;
        return Ok(ExitStatus::Success);
    }
    let NetworkInfo { key, .. } = info;
    printer.line(key.unwrap_or_default())?;
    printer.tell(format!(
        "that is the network's key now, and everybody is told; certificates under the old one count for {} more, and \
         daemons renew them by themselves: `chordage network show` says under which key a daemon is",
        human::seconds(args.overlap.as_secs_f64())
    ));
    printer.tell(
        "copy `network.key` of this data directory to a safe place again: the copy of before is of the old key",
    );
    Ok(ExitStatus::Success)
}
