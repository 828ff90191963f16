//! Why something could not be read: a program that reads is told no more than EIO, so whoever mounted is told the rest.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::printer::Printer;

/// At most one line in so long: a program that reads a thousand files would be told of a thousand.
const PAUSE: Duration = Duration::from_secs(5);

/// Says so, now and then, through a printer that waits for nobody.
#[derive(Debug)]
pub(super) struct Complaints {
    printer: Printer,
    state: Mutex<(Option<Instant>, u64)>,
}

impl Complaints {
    pub(super) fn new(printer: Printer) -> Self {
        Complaints { printer, state: Mutex::default() }
    }

    /// Says it, unless something has just been said.
    pub(super) fn say(&self, what: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, unsaid) = &mut *state;
        if last.is_some_and(|last| last.elapsed() < PAUSE) {
            *unsaid += 1;
            return;
        }
        let more = if *unsaid > 0 { format!(" (and {unsaid} more before)") } else { String::new() };
        (*last, *unsaid) = (Some(Instant::now()), 0);
        drop(state);
        self.printer.warn(format!("{what}{more}"));
    }
}
