//! `chordage backup init`.

use chordage_api::client::VolumeAccess;
use chordage_api::types::VolumeCapability;
use clap::Args;

use super::Context;
use crate::error::{CliError, shell_word};
use crate::exit::ExitStatus;

/// Make a volume for backups, and print the text that opens it
///
/// The text alone goes to standard output. Whoever has it can read all backups in the volume, and write to it. It is
/// the way back from another machine, unless you have a recovery phrase (`chordage home create`), which brings back all
/// volumes. Keep one of them somewhere else, on paper or in a password manager.
#[derive(Debug, Args)]
#[command(after_help = "\
To back up several machines into one volume, run `init` on one of them and `chordage volume import` on the others: \
each has its own snapshots there, equal files are stored once, and any of them can restore those of all.

Examples:
  chordage backup init > backup.txt            then move backup.txt away from this machine
  chordage backup init --volume photos
  chordage backup init --json | jq -r .capability")]
pub(super) struct InitArgs {}

/// Runs the command.
pub(super) async fn run(_args: &InitArgs, context: &Context<'_>) -> Result<ExitStatus, CliError> {
    let Context { client, volume, printer } = context;
    let made = client.create_volume(volume).await.map_err(|error| {
        let error = CliError::from(error);
        match error.code.as_str() {
            "conflict" => error.hint(
                "use it as it is with `chordage backup create`, see it with `chordage volume list`, or call the new \
                 one otherwise with --volume",
            ),
            _ => error,
        }
    })?;
    let name = shell_word(made.petname.as_ref());
    let lost = |error: CliError| {
        error
            .state(format!("the volume {} exists and is empty", made.petname))
            .hint(format!("print what opens it: chordage volume export {name}"))
    };
    let capability: VolumeCapability =
        client.export_volume(&made.petname, VolumeAccess::Write).await.map_err(|error| lost(error.into()))?;
    match printer.is_json() {
        true => printer.json(&capability).map_err(lost)?,
        false => printer.line(&capability.capability).map_err(lost)?,
    }
    let has_home = client.home().await.is_ok_and(|home| home.volume.is_some());
    printer.warn(if has_home {
        "whoever has this text can read all backups in the volume and write to it; your recovery phrase brings it back"
    } else {
        "whoever has this text can read all backups in the volume and write to it, and without it there is no way \
         back if this machine is lost: keep it away from here, and secret (or `chordage home create`)"
    });
    let flag = if made.petname == "backup" { String::new() } else { format!(" --volume {name}") };
    printer.tell(format!("next: chordage backup create{flag} ~"));
    Ok(ExitStatus::Success)
}
