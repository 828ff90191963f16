//! `chordage network create`.

use std::path::Path;
use std::sync::Arc;

use chordage_api::types::MayBe;
use chordage_node::access::{self, AccessError, Founded, ID_BITS_DEFAULT, ID_BITS_MAX, Trying};
use clap::Args;
use serde_json::json;

use crate::access::{dir, next, refused};
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::global::GlobalArgs;
use crate::interrupt::Interrupt;
use crate::printer::Printer;
use crate::trying::watched;

/// Found a network in the data directory: a private one, or with --open one that anybody may join
///
/// Makes the key of the network, and what makes the daemon that will run here part of it. No daemon may run on the
/// directory yet, and none may have run: it has to be new or empty, but for config.toml. The key that signs for the
/// network lies in this directory and nowhere else.
///
/// In an open network anybody may hold shards, see who is in it and watch who asks for what, and nobody can be put out.
/// What it asks for is work: a daemon's key has to have N zero bits after hashing, which only trying finds. That makes
/// many identities dear and does no more: by default one core that is clever about it has thousands of them in an hour.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  chordage network create family
  chordage network create family --data-dir /srv/chordage
  chordage network create square --open        anybody may join, after some seconds of work
  chordage network create square --open --id-bits 24
  chordage daemon                              then: start it, and
  chordage invite                              let others in")]
pub(super) struct CreateArgs {
    /// What the network is called: 1 to 32 of the characters a-z 0-9 -
    #[arg(value_name = "NAME")]
    name: String,
    /// Anybody may join it
    #[arg(long)]
    open: bool,
    /// How much work an id costs in an open network, at most 32: each bit doubles it; 19 take a core some 14 seconds
    /// [default: 19]
    #[arg(long, value_name = "N", requires = "open", value_parser = clap::value_parser!(u8).range(0..=i64::from(ID_BITS_MAX)))]
    id_bits: Option<u8>,
}

/// Runs the command.
pub(super) async fn run(
    args: CreateArgs,
    global: &GlobalArgs,
    printer: &Printer,
) -> Result<ExitStatus, CliError> {
    let dir = dir(global)?;
    let id_bits = args.open.then(|| args.id_bits.unwrap_or(ID_BITS_DEFAULT));
    let founded = match id_bits {
        None => access::found(&dir, &args.name),
        Some(id_bits) => found_open(&dir, args.name, id_bits, printer, Interrupt::listen()?).await,
    };
    let founded = founded.map_err(|error| refused(&error, &dir))?;
    show(&founded, id_bits, printer)?;
    printer.tell(format!(
        "what signs with this key lies in {} and nowhere else: keep that directory safe",
        founded.dir.display()
    ));
    if let Some(id_bits) = id_bits {
        printer.warn(risks(id_bits));
    }
    printer.tell(format!("next: {}", next(global, MayBe::Member)));
    printer.tell("then: `chordage invite` prints a line with which another daemon can join");
    Ok(ExitStatus::Success)
}

async fn found_open(
    dir: &Path,
    name: String,
    id_bits: u8,
    printer: &Printer,
    interrupt: Interrupt,
) -> Result<Founded, AccessError> {
    printer.tell(format!("trying keys on all cores until one has {id_bits} bits of work"));
    let trying = Arc::new(Trying::default());
    let (dir, on_cores) = (dir.to_owned(), trying.clone());
    let found = async {
        let found = tokio::task::spawn_blocking(move || access::found_open(&dir, &name, id_bits, &on_cores));
        found.await.unwrap_or_else(|error| Err(AccessError::System(error.to_string())))
    };
    watched(found, &trying, printer, interrupt).await
}

fn show(founded: &Founded, id_bits: Option<u8>, printer: &Printer) -> Result<(), CliError> {
    if printer.is_json() {
        let mut said = json!({
            "network": founded.network,
            "kind": if id_bits.is_some() { "open" } else { "private" },
            "key": founded.key,
            "fingerprint": founded.fingerprint,
            "dir": founded.dir.to_string_lossy(),
        });
        if let Some(id_bits) = id_bits {
            said["id_bits"] = id_bits.into();
        }
        return printer.json(&said);
    }
    printer.fact(format!("network    {}, fingerprint {}", founded.network, founded.fingerprint))?;
    printer.fact(format!("key        {}", founded.key))?;
    match id_bits {
        Some(bits) => printer.fact(format!("open       to anybody whose key has {bits} bits of work")),
        None => Ok(()),
    }
}

/// What whoever founds an open network had better know.
fn risks(id_bits: u8) -> String {
    let work = match id_bits {
        0 => "It asks for no work: one machine can be as many daemons as it likes, and take over the network"
            .to_owned(),
        bits => format!(
            "Work on ids ({bits} bits) only makes many identities dear: whoever pays for them can hold all shards of what \
             it likes to be lost"
        ),
    };
    format!(
        "this network is open: anybody may join it, hold shards of what is stored, see who is in it and at which addresses, and \
         watch who stores and fetches what. What is stored is encrypted, and whoever has no link cannot read it. Nobody \
         can be put out. {work}"
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: CreateArgs,
    }

    #[test]
    fn work_is_asked_for_in_open_networks_only_and_within_its_limit() {
        let parsed = |args: &[&str]| Line::try_parse_from([&["create", "n"], args].concat()).ok();
        let line = parsed(&[]).unwrap();
        assert!(!line.args.open && line.args.id_bits.is_none());
        assert_eq!(parsed(&["--open", "--id-bits", "32"]).unwrap().args.id_bits, Some(32));
        assert_eq!(parsed(&["--open", "--id-bits", "0"]).unwrap().args.id_bits, Some(0));
        for wrong in [&["--id-bits", "8"][..], &["--open", "--id-bits", "33"], &["--open", "--id-bits", "-1"]]
        {
            assert!(parsed(wrong).is_none(), "{wrong:?}");
        }
    }

    #[test]
    fn the_help_says_what_is_asked_for_by_default() {
        let help = <Line as clap::CommandFactory>::command().render_help().to_string();
        assert!(help.contains(&format!("[default: {ID_BITS_DEFAULT}]")), "{help}");
    }

    #[test]
    fn the_risks_are_said_plainly() {
        for (bits, words) in [(0, "no work"), (18, "18 bits")] {
            let said = risks(bits);
            for words in [
                words,
                "anybody may join",
                "hold shards",
                "see who is in it",
                "watch",
                "Nobody can be put out",
            ] {
                assert!(said.contains(words), "{words} in {said}");
            }
        }
    }
}
