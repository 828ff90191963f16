//! `chordage volume`.

use std::io::{BufRead, BufReader, Read};

use chordage_api::client::{Client, VolumeAccess};
use chordage_api::types::{VolumeImport, VolumeInfo};
use chordage_api::volume::Capability;
use clap::{Args, Subcommand};

use crate::backup::volume::no_volume_hint;
use crate::connect;
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::global::GlobalArgs;
use crate::human;
use crate::input::Stdin;
use crate::printer::Printer;

/// Most of what is read as a text that opens a volume, bytes.
const CAPABILITY_BYTES_MAX: u64 = 4096;

/// See and move the keys of volumes, in which backups and other things that change lie
///
/// A volume is a key. A daemon that has it can read what is in the volume, and write to it if the key allows that.
/// `chordage backup init` makes one.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  chordage volume list
  chordage volume export backup > backup.txt
  chordage volume import backup < backup.txt          on another machine
  chordage volume export backup --read-only | ssh friend chordage volume import mine
  chordage volume remove backup --yes")]
pub(crate) struct VolumeArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the volumes that this daemon knows
    List,
    /// Print the text that opens a volume: whoever has it can read everything in it, and write to it
    Export(ExportArgs),
    /// Take in a volume of another machine; the text that opens it comes from standard input
    Import(ImportArgs),
    /// Forget how to open a volume, and keep nothing of it any more
    Remove(RemoveArgs),
}

#[derive(Debug, Args)]
struct ExportArgs {
    /// Its petname, or the 64 digits that it has everywhere
    #[arg(value_name = "NAME")]
    name: String,
    /// Print a text that can only read
    #[arg(long)]
    read_only: bool,
}

#[derive(Debug, Args)]
struct ImportArgs {
    /// What to call it here: 1 to 63 of the characters a-z 0-9 - _ .
    #[arg(value_name = "PETNAME")]
    petname: String,
}

#[derive(Debug, Args)]
struct RemoveArgs {
    /// Its petname, or the 64 digits that it has everywhere
    #[arg(value_name = "NAME")]
    name: String,
    /// Yes, nobody shall be able to read what is in it any more, unless somebody else has the text that opens it
    #[arg(long)]
    yes: bool,
}

/// Runs the command.
pub(crate) async fn run(
    args: VolumeArgs,
    global: &GlobalArgs,
    printer: &Printer,
) -> Result<ExitStatus, CliError> {
    let client = connect::client(global)?;
    run_action(args.action, &client, printer).await.map_err(no_volume_hint)
}

async fn run_action(action: Action, client: &Client, printer: &Printer) -> Result<ExitStatus, CliError> {
    match action {
        Action::List => list(client, printer).await?,
        Action::Export(args) => {
            let access = if args.read_only { VolumeAccess::Read } else { VolumeAccess::Write };
            let exported = client.export_volume(&args.name, access).await?;
            match printer.is_json() {
                true => printer.json(&exported)?,
                false => printer.line(&exported.capability)?,
            }
            let can = if args.read_only { "read everything" } else { "read everything, and write" };
            printer.warn(format!("whoever has this text can {can} in the volume {}", exported.petname));
            printer
                .tell(format!("next, where it is to be used: chordage volume import {}", exported.petname));
        }
        Action::Import(args) => {
            let capability = capability_on_stdin()?;
            let import = VolumeImport { petname: args.petname, capability: capability.to_string() };
            let imported = client.import_volume(&import).await?;
            match printer.is_json() {
                true => printer.json(&imported)?,
                false => printer.line(&imported.volume)?,
            }
            let can = if imported.writable { "read and written to" } else { "read" };
            printer.tell(format!("the volume {} can be {can} through this daemon now", imported.petname));
        }
        Action::Remove(args) if !args.yes => {
            let message =
                format!("nobody can read what is in `{}` without the text that opens it", args.name);
            return Err(CliError::new(ExitStatus::Usage, "not_confirmed", message)
                .state("nothing was changed")
                .hint(format!(
                    "keep it with `chordage volume export {0}`; then: chordage volume remove {0} --yes",
                    args.name
                )));
        }
        Action::Remove(args) => {
            let removed = client.remove_volume(&args.name).await?;
            if printer.is_json() {
                printer.json(&removed)?;
            }
            printer.tell(format!(
                "this daemon does not know the volume {} any more and keeps nothing of it; others that have it do",
                removed.petname
            ));
        }
    }
    Ok(ExitStatus::Success)
}

async fn list(client: &Client, printer: &Printer) -> Result<(), CliError> {
    let volumes = client.volumes().await?;
    if printer.is_json() {
        return printer.json(&volumes);
    }
    let widest = volumes.iter().map(|volume| volume.petname.len()).max().unwrap_or(0);
    for volume in &volumes {
        printer.line(row(volume, widest))?;
    }
    printer.tell(human::count(volumes.len() as u64, "volume", "volumes"));
    Ok(())
}

fn row(volume: &VolumeInfo, widest: usize) -> String {
    let access = if volume.writable { "reads and writes" } else { "reads" };
    let state = if volume.seq == 0 { "empty".to_owned() } else { format!("state {}", volume.seq) };
    format!("{:widest$}  {}  {access:16}  {state}", volume.petname, volume.volume)
}

/// The text that opens a volume, from standard input: it need not stand in the process list. A mistyped one is found
/// here, before anybody is asked.
fn capability_on_stdin() -> Result<Capability, CliError> {
    let mut line = String::new();
    BufReader::new(Stdin::open()?.take(CAPABILITY_BYTES_MAX)).read_line(&mut line).map_err(|error| {
        let message = format!("cannot read the text that opens the volume on standard input: {error}");
        CliError::new(ExitStatus::LocalFile, "input", message).state("nothing was changed")
    })?;
    line.parse().map_err(|error| {
        CliError::new(ExitStatus::BadLink, "bad_capability", error)
            .state("nothing was changed")
            .hint("copy the whole text again, from `chordvol1` to its last character")
    })
}
