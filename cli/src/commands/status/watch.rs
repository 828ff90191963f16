//! `chordage status --watch`: the same again and again, in its place on a terminal.

use std::io::{self, IsTerminal};
use std::time::Duration;

use chordage_api::types::Status;
use tokio::time::{MissedTickBehavior, interval};

use super::describe;
use crate::connect;
use crate::error::CliError;
use crate::global::GlobalArgs;
use crate::interrupt::Interrupt;
use crate::printer::Printer;
use crate::width;

/// Clears a terminal.
const CLEAR: &str = "\x1b[2J";
/// Goes to its first line. What is written there replaces what was, without an empty screen between.
const HOME: &str = "\x1b[H";
/// Clears the rest of a line.
const END_OF_LINE: &str = "\x1b[K";
/// Clears what is below.
const BELOW: &str = "\x1b[J";
/// Where a fact begins, behind the word before it.
const FACT: usize = 11;

/// Shows the status every `pause` until it is interrupted, which is how it ends. A daemon that is not there at first is
/// an error; one that ends meanwhile is waited for.
pub(super) async fn run(pause: Duration, global: &GlobalArgs, printer: &Printer) -> CliError {
    let mut interrupt = match Interrupt::listen() {
        Ok(interrupt) => interrupt,
        Err(error) => return error,
    };
    let mut tick = interval(pause);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut shown = Shown { blocks: 0, missed: false };
    loop {
        let asked = async {
            tick.tick().await;
            // It may have another socket since the last time, or be another one.
            Ok::<_, CliError>(connect::client(global)?.status().await?)
        };
        let status = tokio::select! {
            status = asked => status,
            () = interrupt.wait() => return CliError::interrupted(""),
        };
        let told = match status {
            Ok(status) => shown.show(&status, pause, printer),
            Err(error) if shown.blocks == 0 => return error,
            Err(error) => shown.miss(&error, pause, printer),
        };
        if let Err(error) = told {
            return error;
        }
    }
}

/// What was shown until now.
struct Shown {
    blocks: u64,
    /// The daemon did not answer the last time.
    missed: bool,
}

impl Shown {
    fn show(&mut self, status: &Status, pause: Duration, printer: &Printer) -> Result<(), CliError> {
        self.missed = false;
        self.blocks += 1;
        if printer.is_json() {
            return printer.json(status);
        }
        let text = describe(status);
        if !io::stdout().is_terminal() {
            let gap = if self.blocks > 1 { "\n" } else { "" };
            return printer.raw(format!("{gap}{text}\n").as_bytes());
        }
        let head = format!("every {} s; Ctrl-C ends it", pause.as_secs());
        self.draw(&format!("{head}\n\n{text}"), printer)
    }

    /// Says once that nobody answers, and goes on.
    fn miss(&mut self, error: &CliError, pause: Duration, printer: &Printer) -> Result<(), CliError> {
        let said = format!("{}; tried again every {} s", error.message, pause.as_secs());
        if !printer.is_json() && io::stdout().is_terminal() {
            self.blocks += 1;
            return self.draw(&said, printer);
        }
        if !std::mem::replace(&mut self.missed, true) {
            printer.warn(said);
        }
        Ok(())
    }

    fn draw(&self, text: &str, printer: &Printer) -> Result<(), CliError> {
        let first = if self.blocks == 1 { CLEAR } else { "" };
        let (columns, rows) = (width::columns(io::stdout()), width::rows(io::stdout()));
        printer.raw(format!("{first}{HOME}{}{BELOW}", frame(text, columns, rows)).as_bytes())
    }
}

/// A screenful: as many lines as fit, each of which clears what stood behind it.
fn frame(text: &str, columns: usize, rows: usize) -> String {
    let text: Vec<String> = text.lines().map(|line| width::wrapped(line, columns, FACT)).collect();
    let lines: Vec<&str> = text.iter().flat_map(|line| line.split('\n')).collect();
    // The last row stays empty, because a new line there moves the screen.
    let fit = rows.saturating_sub(1).max(1);
    let mut shown: Vec<String> = lines.iter().take(fit).map(|line| (*line).to_owned()).collect();
    if let Some(last) = shown.last_mut().filter(|_| lines.len() > fit) {
        *last = format!("... {} more lines; `chordage status` has them", lines.len() - fit + 1);
    }
    shown.iter().map(|line| format!("{line}{END_OF_LINE}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_fits_on_the_screen_and_clears_what_stood_there() {
        let text = "state      joined\nid         7\npeers      3";
        assert_eq!(frame(text, 80, 24), "state      joined\x1b[K\nid         7\x1b[K\npeers      3\x1b[K\n");
        let short = frame(text, 80, 3);
        assert_eq!(short, "state      joined\x1b[K\n... 2 more lines; `chordage status` has them\x1b[K\n");
        let narrow = frame("state      joined its network for a while", 30, 24);
        assert_eq!(narrow.lines().count(), 2, "{narrow}");
    }
}
