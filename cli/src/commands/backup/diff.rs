//! `chordage backup diff`.

use chordage_api::types::{VolumeDifference, VolumeEntry, VolumeEntryKind};
use clap::Args;
use serde::Serialize;

use super::Context;
use crate::backup::choice;
use crate::backup::entry::shown_path;
use crate::backup::filter::FilterArgs;
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::human;

/// Show what has changed between two snapshots
#[derive(Debug, Args)]
#[command(after_help = "\
A letter says how each path differs:
  +  it is new            -  it is gone           M  its content was modified
  T  it is of another kind now (a file was a symbolic link, say)
  U  its content is the same, but not its owner, mode or times (with --metadata)

With --json, one object per line: `change` (added, removed, content, kind, metadata), `path`, `old`, `new`; the last \
one has `summary`.

Examples:
  chordage backup diff 5f3a01 latest
  chordage backup diff 5f3a01 9c7702 --metadata")]
pub(super) struct DiffArgs {
    /// The older snapshot: the beginning of its id, or latest
    #[arg(value_name = "OLD")]
    old: String,
    /// The newer one
    #[arg(value_name = "NEW")]
    new: String,
    /// Show also entries whose content is the same
    #[arg(long)]
    metadata: bool,
}

/// How an entry differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Change {
    Added,
    Removed,
    Content,
    Kind,
    Metadata,
}

impl Change {
    /// How these two differ; `None`: not in anything that is known here.
    fn of(difference: &VolumeDifference) -> Option<Self> {
        match (&difference.old, &difference.new) {
            (None, None) => None,
            (None, Some(_)) => Some(Change::Added),
            (Some(_), None) => Some(Change::Removed),
            (Some(old), Some(new)) if old.kind != new.kind => Some(Change::Kind),
            (Some(old), Some(new))
                if (old.size, &old.content, &old.target) != (new.size, &new.content, &new.target)
                    && old.kind != VolumeEntryKind::Directory =>
            {
                Some(Change::Content)
            }
            (Some(_), Some(_)) => Some(Change::Metadata),
        }
    }

    fn letter(self) -> char {
        match self {
            Change::Added => '+',
            Change::Removed => '-',
            Change::Content => 'M',
            Change::Kind => 'T',
            Change::Metadata => 'U',
        }
    }
}

/// What `--json` prints of each path.
#[derive(Serialize)]
struct Line<'a> {
    change: Change,
    #[serde(flatten)]
    difference: &'a VolumeDifference,
}

/// What `--json` prints at the end.
#[derive(Serialize)]
struct Last {
    summary: Summary,
}

/// Entries of each sort.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct Summary {
    old: String,
    new: String,
    added: u64,
    removed: u64,
    content: u64,
    kind: u64,
    metadata: u64,
    /// Lengths of files that are new or whose content is.
    added_bytes: u64,
    /// Lengths that files had which are gone or whose content is.
    removed_bytes: u64,
}

impl Summary {
    fn count(&mut self, change: Change, difference: &VolumeDifference) {
        match change {
            Change::Added => self.added += 1,
            Change::Removed => self.removed += 1,
            Change::Content => self.content += 1,
            Change::Kind => self.kind += 1,
            Change::Metadata => {
                self.metadata += 1;
                return;
            }
        }
        let size = |entry: &Option<VolumeEntry>| {
            entry.as_ref().filter(|entry| entry.kind == VolumeEntryKind::File).map_or(0, |entry| entry.size)
        };
        self.added_bytes = self.added_bytes.saturating_add(size(&difference.new));
        self.removed_bytes = self.removed_bytes.saturating_add(size(&difference.old));
    }
}

/// Runs the command.
pub(super) async fn run(args: &DiffArgs, context: &Context<'_>) -> Result<ExitStatus, CliError> {
    let Context { client, volume, printer } = context;
    let snapshots = context.snapshots().await?;
    let id = |name: &str| {
        choice::find(&snapshots, name, &FilterArgs::default()).map(|snapshot| snapshot.id.clone())
    };
    let (old, new) = (id(&args.old)?, id(&args.new)?);
    let mut differences = client.snapshot_diff(volume, &old, &new).await?;
    let mut summary = Summary { old, new, ..Summary::default() };
    while let Some(difference) = differences.entry().await? {
        let Some(change) = Change::of(&difference) else { continue };
        summary.count(change, &difference);
        if change == Change::Metadata && !args.metadata {
            continue;
        }
        if printer.is_json() {
            printer.json(&Line { change, difference: &difference })?;
        } else if let Some(entry) = difference.new.as_ref().or(difference.old.as_ref()) {
            printer.line(format!("{}  {}", change.letter(), shown_path(entry)))?;
        }
    }
    if printer.is_json() {
        printer.json(&Last { summary })?;
        return Ok(ExitStatus::Success);
    }
    printer.tell(format!(
        "{} new, {} gone, {} with other content, {} of another kind, {} with other metadata only",
        summary.added, summary.removed, summary.content, summary.kind, summary.metadata
    ));
    printer.tell(format!(
        "files with {} are new or changed; those with {} are gone or were changed",
        human::bytes(summary.added_bytes),
        human::bytes(summary.removed_bytes)
    ));
    Ok(ExitStatus::Success)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: VolumeEntryKind, size: u64, content: &str, mode: u32) -> Option<VolumeEntry> {
        Some(VolumeEntry {
            path: "a".to_owned(),
            path_hex: None,
            kind,
            size,
            mode,
            uid: 0,
            gid: 0,
            user: String::new(),
            group: String::new(),
            mtime: 0,
            mtime_nanos: 0,
            target: None,
            target_hex: None,
            device: None,
            data_bytes: None,
            xattrs: 0,
            link_group: None,
            content: Some(content.to_owned()),
        })
    }

    #[test]
    fn changes_are_told_apart() {
        use VolumeEntryKind::{Directory, File, Symlink};
        let mut summary = Summary::default();
        for (old, new, change) in [
            (None, entry(File, 5, "x", 0), Some(Change::Added)),
            (entry(File, 3, "x", 0), None, Some(Change::Removed)),
            (entry(File, 3, "x", 0), entry(File, 3, "y", 0), Some(Change::Content)),
            (entry(File, 3, "x", 0), entry(File, 3, "x", 0o600), Some(Change::Metadata)),
            (entry(File, 3, "x", 0), entry(Symlink, 0, "", 0), Some(Change::Kind)),
            (entry(Directory, 0, "", 0), entry(Directory, 0, "other", 0), Some(Change::Metadata)),
            (None, None, None),
        ] {
            let difference = VolumeDifference { path: "a".to_owned(), old, new };
            assert_eq!(Change::of(&difference), change, "{difference:?}");
            if let Some(change) = change {
                summary.count(change, &difference);
            }
        }
        assert_eq!((summary.added_bytes, summary.removed_bytes), (5 + 3, 3 + 3 + 3));
        assert_eq!((summary.added, summary.removed, summary.content, summary.metadata), (1, 1, 1, 2));
    }
}
