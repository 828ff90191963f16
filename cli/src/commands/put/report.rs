//! What a finished put tells.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use chordage_api::types::PutReport;
use serde::Serialize;

use super::human_names;
use crate::error::{CliError, shell_word};
use crate::exit::ExitStatus;
use crate::global::GlobalArgs;
use crate::human;
use crate::printer::{OUTPUT_CLOSED, Printer};
use crate::tree::selection::LeftOut;

/// With `--json`.
#[derive(Serialize)]
struct Outcome<'a> {
    #[serde(flatten)]
    report: &'a PutReport,
    /// Entries of the tree that `--exclude` left out; what is below them is not counted.
    excluded: u64,
    /// Entries that could not be read and are not stored.
    unreadable: u64,
    /// The first 100 of these.
    unreadable_paths: Vec<String>,
}

/// Prints the link, and for people what became of the put.
pub(super) fn tell(
    report: &PutReport,
    left_out: &LeftOut,
    path: Option<&Path>,
    global: &GlobalArgs,
    printer: &Printer,
) -> Result<(), CliError> {
    let outcome = Outcome {
        report,
        excluded: left_out.excluded,
        unreadable: left_out.unreadable,
        unreadable_paths: left_out.named.iter().map(|path| path.to_string_lossy().into_owned()).collect(),
    };
    let printed = if printer.is_json() { printer.json(&outcome) } else { printer.line(&report.link) };
    printed.map_err(|error| link_not_printed(&error, &report.link))?;
    if printer.is_json() {
        return Ok(());
    }
    tell_numbers(report, printer);
    warn(report, printer);
    left_out.describe().into_iter().for_each(|line| printer.warn(line));
    let api =
        global.api.as_ref().map(|api| format!(" --api {}", shell_word(Path::new(api)))).unwrap_or_default();
    let output = shell_word(&free_name(path));
    printer.tell(format!(
        "get it back from any daemon of the network:\n  chordage get{api} {} -o {output}",
        report.link
    ));
    Ok(())
}

/// What was stored, and what that took.
fn tell_numbers(report: &PutReport, printer: &Printer) {
    let ratio = if report.bytes == 0 { 1.0 } else { report.stored_bytes as f64 / report.bytes as f64 };
    printer.tell(format!(
        "stored {} ({}) in {}: {}, {} at {}",
        human::bytes(report.bytes),
        human::count(report.files, "file", "files"),
        human::count(report.chunks, "chunk", "chunks"),
        match report.chunks - report.new_chunks.min(report.chunks) {
            0 => "all new".to_owned(),
            known => format!("{known} known already"),
        },
        human::seconds(report.seconds),
        human::rate(report.bytes, report.seconds)
    ));
    if report.reused_bytes > 0 {
        printer.tell(format!(
            "{} of it were stored before and not sent again; {} had not changed and were not read",
            human::bytes(report.reused_bytes),
            human::count(report.unchanged_files, "file", "files"),
        ));
    }
    printer.tell(format!(
        "the network holds {} for it, {ratio:.2} times its size: any {} of {} shards give each chunk back, and at least {} \
         are on disk",
        human::bytes(report.stored_bytes),
        report.k,
        report.n,
        report.acks_min
    ));
    if let Some(since) = report.kept_since {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let since = human::seconds(now.saturating_sub(since) as f64);
        let names = if report.kept_as.is_empty() {
            String::new()
        } else {
            format!(" as {}", human_names(&report.kept_as))
        };
        printer.tell(format!(
            "already kept for {since}{names}: the same content is one object with one link, and one `chordage forget` lets \
             go of it"
        ));
    }
}

/// What its user should know although all went well.
fn warn(report: &PutReport, printer: &Printer) {
    if report.degraded {
        printer.warn(format!(
            "stored with less redundancy than it should have ({} of {}); put it again when more daemons live",
            report.k, report.n
        ));
    }
    if let Some(before) = &report.less_than_before {
        printer.warn(format!(
            "stored as {}/{}, and puts through this daemon got {before} before: it takes its network for smaller now. If it is \
             not, put it again when `chordage status` shows that, or with --redundancy {before}",
            report.k, report.n
        ));
    }
    if report.only_here {
        printer.warn(
            "the only copy is on this machine, because the daemon is alone in its network: start others, then put it again",
        );
    }
}

/// Without its link nobody finds the object, so that here a reader who is gone is an error too.
fn link_not_printed(error: &CliError, link: &str) -> CliError {
    let message = match error.code.as_str() {
        OUTPUT_CLOSED => "standard output was closed before the link was written to it",
        _ => &error.message,
    };
    CliError::new(ExitStatus::LocalFile, "output", message)
        .state(format!("the object is stored and kept, and its link is {link}"))
        .hint("write the link down; `chordage forget LINK` lets go of the object")
}

/// A name like the source's that `get` may write to here.
fn free_name(path: Option<&Path>) -> PathBuf {
    let name = path.and_then(Path::file_name).filter(|name| *name != "-").unwrap_or_else(|| "copy".as_ref());
    let numbered = (1..).map(|number| {
        let mut candidate = name.to_os_string();
        match number {
            1 => {}
            2 => candidate.push(".copy"),
            number => candidate.push(format!(".copy{}", number - 1)),
        }
        PathBuf::from(candidate)
    });
    numbered
        .take(100)
        .find(|candidate| fs::symlink_metadata(candidate).is_err())
        .unwrap_or_else(|| "copy".into())
}
