//! `chordage backup restore`.

mod report;

use std::fs;
use std::io::{self, BufWriter, Read};
use std::path::{Path, PathBuf};
use std::time::Instant;

use chordage_api::client::SnapshotPath;
use chordage_api::types::SnapshotInfo;
use clap::Args;

use super::Context;
use crate::backup::choice::{self, Place};
use crate::backup::filter::FilterArgs;
use crate::backup::patterns::Patterns;
use crate::backup::sieve::{Orphans, Sieve, SieveError, Wanted};
use crate::backup::verification::{Notes, Verified};
use crate::error::{CliError, shell_word};
use crate::exit::ExitStatus;
use crate::human;
use crate::interrupt::Interrupt;
use crate::name::quoted;
use crate::pieces;
use crate::progress::Progress;
use crate::tree::restore::{RestoreError, Restored, Trouble, UNFINISHED, restore};

/// What is true of a restore that was refused.
const NOTHING: &str = "nothing was restored";
/// Where a restore can go.
const ELSEWHERE: &str = "name a directory that is empty or does not exist yet: --target DIR";
/// Bytes that go through the pipe at a time.
const BUFFER: usize = 256 * 1024;

/// Restore a snapshot, or a part of it, into a directory
///
/// Owners, modes, times, extended attributes, access lists, hard links, holes, devices and pipes come back too, as far
/// as the system allows that; what could not be restored is counted and named. As another user than root, files belong
/// to whoever restores them.
#[derive(Debug, Args)]
#[command(after_help = "\
The directory is made if it is not there, and has to be empty if it is: nothing that exists is overwritten. Until all \
is restored a file .chordage-unfinished lies in it; run again, the same command goes on with such a part. The whole \
snapshot comes below it with full paths (DIR/home/me/...), a part (SNAPSHOT:PATH) without what is above. Patterns are \
those of a .gitignore, seen from /.
Ends with 10 if something could not be restored as it was; as another user than root, owners are no such thing.

Examples:
  chordage backup restore latest --target /tmp/back
  chordage backup restore latest:/home/me/notes --target notes
  chordage backup restore 5f3a01 --target . --include '*.jpg' --exclude cache/
  chordage backup restore latest --host old-laptop --target /tmp/back --verify")]
pub(super) struct RestoreArgs {
    /// The beginning of a snapshot's id, or latest; a path may stand behind a colon
    #[arg(value_name = "SNAPSHOT[:PATH]", value_parser = choice::parser())]
    snapshot: Place,
    /// Directory to restore into
    #[arg(short, long, value_name = "DIR")]
    target: PathBuf,
    /// Restore only what this pattern names, and what is below; may be given again
    #[arg(short, long, value_name = "PATTERN")]
    include: Vec<String>,
    /// Do not restore what this pattern names; may be given again
    #[arg(short, long, value_name = "PATTERN")]
    exclude: Vec<String>,
    /// Then read all files again, and compare them with what came
    #[arg(long)]
    verify: bool,
    #[command(flatten)]
    filter: FilterArgs,
}

/// Runs the command.
pub(super) async fn run(args: RestoreArgs, context: &Context<'_>) -> Result<ExitStatus, CliError> {
    let Context { client, volume, printer } = context;
    let mut interrupt = Interrupt::listen()?;
    let started = Instant::now();
    let path = args.snapshot.path.clone();
    let what = |snapshot: &SnapshotInfo| {
        let path = path.as_deref().map(|path| path.escape_ascii().to_string());
        serde_json::json!({
            "snapshot": snapshot.id, "path": path, "include": args.include, "exclude": args.exclude,
        })
        .to_string()
    };
    let wanted = Wanted {
        include: Patterns::new(&args.include, false)?,
        exclude: Patterns::new(&args.exclude, false)?,
        below: path.clone().unwrap_or_default(),
    };
    check_empty(&args.target)?;
    let snapshots = context.snapshots().await?;
    let snapshot = choice::find(&snapshots, &args.snapshot.snapshot, &args.filter)?;
    let of = SnapshotPath { volume, snapshot: &snapshot.id, path: path.as_deref() };
    let orphans = match wanted.is_all() {
        true => Orphans::default(),
        false => find_orphans(&of, &wanted, context, &mut interrupt).await?,
    };
    let place = make_parent(&args.target)?;
    // Of a part it is not known beforehand how large it is.
    let size = (path.is_none() && wanted.is_all()).then_some(snapshot.bytes);
    let progress = printer.progress("restoring", size);
    let download = tokio::select! {
        download = client.snapshot_archive(&of) => download.map_err(CliError::from),
        () = interrupt.wait() => Err(CliError::interrupted(NOTHING)),
    };
    let download = download.inspect_err(|_| progress.clear())?;
    let what = what(snapshot);
    let job = Job { target: args.target.clone(), what, place, wanted, orphans, progress: progress.clone() };
    let interrupted = async {
        interrupt.wait().await;
        CliError::interrupted(NOTHING)
    };
    let verify = args.verify;
    let consume = move |pieces| job.run(pieces, verify);
    let (fed, done) = pieces::consume(download, |_| {}, interrupted, consume).await;
    let verified = match outcome(fed, done?, &args.target) {
        Ok((restored, Some(notes))) => {
            progress.phase("verifying");
            let verified = read_again(notes, &args.target, &progress, &mut interrupt).await;
            verified.map(|verified| (restored, Some(verified)))
        }
        Ok((restored, None)) => Ok((restored, None)),
        Err(error) => Err(error),
    };
    progress.clear();
    let (restored, verified) = verified?;
    report::tell(snapshot, &restored, verified.as_ref(), &args.target, started.elapsed(), printer)
}

/// Compares what is on disk with what came.
async fn read_again(
    notes: Notes,
    target: &Path,
    progress: &Progress,
    interrupt: &mut Interrupt,
) -> Result<Verified, CliError> {
    let state = || format!("{} has all of it, and not all was read again", quoted(target));
    let (dir, reading) = (target.to_owned(), progress.clone());
    let verifying = tokio::task::spawn_blocking(move || notes.verify(&dir, &|bytes| reading.advance(bytes)));
    let verified = tokio::select! {
        verified = verifying => verified,
        () = interrupt.wait() => return Err(CliError::interrupted(state())),
    };
    let verified = verified.map_err(|error| CliError::new(ExitStatus::Internal, "internal", error))?;
    verified.map_err(|error| CliError::file("verify", target, &error).state(state()))
}

/// Fails when there is something where nothing may be, before anything is asked.
fn check_empty(target: &Path) -> Result<(), CliError> {
    let there = fs::read_dir(target).is_ok_and(|mut entries| entries.next().is_some());
    // Whether it is a part of the same is seen when it is known what is to be restored.
    if there && fs::symlink_metadata(target.join(UNFINISHED)).is_err() {
        Err(not_empty(target))
    } else {
        Ok(())
    }
}

/// Makes the directories above the target. Returns the directory that it lies in, where temporary files can be.
fn make_parent(target: &Path) -> Result<PathBuf, CliError> {
    // A directory that is there may be named by `.` or `/`, which have no parent.
    if target.is_dir() {
        return Ok(target.to_owned());
    }
    let parent = match target.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent).map_err(|error| CliError::file("create", parent, &error).state(NOTHING))?;
    Ok(parent.to_owned())
}

fn not_empty(target: &Path) -> CliError {
    CliError::new(ExitStatus::LocalFile, "exists", format!("{} is not empty", quoted(target)))
        .state("it was not touched, and nothing was restored")
        .hint(ELSEWHERE)
}

/// Files whose first name is not wanted and another one is.
async fn find_orphans(
    of: &SnapshotPath<'_>,
    wanted: &Wanted,
    context: &Context<'_>,
    interrupt: &mut Interrupt,
) -> Result<Orphans, CliError> {
    let looking = async {
        let mut entries = context.client.snapshot_entries(of, true).await?;
        let mut orphans = Orphans::default();
        while let Some(entry) = entries.entry().await? {
            orphans.note(&entry, wanted);
        }
        Ok(orphans)
    };
    tokio::select! {
        orphans = looking => orphans,
        () = interrupt.wait() => Err(CliError::interrupted(NOTHING)),
    }
}

/// What a thread restores.
struct Job {
    target: PathBuf,
    /// What is restored, for whoever goes on with it.
    what: String,
    /// For temporary files.
    place: PathBuf,
    wanted: Wanted,
    orphans: Orphans,
    progress: Progress,
}

/// Why a restore ended early.
enum Stopped {
    /// Where things are restored.
    Restore(RestoreError),
    /// Before that; and what the restore says of its end.
    Sieve(SieveError, Option<Box<RestoreError>>),
    /// A temporary file, or the pipe between the two.
    Local(io::Error),
}

/// What was restored, and what is to be read again.
type Done = (Restored, Option<Notes>);

impl Job {
    fn run(self, pieces: impl Read + Send, verify: bool) -> Result<Done, Stopped> {
        let progress = |bytes| self.progress.advance(bytes);
        if self.wanted.is_all() && !verify {
            let restored = restore(pieces, &self.target, &self.what, &progress).map_err(Stopped::Restore)?;
            return Ok((restored, None));
        }
        let mut notes = verify.then(|| Notes::new(&self.place)).transpose().map_err(Stopped::Local)?;
        let restored = self.sift(pieces, notes.as_mut(), &progress)?;
        Ok((restored, notes))
    }

    /// Restores what comes through the sieve, which has a thread of its own.
    fn sift(
        &self,
        pieces: impl Read + Send,
        notes: Option<&mut Notes>,
        progress: &dyn Fn(u64),
    ) -> Result<Restored, Stopped> {
        let (reader, writer) = io::pipe().map_err(Stopped::Local)?;
        let out = BufWriter::with_capacity(BUFFER, writer);
        let sieve = Sieve::new(&self.wanted, &self.orphans, out, notes, &self.place);
        let (restored, sifted) = std::thread::scope(|scope| {
            let sifting = scope.spawn(move || sieve.run(pieces));
            // At its end it closes the pipe, which ends the sieve too.
            let restored = restore(reader, &self.target, &self.what, progress);
            (restored, sifting.join().unwrap_or(Err(SieveError::Gone)))
        });
        match (restored, sifted) {
            // When the restore ends early, the sieve only knows that nobody takes anything any more, and the other way
            // round.
            (restored, Ok(()) | Err(SieveError::Gone)) => restored.map_err(Stopped::Restore),
            (restored, Err(error)) => Err(Stopped::Sieve(error, restored.err().map(Box::new))),
        }
    }
}

/// How it ended. `fed` is how the download did.
fn outcome(fed: Result<(), CliError>, done: Result<Done, Stopped>, target: &Path) -> Result<Done, CliError> {
    let (error, stopped) = match (fed, done) {
        (Ok(()), Ok(done)) => return Ok(done),
        (Err(error), Ok(_)) => return Err(error.state(format!("{} has all of it", quoted(target)))),
        (Err(error), Err(stopped)) => (error, stopped),
        (Ok(()), Err(stopped)) => (why(&stopped, target), stopped),
    };
    let ended = match &stopped {
        Stopped::Restore(ended) => Some(ended),
        Stopped::Sieve(_, ended) => ended.as_deref(),
        Stopped::Local(_) => None,
    };
    Err(match ended {
        Some(RestoreError::Stopped { done, .. }) => ended_early(error, done, target),
        _ => error,
    })
}

/// Says what is there.
fn ended_early(error: CliError, done: &Restored, target: &Path) -> CliError {
    let state = format!(
        "{} has the first {} of what was to be restored ({}), whole and with their metadata; nothing that follows is \
         there",
        quoted(target),
        human::count(done.files, "file", "files"),
        human::bytes(done.bytes)
    );
    let word = shell_word(target);
    error
        .state(state)
        .hint(format!(
            "run it again when that is mended: it goes on there; or begin anew: rm -r {word}, or name another --target"
        ))
}

/// What went wrong, if it was not the download.
fn why(stopped: &Stopped, target: &Path) -> CliError {
    let local = |path: &Path, error: &io::Error| CliError::file("restore into", path, error);
    match stopped {
        Stopped::Restore(RestoreError::NotEmpty { .. }) => not_empty(target),
        Stopped::Restore(RestoreError::Occupied { by, .. }) => {
            CliError::new(ExitStatus::LocalFile, "exists", format!("{} {by}", quoted(target)))
                .state("it was not touched, and nothing was restored")
                .hint(ELSEWHERE)
        }
        Stopped::Restore(RestoreError::Target { doing, path, error }) => {
            CliError::file(doing, path, error).state(NOTHING)
        }
        Stopped::Restore(RestoreError::Stopped { why, .. }) => match why {
            Trouble::File { error, .. } => {
                CliError::new(ExitStatus::LocalFile, &local(target, error).code, why)
            }
            Trouble::Archive(_) => CliError::new(ExitStatus::Internal, "bad_archive", why),
        },
        Stopped::Sieve(SieveError::PutBy { place, error }, _) => local(place, error),
        Stopped::Sieve(error, _) => CliError::new(ExitStatus::Internal, "bad_archive", error),
        Stopped::Local(error) => local(target, error),
    }
}
