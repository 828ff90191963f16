//! `chordage put`.

mod report;

use std::convert::Infallible;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chordage_api::client::{Client, ClientError};
use chordage_api::types::{PutQuery, PutReport};
use chordage_api::upload::{UploadWriter, upload};
use chordage_api::{Fingerprint, Redundancy, fingerprint};
use clap::Args;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::connect;
use crate::error::{CliError, redundancy};
use crate::exit::ExitStatus;
use crate::global::GlobalArgs;
use crate::interrupt::Interrupt;
use crate::name::quoted;
use crate::printer::Printer;
use crate::progress::Progress;
use crate::source::{Failed, Leash, NOT_STORED, Running, Source, source_error};
use crate::tree::pack::{self, Memory, PackError, Watcher};
use crate::tree::selection::{LeftOut, Selection};

/// How often a put begins when a file that is too large to hold changes while it is read.
const ATTEMPTS_MAX: u32 = 3;

/// Entries that cannot be read and are named at once.
const WARNINGS_MAX: u64 = 20;

/// Bytes of a name under which something is listed.
const NAME_MAX: usize = 255;
/// Code of the error that a second attempt cures.
const FORGOTTEN: &str = "forgotten";
/// Code of the error of a daemon that has as many puts as it takes at a time.
const BUSY: &str = "busy";
/// How long a put waits for its turn, and how often it looks whether it has come.
const TURN_WITHIN: Duration = Duration::from_secs(120);
const TURN_EVERY: Duration = Duration::from_secs(1);
/// How often is looked for whom a put waits when nothing moves.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Store a file, a directory or standard input, and print its link
///
/// The link alone goes to standard output, everything else to standard error. Whoever has the link can read the object: treat
/// it like a password. It is printed when enough daemons have the data on disk, and not before.
#[derive(Debug, Args)]
#[command(after_help = "\
A directory is stored with names, modes, times, symlinks (as symlinks), empty files and empty directories. Sockets, pipes, \
devices and data directories of daemons are left out with a warning.

Examples:
  chordage put holiday.mp4
  chordage put ~/notes
  chordage put --as-tree script.sh        with its name, mode and time
  chordage put ~ --exclude .cache/ --exclude '*.iso' --skip-unreadable
  chordage put --stdin-from-command pg_dump -Fc shop
  link=$(chordage put --quiet file)
  chordage put --redundancy 4/10 file     any 4 of 10 daemons can give it back
  chordage put --json file | jq -r .link")]
pub(crate) struct PutArgs {
    /// File or directory to store, or - for standard input
    #[arg(value_name = "PATH", required_unless_present = "stdin_from_command")]
    path: Option<PathBuf>,
    /// Run a command and store what it writes to standard output, if it succeeds; it takes all arguments that follow
    ///
    /// A shell's pipe (`CMD | chordage put -`) does not tell that CMD failed, and the part that it wrote would be stored.
    #[arg(long, value_name = "CMD", num_args = 1.., allow_hyphen_values = true, conflicts_with = "path")]
    stdin_from_command: Vec<OsString>,
    /// Leave out of a directory what this pattern names, as in a .gitignore: *.o, /build, cache/, !keep.o
    ///
    /// May be given again. A pattern with a slash before its end is seen from PATH.
    #[arg(long, value_name = "PATTERN", conflicts_with = "stdin_from_command")]
    exclude: Vec<String>,
    /// Leave out of a directory what the patterns in this file name, one to a line; # begins a comment
    #[arg(long, value_name = "FILE", conflicts_with = "stdin_from_command")]
    exclude_from: Vec<PathBuf>,
    /// Leave out of a directory what cannot be read, name it, and end with exit code 10
    ///
    /// Without this, one such entry ends the put, and nothing is stored.
    #[arg(long, conflicts_with = "stdin_from_command")]
    skip_unreadable: bool,
    /// Make N shards of each chunk, of which any K are enough
    ///
    /// By default what the size of the network calls for; `chordage status` shows it.
    #[arg(long, value_name = "K/N", value_parser = redundancy)]
    redundancy: Option<Redundancy>,
    /// Store a file with its name, mode and time, as a directory that holds only this file
    ///
    /// A file alone is its content: the same link whoever puts it and whatever it is called.
    #[arg(long, conflicts_with = "stdin_from_command")]
    as_tree: bool,
    /// When there are fewer live daemons than shards, store with what there is
    #[arg(long)]
    allow_degraded: bool,
    /// Name under which `chordage keeps` lists it [default: that of the file, or stdin]
    #[arg(long, value_name = "NAME", value_parser = listed_name)]
    name: Option<String>,
    /// Read every file and pack all of it, whatever was stored before
    ///
    /// Without this, files that have not changed since they were put from here (by device, inode, size and times) are not read
    /// again, and parts of files that are known are not sent again, as long as enough daemons still have them. Use it for files
    /// that programs write through memory maps (some databases): such a write may leave the times as they were, so that the file
    /// passes for unchanged, or changes unnoticed while it is read. Put those when their program does not run, or a snapshot.
    #[arg(long)]
    reread: bool,
}

/// Runs the command.
pub(crate) async fn run(
    args: PutArgs,
    global: &GlobalArgs,
    printer: &Printer,
) -> Result<ExitStatus, CliError> {
    let mut interrupt = Interrupt::listen()?;
    // What cannot be read is said before anybody is looked for who would take it.
    let mut selection = Arc::new(Selection::new(&args.exclude, &args.exclude_from, args.skip_unreadable)?);
    let find = |path, selection: &Arc<Selection>| Source::find(path, selection, args.as_tree, printer);
    let found = args.path.as_deref().map(|path| find(path, &selection)).transpose()?;
    let client = connect::client(global)?;
    let mut query = PutQuery {
        redundancy: args.redundancy.map(|redundancy| redundancy.to_string()),
        allow_degraded: args.allow_degraded,
        reread: args.reread,
        name: Some(args.name.clone().unwrap_or_else(|| name_of(args.path.as_deref()))),
        ..PutQuery::default()
    };
    let (source, _leash) = match found {
        Some(source) => (source, None),
        None => {
            let (running, leash) = run_command(&args.stdin_from_command)?;
            (Source::Command(running), Some(leash))
        }
    };
    let again = source.can_be_read_again();
    let mut attempts = 1;
    let mut turn_until = None;
    let mut source = Some(source);
    let (report, left_out) = loop {
        let source = match source.take() {
            Some(source) => source,
            None => find(args.path.as_deref().unwrap_or(Path::new("-")), &selection)?,
        };
        match put(source, &client, query.clone(), printer, &mut interrupt).await {
            Ok(done) => break done,
            // What was sent once out of a pipe does not come again: a second attempt would store nothing, and say that all is
            // well.
            Err(Failure::Put(error)) if error.code == FORGOTTEN && !again => {
                return Err(error.hint("pipe it again, and with `--reread` if it fails again"));
            }
            // Holders were lost between the question and the put: send everything, once.
            Err(Failure::Put(error)) if error.code == FORGOTTEN && !query.reread => query.reread = true,
            Err(Failure::Put(error)) if error.code == BUSY && again => {
                let until = *turn_until.get_or_insert_with(|| {
                    printer.tell(
                        "the daemon has as many puts as it takes at a time; this one waits for its turn",
                    );
                    Instant::now() + TURN_WITHIN
                });
                if Instant::now() >= until {
                    return Err(error);
                }
                wait_for_turn(printer, &mut interrupt).await?;
            }
            Err(Failure::Put(error)) => return Err(error),
            // What was sent cannot be taken back, so that the whole put begins again.
            Err(Failure::Source(PackError::Midway(error)))
                if matches!(*error, PackError::Changes { .. }) && attempts < ATTEMPTS_MAX =>
            {
                attempts += 1;
            }
            Err(Failure::Source(error)) => {
                let without =
                    error.broken_off().is_some_and(|path| Arc::make_mut(&mut selection).give_up(path));
                if !without {
                    return Err(source_error(&error));
                }
                attempts = 1;
            }
        }
    };
    report::tell(&report, &left_out, args.path.as_deref(), global, printer)?;
    Ok(if left_out.unreadable > 0 { ExitStatus::Incomplete } else { ExitStatus::Success })
}

/// Starts the command whose output is stored.
fn run_command(words: &[OsString]) -> Result<(Running, Leash), CliError> {
    // `-- CMD` is the same, for those used to it.
    let words = words.strip_prefix(&[OsString::from("--")]).unwrap_or(words);
    let (name, rest) = words.split_first().ok_or_else(|| {
        CliError::new(ExitStatus::Usage, "usage", "--stdin-from-command needs a command")
            .state("nothing was stored")
            .hint("chordage put --stdin-from-command pg_dump shop")
    })?;
    Running::start(name, rest)
}

/// A little later it may be its turn.
async fn wait_for_turn(printer: &Printer, interrupt: &mut Interrupt) -> Result<(), CliError> {
    let progress = printer.progress("waiting for its turn", None);
    let waited = tokio::select! {
        () = tokio::time::sleep(TURN_EVERY) => Ok(()),
        () = interrupt.wait() => Err(CliError::interrupted(NOT_STORED)),
    };
    progress.clear();
    waited
}

/// Why one attempt came to nothing.
enum Failure {
    /// The source could not be read as it should.
    Source(PackError),
    /// Anything else.
    Put(CliError),
}

impl From<CliError> for Failure {
    fn from(error: CliError) -> Self {
        Failure::Put(error)
    }
}

/// Puts it once. Returns also what of it was left out.
async fn put(
    mut source: Source,
    client: &Client,
    mut query: PutQuery,
    printer: &Printer,
    interrupt: &mut Interrupt,
) -> Result<(PutReport, LeftOut), Failure> {
    if let Source::File { metadata, unchanged, .. } = &mut source {
        let known = fingerprint(metadata);
        let asked = [known];
        *unchanged = !query.reread
            && tokio::select! {
                answers = ask(client, &asked, &query) => answers.map_err(stored_not)? == [true],
                () = interrupt.wait() => return Err(CliError::interrupted(NOT_STORED).into()),
            };
        query.unchanged = *unchanged;
        query.fingerprint = if *unchanged { Some(known) } else { pack::catalogued_as(metadata) }
            .map(|known| known.to_string());
    }
    let progress = printer.progress("storing", source.size());
    let (writer, body) = upload();
    let format = source.format();
    let (sent, outcome_of_source) = oneshot::channel();
    let left_out = Arc::<Mutex<LeftOut>>::default();
    let teller = Teller { printer: printer.clone(), progress: progress.clone(), left_out: left_out.clone() };
    let memory = DaemonMemory {
        client: client.clone(),
        query: query.clone(),
        runtime: Handle::current(),
        silent: None,
    };
    // A thread of its own and not the runtime's: a read of standard input cannot be cancelled, and must not keep us.
    std::thread::spawn(move || send(source, writer, &teller, memory, sent));

    let failed = async {
        match outcome_of_source.await {
            Ok(Err(Failed::Why(reason))) => Failure::Put(reason),
            Ok(Err(Failed::Source(reason))) => Failure::Source(reason),
            _ => std::future::pending().await,
        }
    };
    let outcome = tokio::select! {
        biased;
        // The source's own failure is the reason for whatever the connection says, which need not be waited for.
        failure = failed => Err(failure),
        outcome = client.put(body, format, &query) => outcome.map_err(|error| stored_not(error).into()),
        () = interrupt.wait() => Err(CliError::interrupted(NOT_STORED).into()),
        never = say_whom_it_waits_for(client, &progress), if printer.shows_progress() => match never {},
    };
    progress.clear();
    let report = outcome?;
    let left_out = std::mem::take(&mut *left_out.lock().unwrap_or_else(PoisonError::into_inner));
    Ok((report, left_out))
}

/// Names, while nothing moves, the daemons that keep puts waiting.
async fn say_whom_it_waits_for(client: &Client, progress: &Progress) -> Infallible {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let waited_for = match progress.is_still() {
            // One that does not answer either is said by the put itself.
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

/// Which files need not be read. Whatever else this question fails for, the put fails for too, and says so; but a daemon that
/// is silent is not waited for twice.
async fn ask(client: &Client, files: &[Fingerprint], query: &PutQuery) -> Result<Vec<bool>, ClientError> {
    match client.unchanged(files, query).await {
        Err(error @ ClientError::Stalled { .. }) => Err(error),
        answers => Ok(answers.unwrap_or_default()),
    }
}

/// Asks the daemon, from the thread that reads files.
struct DaemonMemory {
    client: Client,
    query: PutQuery,
    runtime: Handle,
    /// Why it cannot be asked any more.
    silent: Option<ClientError>,
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

/// Adds what is true of every put that failed, unless the daemon said something more exact.
fn stored_not(error: ClientError) -> CliError {
    let typed = matches!(error, ClientError::Problem(_) | ClientError::Unreachable { .. });
    let error = CliError::from(error);
    if typed { error } else { error.state(NOT_STORED) }
}

struct Teller {
    printer: Printer,
    progress: Progress,
    left_out: Arc<Mutex<LeftOut>>,
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
}

/// Feeds the connection. What became of that is told before the writer ends or is dropped, because either ends the put.
fn send(
    source: Source,
    mut writer: UploadWriter,
    teller: &Teller,
    mut memory: DaemonMemory,
    sent: oneshot::Sender<Result<(), Failed>>,
) {
    let outcome = match (source.write(&mut writer, teller, &mut memory), memory.silent) {
        (Err(Failed::Gone), Some(silent)) => Err(Failed::Why(stored_not(silent))),
        (outcome, _) => outcome,
    };
    let whole = outcome.is_ok();
    // If nobody listens any more, the put has failed and says so.
    let _ = sent.send(outcome);
    if whole {
        teller.progress.phase("waiting until it is on disk");
        let _ = writer.finish();
    }
}

/// The name under which a source is listed: its own, without where it lies.
fn name_of(path: Option<&Path>) -> String {
    let Some(path) = path.filter(|path| *path != Path::new("-")) else { return "stdin".to_owned() };
    // Of `.` and `..` the name of what they stand for.
    let whole = path.file_name().is_none().then(|| fs::canonicalize(path).ok()).flatten();
    let name = whole.as_deref().unwrap_or(path).file_name().unwrap_or(path.as_os_str());
    let name = name.to_string_lossy();
    let end = (0..=name.len().min(NAME_MAX)).rev().find(|end| name.is_char_boundary(*end));
    name[..end.unwrap_or(0)].to_owned()
}

/// A name as clap reads it.
fn listed_name(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > NAME_MAX {
        return Err(format!("it has {} bytes, and a name has 1 to {NAME_MAX}", text.len()));
    }
    Ok(text.to_owned())
}

/// Names for a message.
pub(super) fn human_names(names: &[String]) -> String {
    names.iter().map(|name| quoted(Path::new(name))).collect::<Vec<_>>().join(", ")
}
