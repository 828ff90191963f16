//! `chordage backup mount`.

use std::path::PathBuf;

use clap::Args;

use super::Context;
use crate::backup::filter::FilterArgs;
use crate::error::CliError;
use crate::exit::ExitStatus;

/// Show all snapshots as directories, to look around in and copy from
///
/// Only what is read is fetched. The directories are
///
///   ids/ID             each snapshot, by the beginning of its id
///   snapshots/TIME     by time, and the newest as snapshots/latest
///   hosts/HOST/TIME    those of each host
///   tags/TAG/TIME      those with each tag
///
/// and in each snapshot everything is as it was backed up, seen from `/`: modes, owners by their numbers, times, links,
/// attributes and access lists, devices and holes. New snapshots show up within some seconds.
///
/// It is mounted until Ctrl-C, SIGTERM or `fusermount3 -u DIR`.
#[derive(Debug, Args)]
#[command(after_help = "\
Linux only. As a user other than root this needs the program fusermount3 (of the package fuse3), and with --allow-other \
the line user_allow_other in /etc/fuse.conf. Whatever cannot be read within --deadline fails with an input/output error, \
and standard error says why. With --json, one object when it is mounted: `mounted`, `volume`, `snapshots`.

Examples:
  mkdir /tmp/backup && chordage backup mount /tmp/backup
  chordage backup mount /mnt/backup --host laptop --allow-other
  diff -r /home/me /tmp/backup/snapshots/latest/home/me
  fusermount3 -u /tmp/backup")]
pub(super) struct MountArgs {
    /// An empty directory
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    #[command(flatten)]
    filter: FilterArgs,
    /// Let other users look into it too; modes and access lists decide what they may read
    #[arg(long)]
    allow_other: bool,
    /// Show root as the owner of everything
    #[arg(long)]
    owner_root: bool,
    /// With --allow-other: let other users read everything, whatever the modes say
    #[arg(long)]
    no_default_permissions: bool,
    /// After so many seconds a read fails that cannot be answered
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    deadline: u64,
}

/// Runs the command.
#[cfg(target_os = "linux")]
pub(super) async fn run(args: MountArgs, context: &Context<'_>) -> Result<ExitStatus, CliError> {
    use std::path::Path;
    use std::time::Duration;

    use chordage_node::lines::Lines;

    use crate::error::shell_word;
    use crate::human;
    use crate::mount::{Ended, Options, serve};
    use crate::name::quoted;
    use crate::threads;

    /// How long the last lines may take.
    const LAST_LINES: Duration = Duration::from_secs(1);

    let Context { client, volume, printer } = context;
    let options = Options {
        directory: args.directory,
        volume: volume.clone(),
        filter: args.filter,
        allow_other: args.allow_other,
        owner_root: args.owner_root,
        default_permissions: !args.no_default_permissions,
        deadline: Duration::from_secs(args.deadline),
    };
    let lines = Lines::start().map_err(|error| threads::refused(&error))?;
    let mounted = |directory: &Path, snapshots: usize| {
        if printer.is_json() {
            return printer.json(&serde_json::json!({
                "mounted": directory.to_string_lossy(),
                "volume": volume,
                "snapshots": snapshots,
            }));
        }
        let count = human::count(snapshots as u64, "snapshot", "snapshots");
        printer.line(format!("mounted {count} at {}", quoted(directory)))?;
        printer.tell(format!("to end: Ctrl-C, or fusermount3 -u {}", shell_word(directory)));
        Ok(())
    };
    let ended = serve(client.clone(), options, printer.through(&lines), mounted).await;
    lines.flush(LAST_LINES);
    match ended? {
        Ended::Told => printer.tell("unmounted"),
        Ended::Unmounted => printer.tell("it was unmounted"),
    }
    Ok(ExitStatus::Success)
}

/// Says that it cannot.
#[cfg(not(target_os = "linux"))]
#[allow(clippy::unused_async, reason = "the same signature everywhere")]
pub(super) async fn run(_: MountArgs, _: &Context<'_>) -> Result<ExitStatus, CliError> {
    Err(CliError::new(ExitStatus::Usage, "not_supported", "snapshots can be mounted on Linux only")
        .state("nothing was done")
        .hint("chordage backup ls, and chordage backup restore"))
}
