//! Ctrl-C, SIGTERM, and SIGHUP: the terminal went away.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::CliError;
use crate::exit::ExitStatus;

/// Listens for the signals that mean "stop". From its creation on they no longer end the process by themselves.
#[derive(Debug)]
pub(crate) struct Interrupt {
    int: Signal,
    term: Signal,
    /// `None` if whoever started the program wants it to survive its terminal, or once it has come.
    hup: Option<Signal>,
}

impl Interrupt {
    /// Starts listening.
    pub(crate) fn listen() -> Result<Self, CliError> {
        let hook = |kind| {
            signal(kind).map_err(|error| {
                CliError::new(ExitStatus::Internal, "internal", format!("cannot listen for signals: {error}"))
            })
        };
        let hup = if survives_its_terminal() { None } else { Some(hook(SignalKind::hangup())?) };
        Ok(Interrupt { int: hook(SignalKind::interrupt())?, term: hook(SignalKind::terminate())?, hup })
    }

    /// Waits for the next of them.
    pub(crate) async fn wait(&mut self) {
        tokio::select! {
            _ = self.int.recv() => {}
            _ = self.term.recv() => {}
            () = hung_up(self.hup.as_mut()) => {
                // A shell and the kernel may each send one when a terminal goes: a second one does not mean "at once".
                self.hup = None;
            }
        }
    }
}

async fn hung_up(hup: Option<&mut Signal>) {
    match hup {
        Some(hup) => drop(hup.recv().await),
        None => std::future::pending().await,
    }
}

/// Whether SIGHUP was ignored when the program was started, which is what nohup(1) does.
fn survives_its_terminal() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // A bit per signal, and SIGHUP is the first.
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}
