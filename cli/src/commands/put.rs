//! `chordage put`.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use chordage_node::api::Redundancy;
use chordage_node::api::client::{BodyFormat, ClientError};
use chordage_node::api::types::{PutQuery, PutReport};
use chordage_node::api::upload::{UploadWriter, upload};
use clap::Args;
use tokio::sync::oneshot;

use crate::args::GlobalArgs;
use crate::connect;
use crate::error::{CliError, quoted, redundancy, shell_word};
use crate::exit::ExitStatus;
use crate::human;
use crate::interrupt::Interrupt;
use crate::printer::Printer;
use crate::progress::Progress;
use crate::tree::pack::{self, PackError, Watcher};

/// Bytes read at a time.
const BUFFER: usize = 256 * 1024;
/// There is a link or there is not; in between is nothing.
const NOT_STORED: &str = "the object is not stored and has no link; a retry reuses the chunks that were sent";

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
}

/// Runs the command.
pub(crate) async fn run(
    args: PutArgs,
    global: &GlobalArgs,
    printer: &Printer,
) -> Result<ExitStatus, CliError> {
    let mut interrupt = Interrupt::listen()?;
    let source = Source::find(&args.path)?;
    let client = connect::client(global)?;
    let query = PutQuery {
        redundancy: args.redundancy.map(|redundancy| redundancy.to_string()),
        allow_degraded: args.allow_degraded,
    };
    let progress = printer.progress("storing", source.size());
    let (writer, body) = upload();
    let format = source.format();
    let (failed, mut failure) = oneshot::channel();
    let teller = Teller { printer: *printer, progress: progress.clone() };
    // A thread of its own and not the runtime's: a read of standard input cannot be cancelled, and must not keep us.
    std::thread::spawn(move || send(&source, writer, &teller, failed));

    let outcome = tokio::select! {
        outcome = client.put(body, format, &query) => outcome,
        () = interrupt.wait() => {
            progress.clear();
            return Err(CliError::interrupted(NOT_STORED));
        }
    };
    progress.clear();
    match outcome {
        Ok(report) => {
            tell(&report, &args.path, global, printer)?;
            Ok(ExitStatus::Success)
        }
        // The source's own failure is the reason for whatever the connection says.
        Err(error) => Err(failure.try_recv().unwrap_or_else(|_| stored_not(error))),
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
        size: u64,
    },
    Dir {
        path: PathBuf,
        size: u64,
    },
}

impl Source {
    fn find(path: &Path) -> Result<Self, CliError> {
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
            let size = pack::measure(&path);
            Ok(Source::Dir { path, size })
        } else if kind.is_file() {
            Ok(Source::File { path, size: metadata.len() })
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
            Source::File { size, .. } | Source::Dir { size, .. } => Some(*size),
        }
    }

    fn format(&self) -> BodyFormat {
        match self {
            Source::Dir { .. } => BodyFormat::Tar,
            _ => BodyFormat::File,
        }
    }

    fn write(&self, writer: &mut UploadWriter, teller: &Teller) -> Result<(), PackError> {
        let mut buffer = vec![0; BUFFER];
        match self {
            Source::Stdin => copy(io::stdin().lock(), Path::new("standard input"), writer, teller),
            Source::Pipe(path) => {
                let pipe = fs::File::open(path).map_err(pack::failed("open", path))?;
                copy(pipe, path, writer, teller)
            }
            Source::File { path, .. } => {
                let (mut file, metadata) = pack::open(path)?;
                pack::copy_exactly(path, &mut file, metadata.len(), &mut buffer, teller, |bytes| {
                    writer.write_all(bytes)
                })
            }
            Source::Dir { path, .. } => pack::pack(path, writer, teller),
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
fn send(source: &Source, mut writer: UploadWriter, teller: &Teller, failed: oneshot::Sender<CliError>) {
    match source.write(&mut writer, teller) {
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
