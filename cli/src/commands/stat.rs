//! `chordage stat`.

use chordage_api::types::{Health, ObjectForm, ObjectStat};
use clap::Args;

use crate::connect;
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::global::GlobalArgs;
use crate::human;
use crate::link;
use crate::printer::Printer;

/// Holders shown to people; `--json` has all.
const HOLDERS_SHOWN: usize = 40;

/// Say what a link stands for, and how healthy it is
///
/// Of a verify link it says what can be known without the key: of an object that the daemon keeps, its size and all its
/// chunks; of any other, its root chunk.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  chordage stat chord1r...
  chordage stat --check chord1r...                       ask who holds its shards now
  chordage stat --check --json LINK | jq .health.shards_min")]
pub(crate) struct StatArgs {
    /// The read or verify link, or - to read it from standard input
    #[arg(value_name = "LINK")]
    link: String,
    /// Ask the network who holds which shards now
    #[arg(long)]
    check: bool,
}

/// Runs the command.
pub(crate) async fn run(
    args: StatArgs,
    global: &GlobalArgs,
    printer: &Printer,
) -> Result<ExitStatus, CliError> {
    let link = link::parse(&link::argument(&args.link)?)?;
    let stat = connect::client(global)?.stat(&link.to_string(), args.check).await?;
    if printer.is_json() {
        printer.json(&stat)?;
    } else {
        for line in describe(&stat) {
            printer.fact(line)?;
        }
    }
    Ok(ExitStatus::Success)
}

fn describe(stat: &ObjectStat) -> Vec<String> {
    let mut kind = format!("kind       {}, {}", stat.kind, human::bytes(stat.bytes));
    if stat.kind == ObjectForm::Tree {
        kind.push_str(&format!(
            " in {}, {}, {}",
            human::count(stat.files, "file", "files"),
            human::count(stat.dirs, "directory", "directories"),
            human::count(stat.symlinks, "symlink", "symlinks")
        ));
    }
    let mut lines = vec![kind];
    if let Some(unknown) = &stat.unknown {
        lines = vec![format!("kind       unknown: {unknown}")];
        if stat.bytes > 0 {
            lines.push(format!("size       {}", human::bytes(stat.bytes)));
        }
    }
    lines.push(format!(
        "stored     {}, any {} of the {} shards of each are enough",
        human::count(stat.chunks, "chunk", "chunks"),
        stat.k,
        stat.n
    ));
    if let Some(health) = &stat.health {
        lines.extend(describe_health(health, stat));
    }
    lines
}

fn describe_health(health: &Health, stat: &ObjectStat) -> Vec<String> {
    let mut lines = Vec::new();
    lines.push(if health.unreadable > 0 {
        format!(
            "health     NOT READABLE NOW: {} of {} have too few shards, best {} of {} needed",
            health.unreadable,
            human::count(health.chunks, "chunk", "chunks"),
            health.best_unreadable,
            stat.k
        )
    } else if health.degraded > 0 {
        format!(
            "health     readable; {} of {} miss shards, the weakest has {} of {} ({} needed)",
            health.degraded,
            human::count(health.chunks, "chunk", "chunks"),
            health.shards_min,
            stat.n,
            stat.k
        )
    } else {
        "health     every shard of every chunk is on a live node".to_owned()
    });
    for holder in health.holders.iter().take(HOLDERS_SHOWN) {
        lines.push(format!(
            "holder     {}  {}",
            human::short(holder.id),
            human::count(holder.shards, "shard", "shards")
        ));
    }
    if health.holders.len() > HOLDERS_SHOWN {
        lines.push(format!("           and {} more", health.holders.len() - HOLDERS_SHOWN));
    }
    lines
}
