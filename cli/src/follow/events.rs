//! What happens, for people a line each, with `--json` an object each.

use std::time::Duration;

use chordage_api::hex;
use serde::Serialize;

use super::plan::Why;
use crate::error::CliError;
use crate::human;
use crate::name::shown;
use crate::printer::Printer;

/// A path, as JSON has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct PathFields {
    /// Characters that are not UTF-8 are replaced.
    path: String,
    /// The same in hexadecimal digits, if it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    path_hex: Option<String>,
}

impl PathFields {
    /// Of a path.
    pub(crate) fn of(path: &[u8]) -> Self {
        let text = String::from_utf8_lossy(path).into_owned();
        PathFields { path: text, path_hex: std::str::from_utf8(path).is_err().then(|| hex(path)) }
    }
}

/// What happens.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Event {
    /// There is a version that the directory is not at.
    Version {
        /// The name.
        name: String,
        /// The number of the version.
        seq: u64,
        /// Regular files of the version.
        files: u64,
        /// Bytes in them.
        bytes: u64,
        /// Of these files, those that are to be fetched.
        fetch_files: u64,
        /// Bytes in them.
        fetch_bytes: u64,
        /// Files and links that are to be removed.
        remove: u64,
        /// Whether it is only said.
        dry_run: bool,
    },
    /// A file was fetched; with `--dry-run`, would be.
    Fetched {
        /// Where it belongs.
        #[serde(flatten)]
        path: PathFields,
        /// Its length.
        bytes: u64,
    },
    /// A file or link is not in the version, and was removed; with `--dry-run`, would be.
    Removed {
        /// Where it was.
        #[serde(flatten)]
        path: PathFields,
    },
    /// Something was changed here.
    Conflict {
        /// Where.
        #[serde(flatten)]
        path: PathFields,
        /// In what way.
        why: Why,
        /// Where it lies now, if that is elsewhere.
        #[serde(skip_serializing_if = "Option::is_none")]
        kept_as: Option<PathFields>,
    },
    /// Something cannot be had now.
    Waiting {
        /// The file that is waited for; without it, all.
        #[serde(flatten, skip_serializing_if = "Option::is_none")]
        path: Option<PathFields>,
        /// Stable word: that of the error.
        code: String,
        /// Why, for people.
        why: String,
        /// The version that the directory is at; 0 before the first.
        seq: u64,
        /// When it is tried again at the latest.
        again_seconds: u64,
    },
    /// The directory is at the version.
    Current {
        /// The name.
        name: String,
        /// The number of the version.
        seq: u64,
        /// Regular files of the version.
        files: u64,
        /// Bytes in them.
        bytes: u64,
        /// Files that were fetched for it.
        fetched: u64,
        /// Files and links that were removed.
        removed: u64,
        /// Changes here that were found.
        conflicts: u64,
    },
}

/// Says what happens; what is waited for, once and not at every attempt.
#[derive(Debug)]
pub(crate) struct Events {
    printer: Printer,
    waiting: Vec<(Option<PathFields>, String)>,
    fetched: u64,
}

impl Events {
    /// To whom `printer` prints.
    pub(crate) fn new(printer: &Printer) -> Self {
        Events { printer: printer.clone(), waiting: Vec::new(), fetched: 0 }
    }

    /// Nothing is waited for any more.
    pub(crate) fn forget_waiting(&mut self) {
        self.waiting.clear();
    }

    /// How many files were fetched since it was asked last.
    pub(crate) fn take_fetched(&mut self) -> u64 {
        std::mem::take(&mut self.fetched)
    }

    /// Says it.
    pub(crate) fn say(&mut self, event: &Event) -> Result<(), CliError> {
        if let Event::Waiting { path, why, .. } = event {
            let what = (path.clone(), why.clone());
            if self.waiting.contains(&what) {
                return Ok(());
            }
            self.waiting.retain(|(other, _)| other != path);
            self.waiting.push(what);
        }
        self.fetched += u64::from(matches!(event, Event::Fetched { .. }));
        if self.printer.is_json() {
            return self.printer.json(event);
        }
        match event {
            Event::Conflict { .. } | Event::Waiting { .. } => self.printer.warn(line(event)),
            _ if self.printer.tells() => self.printer.line(line(event))?,
            _ => {}
        }
        Ok(())
    }
}

/// For people.
fn line(event: &Event) -> String {
    let path = |fields: &PathFields| match &fields.path_hex {
        Some(digits) => shown(&chordage_api::unhex(digits).unwrap_or_default()),
        None => shown(fields.path.as_bytes()),
    };
    let files = |count: u64| human::count(count, "file", "files");
    match event {
        Event::Version { name, seq, fetch_files, fetch_bytes, remove, dry_run, .. } => {
            let would = if *dry_run { "would be" } else { "to be" };
            let fetch = format!("{} ({}) {would} fetched", files(*fetch_files), human::bytes(*fetch_bytes));
            format!("version {seq} of {name}: {fetch}, {remove} removed")
        }
        Event::Fetched { path: at, bytes } => format!("fetched {} ({})", path(at), human::bytes(*bytes)),
        Event::Removed { path: at } => format!("removed {}", path(at)),
        Event::Conflict { path: at, why, kept_as } => {
            let at = path(at);
            match (why, kept_as.as_ref().map(path)) {
                (Why::Reserved, _) => {
                    format!("conflict: {at} does not come: follow keeps its own things there")
                }
                (Why::ChangedHere, Some(kept)) => {
                    format!("conflict: {at} was changed here and there; what was here is kept as {kept}")
                }
                (_, Some(kept)) => format!("conflict: {at} was in the way, and is kept as {kept}"),
                (Why::GoneThere, None) => {
                    format!("conflict: {at} was changed here, and is gone there; it stays")
                }
                (Why::StillTheSame, None) => {
                    format!("conflict: {at} was changed here, and not there; it stays until it changes there")
                }
                (Why::ChangedHere | Why::InTheWay, None) => {
                    format!("conflict: {at} would be kept under another name")
                }
            }
        }
        Event::Waiting { path: at, why, seq, again_seconds, .. } => {
            let what = at.as_ref().map_or_else(String::new, |at| format!("{}: ", path(at)));
            let still = match seq {
                0 => "there is no version yet".to_owned(),
                seq => format!("still at version {seq}"),
            };
            let again = match again_seconds {
                0 => String::new(),
                seconds => {
                    let seconds = Duration::from_secs(*seconds).as_secs_f64();
                    format!(", tried again within {}", human::seconds(seconds))
                }
            };
            format!("waiting: {what}{why}; {still}{again}")
        }
        Event::Current { name, seq, files: count, bytes, .. } => {
            format!("at version {seq} of {name}: {}, {}", files(*count), human::bytes(*bytes))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_events_are_stable() {
        let json = |event: &Event| serde_json::to_string(event).unwrap();
        let fetched = Event::Fetched { path: PathFields::of(b"a"), bytes: 3 };
        assert_eq!(json(&fetched), r#"{"event":"fetched","path":"a","bytes":3}"#);
        let removed = Event::Removed { path: PathFields::of(b"\xe9") };
        let text = json(&removed);
        assert!(
            text.starts_with(r#"{"event":"removed","path":""#) && text.ends_with(r#"","path_hex":"e9"}"#)
        );
        assert_eq!(line(&removed), r"removed \xE9");
        let conflict = Event::Conflict {
            path: PathFields::of(b"a"),
            why: Why::ChangedHere,
            kept_as: Some(PathFields::of(b"b")),
        };
        assert_eq!(
            json(&conflict),
            r#"{"event":"conflict","path":"a","why":"changed_here","kept_as":{"path":"b"}}"#
        );
        let waiting = |path| Event::Waiting {
            path,
            code: "unavailable".to_owned(),
            why: "w".to_owned(),
            seq: 1,
            again_seconds: 4,
        };
        let all = r#"{"event":"waiting","code":"unavailable","why":"w","seq":1,"again_seconds":4}"#;
        assert_eq!(json(&waiting(None)), all);
        let one =
            r#"{"event":"waiting","path":"a","code":"unavailable","why":"w","seq":1,"again_seconds":4}"#;
        assert_eq!(json(&waiting(Some(PathFields::of(b"a")))), one);
    }
}
