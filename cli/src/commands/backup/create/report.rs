//! What a finished backup tells.

use std::time::Duration;

use chordage_api::types::{SnapshotInfo, TreeReport};
use serde::Serialize;

use crate::backup::calendar::Calendar;
use crate::backup::choice::short;
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::human;
use crate::printer::{OUTPUT_CLOSED, Printer};
use crate::tree::selection::LeftOut;

/// With `--json`.
#[derive(Debug, Serialize)]
struct Report<'a> {
    /// Its id.
    snapshot: &'a str,
    time: i64,
    host: &'a str,
    paths: &'a [String],
    tags: &'a [String],
    files: u64,
    dirs: u64,
    others: u64,
    bytes: u64,
    new_bytes: u64,
    sent_bytes: u64,
    stored_bytes: u64,
    chunks: u64,
    new_chunks: u64,
    unchanged_files: u64,
    excluded: u64,
    unreadable: u64,
    /// The first 100 of these.
    unreadable_paths: Vec<String>,
    /// Files that were written to whenever they were read.
    changed_files: u64,
    without_attributes: u64,
    k: u8,
    n: u8,
    degraded: bool,
    only_here: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    locked_until: Option<u64>,
    seconds: f64,
}

impl<'a> Report<'a> {
    fn new(snapshot: &'a SnapshotInfo, tree: &TreeReport, left_out: &LeftOut, took: Duration) -> Self {
        let named = left_out.named.iter().map(|path| path.to_string_lossy().into_owned());
        Report {
            snapshot: &snapshot.id,
            time: snapshot.time,
            host: &snapshot.host,
            paths: &snapshot.paths,
            tags: &snapshot.tags,
            files: tree.files,
            dirs: tree.dirs,
            others: tree.others,
            bytes: tree.bytes,
            new_bytes: tree.new_bytes,
            sent_bytes: tree.sent_bytes,
            stored_bytes: tree.stored_bytes,
            chunks: tree.chunks,
            new_chunks: tree.new_chunks,
            unchanged_files: tree.unchanged_files,
            excluded: left_out.excluded,
            unreadable: left_out.unreadable,
            unreadable_paths: named.collect(),
            changed_files: left_out.changed,
            without_attributes: left_out.without_attributes,
            k: tree.k,
            n: tree.n,
            degraded: tree.degraded,
            only_here: tree.only_here,
            locked_until: snapshot.locked_until,
            seconds: took.as_secs_f64(),
        }
    }
}

/// Prints the id, and for people what became of the backup.
pub(super) fn tell(
    snapshot: &SnapshotInfo,
    tree: &TreeReport,
    left_out: &LeftOut,
    took: Duration,
    printer: &Printer,
) -> Result<(), CliError> {
    let report = Report::new(snapshot, tree, left_out, took);
    let printed = if printer.is_json() { printer.json(&report) } else { printer.line(&snapshot.id) };
    printed.map_err(|error| not_printed(&error, snapshot))?;
    if printer.is_json() {
        return Ok(());
    }
    tell_numbers(&report, printer);
    warn(&report, left_out, printer);
    printer.tell(format!("get it back: chordage backup restore {} --target DIR", short(&snapshot.id)));
    Ok(())
}

fn tell_numbers(report: &Report<'_>, printer: &Printer) {
    printer.tell(format!(
        "backed up {} in {} and {} in {} at {}",
        human::bytes(report.bytes),
        human::count(report.files, "file", "files"),
        human::count(report.dirs, "directory", "directories"),
        human::seconds(report.seconds),
        human::rate(report.bytes, report.seconds)
    ));
    printer.tell(format!(
        "{} had not changed and were not read; {} of content are new, {} went over the network",
        human::count(report.unchanged_files, "file", "files"),
        human::bytes(report.new_bytes),
        human::bytes(report.sent_bytes)
    ));
    printer.tell(format!("any {} of {} shards give each chunk back", report.k, report.n));
    if let Some(until) = report.locked_until {
        let until = Calendar::local().show(i64::try_from(until).unwrap_or(i64::MAX));
        printer.tell(format!("it cannot be forgotten before {until}"));
    }
}

/// What its user should know although all went well.
fn warn(report: &Report<'_>, left_out: &LeftOut, printer: &Printer) {
    if report.degraded {
        printer.warn(format!(
            "stored with less redundancy than it should have ({} of {}); make another snapshot when more daemons live",
            report.k, report.n
        ));
    }
    if report.only_here {
        printer.warn(
            "the only copy is on this machine, because the daemon is alone in its network: start others, then back \
             up again",
        );
    }
    left_out.describe().into_iter().for_each(|line| printer.warn(line));
}

/// The snapshot is there, whoever listens.
fn not_printed(error: &CliError, snapshot: &SnapshotInfo) -> CliError {
    let message = match error.code.as_str() {
        OUTPUT_CLOSED => "standard output was closed before the id was written to it",
        _ => &error.message,
    };
    CliError::new(ExitStatus::LocalFile, "output", message)
        .state(format!("the snapshot {} is made", snapshot.id))
        .hint("`chordage backup list` shows it")
}
