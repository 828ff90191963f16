//! `chordage put`.

mod report;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chordage_api::client::Client;
use chordage_api::types::{PutQuery, PutReport};
use chordage_api::{Redundancy, fingerprint};
use clap::Args;

use crate::connect;
use crate::error::{CliError, redundancy};
use crate::exit::ExitStatus;
use crate::global::GlobalArgs;
use crate::interrupt::Interrupt;
use crate::name::quoted;
use crate::printer::Printer;
use crate::sending::{Attempt, Attempts, Failure, Words, ask};
use crate::source::{Leash, NOT_STORED, Running, Source, source_error};
use crate::tree::pack;
use crate::tree::selection::{LeftOut, Selection};

/// Bytes of a name under which something is listed.
const NAME_MAX: usize = 255;
/// How its errors are worded.
const WORDS: Words = Words { verb: "storing", not_stored: NOT_STORED, source: source_error };

/// Store a file, a directory or standard input, and print its link
///
/// The link alone goes to standard output, everything else to standard error. Whoever has the link can read the object:
/// treat it like a password. It is printed when enough daemons have the data on disk, and not before.
#[derive(Debug, Args)]
#[command(
    after_help = "\
Examples:
  chordage put ~/notes
  chordage put ~ --exclude .cache/ --exclude '*.iso' --skip-unreadable
  chordage put --stdin-from-command pg_dump -Fc shop
  link=$(chordage put --quiet file)
  chordage put --redundancy 4/10 file     any 4 of 10 daemons can give it back",
    after_long_help = "\
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
  chordage put --json file | jq -r .link"
)]
pub(crate) struct PutArgs {
    /// File or directory to store, or - for standard input
    #[arg(value_name = "PATH", required_unless_present = "stdin_from_command")]
    path: Option<PathBuf>,
    /// Store what this command writes, if it succeeds
    ///
    /// It takes all arguments that follow. A shell's pipe (`CMD | chordage put -`) does not tell that CMD failed, and
    /// the part that it wrote would be stored.
    #[arg(long, value_name = "CMD", num_args = 1.., allow_hyphen_values = true, conflicts_with = "path")]
    stdin_from_command: Vec<OsString>,
    /// Leave out what this names, as in a .gitignore
    ///
    /// Such as *.o, /build, cache/, !keep.o. May be given again. A pattern with a slash before its end is seen from
    /// PATH.
    #[arg(long, value_name = "PATTERN", conflicts_with = "stdin_from_command")]
    exclude: Vec<String>,
    /// Leave out what the patterns in this file name
    ///
    /// One to a line; # begins a comment.
    #[arg(long, value_name = "FILE", conflicts_with = "stdin_from_command")]
    exclude_from: Vec<PathBuf>,
    /// Leave out what cannot be read, and exit with 10
    ///
    /// It is named. Without this, one such entry ends the put, and nothing is stored.
    #[arg(long, conflicts_with = "stdin_from_command")]
    skip_unreadable: bool,
    /// Make N shards of each chunk; any K are enough
    ///
    /// By default what the size of the network calls for; `chordage status` shows it.
    #[arg(long, value_name = "K/N", value_parser = redundancy)]
    redundancy: Option<Redundancy>,
    /// Store a file with its name, mode and time
    ///
    /// As a directory that holds only this file. A file alone is its content: the same link whoever puts it and
    /// whatever it is called.
    #[arg(long, conflicts_with = "stdin_from_command")]
    as_tree: bool,
    /// Store also with fewer live daemons than shards
    #[arg(long)]
    allow_degraded: bool,
    /// Name under which `chordage keeps` lists it
    ///
    /// By default that of the file, or stdin.
    #[arg(long, value_name = "NAME", value_parser = listed_name)]
    name: Option<String>,
    /// Read and pack all, whatever was stored before
    ///
    /// Without this, files that have not changed since they were put from here (by device, inode, size and times) are
    /// not read again, and parts of files that are known are not sent again, as long as enough daemons still have them.
    /// Use it for files that programs write through memory maps (some databases): such a write may leave the times as
    /// they were, so that the file passes for unchanged, or changes unnoticed while it is read. Put those when their
    /// program does not run, or a snapshot.
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
    let mut attempts = Attempts::new(WORDS, source.can_be_read_again());
    let mut source = Some(source);
    let (report, left_out) = loop {
        let source = match source.take() {
            Some(source) => source,
            None => find(args.path.as_deref().unwrap_or(Path::new("-")), &selection)?,
        };
        match put(source, &client, query.clone(), printer, &mut interrupt).await {
            Ok(done) => break done,
            Err(failure) => {
                attempts.prepare(failure, &mut query, &mut selection, printer, &mut interrupt).await?;
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
                answers = ask(client, &asked, &query) => answers.map_err(|error| WORDS.failed(error))? == [true],
                () = interrupt.wait() => return Err(CliError::interrupted(NOT_STORED).into()),
            };
        query.unchanged = *unchanged;
        query.fingerprint = if *unchanged { Some(known) } else { pack::catalogued_as(metadata) }
            .map(|known| known.to_string());
    }
    let format = source.format();
    let attempt = Attempt { client, query: &query, printer, words: WORDS, size: source.size() };
    attempt
        .run(
            move |writer, teller, memory| source.write(writer, teller, memory),
            |body| client.put(body, format, &query),
            interrupt,
        )
        .await
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
