//! `chordage put`.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use chordage_node::api::client::{Client, ClientError};
use chordage_node::api::types::{PutQuery, PutReport};
use chordage_node::api::upload::{UploadWriter, upload};
use chordage_node::api::{Fingerprint, Redundancy, fingerprint};
use clap::Args;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::args::GlobalArgs;
use crate::connect;
use crate::error::{CliError, redundancy, shell_word};
use crate::exit::ExitStatus;
use crate::human;
use crate::interrupt::Interrupt;
use crate::name::quoted;
use crate::printer::{OUTPUT_CLOSED, Printer};
use crate::progress::Progress;
use crate::source::{Failed, NOT_STORED, Running, Source};
use crate::tree::pack::{self, Memory, Watcher};

/// Code of the error that a second attempt cures.
const FORGOTTEN: &str = "forgotten";

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
    /// Make N shards of each chunk, of which any K are enough
    ///
    /// By default what the size of the network calls for; `chordage status` shows it.
    #[arg(long, value_name = "K/N", value_parser = redundancy)]
    redundancy: Option<Redundancy>,
    /// When there are fewer live daemons than shards, store with what there is
    #[arg(long)]
    allow_degraded: bool,
    /// Read every file and pack all of it, whatever was stored before
    ///
    /// Without this, files that have not changed since they were put from here (by device, inode, size and times) are not read
    /// again, and parts of files that are known are not sent again, as long as enough daemons still have them.
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
    let found = args.path.as_deref().map(|path| Source::find(path, printer)).transpose()?;
    let client = connect::client(global)?;
    let mut query = PutQuery {
        redundancy: args.redundancy.map(|redundancy| redundancy.to_string()),
        allow_degraded: args.allow_degraded,
        reread: args.reread,
        ..PutQuery::default()
    };
    let (source, _leash) = match found {
        Some(source) => (source, None),
        None => {
            // `-- CMD` is the same, for those used to it.
            let words = &args.stdin_from_command;
            let words = words.strip_prefix(&[OsString::from("--")]).unwrap_or(words);
            let (name, rest) = words.split_first().ok_or_else(|| {
                CliError::new(ExitStatus::Usage, "usage", "--stdin-from-command needs a command")
                    .state("nothing was stored")
                    .hint("chordage put --stdin-from-command pg_dump shop")
            })?;
            let (running, leash) = Running::start(name, rest)?;
            (Source::Command(running), Some(leash))
        }
    };
    let again = source.can_be_read_again();
    let report = match put(source, &client, query.clone(), printer, &mut interrupt).await {
        // What was sent once out of a pipe does not come again: a second attempt would store nothing, and say that all is well.
        Err(error) if error.code == FORGOTTEN && !again => {
            Err(error.hint("pipe it again, and with `--reread` if it fails again"))
        }
        // Holders were lost between the question and the put: send everything, once.
        Err(error) if error.code == FORGOTTEN && !query.reread => {
            query.reread = true;
            let source = Source::find(args.path.as_deref().unwrap_or(Path::new("-")), printer)?;
            put(source, &client, query, printer, &mut interrupt).await
        }
        outcome => outcome,
    };
    tell(&report?, args.path.as_deref(), global, printer)?;
    Ok(ExitStatus::Success)
}

/// Puts it once.
async fn put(
    mut source: Source,
    client: &Client,
    mut query: PutQuery,
    printer: &Printer,
    interrupt: &mut Interrupt,
) -> Result<PutReport, CliError> {
    if let Source::File { metadata, unchanged, .. } = &mut source {
        let known = fingerprint(metadata);
        // Whatever this question fails for, the put fails for too, and says so.
        *unchanged =
            !query.reread && matches!(client.unchanged(&[known], &query).await.as_deref(), Ok([true]));
        query.unchanged = *unchanged;
        query.fingerprint = if *unchanged { Some(known) } else { pack::catalogued_as(metadata) }
            .map(|known| known.to_string());
    }
    let progress = printer.progress("storing", source.size());
    let (writer, body) = upload();
    let format = source.format();
    let (failed, mut failure) = oneshot::channel();
    let teller = Teller { printer: printer.clone(), progress: progress.clone() };
    let memory = DaemonMemory { client: client.clone(), query: query.clone(), runtime: Handle::current() };
    // A thread of its own and not the runtime's: a read of standard input cannot be cancelled, and must not keep us.
    std::thread::spawn(move || send(source, writer, &teller, memory, failed));

    let outcome = tokio::select! {
        outcome = client.put(body, format, &query) => outcome,
        () = interrupt.wait() => {
            progress.clear();
            return Err(CliError::interrupted(NOT_STORED));
        }
    };
    progress.clear();
    // The source's own failure is the reason for whatever the connection says.
    outcome.map_err(|error| failure.try_recv().unwrap_or_else(|_| stored_not(error)))
}

/// Asks the daemon, from the thread that reads files.
struct DaemonMemory {
    client: Client,
    query: PutQuery,
    runtime: Handle,
}

impl Memory for DaemonMemory {
    fn unchanged(&mut self, files: &[Fingerprint]) -> Vec<bool> {
        if self.query.reread {
            return Vec::new();
        }
        // Whatever this question fails for, the put fails for too, and says so.
        self.runtime.block_on(self.client.unchanged(files, &self.query)).unwrap_or_default()
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
}

impl Watcher for Teller {
    fn advance(&self, bytes: u64) {
        self.progress.advance(bytes);
    }

    fn skipped(&self, path: &Path, what: &'static str) {
        self.progress.aside(|| self.printer.warn(format!("left out {}: it is {what}", quoted(path))));
    }
}

/// Feeds the connection. A failure is told before the writer is dropped, because that ends the put.
fn send(
    source: Source,
    mut writer: UploadWriter,
    teller: &Teller,
    mut memory: DaemonMemory,
    failed: oneshot::Sender<CliError>,
) {
    match source.write(&mut writer, teller, &mut memory) {
        Ok(()) => {
            teller.progress.phase("waiting until it is on disk");
            // If nobody listens any more, the put has failed and says so.
            let _ = writer.finish();
        }
        Err(Failed::Gone) => {}
        Err(Failed::Why(error)) => {
            let _ = failed.send(error);
        }
    }
}

fn tell(
    report: &PutReport,
    path: Option<&Path>,
    global: &GlobalArgs,
    printer: &Printer,
) -> Result<(), CliError> {
    let printed = if printer.is_json() { printer.json(report) } else { printer.line(&report.link) };
    printed.map_err(|error| link_not_printed(&error, &report.link))?;
    if printer.is_json() {
        return Ok(());
    }
    let ratio = if report.bytes == 0 { 1.0 } else { report.stored_bytes as f64 / report.bytes as f64 };
    printer.tell(format!(
        "stored {} ({}) in {}: {}, {} at {}",
        human::bytes(report.bytes),
        human::count(report.files, "file", "files"),
        human::count(report.chunks, "chunk", "chunks"),
        match report.chunks - report.new_chunks.min(report.chunks) {
            0 => "all new".to_owned(),
            known => format!("{known} known already"),
        },
        human::seconds(report.seconds),
        human::rate(report.bytes, report.seconds)
    ));
    if report.reused_bytes > 0 {
        printer.tell(format!(
            "{} of it were stored before and not sent again; {} had not changed and were not read",
            human::bytes(report.reused_bytes),
            human::count(report.unchanged_files, "file", "files"),
        ));
    }
    printer.tell(format!(
        "the network holds {} for it, {ratio:.2} times its size: any {} of {} shards give each chunk back, and at least {} \
         are on disk",
        human::bytes(report.stored_bytes),
        report.k,
        report.n,
        report.acks_min
    ));
    if report.degraded {
        printer.warn(format!(
            "stored with less redundancy than it should have ({} of {}); put it again when more daemons live",
            report.k, report.n
        ));
    }
    if let Some(before) = &report.less_than_before {
        printer.warn(format!(
            "stored as {}/{}, and puts through this daemon got {before} before: it takes its network for smaller now. If it is \
             not, put it again when `chordage status` shows that, or with --redundancy {before}",
            report.k, report.n
        ));
    }
    if report.only_here {
        printer.warn(
            "the only copy is on this machine, because the daemon is alone in its network: start others, then put it again",
        );
    }
    let api =
        global.api.as_ref().map(|api| format!(" --api {}", shell_word(Path::new(api)))).unwrap_or_default();
    let output = shell_word(&free_name(path));
    printer.tell(format!(
        "get it back from any daemon of the network:\n  chordage get{api} {} -o {output}",
        report.link
    ));
    Ok(())
}

/// Without its link nobody finds the object, so that here a reader who is gone is an error too.
fn link_not_printed(error: &CliError, link: &str) -> CliError {
    let message = match error.code.as_str() {
        OUTPUT_CLOSED => "standard output was closed before the link was written to it",
        _ => &error.message,
    };
    CliError::new(ExitStatus::LocalFile, "output", message)
        .state(format!("the object is stored and kept, and its link is {link}"))
        .hint("write the link down; `chordage forget LINK` lets go of the object")
}

/// A name like the source's that `get` may write to here.
fn free_name(path: Option<&Path>) -> PathBuf {
    let name = path.and_then(Path::file_name).filter(|name| *name != "-").unwrap_or_else(|| "copy".as_ref());
    let numbered = (1..).map(|number| {
        let mut candidate = name.to_os_string();
        match number {
            1 => {}
            2 => candidate.push(".copy"),
            number => candidate.push(format!(".copy{}", number - 1)),
        }
        PathBuf::from(candidate)
    });
    numbered
        .take(100)
        .find(|candidate| fs::symlink_metadata(candidate).is_err())
        .unwrap_or_else(|| "copy".into())
}
