//! `chordage backup prune`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chordage_api::types::{PruneReport, SnapshotInfo};
use clap::Args;
use serde::Serialize;

use super::{Context, list};
use crate::backup::calendar::Calendar;
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::human;
use crate::printer::Printer;

/// How long forgotten snapshots can be taken back, unless somebody says otherwise.
const GRACE: &str = "7d";

/// Free what only forgotten snapshots need
///
/// Snapshots that were forgotten less than a week ago are left alone and can be taken back with `undelete`. What any
/// other snapshot needs stays in any case.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  chordage backup prune
  chordage backup prune --dry-run
  chordage backup prune --grace 30d
  chordage backup prune --grace 0s               at once: there is no way back")]
pub(super) struct PruneArgs {
    #[command(flatten)]
    grace: GraceArgs,
    /// Only show which snapshots would be gone for good
    #[arg(short = 'n', long)]
    dry_run: bool,
}

/// For how long there is a way back.
#[derive(Debug, Args)]
pub(super) struct GraceArgs {
    /// Only what was so long forgotten
    ///
    /// Remove for good only what was forgotten so long ago: 0s, 12h, 30d.
    #[arg(long, value_name = "TIME", default_value = GRACE, value_parser = grace)]
    grace: Duration,
}

/// A time that may be none, as clap reads it.
fn grace(text: &str) -> Result<Duration, String> {
    let none = ["0", "0s", "0m", "0min", "0h", "0d"];
    if none.contains(&text) { Ok(Duration::ZERO) } else { human::parse_duration(text) }
}

/// With `--json --dry-run`.
#[derive(Serialize)]
struct Plan {
    dry_run: bool,
    pruned: u64,
    waiting: u64,
    kept: u64,
    snapshots: Vec<String>,
}

/// Runs the command.
pub(super) async fn run(args: &PruneArgs, context: &Context<'_>) -> Result<ExitStatus, CliError> {
    if !args.dry_run {
        let report = prune(&args.grace, context).await?;
        if context.printer.is_json() {
            context.printer.json(&report)?;
        }
        return Ok(ExitStatus::Success);
    }
    let Context { client, volume, printer } = context;
    let all = client.snapshots(volume, true).await?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let until = now.saturating_sub(args.grace.grace).as_secs();
    let (gone, others): (Vec<SnapshotInfo>, Vec<SnapshotInfo>) =
        all.into_iter().partition(|snapshot| snapshot.forgotten.is_some_and(|since| since <= until));
    let waiting = others.iter().filter(|snapshot| snapshot.forgotten.is_some()).count() as u64;
    let kept = others.len() as u64 - waiting;
    if printer.is_json() {
        let snapshots: Vec<String> = gone.into_iter().map(|snapshot| snapshot.id).collect();
        printer.json(&Plan { dry_run: true, pruned: snapshots.len() as u64, waiting, kept, snapshots })?;
        return Ok(ExitStatus::Success);
    }
    for line in list::table(&gone, &Calendar::local()) {
        printer.line(line)?;
    }
    printer.tell(format!("would be gone for good: {}", numbers(gone.len() as u64, waiting, kept)));
    Ok(ExitStatus::Success)
}

/// Prunes, and says for people what came of it.
pub(super) async fn prune(args: &GraceArgs, context: &Context<'_>) -> Result<PruneReport, CliError> {
    let Context { client, volume, printer } = context;
    let progress = printer.progress("pruning", None);
    let report = client.prune_volume(volume, Some(args.grace.as_secs())).await;
    progress.clear();
    let report = report?;
    tell(&report, printer)?;
    Ok(report)
}

fn tell(report: &PruneReport, printer: &Printer) -> Result<(), CliError> {
    if printer.is_json() {
        return Ok(());
    }
    printer.line(format!("gone for good: {}", numbers(report.pruned, report.waiting, report.kept)))?;
    printer.tell(format!(
        "this daemon no longer keeps {}; the holders free what nothing else needs",
        human::count(report.released, "tree", "trees")
    ));
    Ok(())
}

fn numbers(pruned: u64, waiting: u64, kept: u64) -> String {
    format!(
        "{}; {waiting} can still be taken back, {kept} are kept",
        human::count(pruned, "forgotten snapshot", "forgotten snapshots")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_grace_is_a_grace() {
        assert_eq!(grace("0s"), Ok(Duration::ZERO));
        assert_eq!(grace(GRACE), Ok(Duration::from_secs(7 * 86_400)));
        assert!(grace("-1s").is_err() && grace("7").is_err());
    }
}
