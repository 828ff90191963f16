//! `chordage backup create`.

mod dry_run;
mod report;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chordage_api::Redundancy;
use chordage_api::types::{PutQuery, SnapshotInfo, SnapshotRequest, TreeReport};
use chordage_node::archive::Detail;
use clap::Args;

use super::Context;
use crate::backup::calendar::Calendar;
use crate::backup::filter::{Tags, real, tags};
use crate::error::{CliError, redundancy};
use crate::exit::ExitStatus;
use crate::human;
use crate::interrupt::Interrupt;
use crate::sending::{Attempt, Attempts, Words};
use crate::source;
use crate::tree::datadir;
use crate::tree::owners::Owners;
use crate::tree::pack::{PackError, pack_paths};
use crate::tree::selection::{LeftOut, Selection};
use crate::tree::walk::measure_paths;

/// There is a snapshot or there is not; in between is nothing.
const NOT_MADE: &str = "no snapshot was made; a retry reuses what was sent";
/// How errors are worded.
const WORDS: Words = Words { verb: "backing up", not_stored: NOT_MADE, source: source_error };

/// Back up files and directories as a new snapshot, and print its id
///
/// Everything that was backed up from here before and has not changed is not read, and what any snapshot has is not
/// sent again. The snapshot is there when enough daemons have all of it on disk, and not before. What cannot be read is
/// left out and named.
#[derive(Debug, Args)]
#[command(
    after_help = "\
Examples:
  chordage backup create ~ /etc --exclude .cache/ --exclude '*.iso'
  chordage backup create ~/photos --lock 30d    nobody can forget it for 30 days
  id=$(chordage backup create --quiet ~)",
    after_long_help = "\
Patterns are those of a .gitignore, seen from /: *.o and cache/ anywhere, /home/me/tmp there, !keep.o after all. What \
is named as PATH is backed up whatever they say. Symbolic links are stored as they are, sockets and data directories \
of daemons are left out.

Exit codes are those of `chordage --help`, but for two, so that 3 means what it means with restic:
    3  the snapshot is made, but some of what it should hold could not be read, and is not in it
   11  no daemon to talk to, or it is busy, joining or leaving: nothing was backed up

Examples:
  chordage backup create ~ /etc --exclude .cache/ --exclude '*.iso'
  chordage backup create / --one-file-system --exclude-file /etc/backup.exclude --tag daily
  chordage backup create ~/photos --lock 30d          nobody can forget it for 30 days, not even this machine
  chordage backup create ~ --dry-run                  what would be read
  id=$(chordage backup create --quiet ~)
  chordage backup create --json ~ | jq '.new_bytes'"
)]
pub(super) struct CreateArgs {
    /// Files and directories to back up
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// Leave out what this pattern names; may be given again
    #[arg(short, long, value_name = "PATTERN")]
    exclude: Vec<String>,
    /// The same, in large or small letters
    #[arg(long, value_name = "PATTERN")]
    iexclude: Vec<String>,
    /// Leave out what the patterns in this file name
    ///
    /// One to a line; # begins a comment.
    #[arg(long, value_name = "FILE")]
    exclude_file: Vec<PathBuf>,
    /// Leave out what lies in other file systems
    ///
    /// In others than PATH itself. The directory that one is mounted on is stored, empty.
    #[arg(short = 'x', long)]
    one_file_system: bool,
    /// A word to find the snapshot by
    ///
    /// TAG,TAG: several. May be given again.
    #[arg(long, value_name = "TAG[,TAG]", value_parser = tags)]
    tag: Vec<Tags>,
    /// Name of this machine [default: its host name]
    #[arg(short = 'H', long, value_name = "HOST")]
    host: Option<String>,
    /// When it was made [default: now]
    ///
    /// As 2026-11-30 07:05:09.
    #[arg(long, value_name = "TIME", value_parser = |text: &str| Calendar::local().parse(text))]
    time: Option<i64>,
    /// Store nothing, only say how much it would be
    ///
    /// What would be stored is read.
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Let nobody forget the snapshot for so long
    ///
    /// Neither this machine nor whoever stole it can.
    #[arg(long, value_name = "TIME", value_parser = human::parse_duration)]
    lock: Option<Duration>,
    /// Make N shards of each chunk; any K are enough
    ///
    /// By default what the size of the network calls for; `chordage status` shows it.
    #[arg(long, value_name = "K/N", value_parser = redundancy)]
    redundancy: Option<Redundancy>,
    /// Store also with fewer live daemons than shards
    #[arg(long)]
    allow_degraded: bool,
    /// Read also files that seem unchanged
    ///
    /// That is by their size and times.
    #[arg(short = 'f', long, visible_alias = "force")]
    reread: bool,
}

/// Runs the command.
pub(super) async fn run(args: CreateArgs, context: &Context<'_>) -> Result<ExitStatus, CliError> {
    let mut interrupt = Interrupt::listen()?;
    let started = Instant::now();
    let paths = paths(&args.paths)?;
    let mut selection = Selection::new(&args.exclude, &args.exclude_file, true)?;
    selection.one_file_system = args.one_file_system;
    let selection = Arc::new(selection.without_in_any_case(&args.iexclude)?);
    let query = PutQuery {
        redundancy: args.redundancy.map(|redundancy| redundancy.to_string()),
        allow_degraded: args.allow_degraded,
        reread: args.reread,
        ..PutQuery::default()
    };
    check_writable(context).await?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let time = args.time.unwrap_or(i64::try_from(now).unwrap_or(i64::MAX));
    let size = measured(&paths, &selection, context, &mut interrupt).await?;
    let lock_seconds = args.lock.map_or(0, |lock| u32::try_from(lock.as_secs()).unwrap_or(u32::MAX));
    let sources = Sources { paths, selection, size, lock_seconds };
    if args.dry_run {
        return dry_run::run(sources, query, context, &mut interrupt).await;
    }
    let names = sources.names();
    let (tree, left_out) = send(sources, query, context, &mut interrupt).await?;
    let request = SnapshotRequest {
        volume: context.volume.clone(),
        tree: tree.tree.clone(),
        time,
        host: args.host.unwrap_or_else(host_name),
        user: user_name(),
        paths: names,
        tags: words(&args.tag),
        unreadable: left_out.unreadable,
        lock_seconds: lock_seconds.into(),
    };
    let snapshot = enter(&request, context, &mut interrupt).await?;
    report::tell(&snapshot, &tree, &left_out, started.elapsed(), context.printer)?;
    let complete = left_out.unreadable == 0 && left_out.without_attributes == 0;
    Ok(if complete { ExitStatus::Success } else { ExitStatus::IncompleteSnapshot })
}

/// What is read.
struct Sources {
    paths: Vec<PathBuf>,
    selection: Arc<Selection>,
    /// Bytes of all of it, if somebody wants to know.
    size: Option<u64>,
    /// Holders let nobody drop it for so long.
    lock_seconds: u32,
}

impl Sources {
    /// The paths as the snapshot tells them.
    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.paths.iter().map(|path| real(path).to_string_lossy().into_owned()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// The paths that were named, made absolute. What cannot be backed up at all is said before anything is read.
fn paths(given: &[PathBuf]) -> Result<Vec<PathBuf>, CliError> {
    let nothing = |path: &Path, error: &std::io::Error| {
        CliError::file("back up", path, error)
            .state("nothing was backed up")
            .hint("check the path; a relative one starts at the current directory")
    };
    let mut first_missing = None;
    let mut any = false;
    let mut paths = Vec::with_capacity(given.len());
    for path in given {
        datadir::refuse(path)?;
        match std::fs::symlink_metadata(path) {
            Ok(_) => any = true,
            Err(error) => drop(first_missing.get_or_insert_with(|| nothing(path, &error))),
        }
        paths.push(std::path::absolute(path).map_err(|error| nothing(path, &error))?);
    }
    match first_missing {
        Some(error) if !any => Err(error),
        // Those that are there are backed up, and the others are told like whatever else cannot be read.
        _ => Ok(paths),
    }
}

/// Refuses at once what would be refused when everything is sent.
async fn check_writable(context: &Context<'_>) -> Result<(), CliError> {
    let volumes = context.client.volumes().await?;
    let volume = volumes.iter().find(|known| [&known.petname, &known.volume].contains(&&context.volume));
    let name = context.volume.escape_debug();
    match volume {
        Some(volume) if volume.writable => Ok(()),
        Some(_) => Err(CliError::new(
            ExitStatus::Usage,
            "not_owned",
            format!("the volume `{name}` can only be read through this daemon"),
        )
        .state("nothing was backed up")
        .hint("import the text that can write (`chordage volume import`), or make one with `chordage backup init`")),
        None => Err(CliError::new(
            ExitStatus::Unavailable,
            "no_such_volume",
            format!("this daemon knows no volume `{name}`"),
        )
        .state("nothing was backed up")),
    }
}

/// Bytes of everything, if somebody looks at a progress bar.
async fn measured(
    paths: &[PathBuf],
    selection: &Arc<Selection>,
    context: &Context<'_>,
    interrupt: &mut Interrupt,
) -> Result<Option<u64>, CliError> {
    if !context.printer.shows_progress() {
        return Ok(None);
    }
    let (paths, selection) = (paths.to_vec(), selection.clone());
    let progress = context.printer.progress("looking at what there is", None);
    let measuring = tokio::task::spawn_blocking(move || measure_paths(&paths, &selection));
    let measured = tokio::select! {
        measured = measuring => Ok(measured.ok()),
        () = interrupt.wait() => Err(CliError::interrupted("nothing was backed up")),
    };
    progress.clear();
    measured
}

/// Sends everything, and again if that helps. Returns also what was left out.
async fn send(
    mut sources: Sources,
    mut query: PutQuery,
    context: &Context<'_>,
    interrupt: &mut Interrupt,
) -> Result<(TreeReport, LeftOut), CliError> {
    let Context { client, volume, printer } = context;
    let mut attempts = Attempts::new(WORDS, true);
    loop {
        let attempt = Attempt { client, query: &query, printer, words: WORDS, size: sources.size };
        let (paths, selection) = (sources.paths.clone(), sources.selection.clone());
        let sent = attempt.run(
            move |writer, teller, memory| {
                let packed = pack_paths(&paths, &selection, Detail::Full, writer, teller, memory);
                packed.map(drop).map_err(Into::into)
            },
            |body| client.put_tree(volume, body, &query, sources.lock_seconds),
            interrupt,
        );
        match sent.await {
            Ok(done) => return Ok(done),
            Err(failure) => {
                attempts.prepare(failure, &mut query, &mut sources.selection, printer, interrupt).await?;
            }
        }
    }
}

/// Makes the snapshot of what was sent.
async fn enter(
    request: &SnapshotRequest,
    context: &Context<'_>,
    interrupt: &mut Interrupt,
) -> Result<SnapshotInfo, CliError> {
    const UNKNOWN: &str = "everything was sent, and it is not known whether the snapshot was made";
    let look = "see with `chordage backup list`, or run it again: nothing will be sent twice";
    tokio::select! {
        made = context.client.create_snapshot(request) => made.map_err(|error| {
            let lost = matches!(error, chordage_api::client::ClientError::Lost(_))
                || matches!(error, chordage_api::client::ClientError::Stalled { .. });
            let error = CliError::from(error);
            if lost { error.state(UNKNOWN).hint(look) } else { error }
        }),
        () = interrupt.wait() => Err(CliError::interrupted(UNKNOWN).hint(look)),
    }
}

/// What a source that could not be read means for the user.
fn source_error(error: &PackError) -> CliError {
    source::source_error(error).state(NOT_MADE).hint(
        "leave it out with --exclude, or back up a snapshot that the file system or volume manager makes",
    )
}

/// All tags that were given, each once.
fn words(tags: &[Tags]) -> Vec<String> {
    let words = tags.iter().flat_map(Tags::words).filter(|word| !word.is_empty());
    let mut words: Vec<String> = words.map(str::to_owned).collect();
    words.sort_unstable();
    words.dedup();
    words
}

fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "localhost".to_owned() } else { name.to_owned() }
}

fn user_name() -> String {
    let uid = rustix::process::geteuid().as_raw();
    let name = Owners::of_system().user(uid);
    if name.is_empty() { uid.to_string() } else { String::from_utf8_lossy(&name).into_owned() }
}
