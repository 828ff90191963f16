//! SIGHUP: the settings are read again while the daemon runs.

use std::collections::BTreeSet;
use std::path::PathBuf;

use chordage_node::{Config, Daemon};

use super::log::{self, Log};
use super::{DaemonArgs, flags};
use crate::error::CliError;
use crate::printer::Printer;
use crate::settings::by_name;

/// What a daemon runs with, and where that came from.
pub(super) struct Settings {
    args: DaemonArgs,
    dir: PathBuf,
    running: Config,
    log: Log,
}

impl Settings {
    /// `running` was made of the flags and the file of the data directory.
    pub(super) fn new(args: DaemonArgs, dir: PathBuf, running: Config, log: Log) -> Self {
        Settings { args, dir, running, log }
    }

    /// Reads the file again. The daemon takes over what can change while it runs, and says what cannot. A file with a
    /// mistake changes nothing.
    pub(super) fn reload(&mut self, daemon: &Daemon, printer: &Printer) {
        let read = match flags::settings(self.args.clone(), &self.dir) {
            Ok(read) => read,
            Err(error) => return refuse(&error, printer),
        };
        let mut taken = Vec::new();
        if read.quota_bytes != self.running.quota_bytes {
            daemon.handle().set_quota(read.quota_bytes);
            self.running.quota_bytes = read.quota_bytes;
            taken.push(format!("quota_bytes = {}", read.quota_bytes));
        }
        if read.log != self.running.log {
            self.log.change(read.log.as_deref());
            self.running.log.clone_from(&read.log);
            let none = "CHORDAGE_LOG, which wins";
            let now =
                if log::is_of_environment() { none } else { read.log.as_deref().unwrap_or("as by default") };
            taken.push(format!("log = {now}"));
        }
        let waiting = differing(&self.running, &read);
        if !waiting.is_empty() {
            let names = waiting.into_iter().collect::<Vec<_>>().join(", ");
            printer.warn(format!("the settings were read again: restart the daemon for {names}"));
        }
        match taken.is_empty() {
            true => printer.tell("the settings were read again: nothing was taken over"),
            false => printer.tell(format!("the settings were read again: {} from now on", taken.join(", "))),
        }
    }
}

fn refuse(error: &CliError, printer: &Printer) {
    printer.warn(format!(
        "the settings were read again and refused, and nothing was changed: {}",
        error.message
    ));
}

/// The names of settings that are not the same.
fn differing(running: &Config, read: &Config) -> BTreeSet<String> {
    let values = |config| serde_json::to_value(config).unwrap_or_default();
    let (running, read) = (values(running), values(read));
    let (running, read) = (by_name(&running), by_name(&read));
    let differs = |name: &&String| running.get(*name) != read.get(*name);
    running.keys().filter(differs).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_differ_are_named_in_full() {
        let mut read = Config::default();
        assert!(differing(&Config::default(), &read).is_empty());
        read.repair.enabled = false;
        read.zone = Some("attic".parse().expect("a zone"));
        let names: Vec<_> = differing(&Config::default(), &read).into_iter().collect();
        assert_eq!(names, ["repair.enabled", "zone"]);
    }
}
