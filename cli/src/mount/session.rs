//! Mounting, and what ends it.

use std::fs;
use std::io;
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chordage_api::client::Client;
use fuser::{BackgroundSession, Config, MountOption, Session, SessionACL};
use rustix::mount::UnmountFlags;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::oneshot;

use super::attributes::Owner;
use super::complaints::Complaints;
use super::contents::Contents;
use super::details::Details;
use super::filesystem::Mounted;
use super::handles::Handles;
use super::inodes::Inodes;
use super::links::Links;
use super::listings::Listings;
use super::operations::Operations;
use super::snapshots::Snapshots;
use super::source::Source;
use crate::backup::filter::FilterArgs;
use crate::error::{CliError, shell_word};
use crate::exit::ExitStatus;
use crate::interrupt::Interrupt;
use crate::name::quoted;
use crate::printer::Printer;

/// Threads that answer requests: two, so that one which computes keeps none waiting.
const THREADS: usize = 2;
/// What an unmount may take. What is still open then is cut off.
const LEAVING: Duration = Duration::from_secs(3);
const NOTHING: &str = "nothing was mounted";

/// What to mount, and how.
pub(crate) struct Options {
    pub(crate) directory: PathBuf,
    pub(crate) volume: String,
    pub(crate) filter: FilterArgs,
    /// Whether other users may look into it.
    pub(crate) allow_other: bool,
    /// Whether everything is to belong to root.
    pub(crate) owner_root: bool,
    /// Whether modes are to decide what other users may read.
    pub(crate) default_permissions: bool,
    /// How long a program may have to wait.
    pub(crate) deadline: Duration,
}

/// What ended a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// A signal: it was unmounted.
    Told,
    /// It was unmounted by somebody else.
    Unmounted,
}

/// Mounts and serves until a signal comes or somebody unmounts. `mounted` is told where it is mounted, and of how many
/// snapshots.
pub(crate) async fn serve(
    client: Client,
    options: Options,
    printer: Printer,
    mounted: impl FnOnce(&Path, usize) -> Result<(), CliError>,
) -> Result<Ended, CliError> {
    let directory = empty(&options.directory)?;
    let mut interrupt = Interrupt::listen()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .thread_name("mount")
        .enable_all()
        .build()
        .map_err(|error| CliError::new(ExitStatus::Internal, "internal", format!("cannot start: {error}")))?;
    let served = async {
        let opening = open(client, &options, printer, runtime.handle());
        let (operations, snapshots) = tokio::select! {
            opened = opening => opened?,
            () = interrupt.wait() => return Err(CliError::interrupted(NOTHING)),
        };
        let (ended, has_ended) = oneshot::channel();
        let mounting = mount(operations, &directory, &options, runtime.handle(), ended);
        let session = mounting.await?;
        if let Err(error) = mounted(&directory, snapshots) {
            unmount(session, &directory, has_ended).await?;
            return Err(error);
        }
        wait(session, &directory, has_ended, &mut interrupt).await
    };
    let outcome = served.await;
    // Requests that are still under way have nobody to answer.
    Runtime::shutdown_background(runtime);
    outcome
}

/// All that is to be mounted.
async fn open(
    client: Client,
    options: &Options,
    printer: Printer,
    runtime: &Handle,
) -> Result<(Arc<Operations>, usize), CliError> {
    let source = Arc::new(Source::new(client, options.volume.clone()));
    let complaints = Arc::new(Complaints::new(printer));
    let (snapshots, count) =
        Snapshots::read(source.clone(), options.filter.clone(), complaints.clone()).await?;
    let owner = Owner { uid: rustix::process::getuid().as_raw(), gid: rustix::process::getgid().as_raw() };
    let operations = Operations {
        snapshots,
        listings: Listings::new(source.clone()),
        details: Details::new(source.clone()),
        links: Arc::new(Links::new(source.clone(), runtime.clone())),
        contents: Arc::new(Contents::new(source, runtime.clone(), options.deadline)),
        inodes: Inodes::new(),
        files: Handles::new(),
        directories: Handles::new(),
        complaints,
        owner,
        owner_root: options.owner_root,
    };
    Ok((Arc::new(operations), count))
}

/// The directory to mount at, which has to be empty, without symbolic links in its path.
fn empty(directory: &Path) -> Result<PathBuf, CliError> {
    let failed = |error: io::Error| {
        let dead = error.raw_os_error() == Some(rustix::io::Errno::NOTCONN.raw_os_error());
        let word = shell_word(directory);
        let hint = match error.kind() {
            _ if dead => {
                format!("a mount there has lost its program: fusermount3 -u {word} (or umount {word})")
            }
            io::ErrorKind::NotFound => format!("make it first: mkdir -p {word}"),
            _ => String::new(),
        };
        CliError::file("mount at", directory, &error).state(NOTHING).hint(hint)
    };
    let mut entries = fs::read_dir(directory).map_err(failed)?;
    if entries.next().is_some() {
        let message = format!("{} is not empty", quoted(directory));
        return Err(CliError::new(ExitStatus::LocalFile, "exists", message)
            .state(NOTHING)
            .hint("name a directory that is empty"));
    }
    fs::canonicalize(directory).map_err(failed)
}

async fn mount(
    operations: Arc<Operations>,
    directory: &Path,
    options: &Options,
    runtime: &Handle,
    ended: oneshot::Sender<()>,
) -> Result<BackgroundSession, CliError> {
    // Without other users there is nobody to keep out, and files of root are the user's own backups.
    let checks_permissions = options.allow_other && options.default_permissions;
    let mut config = Config::default();
    config.mount_options = vec![
        MountOption::FSName("chordage".to_owned()),
        MountOption::Subtype("chordage".to_owned()),
        MountOption::RO,
        MountOption::NoSuid,
        MountOption::NoDev,
        MountOption::NoAtime,
    ];
    if checks_permissions {
        config.mount_options.push(MountOption::DefaultPermissions);
    }
    config.acl = if options.allow_other { SessionACL::All } else { SessionACL::Owner };
    let filesystem = Mounted::new(operations, runtime.clone(), options.deadline, checks_permissions, ended);
    let at = directory.to_owned();
    // It waits for the kernel, and maybe for another program.
    let mounting = tokio::task::spawn_blocking(move || Session::new(filesystem, at, &config)?.spawn());
    match mounting.await {
        Ok(mounted) => mounted.map_err(|error| refused(directory, &error)),
        Err(_) => Err(CliError::new(ExitStatus::Internal, "internal", "mounting failed").state(NOTHING)),
    }
}

fn refused(directory: &Path, error: &io::Error) -> CliError {
    let text = error.to_string();
    let hint = match error.kind() {
        io::ErrorKind::NotFound => {
            "/dev/fuse or the program fusermount3 is missing: modprobe fuse; apt-get install fuse3"
        }
        io::ErrorKind::PermissionDenied if text.contains("user_allow_other") => {
            "write user_allow_other into /etc/fuse.conf, as root, or leave out --allow-other"
        }
        _ => "as a user other than root this needs the program fusermount3: apt-get install fuse3",
    };
    let message = format!("cannot mount at {}: {}", quoted(directory), text.trim());
    CliError::new(ExitStatus::LocalFile, "cannot_mount", message).state(NOTHING).hint(hint)
}

/// Waits for what ends it.
async fn wait(
    session: BackgroundSession,
    directory: &Path,
    mut has_ended: oneshot::Receiver<()>,
    interrupt: &mut Interrupt,
) -> Result<Ended, CliError> {
    tokio::select! {
        // The sender is dropped with the file system.
        _ = &mut has_ended => {
            // It would unmount what lies there by now.
            mem::forget(session);
            Ok(Ended::Unmounted)
        }
        () = interrupt.wait() => {
            unmount(session, directory, has_ended).await?;
            Ok(Ended::Told)
        }
    }
}

/// Takes it away at once, also if somebody is still in it: what is open there fails when this program has ended.
async fn unmount(
    session: BackgroundSession,
    directory: &Path,
    has_ended: oneshot::Receiver<()>,
) -> Result<(), CliError> {
    let at = directory.to_owned();
    let leaving = tokio::task::spawn_blocking(move || {
        match rustix::mount::unmount(&at, UnmountFlags::DETACH) {
            Err(rustix::io::Errno::PERM) => {
                // Whoever is not root has it done by fusermount3, lazily as well.
                std::thread::spawn(move || session.umount_and_join());
                Ok(())
            }
            done => {
                mem::forget(session);
                done
            }
        }
    });
    let left = match leaving.await {
        Ok(left) => left.map_err(io::Error::from),
        Err(_) => Ok(()),
    };
    if tokio::time::timeout(LEAVING, has_ended).await.is_ok() {
        return Ok(());
    }
    let why = match left {
        Err(error) => error.to_string(),
        Ok(()) if !is_mounted(directory) => return Ok(()),
        Ok(()) => "it is still there".to_owned(),
    };
    let word = shell_word(directory);
    Err(CliError::new(
        ExitStatus::LocalFile,
        "still_mounted",
        format!("cannot unmount {}: {why}", quoted(directory)),
    )
    .state("nothing can be read there any more")
    .hint(format!("fusermount3 -u -z {word}, or as root: umount -l {word}")))
}

/// Whether something of ours is mounted there, without looking at it.
fn is_mounted(directory: &Path) -> bool {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let path = directory.to_string_lossy().replace('\\', r"\134").replace(' ', r"\040");
    mounts.lines().any(|line| line.split(' ').nth(4) == Some(&path) && line.contains(" fuse.chordage "))
}
