//! `chordage scrub`.

use std::time::Duration;

use chordage_api::types::ScrubStatus;
use clap::Args;
use serde::Serialize;
use tokio::time::{Instant, sleep};

use crate::connect;
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::global::GlobalArgs;
use crate::human;
use crate::printer::Printer;

/// How often the daemon is asked how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// A scrub that reads nothing for so long has stopped.
const STALL: Duration = Duration::from_secs(120);

/// Read everything that the daemon holds against its hashes, now
///
/// A daemon does this by itself, slowly, once in `scrub.period_seconds` of its settings (14 days). What is damaged is
/// dropped and made again from what others hold; no reader ever gets it. What is not made good yet is told at the end,
/// whenever it was found.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  chordage scrub
  chordage scrub --json | jq .damaged
  chordage status            how far repair is with what was found")]
pub(crate) struct ScrubArgs {}

/// What was read, and what was found.
#[derive(Debug, Serialize)]
struct Outcome {
    shards: u64,
    bytes: u64,
    damaged: u64,
    /// Shards that were found damaged or lost, by this scrub or before, and are not made good yet.
    unmended: u64,
    seconds: f64,
}

/// Runs the command.
pub(crate) async fn run(
    _args: ScrubArgs,
    global: &GlobalArgs,
    printer: &Printer,
) -> Result<ExitStatus, CliError> {
    let client = connect::client(global)?;
    let started = Instant::now();
    let total = client.status().await?.store.stored_bytes;
    let before = client.scrub().await?;
    let progress = printer.progress("scrub", Some(total));
    let mut shown = 0;
    let mut last_change = Instant::now();
    let (done, unmended): (ScrubStatus, u64) = loop {
        let status = client.status().await?;
        let now = status.duties.scrub;
        if now.passes > before.passes {
            break (now, status.damage.unmended_shards);
        }
        if now.bytes != shown {
            progress.advance(now.bytes.saturating_sub(shown));
            shown = now.bytes;
            last_change = Instant::now();
        } else if last_change.elapsed() > STALL {
            progress.clear();
            return Err(CliError::new(ExitStatus::Deadline, "timed_out", "the scrub does not go on")
                .state("what was found damaged so far was dropped; nothing else was changed")
                .hint("the daemon's log says why; `chordage status`"));
        }
        sleep(LOOK_EVERY).await;
    };
    progress.clear();
    let outcome = Outcome {
        shards: done.shards,
        bytes: done.bytes,
        damaged: done.damaged,
        unmended,
        seconds: started.elapsed().as_secs_f64(),
    };
    if printer.is_json() {
        printer.json(&outcome)?;
    } else {
        let found = match (outcome.damaged, outcome.unmended) {
            (0, 0) => "all are whole".to_owned(),
            (0, _) => "these are whole".to_owned(),
            (damaged, _) => format!("{damaged} damaged: dropped, to be made again from what others hold"),
        };
        printer.line(format!(
            "read {} ({}) in {}: {found}",
            human::count(outcome.shards, "shard", "shards"),
            human::bytes(outcome.bytes),
            human::seconds(outcome.seconds)
        ))?;
        if outcome.unmended > 0 {
            printer.line(format!(
                "{} lost here and not made good yet; `chordage status` says how far repair is",
                human::count(outcome.unmended, "shard was", "shards were")
            ))?;
        }
    }
    Ok(ExitStatus::Success)
}
