//! `chordage drain`.

use std::time::Duration;

use chordage_api::types::{DaemonState, DrainStatus};
use clap::Args;
use tokio::time::{Instant, sleep};

use crate::connect;
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::global::GlobalArgs;
use crate::human;
use crate::printer::Printer;

/// How often the daemon is asked how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Without any progress for so long, it is said that there is none. The daemon goes on trying.
const STALL: Duration = Duration::from_secs(60);

/// Hand over everything the daemon holds, so that it can be stopped for good
///
/// The daemon takes no more shards and gives each that it holds to another daemon near it, unless one has it already.
/// It goes on serving meanwhile and afterwards, until it is stopped. Stopping and starting it again ends the draining.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  chordage drain && kill PID      what the daemon's PID is, chordage status says
  chordage drain --json")]
pub(crate) struct DrainArgs {}

/// Runs the command.
pub(crate) async fn run(
    _args: DrainArgs,
    global: &GlobalArgs,
    printer: &Printer,
) -> Result<ExitStatus, CliError> {
    let client = connect::client(global)?;
    let status = client.status().await?;
    let (total, joined) = (status.store.stored_bytes, status.membership.state != DaemonState::Joining);
    let mut drain: DrainStatus = client.drain().await?;
    if !joined && status.store.shards > 0 {
        let message = format!(
            "the daemon has not joined its network: nobody can take its {}",
            human::count(status.store.shards, "shard", "shards")
        );
        return Err(CliError::new(ExitStatus::NoDaemon, "not_joined", message)
            .state("what it holds may be nowhere else; it hands it over when it has joined, if it runs until then")
            .hint("see with `chordage status` why it has not joined, then `chordage drain` again"));
    }
    let progress = printer.progress("drain", Some(total));
    let (mut shown, mut last_change) = (0, Instant::now());
    while !drain.done {
        sleep(LOOK_EVERY).await;
        let now = client.status().await?.duties.drain.unwrap_or_default();
        if now != drain {
            last_change = Instant::now();
        }
        drain = now;
        // Shards that others hold too need not be sent: the bar shows shares of what is held.
        let done = (total as f64 * drain.covered as f64 / drain.shards.max(1) as f64) as u64;
        progress.advance(done.saturating_sub(shown));
        shown = shown.max(done);
        if last_change.elapsed() > STALL {
            progress.clear();
            let message = describe(&drain);
            return Err(CliError::new(ExitStatus::NotDurable, "homeless", message)
                .state("the daemon goes on trying and goes on serving; nothing is lost as long as it runs")
                .hint("start another daemon, or give others a larger --quota; then `chordage drain` again"));
        }
    }
    progress.clear();
    if printer.is_json() {
        printer.json(&drain)?;
    } else if !joined {
        let line = "it holds nothing, and has not joined its network: nothing had to be handed over, and it can be stopped";
        printer.sentence(line, 2)?;
    } else {
        printer.sentence(describe(&drain), 2)?;
    }
    Ok(ExitStatus::Success)
}

/// How far it is; `chordage status` says the same.
pub(super) fn describe(drain: &DrainStatus) -> String {
    let sent = human::bytes(drain.sent_bytes);
    if drain.done {
        let shards = human::count(drain.covered, "shard has", "shards have");
        return format!("{shards} another holder; sent {sent} for it. The daemon can be stopped for good");
    }
    let shards = human::count(drain.shards, "shard", "shards");
    let mut line = format!("{} of {shards} have another holder; sent {sent} for it", drain.covered);
    if drain.homeless > 0 {
        let homeless = human::count(drain.homeless, "shard", "shards");
        line.push_str(&format!("; found no daemon that takes {homeless}, and tries again"));
    }
    line
}
