//! `chordage backup undelete`.

use chordage_api::types::{SnapshotInfo, SnapshotSelection};
use clap::Args;

use super::{Context, list};
use crate::backup::calendar::Calendar;
use crate::backup::choice;
use crate::backup::filter::FilterArgs;
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::human;

/// Take forgotten snapshots back
///
/// That works until `prune` has removed them for good: a week after they were forgotten, unless it is told otherwise.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  chordage backup list --forgotten
  chordage backup undelete 5f3a01
  chordage backup undelete latest              the newest of the forgotten ones")]
pub(super) struct UndeleteArgs {
    /// Beginnings of their ids, or latest
    #[arg(value_name = "SNAPSHOT", required = true)]
    snapshots: Vec<String>,
}

/// Runs the command.
pub(super) async fn run(args: &UndeleteArgs, context: &Context<'_>) -> Result<ExitStatus, CliError> {
    let Context { client, volume, printer } = context;
    let mut all = client.snapshots(volume, true).await?;
    let kept: Vec<SnapshotInfo> = all.extract_if(.., |snapshot| snapshot.forgotten.is_none()).collect();
    let chosen = args.snapshots.iter().map(|name| {
        choice::find(&all, name, &FilterArgs::default()).map_err(|error| {
            match choice::find(&kept, name, &FilterArgs::default()) {
                Ok(snapshot) if name != choice::LATEST => {
                    let id = choice::short(&snapshot.id);
                    error
                        .state(format!("snapshot {id} was not forgotten, and is there"))
                        .hint("there is nothing to do")
                }
                _ => error.hint("`chordage backup list --forgotten` shows what can be taken back"),
            }
        })
    });
    let mut ids =
        chosen.map(|found| found.map(|snapshot| snapshot.id.clone())).collect::<Result<Vec<_>, _>>()?;
    ids.sort_unstable();
    ids.dedup();
    let selection = SnapshotSelection { volume: volume.clone(), snapshots: ids };
    let back = client.undelete_snapshots(&selection).await?;
    if printer.is_json() {
        for snapshot in &back {
            printer.json(snapshot)?;
        }
        return Ok(ExitStatus::Success);
    }
    for line in list::table(&back, &Calendar::local()) {
        printer.line(line)?;
    }
    printer.tell(format!("taken back: {}", human::count(back.len() as u64, "snapshot", "snapshots")));
    Ok(ExitStatus::Success)
}
