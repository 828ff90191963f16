//! `chordage backup list`.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use chordage_api::types::SnapshotInfo;
use clap::Args;

use super::Context;
use crate::backup::calendar::Calendar;
use crate::backup::choice::short;
use crate::backup::filter::FilterArgs;
use crate::backup::groups::{GroupBy, grouped};
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::human;
use crate::name::shown;

/// List the snapshots in the volume, the oldest first
///
/// Times are local ones.
#[derive(Debug, Args)]
#[command(after_help = "\
With --json, one object per line.

Examples:
  chordage backup list
  chordage backup list --host laptop --path /home/me --latest 3
  chordage backup list --tag before-upgrade
  chordage backup list --json | jq -r 'select(.bytes > 1e9) | .id'")]
pub(super) struct ListArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// Only the newest N of each host and set of paths
    #[arg(long, value_name = "N")]
    latest: Option<NonZeroUsize>,
    /// Also those that were forgotten and can still be taken back with `undelete`
    #[arg(long)]
    forgotten: bool,
}

/// Runs the command.
pub(super) async fn run(args: &ListArgs, context: &Context<'_>) -> Result<ExitStatus, CliError> {
    let Context { client, volume, printer } = context;
    let mut snapshots = client.snapshots(volume, args.forgotten).await?;
    snapshots.retain(|snapshot| args.filter.takes(snapshot));
    if let Some(latest) = args.latest {
        let groups = grouped(&snapshots, GroupBy::default());
        let newest = groups.values().flat_map(|group| group.iter().take(latest.get()));
        let newest: BTreeSet<String> = newest.map(|snapshot| snapshot.id.clone()).collect();
        snapshots.retain(|snapshot| newest.contains(&snapshot.id));
    }
    snapshots.sort_by(SnapshotInfo::in_time);
    if printer.is_json() {
        for snapshot in &snapshots {
            printer.json(snapshot)?;
        }
        return Ok(ExitStatus::Success);
    }
    for line in table(&snapshots, &Calendar::local()) {
        printer.line(line)?;
    }
    let forgotten = snapshots.iter().filter(|snapshot| snapshot.forgotten.is_some()).count();
    let more = if forgotten > 0 { format!(", {forgotten} of them forgotten") } else { String::new() };
    printer.tell(format!("{}{more}", human::count(snapshots.len() as u64, "snapshot", "snapshots")));
    Ok(ExitStatus::Success)
}

/// A line for each, in columns.
pub(super) fn table(snapshots: &[SnapshotInfo], calendar: &Calendar) -> Vec<String> {
    let widest = |of: fn(&SnapshotInfo) -> String, least: usize| {
        snapshots.iter().map(|snapshot| of(snapshot).chars().count()).max().unwrap_or(0).max(least)
    };
    let (hosts, labels) = (widest(host, 4), widest(tags, 4));
    let line = |id: &str, time: &str, host: &str, tags: &str, size: &str, paths: &str| {
        format!("{id:8}  {time:19}  {host:hosts$}  {tags:labels$}  {size:>9}  {paths}")
    };
    let head = (!snapshots.is_empty()).then(|| line("id", "time", "host", "tags", "size", "paths"));
    let rows = snapshots.iter().map(|snapshot| {
        let mut paths = paths(snapshot);
        if snapshot.unreadable > 0 {
            paths.push_str(&format!(
                "  (without {} unreadable)",
                human::count(snapshot.unreadable, "entry", "entries")
            ));
        }
        if let Some(until) = snapshot.locked_until {
            paths.push_str(&format!(
                "  (locked until {})",
                calendar.show(until.try_into().unwrap_or(i64::MAX))
            ));
        }
        if let Some(since) = snapshot.forgotten {
            paths.push_str(&format!("  (forgotten {})", calendar.show(since.try_into().unwrap_or(i64::MAX))));
        }
        let (time, size) = (calendar.show(snapshot.time), human::bytes(snapshot.bytes));
        line(short(&snapshot.id), &time, &host(snapshot), &tags(snapshot), &size, &paths)
    });
    head.into_iter().chain(rows).collect()
}

// What is in a volume was written by whoever may write to it, so all of it is shown with escapes.

fn host(snapshot: &SnapshotInfo) -> String {
    shown(snapshot.host.as_bytes())
}

fn tags(snapshot: &SnapshotInfo) -> String {
    shown(snapshot.tags.join(",").as_bytes())
}

fn paths(snapshot: &SnapshotInfo) -> String {
    shown(snapshot.paths.join(", ").as_bytes())
}
