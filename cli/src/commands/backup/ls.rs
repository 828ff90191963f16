//! `chordage backup ls`.

use std::ffi::OsString;

use chordage_api::client::SnapshotPath;
use clap::Args;

use super::Context;
use crate::backup::calendar::Calendar;
use crate::backup::choice::{self, Place};
use crate::backup::entry::row;
use crate::backup::filter::FilterArgs;
use crate::error::CliError;
use crate::exit::ExitStatus;

/// List what is in a snapshot
#[derive(Debug, Args)]
#[command(after_help = "\
Names are shown with escapes where a terminal or an eye could be misled, as in `chordage ls`. Times are local ones. \
With --json, one object per line; paths that are not UTF-8 have their bytes in `path_hex`.

Examples:
  chordage backup ls latest
  chordage backup ls latest /home/me -l
  chordage backup ls 5f3a01:/etc -r
  chordage backup ls latest -r --json | jq -r 'select(.kind == \"file\") | .path'")]
pub(super) struct LsArgs {
    /// The beginning of a snapshot's id, or latest; a path may stand behind a colon
    #[arg(value_name = "SNAPSHOT[:PATH]", value_parser = choice::parser())]
    snapshot: Place,
    /// Directory or file in it
    #[arg(value_name = "PATH")]
    inside: Option<OsString>,
    /// Show mode, owner, group, size and time too
    #[arg(short, long)]
    long: bool,
    /// List everything below, not only one level
    #[arg(short, long)]
    recursive: bool,
    #[command(flatten)]
    filter: FilterArgs,
}

/// Runs the command.
pub(super) async fn run(args: &LsArgs, context: &Context<'_>) -> Result<ExitStatus, CliError> {
    let Context { client, volume, printer } = context;
    let Place { snapshot, mut path } = args.snapshot.clone();
    if let Some(below) = args.inside.as_deref().and_then(choice::inside) {
        path = Some(match path {
            Some(above) => [above, below].join(&b'/'),
            None => below,
        });
    }
    let snapshots = context.snapshots().await?;
    let snapshot = choice::find(&snapshots, &snapshot, &args.filter)?;
    let of = SnapshotPath { volume, snapshot: &snapshot.id, path: path.as_deref() };
    let mut entries = client.snapshot_entries(&of, args.recursive).await?;
    let calendar = Calendar::local();
    let mut any = false;
    while let Some(entry) = entries.entry().await? {
        any = true;
        match printer.is_json() {
            true => printer.json(&entry)?,
            false => printer.line(row(&entry, args.long, &calendar))?,
        }
    }
    if !any {
        printer.tell("the directory is empty");
    }
    Ok(ExitStatus::Success)
}
