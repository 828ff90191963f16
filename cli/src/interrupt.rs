//! Ctrl-C and SIGTERM.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::CliError;
use crate::exit::ExitStatus;

/// Listens for the signals that mean "stop". From its creation on they no longer end the process by themselves.
#[derive(Debug)]
pub(crate) struct Interrupt {
    int: Signal,
    term: Signal,
}

impl Interrupt {
    /// Starts listening.
    pub(crate) fn listen() -> Result<Self, CliError> {
        let hook = |kind| {
            signal(kind).map_err(|error| {
                CliError::new(ExitStatus::Internal, "internal", format!("cannot listen for signals: {error}"))
            })
        };
        Ok(Interrupt { int: hook(SignalKind::interrupt())?, term: hook(SignalKind::terminate())? })
    }

    /// Waits for the next of them.
    pub(crate) async fn wait(&mut self) {
        tokio::select! {
            _ = self.int.recv() => {}
            _ = self.term.recv() => {}
        }
    }
}
