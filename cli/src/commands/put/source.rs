//! What a put stores, read on a thread of its own.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use chordage_node::api::Fingerprint;
use chordage_node::api::client::{BodyFormat, Client};
use chordage_node::api::types::PutQuery;
use chordage_node::api::upload::UploadWriter;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::NOT_STORED;
use crate::error::{CliError, quoted, shell_word};
use crate::exit::ExitStatus;
use crate::printer::Printer;
use crate::progress::Progress;
use crate::tree::pack::{self, Memory, PackError, Watcher};
use crate::tree::walk;

/// Bytes read at a time.
const BUFFER: usize = 256 * 1024;

/// Asks the daemon, from the thread that reads files.
pub(super) struct DaemonMemory {
    pub(super) client: Client,
    pub(super) query: PutQuery,
    pub(super) runtime: Handle,
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

/// What is to be stored.
pub(super) enum Source {
    Stdin,
    /// A pipe that is open already, such as `<(command)` in a shell.
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
    pub(super) fn find(path: &Path, printer: &Printer) -> Result<Self, CliError> {
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
        } else if kind.is_fifo() && is_open_already(&path) {
            Ok(Source::Pipe(path))
        } else {
            // Opening a pipe waits until somebody writes to it, and a device may never end.
            Err(nothing(CliError::new(
                ExitStatus::LocalFile,
                "not_a_file",
                format!("{} is {}, neither a file nor a directory", quoted(&path), pack::special(&metadata)),
            ))
            .hint(format!("to store what comes out of it, pipe it: chordage put - < {}", shell_word(&path))))
        }
    }

    pub(super) fn size(&self) -> Option<u64> {
        match self {
            Source::Stdin | Source::Pipe(_) => None,
            Source::File { metadata, .. } => Some(metadata.len()),
            Source::Dir { size, .. } => *size,
        }
    }

    pub(super) fn format(&self) -> BodyFormat {
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
                pack::copy_steadily(&path, &mut file, &metadata, teller, |bytes| writer.write_all(bytes))
            }
            Source::Dir { path, .. } => pack::pack(&path, writer, teller, memory),
        }
    }
}

/// Whether the path names a descriptor of this process: whoever has opened it need not be waited for.
fn is_open_already(path: &Path) -> bool {
    ["/dev/fd", "/proc/self/fd"].iter().any(|descriptors| path.starts_with(descriptors))
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

pub(super) struct Teller {
    pub(super) printer: Printer,
    pub(super) progress: Progress,
}

impl Watcher for Teller {
    fn advance(&self, bytes: u64) {
        self.progress.advance(bytes);
    }

    fn skipped(&self, path: &Path, what: &'static str) {
        self.progress.aside(|| self.printer.warn(format!("left out {}: it is {what}", quoted(path))));
    }
}

/// Feeds the connection. What became of that is told before the writer ends or is dropped, because either ends the put.
pub(super) fn send(
    source: Source,
    mut writer: UploadWriter,
    teller: &Teller,
    mut memory: DaemonMemory,
    sent: oneshot::Sender<Result<(), PackError>>,
) {
    let outcome = source.write(&mut writer, teller, &mut memory);
    let whole = outcome.is_ok();
    // If nobody listens any more, the put has failed and says so.
    let _ = sent.send(outcome);
    if whole {
        teller.progress.phase("waiting until it is on disk");
        let _ = writer.finish();
    }
}

pub(super) fn source_error(error: &PackError) -> CliError {
    let error = match error {
        PackError::Midway(error) => return source_error(error),
        PackError::File { doing, path, error } => {
            CliError::file(doing, path, error).hint("make it readable or leave it out, then put again")
        }
        PackError::Changes { .. } => CliError::new(ExitStatus::LocalFile, "changed", error)
            .hint("put again when nothing writes to it, or put a snapshot"),
        PackError::Replaced { .. } => CliError::new(ExitStatus::LocalFile, "changed", error)
            .hint("put again when nothing moves things there, or put a snapshot"),
        PackError::PathTooLong { .. } => CliError::new(ExitStatus::LocalFile, "path_too_long", error)
            .hint("put a directory further down by itself"),
        PackError::Gone => CliError::new(ExitStatus::NoDaemon, "connection_lost", error),
    };
    error.state(NOT_STORED)
}
