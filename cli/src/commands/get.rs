//! `chordage get`.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, IsTerminal};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use chordage_api::Link;
use chordage_api::client::{Client, Download};
use chordage_api::range::ByteRange;
use chordage_api::types::ObjectForm;
use clap::Args;
use serde::Serialize;
use tokio::io::AsyncWriteExt;

use crate::connect;
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::global::GlobalArgs;
use crate::human;
use crate::interrupt::Interrupt;
use crate::link;
use crate::name::quoted;
use crate::pieces::{self, Pieces};
use crate::printer::{Printer, output_error};
use crate::progress::Progress;
use crate::staging::Staging;
use crate::target::Target;
use crate::tree::unpack::{UnpackError, Unpacked, open_below, unpack};
use crate::unfinished::{Blocks, Journal, Resumed, resume_dir};

/// Get what a link stands for into a file or directory
///
/// Writes beside the output first and renames at the end, so that what has the output's name is always whole. Nothing
/// that exists is overwritten. A get that was interrupted is gone on with when the same command is given again.
#[derive(Debug, Args)]
#[command(after_help = "\
A directory comes back with names, modes, times and symlinks; set-user-id and set-group-id bits are not restored. With \
`-o -` a file goes to standard output as it is and a directory as a tar archive.

Examples:
  chordage get chord1r... -o holiday.mp4
  chordage get chord1r... -o notes
  chordage get chord1r... --path 2024/may -o may   a part of a directory
  chordage get chord1r... -o - | tar tv            a directory as tar
  chordage get - -o notes < link.txt               the link need not stand in the process list")]
pub(crate) struct GetArgs {
    /// The link, or - to read it from standard input
    #[arg(value_name = "LINK")]
    link: String,
    /// Where to write; - for standard output
    ///
    /// By default `chordage-` and the first characters of the link's address, in the current directory. (Links do not
    /// carry names.)
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
    /// Get only this file or directory of a directory link
    #[arg(long, value_name = "PATH")]
    path: Option<OsString>,
    /// Replace a file, a symbolic link or an empty directory that is in the way
    ///
    /// Of a symbolic link, the link is replaced and not what it points to. Devices, named pipes and sockets stay: write
    /// into them with `-o - > PATH`.
    #[arg(short, long)]
    force: bool,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct GetReport {
    /// Where it is now.
    output: String,
    /// `file`, `tree` or `symlink`.
    kind: &'static str,
    /// Bytes of file content.
    bytes: u64,
    /// Of these, what lay there from an attempt that was interrupted.
    resumed_bytes: u64,
    /// Regular files.
    files: u64,
    /// Wall time.
    seconds: f64,
}

/// Runs the command.
pub(crate) async fn run(
    args: GetArgs,
    global: &GlobalArgs,
    printer: &Printer,
) -> Result<ExitStatus, CliError> {
    let mut interrupt = Interrupt::listen()?;
    let link = link::parse_read(&link::argument(&args.link)?)?;
    let path = args.path.as_ref().map(|path| path.as_bytes());
    let output = args.output.clone().unwrap_or_else(|| default_name(&link, args.path.as_deref()));
    let started = Instant::now();

    if output == Path::new("-") {
        let client = connect::client(global)?;
        return tokio::select! {
            outcome = to_stdout(&client, &link, path) => outcome,
            () = interrupt.wait() => Err(CliError::interrupted("what was written until now is a correct prefix")),
        };
    }
    let client = connect::client(global)?;
    let mut staging = Staging::beside(Target::find(&output, args.force)?, staging_id(&link, path))?;
    let progress = printer.progress("getting", None);
    let mut transfer = Transfer { interrupt, output: output.clone(), progress: progress.clone() };
    let fetched = fetch(&client, &link, path, &mut staging, &mut transfer).await;
    progress.clear();
    let published = fetched.and_then(|fetched| {
        staging.publish(fetched.single.as_deref().map(OsStr::from_bytes))?;
        Ok(fetched)
    });
    let fetched = published.map_err(|error| staging.tell_kept(error))?;
    let report = GetReport {
        output: output.to_string_lossy().into_owned(),
        kind: fetched.kind,
        bytes: fetched.bytes,
        resumed_bytes: fetched.resumed_bytes,
        files: fetched.files,
        seconds: started.elapsed().as_secs_f64(),
    };
    if printer.is_json() {
        printer.json(&report)?;
    } else {
        printer.tell(format!(
            "got {} ({}) into {} in {} at {}",
            human::bytes(report.bytes),
            human::count(report.files, "file", "files"),
            quoted(&output),
            human::seconds(report.seconds),
            human::rate(report.bytes, report.seconds)
        ));
    }
    Ok(ExitStatus::Success)
}

/// Without a name in the link, its address makes one; the key must not get into a file name.
fn default_name(link: &Link, path: Option<&OsStr>) -> PathBuf {
    match path.and_then(|path| Path::new(path).file_name()) {
        Some(name) => PathBuf::from(name),
        None => {
            let address = link.to_verify().to_string();
            PathBuf::from(format!("chordage-{}", address.get(7..19).unwrap_or("object")))
        }
    }
}

/// Names what is fetched, for whoever comes again. The address and not the key, since it gets into a file name.
fn staging_id(link: &Link, path: Option<&[u8]>) -> u64 {
    let mut hasher = blake3::Hasher::new_derive_key("chordage v1 unfinished get");
    hasher.update(link.to_verify().to_string().as_bytes());
    hasher.update(b"\0");
    hasher.update(path.unwrap_or_default());
    let [a, b, c, d, e, f, g, h, ..] = *hasher.finalize().as_bytes();
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

struct Fetched {
    kind: &'static str,
    bytes: u64,
    resumed_bytes: u64,
    files: u64,
    single: Option<Vec<u8>>,
}

async fn fetch(
    client: &Client,
    link: &Link,
    path: Option<&[u8]>,
    staging: &mut Staging,
    transfer: &mut Transfer,
) -> Result<Fetched, CliError> {
    let text = link.to_string();
    let stat = transfer.unless_interrupted(client.stat(&text, false)).await??;
    // What is known of it before it comes.
    let (is_file, bytes) = match path {
        None => (stat.kind == ObjectForm::File, Some(stat.bytes)),
        Some(path) => transfer.unless_interrupted(find_file(client, &text, path)).await??,
    };
    if is_file {
        staging.target().check_takes_a_file()?;
    }
    if let Some(bytes) = bytes {
        transfer.progress.set_total(bytes);
        // What lies there is looked at first, and may be as much as is to come.
        if fs::symlink_metadata(staging.path()).is_err() {
            staging.target().check_room(bytes)?;
        }
    }
    if stat.kind == ObjectForm::File && path.is_none() {
        let (blocks, begun) = transfer.blocking(staging, Blocks::open).await?;
        transfer.progress.advance(begun);
        staging.target().check_room(stat.bytes.saturating_sub(begun))?;
        if begun < stat.bytes {
            let range = (begun > 0).then_some(ByteRange::From { start: begun });
            let download = transfer.unless_interrupted(client.content(&text, None, range)).await??;
            to_file(download, blocks, staging, transfer).await?;
        }
        return Ok(Fetched { kind: "file", bytes: stat.bytes, resumed_bytes: begun, files: 1, single: None });
    }
    let (journal, resumed) = transfer.blocking(staging, begin_dir).await?;
    transfer.progress.advance(resumed.bytes);
    let download = transfer.unless_interrupted(client.archive(&text, path, resumed.files)).await??;
    let resumed_bytes = resumed.bytes;
    let unpacked = to_dir(download, resumed, journal, staging, transfer).await?;
    let kind = match &unpacked.single {
        None => "tree",
        Some(_) if unpacked.files == 1 => "file",
        Some(_) => "symlink",
    };
    let Unpacked { bytes, files, single, .. } = unpacked;
    Ok(Fetched { kind, bytes, resumed_bytes, files, single })
}

/// Whether `path` of a tree is no directory, and then its size.
async fn find_file(client: &Client, link: &str, path: &[u8]) -> Result<(bool, Option<u64>), CliError> {
    // Of a directory come the entries, of anything else comes itself.
    let entry = client.entries(link, Some(path), false).await?.entry().await?;
    let itself = entry.filter(|entry| entry.path == String::from_utf8_lossy(path));
    Ok((itself.is_some(), itself.map(|entry| entry.bytes)))
}

/// Opens or creates the directory, and checks what is in it.
fn begin_dir(path: &Path, mut journal: Option<Journal>) -> io::Result<(Option<Journal>, Resumed)> {
    let resumed = resume_dir(path, journal.as_mut(), |inside| open_below(path, inside))?;
    Ok((journal, resumed))
}

/// What goes along with a get.
struct Transfer {
    interrupt: Interrupt,
    output: PathBuf,
    progress: Progress,
}

impl Transfer {
    async fn unless_interrupted<T>(&mut self, future: impl Future<Output = T>) -> Result<T, CliError> {
        tokio::select! {
            done = future => Ok(done),
            () = self.interrupt.wait() => Err(nothing_written(&self.output)),
        }
    }

    /// Begins to write, on a thread: what an earlier attempt left is read against its hashes first.
    async fn blocking<T: Send + 'static>(
        &mut self,
        staging: &mut Staging,
        begin: impl FnOnce(&Path, Option<Journal>) -> io::Result<T> + Send + 'static,
    ) -> Result<T, CliError> {
        let (path, journal) = (staging.path().to_owned(), staging.take_journal());
        let beginning = tokio::task::spawn_blocking(move || begin(&path, journal));
        let begun = self.unless_interrupted(beginning).await?;
        let begun = begun.map_err(|error| CliError::new(ExitStatus::Internal, "internal", error))?;
        begun.map_err(|error| CliError::file("create", staging.path(), &error))
    }

    /// Moves a download to a consumer that runs on a thread, and waits for both, so that nobody writes any more when
    /// the temporary files are removed.
    async fn run<T, F>(&mut self, download: Download, consume: F) -> Result<T, CliError>
    where
        T: Send + 'static,
        F: FnOnce(Pieces) -> Result<T, CliError> + Send + 'static,
    {
        let progress = self.progress.clone();
        let interrupted = async {
            self.interrupt.wait().await;
            nothing_written(&self.output)
        };
        let moved = |bytes| progress.advance(bytes);
        let (fed, consumed) = pieces::consume(download, moved, interrupted, consume).await;
        fed.and(consumed?)
    }
}

/// Of a get that was interrupted.
fn nothing_written(output: &Path) -> CliError {
    CliError::interrupted(format!("nothing was written to {}", quoted(output)))
}

async fn to_file(
    download: Download,
    mut blocks: Blocks,
    staging: &Staging,
    transfer: &mut Transfer,
) -> Result<(), CliError> {
    let path = staging.path().to_owned();
    let consume = move |mut pieces: Pieces| {
        while let Some(bytes) = pieces.next().map_err(|error| CliError::file("fill", &path, &error))? {
            blocks.write(&bytes).map_err(|error| CliError::file("write", &path, &error))?;
        }
        blocks.end().map_err(|error| CliError::file("write", &path, &error))
    };
    transfer.run(download, consume).await
}

async fn to_dir(
    download: Download,
    resumed: Resumed,
    journal: Option<Journal>,
    staging: &Staging,
    transfer: &mut Transfer,
) -> Result<Unpacked, CliError> {
    let dir = staging.path().to_owned();
    let consume = move |pieces| {
        unpack(pieces, &dir, resumed, journal).map_err(|error| match &error {
            UnpackError::File { error: source, .. } => {
                let code = CliError::file("write", &dir, source).code;
                CliError::new(ExitStatus::LocalFile, &code, &error).state("nothing was written to the output")
            }
            UnpackError::Archive(_) => CliError::new(ExitStatus::Internal, "bad_archive", &error)
                .state("nothing was written to the output"),
        })
    };
    transfer.run(download, consume).await
}

async fn to_stdout(client: &Client, link: &Link, path: Option<&[u8]>) -> Result<ExitStatus, CliError> {
    let text = link.to_string();
    let mut download = match client.stat(&text, false).await?.kind {
        ObjectForm::File => client.content(&text, path, None).await?,
        _ if io::stdout().is_terminal() => {
            return Err(CliError::new(
                ExitStatus::Usage,
                "terminal",
                "the link stands for a directory, and a tar archive does not go well with a terminal",
            )
            .hint("write it to a directory with -o DIR, or pipe it: chordage get LINK -o - | tar tv"));
        }
        _ => client.archive(&text, path, 0).await?,
    };
    let mut out = tokio::io::stdout();
    while let Some(bytes) = download.chunk().await? {
        out.write_all(&bytes).await.map_err(|error| output_error(&error))?;
    }
    out.flush().await.map_err(|error| output_error(&error))?;
    Ok(ExitStatus::Success)
}
