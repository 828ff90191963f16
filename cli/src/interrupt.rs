//! Ctrl-C, SIGTERM, and SIGHUP: the terminal went away, or a daemon without one is to read its settings again.

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
        let hup = if survives_its_terminal() { None } else { Some(hook(SignalKind::hangup())?) };
        Ok(Interrupt { int: hook(SignalKind::interrupt())?, term: hook(SignalKind::terminate())?, hup })
    }

    /// The same for a daemon. If SIGHUP does not mean that its terminal went, because it has none or is to survive it,
    /// it means that the settings are to be read again.
    pub(crate) fn listen_of_daemon() -> Result<(Self, Reload), CliError> {
        let mut interrupt = Interrupt::listen()?;
        if has_terminal() && interrupt.hup.is_some() {
            return Ok((interrupt, Reload { hup: None }));
        }
        let hup = match interrupt.hup.take() {
            Some(hup) => hup,
            None => hook(SignalKind::hangup())?,
        };
        Ok((interrupt, Reload { hup: Some(hup) }))
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

/// Does `work` until it is done or the user has had enough. For commands that show what comes, and leave nothing half
/// done.
pub(crate) async fn until_interrupted(
    work: impl Future<Output = Result<ExitStatus, CliError>>,
) -> Result<ExitStatus, CliError> {
    let mut interrupt = Interrupt::listen()?;
    tokio::select! {
        done = work => done,
        () = interrupt.wait() => Ok(ExitStatus::Interrupted),
    }
}

/// Told when the settings are to be read again.
#[derive(Debug)]
pub(crate) struct Reload {
    hup: Option<Signal>,
}

impl Reload {
    /// Waits for the next time; for ever if nobody can say so.
    pub(crate) async fn wait(&mut self) {
        hung_up(self.hup.as_mut()).await;
    }
}

fn hook(kind: SignalKind) -> Result<Signal, CliError> {
    signal(kind).map_err(|error| {
        CliError::new(ExitStatus::Internal, "internal", format!("cannot listen for signals: {error}"))
    })
}

/// Whether the process belongs to a terminal, whose end it is told by SIGHUP.
fn has_terminal() -> bool {
    std::fs::File::open("/dev/tty").is_ok()
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
