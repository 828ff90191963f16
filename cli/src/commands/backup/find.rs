//! `chordage backup find`.

use chordage_api::client::SnapshotPath;
use chordage_api::types::{SnapshotInfo, VolumeEntry, VolumeEntryKind};
use clap::Args;
use serde::Serialize;

use super::Context;
use crate::backup::calendar::Calendar;
use crate::backup::choice::{self, short};
use crate::backup::entry::{path_of, row};
use crate::backup::filter::FilterArgs;
use crate::backup::patterns::Patterns;
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::human;
use crate::name::shown;

/// Find files in snapshots by their names
#[derive(Debug, Args)]
#[command(after_help = "\
A pattern without a slash before its end is that of a name, wherever it is; with one it is that of a path from /. * \
stands for any characters but slashes, ** for directories as well, and a slash at the end for directories only. With \
--json, one object per line: `snapshot`, `time`, `host`, and the fields of `ls`.

Examples:
  chordage backup find '*.jpg'
  chordage backup find -i 'tax*2025*' --host laptop
  chordage backup find '/home/me/**/notes.txt' --snapshot latest")]
pub(super) struct FindArgs {
    /// What to look for
    #[arg(value_name = "PATTERN", required = true)]
    patterns: Vec<String>,
    /// Look only into this snapshot (the beginning of its id, or latest); may be given again
    #[arg(short, long, value_name = "SNAPSHOT")]
    snapshot: Vec<String>,
    /// Take large and small letters for the same
    #[arg(short, long)]
    ignore_case: bool,
    /// Show mode, owner, group, size and time too
    #[arg(short, long)]
    long: bool,
    #[command(flatten)]
    filter: FilterArgs,
}

/// What `--json` prints of each.
#[derive(Serialize)]
struct Found<'a> {
    snapshot: &'a str,
    time: i64,
    host: &'a str,
    #[serde(flatten)]
    entry: &'a VolumeEntry,
}

/// Runs the command.
pub(super) async fn run(args: &FindArgs, context: &Context<'_>) -> Result<ExitStatus, CliError> {
    let Context { printer, .. } = context;
    let patterns = Patterns::new(&args.patterns, args.ignore_case)?;
    let all = context.snapshots().await?;
    let mut chosen: Vec<&SnapshotInfo> = match &args.snapshot[..] {
        [] => all.iter().filter(|snapshot| args.filter.takes(snapshot)).collect(),
        names => names.iter().map(|name| choice::find(&all, name, &args.filter)).collect::<Result<_, _>>()?,
    };
    chosen.sort_by(|a, b| a.in_time(b));
    chosen.dedup_by(|a, b| a.id == b.id);
    let mut found = 0;
    for snapshot in &chosen {
        found += find_in(snapshot, &patterns, args.long, context).await?;
    }
    printer.tell(format!(
        "found {} in {}",
        human::count(found, "entry", "entries"),
        human::count(chosen.len() as u64, "snapshot", "snapshots")
    ));
    Ok(ExitStatus::Success)
}

async fn find_in(
    snapshot: &SnapshotInfo,
    patterns: &Patterns,
    long: bool,
    context: &Context<'_>,
) -> Result<u64, CliError> {
    let Context { client, volume, printer } = context;
    let of = SnapshotPath { volume, snapshot: &snapshot.id, path: None };
    let mut entries = client.snapshot_entries(&of, true).await?;
    let calendar = Calendar::local();
    let mut found = 0;
    while let Some(entry) = entries.entry().await? {
        if !patterns.name(&path_of(&entry), entry.kind == VolumeEntryKind::Directory) {
            continue;
        }
        found += 1;
        if printer.is_json() {
            let SnapshotInfo { id, time, host, .. } = snapshot;
            printer.json(&Found { snapshot: id, time: *time, host, entry: &entry })?;
            continue;
        }
        if found == 1 {
            let (time, host) = (calendar.show(snapshot.time), shown(snapshot.host.as_bytes()));
            printer.line(format!("snapshot {} of {time} on {host}", short(&snapshot.id)))?;
        }
        printer.line(format!("  {}", row(&entry, long, &calendar)))?;
    }
    Ok(found)
}
