//! `chordage put`.

mod source;

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use chordage_node::api::client::{Client, ClientError};
use chordage_node::api::types::{PutQuery, PutReport};
use chordage_node::api::upload::upload;
use chordage_node::api::{Redundancy, fingerprint};
use clap::Args;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use self::source::{DaemonMemory, Source, Teller, send, source_error};
use crate::args::GlobalArgs;
use crate::connect;
use crate::error::{CliError, redundancy, shell_word};
use crate::exit::ExitStatus;
use crate::human;
use crate::interrupt::Interrupt;
use crate::printer::Printer;
use crate::tree::pack::{self, PackError};

/// How often a put begins when a file that is too large to hold changes while it is read.
const ATTEMPTS_MAX: u32 = 3;
/// There is a link or there is not; in between is nothing.
const NOT_STORED: &str = "the object is not stored and has no link; a retry reuses the chunks that were sent";

/// Code of the error that a second attempt cures.
const FORGOTTEN: &str = "forgotten";

/// Store a file, a directory or standard input, and print its link
///
/// The link alone goes to standard output, everything else to standard error. Whoever has the link can read the object: treat
/// it like a password. It is printed when enough daemons have the data on disk, and not before.
#[derive(Debug, Args)]
#[command(after_help = "\
A directory is stored with names, modes, times, symlinks (as symlinks), empty files and empty directories. Sockets, pipes and \
devices are left out with a warning.

Examples:
  chordage put holiday.mp4
  chordage put ~/notes
  pg_dump shop | chordage put -
  link=$(chordage put --quiet file)
  chordage put --redundancy 4/10 file     any 4 of 10 daemons can give it back
  chordage put --json file | jq -r .link")]
pub(crate) struct PutArgs {
    /// File or directory to store, or - for standard input
    #[arg(value_name = "PATH")]
    path: PathBuf,
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
    let client = connect::client(global)?;
    let mut attempts = 1;
    let mut query = PutQuery {
        redundancy: args.redundancy.map(|redundancy| redundancy.to_string()),
        allow_degraded: args.allow_degraded,
        reread: args.reread,
        ..PutQuery::default()
    };
    let report = loop {
        match put(&args.path, &client, query.clone(), printer, &mut interrupt).await {
            Ok(report) => break report,
            // What was sent once out of a pipe does not come again: a second attempt would store nothing, and say that all is
            // well.
            Err(Failure::Put(error)) if error.code == FORGOTTEN && !can_be_read_again(&args.path) => {
                return Err(error.hint("pipe it again, and with `--reread` if it fails again"));
            }
            // Holders were lost between the question and the put: send everything, once.
            Err(Failure::Put(error)) if error.code == FORGOTTEN && !query.reread => query.reread = true,
            Err(Failure::Put(error)) => return Err(error),
            // What was sent cannot be taken back, so that the whole put begins again.
            Err(Failure::Source(PackError::Midway(error)))
                if matches!(*error, PackError::Changes { .. }) && attempts < ATTEMPTS_MAX =>
            {
                attempts += 1;
            }
            Err(Failure::Source(error)) => return Err(source_error(&error)),
        }
    };
    tell(&report, &args.path, global, printer)?;
    Ok(ExitStatus::Success)
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

/// Whether a second attempt finds what the first has read.
fn can_be_read_again(path: &Path) -> bool {
    path != Path::new("-") && fs::metadata(path).is_ok_and(|metadata| !metadata.file_type().is_fifo())
}

/// Puts it once.
async fn put(
    path: &Path,
    client: &Client,
    mut query: PutQuery,
    printer: &Printer,
    interrupt: &mut Interrupt,
) -> Result<PutReport, Failure> {
    let source = Source::find(path, printer)?;
    if let Source::File { metadata, .. } = &source {
        let known = fingerprint(metadata);
        // Whatever this question fails for, the put fails for too, and says so.
        let unchanged =
            !query.reread && matches!(client.unchanged(&[known], &query).await.as_deref(), Ok([true]));
        query.unchanged = unchanged;
        query.fingerprint = if unchanged { Some(known) } else { pack::catalogued_as(metadata) }
            .map(|known| known.to_string());
    }
    let progress = printer.progress("storing", source.size());
    let (writer, body) = upload();
    let format = source.format();
    let (sent, mut outcome_of_source) = oneshot::channel();
    let teller = Teller { printer: *printer, progress: progress.clone() };
    let memory = DaemonMemory { client: client.clone(), query: query.clone(), runtime: Handle::current() };
    // A thread of its own and not the runtime's: a read of standard input cannot be cancelled, and must not keep us.
    std::thread::spawn(move || send(source, writer, &teller, memory, sent));

    let outcome = tokio::select! {
        outcome = client.put(body, format, &query) => outcome,
        () = interrupt.wait() => {
            progress.clear();
            return Err(CliError::interrupted(NOT_STORED).into());
        }
    };
    progress.clear();
    outcome.map_err(|error| match outcome_of_source.try_recv() {
        // The source's own failure is the reason for whatever the connection says.
        Ok(Err(reason)) if !matches!(reason, PackError::Gone) => Failure::Source(reason),
        _ => stored_not(error).into(),
    })
}

/// Adds what is true of every put that failed, unless the daemon said something more exact.
fn stored_not(error: ClientError) -> CliError {
    let typed = matches!(error, ClientError::Problem(_) | ClientError::Unreachable { .. });
    let error = CliError::from(error);
    if typed { error } else { error.state(NOT_STORED) }
}

fn tell(report: &PutReport, path: &Path, global: &GlobalArgs, printer: &Printer) -> Result<(), CliError> {
    if printer.is_json() {
        return printer.json(report);
    }
    printer.line(&report.link)?;
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
    let api =
        global.api.as_ref().map(|api| format!(" --api {}", shell_word(Path::new(api)))).unwrap_or_default();
    let output = shell_word(&free_name(path));
    printer.tell(format!(
        "get it back from any daemon of the network:\n  chordage get{api} {} -o {output}",
        report.link
    ));
    Ok(())
}

/// A name like the source's that `get` may write to here.
fn free_name(path: &Path) -> PathBuf {
    let name = path.file_name().filter(|name| *name != "-").unwrap_or_else(|| "copy".as_ref());
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
