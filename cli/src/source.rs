//! What a put stores, and how it is read.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use chordage_api::client::BodyFormat;
use chordage_api::upload::UploadWriter;
use rustix::process::{Pid, PidfdFlags, Signal};

use crate::error::{CliError, shell_word};
use crate::exit::ExitStatus;
use crate::input::Stdin;
use crate::name::quoted;
use crate::printer::Printer;
use crate::tree::datadir;
use crate::tree::pack::{self, Memory, PackError, Watcher};
use crate::tree::selection::Selection;
use crate::tree::walk;

/// Bytes read at a time.
const BUFFER: usize = 256 * 1024;
/// There is a link or there is not; in between is nothing.
pub(crate) const NOT_STORED: &str =
    "the object is not stored and has no link; a retry reuses the chunks that were sent";

/// What is to be stored.
#[derive(Debug)]
pub(crate) enum Source {
    Stdin(Stdin),
    /// A pipe that is open already, such as `<(command)` in a shell.
    Pipe(PathBuf),
    /// What a command writes to its standard output.
    Command(Running),
    File {
        path: PathBuf,
        file: fs::File,
        metadata: fs::Metadata,
        /// It is stored already, and need not be read.
        unchanged: bool,
    },
    /// A file with its name, mode and time: as a tree that holds nothing else.
    OneFile {
        path: PathBuf,
        size: u64,
    },
    Dir {
        path: PathBuf,
        /// What of it is stored.
        selection: Arc<Selection>,
        /// Bytes of all files, if somebody wants to know.
        size: Option<u64>,
    },
}

/// Why a source did not come to its end.
pub(crate) enum Failed {
    /// The receiver is gone; it knows why.
    Gone,
    /// Its files could not be read as they should.
    Source(PackError),
    /// Something else of its own.
    Why(CliError),
}

impl From<PackError> for Failed {
    fn from(error: PackError) -> Self {
        match error {
            PackError::Gone => Failed::Gone,
            error => Failed::Source(error),
        }
    }
}

impl Source {
    /// What lies at `path`, or standard input for `-`; of a directory what is selected. `as_tree`: a file with all that
    /// a tree holds of it.
    pub(crate) fn find(
        path: &Path,
        selection: &Arc<Selection>,
        as_tree: bool,
        printer: &Printer,
    ) -> Result<Self, CliError> {
        let nothing = |error: CliError| error.state("nothing was stored");
        if path == Path::new("-") {
            return Stdin::open().map(Source::Stdin);
        }
        let metadata = fs::metadata(path).map_err(|error| {
            nothing(CliError::file("store", path, &error)).hint(match error.kind() {
                io::ErrorKind::NotFound => "check the path; a relative one starts at the current directory",
                _ => "check the permissions of the path and of the directories above it",
            })
        })?;
        datadir::refuse(path)?;
        let path = path.to_owned();
        let kind = metadata.file_type();
        if kind.is_dir() {
            let size = printer.shows_progress().then(|| walk::measure(&path, selection));
            Ok(Source::Dir { path, selection: selection.clone(), size })
        } else if kind.is_file() && as_tree {
            // Its own name, not that of a symlink to it.
            let path =
                fs::canonicalize(&path).map_err(|error| nothing(CliError::file("store", &path, &error)))?;
            Ok(Source::OneFile { path, size: metadata.len() })
        } else if kind.is_file() {
            let (file, metadata) = pack::open(&path).map_err(|error| source_error(&error))?;
            Ok(Source::File { path, file, metadata, unchanged: false })
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

    /// Whether a second attempt finds what the first has read.
    pub(crate) fn can_be_read_again(&self) -> bool {
        matches!(self, Source::File { .. } | Source::OneFile { .. } | Source::Dir { .. })
    }

    /// Bytes to come, if that is known.
    pub(crate) fn size(&self) -> Option<u64> {
        match self {
            Source::Stdin(_) | Source::Pipe(_) | Source::Command(_) => None,
            Source::File { metadata, .. } => Some(metadata.len()),
            Source::OneFile { size, .. } => Some(*size),
            Source::Dir { size, .. } => *size,
        }
    }

    /// What `write` writes.
    pub(crate) fn format(&self) -> BodyFormat {
        match self {
            Source::OneFile { .. } | Source::Dir { .. } => BodyFormat::Tar,
            _ => BodyFormat::File,
        }
    }

    /// Writes all of it.
    pub(crate) fn write(
        self,
        writer: &mut UploadWriter,
        watcher: &impl Watcher,
        memory: &mut impl Memory,
    ) -> Result<(), Failed> {
        match self {
            Source::Stdin(stdin) => copy(stdin, Path::new("standard input"), writer, watcher)?,
            Source::Pipe(path) => {
                let pipe = fs::File::open(&path).map_err(pack::failed("open", &path))?;
                copy(pipe, &path, writer, watcher)?;
            }
            Source::Command(mut running) => {
                if let Some(output) = running.child.stdout.take() {
                    copy(output, Path::new(&running.name), writer, watcher)?;
                }
                running.check_end().map_err(Failed::Why)?;
            }
            Source::File { metadata, unchanged: true, .. } => watcher.advance(metadata.len()),
            Source::File { path, mut file, metadata, .. } => {
                pack::copy_steadily(&path, &mut file, &metadata, watcher, |bytes| writer.write_all(bytes))?;
            }
            Source::OneFile { path, .. } => pack::pack_file(&path, writer, watcher, memory)?,
            Source::Dir { path, selection, .. } => {
                pack::pack(&path, &selection, writer, watcher, memory)?;
            }
        }
        Ok(())
    }
}

/// A command whose standard output is stored. It has our standard input and standard error.
#[derive(Debug)]
pub(crate) struct Running {
    name: OsString,
    child: Child,
}

/// Ends a command that nobody listens to any more.
pub(crate) struct Leash(Option<std::os::fd::OwnedFd>);

impl Drop for Leash {
    fn drop(&mut self) {
        // Of one that has ended, there is nothing to end.
        if let Some(pidfd) = &self.0 {
            let _ = rustix::process::pidfd_send_signal(pidfd, Signal::TERM);
        }
    }
}

impl Running {
    /// Starts it. It runs for as long as the leash is held.
    pub(crate) fn start(name: &OsStr, args: &[OsString]) -> Result<(Self, Leash), CliError> {
        let child = Command::new(name).args(args).stdout(Stdio::piped()).spawn().map_err(|error| {
            CliError::file("run", Path::new(name), &error)
                .state("nothing was stored")
                .hint("check the name of the command, and that it can be executed")
        })?;
        let leash = rustix::process::pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).ok();
        Ok((Running { name: name.to_owned(), child }, Leash(leash)))
    }

    /// Waits for its end; what a command wrote that failed is a part of what was wanted, or none of it.
    fn check_end(mut self) -> Result<(), CliError> {
        let name = quoted(Path::new(&self.name));
        let failed = |message| {
            CliError::new(ExitStatus::LocalFile, "command_failed", message)
                .state(NOT_STORED)
                .hint("see what the command says, then put again")
        };
        match self.child.wait() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(failed(format!("the command {name} failed with {status}"))),
            Err(error) => Err(failed(format!("it is not known how the command {name} ended: {error}"))),
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
    watcher: &impl Watcher,
) -> Result<(), PackError> {
    let mut buffer = vec![0; BUFFER];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => {
                writer.write_all(&buffer[..length]).map_err(|_| PackError::Gone)?;
                watcher.advance(length as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(pack::failed("read", name)(error)),
        }
    }
}

/// What a source that could not be read means for the user.
pub(crate) fn source_error(error: &PackError) -> CliError {
    let error = match error {
        PackError::Midway(error) => return source_error(error),
        PackError::File { doing, path, error } => CliError::file(doing, path, error).hint(
            "make it readable, leave it out with --exclude, or store what can be read with --skip-unreadable",
        ),
        PackError::Changes { .. } => CliError::new(ExitStatus::LocalFile, "changed", error)
            .hint("put again when nothing writes to it, put a snapshot, or leave it out with --exclude"),
        PackError::Replaced { .. } => CliError::new(ExitStatus::LocalFile, "changed", error)
            .hint("put again when nothing moves things there, or put a snapshot"),
        PackError::PathTooLong { .. } => CliError::new(ExitStatus::LocalFile, "path_too_long", error)
            .hint("put a directory further down by itself, or leave it out with --exclude"),
        PackError::Gone => CliError::new(ExitStatus::NoDaemon, "connection_lost", error),
    };
    error.state(NOT_STORED)
}
