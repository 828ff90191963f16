//! What a finished restore tells.

use std::path::Path;
use std::time::Duration;

use chordage_api::types::SnapshotInfo;
use serde::Serialize;

use crate::backup::choice::short;
use crate::backup::verification::Verified;
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::human;
use crate::name::{quoted, shown};
use crate::printer::Printer;
use crate::tree::restore::{Missed, Restored};

/// With `--json`.
#[derive(Debug, Serialize)]
struct Report<'a> {
    /// The whole id.
    snapshot: &'a str,
    target: String,
    files: u64,
    bytes: u64,
    dirs: u64,
    symlinks: u64,
    hard_links: u64,
    devices: u64,
    fifos: u64,
    sparse_files: u64,
    /// Entries that are not there, and things of others that are not as they were: all of the following.
    skipped: u64,
    skipped_entries: u64,
    skipped_devices: u64,
    skipped_owners: u64,
    skipped_set_id_bits: u64,
    skipped_attributes: u64,
    skipped_modes: u64,
    skipped_times: u64,
    skipped_hard_links: u64,
    /// The first 100 entries that are not there, each with the reason.
    skipped_paths: Vec<Skipped>,
    /// With --verify: files that hold what they should.
    #[serde(skip_serializing_if = "Option::is_none")]
    verified_files: Option<u64>,
    /// With --verify: files that do not.
    #[serde(skip_serializing_if = "Option::is_none")]
    wrong_files: Option<u64>,
    seconds: f64,
}

#[derive(Debug, Serialize)]
struct Skipped {
    path: String,
    why: String,
}

/// Prints what was restored, and says how the command ends.
pub(super) fn tell(
    snapshot: &SnapshotInfo,
    restored: &Restored,
    verified: Option<&Verified>,
    target: &Path,
    took: Duration,
    printer: &Printer,
) -> Result<ExitStatus, CliError> {
    let missed = &restored.missed;
    if printer.is_json() {
        printer.json(&report(snapshot, restored, verified, target, took))?;
    } else {
        printer.tell(format!(
            "restored {} ({}) of snapshot {} into {} in {} at {}",
            human::bytes(restored.bytes),
            human::count(restored.files, "file", "files"),
            short(&snapshot.id),
            quoted(target),
            human::seconds(took.as_secs_f64()),
            human::rate(restored.bytes, took.as_secs_f64())
        ));
        missed.describe().into_iter().for_each(|line| printer.warn(line));
        if let Some(verified) = verified {
            tell_verified(verified, printer);
        }
    }
    Ok(match () {
        () if verified.is_some_and(|verified| verified.wrong > 0) => ExitStatus::LocalFile,
        () if is_as_it_was(missed, rustix::process::geteuid().is_root()) => ExitStatus::Success,
        () => ExitStatus::Incomplete,
    })
}

fn tell_verified(verified: &Verified, printer: &Printer) {
    printer
        .tell(format!("read again and as they should be: {}", human::count(verified.files, "file", "files")));
    if verified.wrong > 0 {
        printer.warn(format!(
            "NOT what was restored, when they were read again: {}",
            human::count(verified.wrong, "file", "files")
        ));
        verified.named.iter().for_each(|path| printer.warn(format!("  {}", shown(path))));
    }
}

/// Whether all is there that whoever restored it could expect. Only root may give files to others; everybody else is
/// told that and not blamed for it, as with tar(1).
fn is_as_it_was(missed: &Missed, is_root: bool) -> bool {
    let expected = Missed { owners: missed.owners, set_id: missed.set_id, ..Missed::default() };
    missed.is_empty() || (!is_root && *missed == expected)
}

fn report<'a>(
    snapshot: &'a SnapshotInfo,
    restored: &Restored,
    verified: Option<&Verified>,
    target: &Path,
    took: Duration,
) -> Report<'a> {
    let Restored { files, bytes, sparse, dirs, symlinks, hard_links, devices, fifos, missed } = restored;
    let Missed { owners, set_id, attributes, modes, times, links, failed, named, .. } = missed;
    let paths = named.iter().map(|(path, why)| Skipped { path: shown(path), why: why.clone() });
    Report {
        snapshot: &snapshot.id,
        target: target.to_string_lossy().into_owned(),
        files: *files,
        bytes: *bytes,
        dirs: *dirs,
        symlinks: *symlinks,
        hard_links: *hard_links,
        devices: *devices,
        fifos: *fifos,
        sparse_files: *sparse,
        skipped: owners + set_id + attributes + modes + times + links + failed + missed.devices,
        skipped_entries: *failed,
        skipped_devices: missed.devices,
        skipped_owners: *owners,
        skipped_set_id_bits: *set_id,
        skipped_attributes: *attributes,
        skipped_modes: *modes,
        skipped_times: *times,
        skipped_hard_links: *links,
        skipped_paths: paths.collect(),
        verified_files: verified.map(|verified| verified.files),
        wrong_files: verified.map(|verified| verified.wrong),
        seconds: took.as_secs_f64(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_root_is_blamed_for_owners() {
        let owners = Missed { owners: 3, set_id: 1, ..Missed::default() };
        assert!(is_as_it_was(&owners, false) && !is_as_it_was(&owners, true));
        assert!(is_as_it_was(&Missed::default(), true));
        assert!(!is_as_it_was(&Missed { times: 1, ..owners }, false));
    }
}
