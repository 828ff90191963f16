//! `chordage backup`: one file per subcommand. What they share is in `crate::backup`.

mod create;
mod diff;
mod find;
mod forget;
mod init;
mod list;
mod ls;
mod mount;
mod prune;
mod restore;
mod undelete;
mod verify;

use chordage_api::client::Client;
use chordage_api::types::SnapshotInfo;
use clap::{Args, Subcommand};

use crate::backup::volume::{VolumeArgs, no_volume_hint};
use crate::connect;
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::global::GlobalArgs;
use crate::printer::Printer;

/// Back up files and directories as snapshots, and get them back from any machine
///
/// Snapshots lie encrypted in a volume in the network, and each holds everything: names, owners, modes, times, links,
/// attributes and access lists, devices and holes. What does not change is stored once, whatever it is called. Whoever
/// has the volume's text, which `init` prints, can restore all of it from any daemon of the network, also when this
/// machine is gone.
#[derive(Debug, Args)]
#[command(after_help = "\
Words and flags are those of restic where restic has them.

Examples:
  chordage backup init                                 once; keep what it prints, away from this machine
  chordage backup create ~ --exclude .cache/
  chordage backup list
  chordage backup restore latest --target /tmp/back
  chordage backup restore latest:/home/me/notes --target notes
  chordage backup mount /mnt/backup                    and look around there
  chordage backup forget --keep-daily 7 --keep-weekly 5 --keep-monthly 12 --prune
  chordage backup verify --read-data

On another machine, with the text that `init` printed:
  chordage volume import backup < backup.txt
  chordage backup restore latest --target /tmp/back")]
pub(crate) struct BackupArgs {
    #[command(flatten)]
    volume: VolumeArgs,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "there is one value of it in the program's life")]
enum Action {
    Init(init::InitArgs),
    Create(create::CreateArgs),
    List(list::ListArgs),
    Ls(ls::LsArgs),
    Find(find::FindArgs),
    Diff(diff::DiffArgs),
    Restore(restore::RestoreArgs),
    Verify(verify::VerifyArgs),
    Mount(mount::MountArgs),
    Forget(forget::ForgetArgs),
    Prune(prune::PruneArgs),
    Undelete(undelete::UndeleteArgs),
}

/// Whom a subcommand talks to, about what, and through what.
struct Context<'a> {
    client: Client,
    /// The volume, as its user called it.
    volume: String,
    printer: &'a Printer,
}

/// Runs the command.
pub(crate) async fn run(
    args: BackupArgs,
    global: &GlobalArgs,
    printer: &Printer,
) -> Result<ExitStatus, CliError> {
    let creates = matches!(args.action, Action::Create(_));
    let context = || Ok(Context { client: connect::client(global)?, volume: args.volume.name(), printer });
    let outcome = match context() {
        Ok(context) => run_action(args.action, &context).await,
        Err(error) => Err(error),
    };
    outcome.map_err(|error| match no_volume_hint(error) {
        // Its number says there that a snapshot was made.
        error if creates && error.status() == ExitStatus::NoDaemon => {
            error.ending(ExitStatus::NoDaemonForBackup)
        }
        error => error,
    })
}

async fn run_action(action: Action, context: &Context<'_>) -> Result<ExitStatus, CliError> {
    match action {
        Action::Init(args) => init::run(&args, context).await,
        Action::Create(args) => create::run(args, context).await,
        Action::List(args) => list::run(&args, context).await,
        Action::Ls(args) => ls::run(&args, context).await,
        Action::Find(args) => find::run(&args, context).await,
        Action::Diff(args) => diff::run(&args, context).await,
        Action::Restore(args) => restore::run(args, context).await,
        Action::Verify(args) => verify::run(&args, context).await,
        Action::Mount(args) => mount::run(args, context).await,
        Action::Forget(args) => forget::run(&args, context).await,
        Action::Prune(args) => prune::run(&args, context).await,
        Action::Undelete(args) => undelete::run(&args, context).await,
    }
}

impl Context<'_> {
    /// The snapshots that are kept.
    async fn snapshots(&self) -> Result<Vec<SnapshotInfo>, CliError> {
        Ok(self.client.snapshots(&self.volume, false).await?)
    }
}
