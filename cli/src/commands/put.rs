//! `chordage put`.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use chordage_node::api::client::{BodyFormat, Client, ClientError};
use chordage_node::api::types::{PutQuery, PutReport};
use chordage_node::api::upload::{UploadWriter, upload};
use chordage_node::api::{Fingerprint, Redundancy, fingerprint};
use clap::Args;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::args::GlobalArgs;
use crate::connect;
use crate::error::{CliError, quoted, redundancy, shell_word};
use crate::exit::ExitStatus;
use crate::human;
use crate::interrupt::Interrupt;
use crate::printer::Printer;
use crate::progress::Progress;
use crate::tree::pack::{self, Memory, PackError, Watcher};
use crate::tree::walk;

/// Bytes read at a time.
const BUFFER: usize = 256 * 1024;
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
    let client = connect::client(global)?;
    let mut query = PutQuery {
        redundancy: args.redundancy.map(|redundancy| redundancy.to_string()),
        allow_degraded: args.allow_degraded,
        reread: args.reread,
        ..PutQuery::default()
    };
    let report = match put(&args.path, &client, query.clone(), printer, &mut interrupt).await {
        // What was sent once out of a pipe does not come again: a second attempt would store nothing, and say that all is well.
        Err(error) if error.code == FORGOTTEN && !can_be_read_again(&args.path) => {
            Err(error.hint("pipe it again, and with `--reread` if it fails again"))
        }
        // Holders were lost between the question and the put: send everything, once.
        Err(error) if error.code == FORGOTTEN && !query.reread => {
            query.reread = true;
            put(&args.path, &client, query, printer, &mut interrupt).await
        }
        outcome => outcome,
    };
    tell(&report?, &args.path, global, printer)?;
    Ok(ExitStatus::Success)
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
) -> Result<PutReport, CliError> {
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

/// What is to be stored.
enum Source {
    Stdin,
    /// A named pipe, such as `<(command)` in a shell.
    Pipe(PathBuf),
    File {
        path: PathBuf,
        file: fs::File,
        metadata: fs::Metadata,
    },
    Dir {
        path: PathBuf,
        /// Bytes of all files, if somebody wants to know.
        size: Option<u64>,
    },
}

impl Source {
    fn find(path: &Path, printer: &Printer) -> Result<Self, CliError> {
        let nothing = |error: CliError| error.state("nothing was stored");
        if path == Path::new("-") {
            return Ok(Source::Stdin);
        }
        let metadata = fs::metadata(path).map_err(|error| {
            nothing(CliError::file("store", path, &error)).hint(match error.kind() {
                io::ErrorKind::NotFound => "check the path; a relative one starts at the current directory",
                _ => "check the permissions of the path and of the directories above it",
            })
        })?;
        let path = path.to_owned();
        let kind = metadata.file_type();
        if kind.is_dir() {
            let size = printer.shows_progress().then(|| walk::measure(&path));
            Ok(Source::Dir { path, size })
        } else if kind.is_file() {
            let (file, metadata) = pack::open(&path).map_err(|error| source_error(&error))?;
            Ok(Source::File { path, file, metadata })
        } else if kind.is_fifo() {
            Ok(Source::Pipe(path))
        } else {
            Err(nothing(CliError::new(
                ExitStatus::LocalFile,
                "not_a_file",
                format!("{} is neither a file nor a directory", quoted(&path)),
            ))
            .hint("to store what it gives, pipe it: chordage put - < PATH"))
        }
    }

    fn size(&self) -> Option<u64> {
        match self {
            Source::Stdin | Source::Pipe(_) => None,
            Source::File { metadata, .. } => Some(metadata.len()),
            Source::Dir { size, .. } => *size,
        }
    }

    fn format(&self) -> BodyFormat {
        match self {
            Source::Dir { .. } => BodyFormat::Tar,
            _ => BodyFormat::File,
        }
    }

    fn write(
        self,
        writer: &mut UploadWriter,
        teller: &Teller,
        memory: &mut DaemonMemory,
    ) -> Result<(), PackError> {
        let mut buffer = vec![0; BUFFER];
        match self {
            Source::Stdin => copy(io::stdin().lock(), Path::new("standard input"), writer, teller),
            Source::Pipe(path) => {
                let pipe = fs::File::open(&path).map_err(pack::failed("open", &path))?;
                copy(pipe, &path, writer, teller)
            }
            Source::File { metadata, .. } if memory.query.unchanged => {
                teller.advance(metadata.len());
                Ok(())
            }
            Source::File { path, mut file, metadata } => {
                pack::copy_exactly(&path, &mut file, metadata.len(), &mut buffer, teller, |bytes| {
                    writer.write_all(bytes)
                })
            }
            Source::Dir { path, .. } => pack::pack(&path, writer, teller, memory),
        }
    }
}

/// Copies a source without a size to its end.
fn copy(
    mut from: impl Read,
    name: &Path,
    writer: &mut UploadWriter,
    teller: &Teller,
) -> Result<(), PackError> {
    let mut buffer = vec![0; BUFFER];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => {
                writer.write_all(&buffer[..length]).map_err(|_| PackError::Gone)?;
                teller.advance(length as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(pack::failed("read", name)(error)),
        }
    }
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
        Err(PackError::Gone) => {}
        Err(error) => {
            let _ = failed.send(source_error(&error));
        }
    }
}

fn source_error(error: &PackError) -> CliError {
    let error = match error {
        PackError::File { doing, path, error } => {
            CliError::file(doing, path, error).hint("make it readable or leave it out, then put again")
        }
        PackError::Changed { .. } => CliError::new(ExitStatus::LocalFile, "changed", error)
            .hint("put again when nothing writes to it, or put a snapshot"),
        PackError::Gone => CliError::new(ExitStatus::NoDaemon, "connection_lost", error),
    };
    error.state(NOT_STORED)
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
