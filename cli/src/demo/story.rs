//! The demo told to a person: numbered lines, a picture of the ring, a verdict.

use std::cell::Cell;
use std::io::Write;
use std::time::Duration;

use chordage_api::types::{Health, PutReport};

use super::Options;
use super::client_command::on_terminal;
use super::compare::Comparison;
use super::outcome::Outcome;
use super::ring::{self, Place};
use crate::charset::Charset;
use crate::human;
use crate::printer::Printer;
use crate::width;

/// Tells what happens, unless the user wants JSON or silence.
pub(super) struct Story<'a> {
    printer: &'a Printer,
    step: Cell<usize>,
}

impl<'a> Story<'a> {
    pub(super) fn new(printer: &'a Printer) -> Self {
        Self { printer, step: Cell::new(0) }
    }

    fn line(&self, line: &str) {
        if self.printer.tells() {
            // A reader that had enough does not stop the demo: it still has to clean up and to judge.
            let _ = self.printer.fact(line);
        }
    }

    fn step(&self, line: &str) {
        self.step.set(self.step.get() + 1);
        self.line(&format!("{:>2}  {line}", self.step.get()));
    }

    /// On a terminal, says what is going on until the line about its result replaces it.
    pub(super) fn begins(&self, what: &str) {
        if self.printer.tells() && on_terminal() {
            let _ = self.printer.raw(format!("    {what} ...\r").as_bytes());
            let _ = std::io::stdout().flush();
        }
    }

    pub(super) fn opens(&self, options: &Options) {
        let what = match &options.path {
            Some(path) => format!("{}", path.display()),
            None => format!("a generated tree of {} (seed {})", human::bytes(options.size), options.seed),
        };
        self.line(&format!("chordage demo: {} daemons, {what}", options.nodes));
    }

    pub(super) fn network_is_up(&self, nodes: usize, took: Duration) {
        let took = human::seconds(took.as_secs_f64());
        self.step(&format!("{nodes} daemons started and found each other in {took}"));
    }

    pub(super) fn stored(&self, put: &PutReport, rss_bytes_mean: u64) {
        self.step(&format!(
            "put    {} in {}: {} in {} ({})",
            human::bytes(put.bytes),
            human::count(put.files, "file", "files"),
            human::count(put.chunks, "chunk", "chunks"),
            human::seconds(put.seconds),
            human::rate(put.bytes, put.seconds),
        ));
        self.line(&format!(
            "           each chunk is {} shards on {} daemons, any {} give it back; {} on disk; {} of memory per daemon",
            put.n,
            put.n,
            put.k,
            human::bytes(put.stored_bytes),
            human::bytes(rss_bytes_mean),
        ));
        self.line(&format!("           link: {}", put.link));
    }

    pub(super) fn looked_up(&self, lookups: u32, hops: f64, seconds: f64) {
        self.step(&format!(
            "trace  {lookups} random keys from all sides: {hops:.2} hops and {:.2} ms on average",
            seconds * 1000.0
        ));
    }

    pub(super) fn killed(&self, victims: &[usize], outcome: &Outcome) {
        let names: Vec<String> = victims.iter().map(|index| format!("{index:02}")).collect();
        self.step(&format!(
            "kill   SIGKILL to {} of {}: {}",
            victims.len(),
            outcome.nodes,
            if names.is_empty() { "nobody".into() } else { names.join(" ") }
        ));
    }

    pub(super) fn reader_joined(&self, reader: usize, took: Duration) {
        let took = human::seconds(took.as_secs_f64());
        self.step(&format!(
            "join   daemon {reader:02} is new, has never seen the file, and joined in {took}"
        ));
    }

    pub(super) fn damage(&self, outcome: &Outcome, health: Option<&Health>) {
        let Some(health) = health else {
            self.step("check  not even the manifest can be rebuilt");
            return;
        };
        let lost = outcome.shards_before.saturating_sub(outcome.shards_after);
        self.step(&format!(
            "check  {lost} of {} shards are lost; {} of {} chunks miss some, the worst has {} left and needs {}",
            outcome.shards_before,
            health.degraded + health.unreadable,
            health.chunks,
            health.shards_min,
            outcome.k,
        ));
        if health.unreadable > 0 {
            self.line(&format!("           {} of {} chunks have too few", health.unreadable, health.chunks));
        }
    }

    pub(super) fn restored(&self, bytes: u64, seconds: f64) {
        self.step(&format!(
            "get    {} through the new daemon in {} ({}), lost shards rebuilt from parity",
            human::bytes(bytes),
            human::seconds(seconds),
            human::rate(bytes, seconds)
        ));
    }

    pub(super) fn compared(&self, found: &Comparison) {
        let what = format!(
            "{}, {}, {}",
            human::count(found.files, "file", "files"),
            human::count(found.dirs, "directory", "directories"),
            human::count(found.symlinks, "link", "links")
        );
        if found.is_equal() {
            self.step(&format!("same   {what}: every byte, name, mode and time as before"));
            return;
        }
        self.step(&format!(
            "DIFFER {what}: {} of them or of their properties are not the same",
            found.differing
        ));
        for difference in &found.differences {
            self.line(&format!("           {difference}"));
        }
    }

    pub(super) fn ring(&self, before: &[Place], after: &[Place]) {
        self.line("");
        let charset = Charset::of_locale();
        if before.len() > ring::NODES_MAX {
            self.line(&format!("    ({} nodes are too many for a picture)", before.len()));
            return;
        }
        let columns = width::columns(std::io::stdout());
        if columns < ring::COLUMNS {
            self.line(&format!("    ({columns} columns are too few for a picture)"));
            return;
        }
        let before = ring::draw(before, "before", charset);
        let after = ring::draw(after, "after", charset);
        for line in ring::together(&before, &after, columns) {
            self.line(&line);
        }
        self.line(&ring::legend(charset));
    }

    pub(super) fn ends_well(&self, outcome: &Outcome) {
        let (killed, nodes) = (outcome.killed, outcome.nodes);
        let tolerated = usize::from(outcome.n - outcome.k);
        if killed > tolerated {
            let promise = format!("{}-of-{} only promises that for {tolerated}", outcome.k, outcome.n);
            self.line("");
            self.line(&format!("{killed} of {nodes} daemons killed, nothing lost. That is luck: {promise}."));
        } else {
            self.line("");
            self.line(&format!("{killed} of {nodes} daemons killed, nothing lost."));
        }
    }
}
