//! `chordage explain`.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use chordage_api::types::{ChunkExplained, ChunkNeed, Explanation, KeepState, ShardWord};
use clap::Args;

use crate::connect;
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::global::GlobalArgs;
use crate::human;
use crate::link;
use crate::printer::Printer;

/// Say how safe an object is, who holds it, and what repair will do and when
///
/// Asks the daemons near each chunk what they hold, and the one that looks after it what it has written down.
/// With a verify link, it tells of all chunks of an object that the daemon keeps, and of the root chunk of any other.
#[derive(Debug, Args)]
#[command(after_help = "\
The loss per year is a model's: nodes lost independently of each other, at the rate that this daemon has observed (10 % a month until it \
has observed much), and repaired as its settings say. It is never given below one in a thousand million: bugs and \
disasters are likelier than that.

Examples:
  chordage explain chord1r...
  chordage explain --chunks 3 LINK
  chordage explain --json LINK | jq '.worst[0].shards[] | select(.state != \"present\")'")]
pub(crate) struct ExplainArgs {
    /// The read or verify link, or - to read it from standard input
    #[arg(value_name = "LINK")]
    link: String,
    /// Chunks to tell about, the worst off first
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(0..=1000))]
    chunks: u16,
}

/// Runs the command.
pub(crate) async fn run(
    args: ExplainArgs,
    global: &GlobalArgs,
    printer: &Printer,
) -> Result<ExitStatus, CliError> {
    let link = link::parse(&link::argument(&args.link)?)?;
    let explanation = connect::client(global)?.explain(&link.to_string(), args.chunks).await?;
    if printer.is_json() {
        printer.json(&explanation)?;
    } else {
        for line in describe(&explanation) {
            printer.fact(line)?;
        }
    }
    Ok(ExitStatus::Success)
}

fn describe(explanation: &Explanation) -> Vec<String> {
    let Explanation { chunks, whole, waiting, to_repair, unreadable, hang_on_one_zone, .. } = explanation;
    let mut state = format!("chunks     {chunks}: {whole} whole");
    for (count, what) in [
        (waiting, "miss shards that are waited for"),
        (to_repair, "are to be repaired"),
        (unreadable, "NOT READABLE NOW"),
    ] {
        if *count > 0 {
            state.push_str(&format!(", {count} {what}"));
        }
    }
    let below = if explanation.loss_is_floor { "at most " } else { "" };
    let mut lines = vec![
        state,
        format!(
            "risk       modelled loss of the object within a year: {below}{}, at {:.1} % of nodes lost a month ({} seen in {:.0} node hours)",
            probability(explanation.loss_per_year),
            explanation.node_loss_per_month * 100.0,
            human::count(explanation.observed_losses, "loss", "losses"),
            explanation.observed_node_hours,
        ),
    ];
    if let Some(unknown) = &explanation.unknown {
        lines.push(format!("unknown    {unknown}"));
    }
    if *hang_on_one_zone > 0 {
        lines.push(format!(
            "zones      {} if a single zone failed: more daemons in other zones would help",
            human::count(*hang_on_one_zone, "chunk could not be read", "chunks could not be read")
        ));
    }
    lines.extend(explanation.found_at_start.iter().map(|found| format!("at start   {}", found.message)));
    lines.push(match &explanation.kept {
        Some(kept) if kept.state == KeepState::Kept => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            let left = human::seconds(kept.until.saturating_sub(now) as f64);
            format!(
                "kept       by this daemon; its holders keep it for {left} if they do not hear of it again"
            )
        }
        Some(_) => "kept       no more: this daemon is telling its holders".to_owned(),
        None => "kept       by others, if by anybody: this daemon does not keep it (chordage keep LINK)"
            .to_owned(),
    });
    for chunk in &explanation.worst {
        lines.extend(describe_chunk(chunk));
    }
    lines
}

fn describe_chunk(chunk: &ChunkExplained) -> Vec<String> {
    let mut states = format!("{} of {} shards, {} needed", chunk.present, chunk.n, chunk.k);
    for (count, what) in [(chunk.silent, "silent"), (chunk.suspect, "suspect"), (chunk.lost, "lost")] {
        if count > 0 {
            states.push_str(&format!(", {count} {what}"));
        }
    }
    let mut lines = vec![
        format!("chunk      {}  {states}", human::short(chunk.chunk)),
        format!("           {}", plan(chunk)),
    ];
    let asked = match (chunk.leader, chunk.surveyed_seconds_ago) {
        (Some(leader), Some(ago)) => {
            format!(
                "           {} looks after it, and asked its holders {} ago",
                human::short(leader),
                human::seconds(ago)
            )
        }
        (Some(leader), None) => {
            format!("           {} will look after it; nobody has asked yet", human::short(leader))
        }
        (None, _) => "           nobody says that it looks after it".to_owned(),
    };
    lines.push(asked);
    let holders: Vec<String> = chunk
        .shards
        .iter()
        .filter(|shard| shard.state == ShardWord::Present)
        .filter_map(|shard| Some(format!("{}:{}", shard.index, human::short(shard.holder?))))
        .collect();
    lines.push(format!("           held by {}", holders.join(" ")));
    if let Some(zones) = zones(chunk) {
        lines.push(format!(
            "           in {zones}; {} are left if any one fails",
            chunk.present_without_a_zone
        ));
    }
    for shard in chunk.shards.iter().filter(|shard| shard.state != ShardWord::Present) {
        let ago = shard
            .missing_seconds
            .map(|seconds| format!(" for {}", human::seconds(seconds)))
            .unwrap_or_default();
        let by = shard.holder.map(|id| format!(", last with {}", human::short(id))).unwrap_or_default();
        lines.push(format!("           shard {} {}{ago}{by}", shard.index, shard.state));
    }
    lines
}

/// How many shards each zone has, if there are zones.
fn zones(chunk: &ChunkExplained) -> Option<String> {
    let mut counts: BTreeMap<Option<&str>, u32> = BTreeMap::new();
    for shard in chunk.shards.iter().filter(|shard| shard.state == ShardWord::Present) {
        *counts.entry(shard.zone.as_deref()).or_default() += 1;
    }
    let elsewhere = counts.remove(&None).map_or(String::new(), |count| format!(", {count} in none"));
    let zones: Vec<String> =
        counts.iter().filter_map(|(zone, count)| Some(format!("{}:{count}", (*zone)?))).collect();
    (!zones.is_empty()).then(|| format!("zones {}{elsewhere}", zones.join(" ")))
}

/// What will happen, in words.
fn plan(chunk: &ChunkExplained) -> String {
    match chunk.need {
        ChunkNeed::Nothing => {
            format!("nothing to do; repair begins when {} or fewer are left", chunk.repairs_at)
        }
        ChunkNeed::Wait => format!("repair waits: {}; looks at it anew in {}", waits_for(chunk), anew(chunk)),
        ChunkNeed::RepairUrgent => {
            "urgent: suspect and lost shards are made again in the next round".to_owned()
        }
        ChunkNeed::Repair => "lost shards are made again in the next round".to_owned(),
        ChunkNeed::Restore => {
            "shards lost long ago are made again when there is nothing more pressing".to_owned()
        }
        _ => "too few shards to make any again: it can be read again when holders come back".to_owned(),
    }
}

/// Why nothing is made again yet. Shards that have gone silent count as there until they are suspect, then half.
fn waits_for(chunk: &ChunkExplained) -> String {
    let halves = 2 * (u16::from(chunk.present) + u16::from(chunk.silent)) + u16::from(chunk.suspect);
    let limit = chunk.repairs_at;
    if halves <= 2 * u16::from(limit) {
        return format!(
            "it would begin ({limit} or fewer count as there), but none of the missing is given up as lost yet"
        );
    }
    let counted = f64::from(halves) / 2.0;
    if chunk.present > limit {
        return format!("begins when {limit} or fewer are left, of {counted} that count as there");
    }
    let missing = match (chunk.silent, chunk.suspect) {
        (silent, 0) => format!("the {silent} silent ones may come back"),
        (0, suspect) => format!("the {suspect} suspect ones may come back and count half"),
        (silent, suspect) => {
            format!("the {silent} silent ones may come back, and the {suspect} suspect ones count half")
        }
    };
    format!("{missing}, so that {counted} count as there; begins when {limit} or fewer do")
}

/// When something changes.
fn anew(chunk: &ChunkExplained) -> String {
    chunk.changes_in_seconds.map_or_else(|| "a while".to_owned(), human::seconds)
}

/// A small number for people.
fn probability(p: f64) -> String {
    if p >= 0.001 { format!("{:.1} %", p * 100.0) } else { format!("{p:.1e}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(present: u8, silent: u8, suspect: u8, lost: u8) -> String {
        plan(&ChunkExplained {
            chunk: [0; 32].into(),
            k: 4,
            n: 10,
            present,
            present_without_a_zone: 0,
            silent,
            suspect,
            lost,
            repairs_at: 7,
            leader: None,
            surveyed_seconds_ago: None,
            need: ChunkNeed::Wait,
            changes_in_seconds: Some(30.0),
            shards: Vec::new(),
        })
    }

    #[test]
    fn why_repair_waits_fits_how_many_are_left() {
        let cases = [
            ((9, 1, 0, 0), "begins when 7 or fewer are left, of 10 that count as there"),
            (
                (4, 6, 0, 0),
                "the 6 silent ones may come back, so that 10 count as there; begins when 7 or fewer do",
            ),
            ((7, 0, 3, 0), "the 3 suspect ones may come back and count half, so that 8.5 count as there"),
            ((6, 1, 3, 0), "so that 8.5 count as there"),
            ((6, 0, 2, 0), "none of the missing is given up as lost yet"),
        ];
        for ((present, silent, suspect, lost), words) in cases {
            let said = waiting(present, silent, suspect, lost);
            assert!(said.contains(words) && said.ends_with("; looks at it anew in 30.0 s"), "{said}");
        }
    }
}
