//! Sending what a thread reads to the daemon: one attempt, and what comes after one that failed. A put and a backup do
//! it alike.

use std::convert::Infallible;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chordage_api::Fingerprint;
use chordage_api::client::{Client, ClientError};
use chordage_api::types::PutQuery;
use chordage_api::upload::{UploadBody, UploadWriter, upload};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::error::CliError;
use crate::interrupt::Interrupt;
use crate::name::quoted;
use crate::printer::Printer;
use crate::progress::Progress;
use crate::source::Failed;
use crate::tree::pack::{Flaw, Memory, PackError, Watcher};
use crate::tree::selection::{LeftOut, Selection};

/// How often it begins when a file that is too large to hold changes while it is read.
const ATTEMPTS_MAX: u32 = 3;
/// Entries that cannot be read and are named at once.
const WARNINGS_MAX: u64 = 20;
/// Code of the error that a second attempt cures.
const FORGOTTEN: &str = "forgotten";
/// Code of the error of a daemon that has as many puts as it takes at a time.
const BUSY: &str = "busy";
/// How long it waits for its turn, and how often it looks whether it has come.
const TURN_WITHIN: Duration = Duration::from_secs(120);
const TURN_EVERY: Duration = Duration::from_secs(1);
/// How often is looked for whom it waits when nothing moves.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Why one attempt came to nothing.
pub(crate) enum Failure {
    /// The source could not be read as it should.
    Source(PackError),
    /// Anything else.
    Other(CliError),
}

impl From<CliError> for Failure {
    fn from(error: CliError) -> Self {
        Failure::Other(error)
    }
}

/// How errors of a command are worded.
#[derive(Clone, Copy)]
pub(crate) struct Words {
    /// What is shown while it goes on.
    pub(crate) verb: &'static str,
    /// What is true when it has failed.
    pub(crate) not_stored: &'static str,
    /// What a source that could not be read means.
    pub(crate) source: fn(&PackError) -> CliError,
}

impl Words {
    /// Adds what is true of every attempt that failed, unless the daemon said something more exact.
    pub(crate) fn failed(self, error: ClientError) -> CliError {
        let typed = matches!(error, ClientError::Problem(_) | ClientError::Unreachable { .. });
        let error = CliError::from(error);
        if typed { error } else { error.state(self.not_stored) }
    }
}

/// Tries again, as often and as long as that helps.
pub(crate) struct Attempts {
    words: Words,
    /// Whether a second attempt finds what the first has read.
    can_be_read_again: bool,
    begun: u32,
    turn_until: Option<Instant>,
}

impl Attempts {
    /// None was made.
    pub(crate) fn new(words: Words, can_be_read_again: bool) -> Self {
        Attempts { words, can_be_read_again, begun: 1, turn_until: None }
    }

    /// Prepares the attempt that follows one that failed, or says why there is none.
    pub(crate) async fn prepare(
        &mut self,
        failure: Failure,
        query: &mut PutQuery,
        selection: &mut Arc<Selection>,
        printer: &Printer,
        interrupt: &mut Interrupt,
    ) -> Result<(), CliError> {
        let again = self.can_be_read_again;
        match failure {
            // What was sent once out of a pipe does not come again: a second attempt would store nothing, and say that
            // all is well.
            Failure::Other(error) if error.code == FORGOTTEN && !again => {
                Err(error.hint("pipe it again, and with `--reread` if it fails again"))
            }
            // Holders were lost between the question and the put: send everything, once.
            Failure::Other(error) if error.code == FORGOTTEN && !query.reread => {
                query.reread = true;
                Ok(())
            }
            Failure::Other(error) if error.code == BUSY && again => {
                let until = *self.turn_until.get_or_insert_with(|| {
                    printer.tell(
                        "the daemon has as many puts as it takes at a time; this one waits for its turn",
                    );
                    Instant::now() + TURN_WITHIN
                });
                if Instant::now() >= until {
                    return Err(error);
                }
                wait_for_turn(self.words, printer, interrupt).await
            }
            Failure::Other(error) => Err(error),
            // What was sent cannot be taken back, so that the whole begins again.
            Failure::Source(PackError::Midway(error))
                if matches!(*error, PackError::Changes { .. }) && self.begun < ATTEMPTS_MAX =>
            {
                self.begun += 1;
                Ok(())
            }
            Failure::Source(error) => {
                let without = error.broken_off().is_some_and(|path| Arc::make_mut(selection).give_up(path));
                if !without {
                    return Err((self.words.source)(&error));
                }
                self.begun = 1;
                Ok(())
            }
        }
    }
}

/// A little later it may be its turn.
async fn wait_for_turn(words: Words, printer: &Printer, interrupt: &mut Interrupt) -> Result<(), CliError> {
    let progress = printer.progress("waiting for its turn", None);
    let waited = tokio::select! {
        () = tokio::time::sleep(TURN_EVERY) => Ok(()),
        () = interrupt.wait() => Err(CliError::interrupted(words.not_stored)),
    };
    progress.clear();
    waited
}

/// What one attempt is made with.
pub(crate) struct Attempt<'a> {
    pub(crate) client: &'a Client,
    pub(crate) query: &'a PutQuery,
    pub(crate) printer: &'a Printer,
    pub(crate) words: Words,
    /// Bytes to come, if that is known.
    pub(crate) size: Option<u64>,
}

impl Attempt<'_> {
    /// Has a thread write what `request` sends. Returns also what was left out.
    pub(crate) async fn run<T, R: Future<Output = Result<T, ClientError>>>(
        &self,
        write: impl FnOnce(&mut UploadWriter, &Teller, &mut DaemonMemory) -> Result<(), Failed> + Send + 'static,
        request: impl FnOnce(UploadBody) -> R,
        interrupt: &mut Interrupt,
    ) -> Result<(T, LeftOut), Failure> {
        let progress = self.printer.progress(self.words.verb, self.size);
        let (writer, body) = upload();
        let (sent, outcome_of_source) = oneshot::channel();
        let teller = Teller::new(self.printer, progress.clone());
        let left_out = teller.left_out.clone();
        let memory = DaemonMemory::new(self.client, self.query);
        let words = self.words;
        // A thread of its own and not the runtime's: a read of standard input cannot be cancelled, and must not keep
        // us.
        std::thread::spawn(move || send(write, writer, &teller, memory, words, sent));

        let failed = async {
            match outcome_of_source.await {
                Ok(Err(Failed::Why(reason))) => Failure::Other(reason),
                Ok(Err(Failed::Source(reason))) => Failure::Source(reason),
                _ => std::future::pending().await,
            }
        };
        let outcome = tokio::select! {
            biased;
            // The source's own failure is the reason for whatever the connection says, which need not be waited for.
            failure = failed => Err(failure),
            outcome = request(body) => outcome.map_err(|error| words.failed(error).into()),
            () = interrupt.wait() => Err(CliError::interrupted(words.not_stored).into()),
            never = say_whom_it_waits_for(self.client, &progress), if self.printer.shows_progress() => match never {},
        };
        progress.clear();
        let report = outcome?;
        let left_out = std::mem::take(&mut *left_out.lock().unwrap_or_else(PoisonError::into_inner));
        Ok((report, left_out))
    }
}

/// Feeds the connection. What became of that is told before the writer ends or is dropped, because either ends the
/// request.
fn send(
    write: impl FnOnce(&mut UploadWriter, &Teller, &mut DaemonMemory) -> Result<(), Failed>,
    mut writer: UploadWriter,
    teller: &Teller,
    mut memory: DaemonMemory,
    words: Words,
    sent: oneshot::Sender<Result<(), Failed>>,
) {
    let outcome = match (write(&mut writer, teller, &mut memory), memory.silent) {
        (Err(Failed::Gone), Some(silent)) => Err(Failed::Why(words.failed(silent))),
        (outcome, _) => outcome,
    };
    let whole = outcome.is_ok();
    // If nobody listens any more, the request has failed and says so.
    let _ = sent.send(outcome);
    if whole {
        teller.progress.phase("waiting until it is on disk");
        let _ = writer.finish();
    }
}

/// Names, while nothing moves, the daemons that keep puts waiting.
async fn say_whom_it_waits_for(client: &Client, progress: &Progress) -> Infallible {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let waited_for = match progress.is_still() {
            // One that does not answer either is said by the request itself.
            true => client.status().await.map(|status| status.puts.puts_wait_for).unwrap_or_default(),
            false => Vec::new(),
        };
        progress.because(match &waited_for[..] {
            [] => None,
            [one] => Some(format!("waiting for daemon {:.8}", one.id)),
            [first, ..] => {
                Some(format!("waiting for {} daemons, {:.8} and others", waited_for.len(), first.id))
            }
        });
    }
}

/// Which files need not be read. Whatever else this question fails for, the put fails for too, and says so; but a
/// daemon that is silent is not waited for twice.
pub(crate) async fn ask(
    client: &Client,
    files: &[Fingerprint],
    query: &PutQuery,
) -> Result<Vec<bool>, ClientError> {
    match client.unchanged(files, query).await {
        Err(error @ ClientError::Stalled { .. }) => Err(error),
        answers => Ok(answers.unwrap_or_default()),
    }
}

/// Asks the daemon, from the thread that reads files.
pub(crate) struct DaemonMemory {
    client: Client,
    query: PutQuery,
    runtime: Handle,
    /// Why it cannot be asked any more.
    silent: Option<ClientError>,
}

impl DaemonMemory {
    /// What the daemon remembers of puts with `query`. Only in a runtime.
    pub(crate) fn new(client: &Client, query: &PutQuery) -> Self {
        let runtime = Handle::current();
        DaemonMemory { client: client.clone(), query: query.clone(), runtime, silent: None }
    }
}

impl Memory for DaemonMemory {
    fn unchanged(&mut self, files: &[Fingerprint]) -> Result<Vec<bool>, PackError> {
        if self.query.reread {
            return Ok(Vec::new());
        }
        self.runtime.block_on(ask(&self.client, files, &self.query)).map_err(|error| {
            self.silent = Some(error);
            PackError::Gone
        })
    }
}

/// Tells the user what happens while something is read.
pub(crate) struct Teller {
    printer: Printer,
    progress: Progress,
    /// What was left out so far.
    pub(crate) left_out: Arc<Mutex<LeftOut>>,
}

impl Teller {
    /// One that has told nothing.
    pub(crate) fn new(printer: &Printer, progress: Progress) -> Self {
        Teller { printer: printer.clone(), progress, left_out: Arc::default() }
    }
}

impl Watcher for Teller {
    fn advance(&self, bytes: u64) {
        self.progress.advance(bytes);
    }

    fn skipped(&self, path: &Path, what: &'static str) {
        self.progress.aside(|| self.printer.warn(format!("left out {}: it is {what}", quoted(path))));
    }

    fn unreadable(&self, path: &Path, error: &PackError) {
        let mut left_out = self.left_out.lock().unwrap_or_else(PoisonError::into_inner);
        left_out.unreadable(path);
        // The others are counted at the end.
        if left_out.unreadable <= WARNINGS_MAX {
            self.progress.aside(|| self.printer.warn(format!("left out: {error}")));
        }
    }

    fn excluded(&self, entries: u64) {
        self.left_out.lock().unwrap_or_else(PoisonError::into_inner).excluded += entries;
    }

    fn flawed(&self, path: &Path, flaw: &Flaw) {
        let mut left_out = self.left_out.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, what) = match flaw {
            Flaw::Changed => (&mut left_out.changed, "was written to whenever it was read".to_owned()),
            Flaw::Attributes(error) => {
                (&mut left_out.without_attributes, format!("is stored without its attributes: {error}"))
            }
        };
        *count += 1;
        if *count <= WARNINGS_MAX {
            self.progress.aside(|| self.printer.warn(format!("{} {what}", quoted(path))));
        }
    }
}
