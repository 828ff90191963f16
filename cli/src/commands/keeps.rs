//! `chordage keeps`.

use std::time::{SystemTime, UNIX_EPOCH};

use chordage_api::types::{KeepState, KeptObject};
use clap::Args;

use super::put::human_names;
use crate::connect;
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::global::GlobalArgs;
use crate::human;
use crate::printer::Printer;

/// List what the daemon keeps in the network
///
/// With the verify link of each object, which names it and cannot read it, and the names under which it was put from
/// here.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  chordage keeps
  chordage keeps --json | jq '[.[].bytes] | add'")]
pub(crate) struct KeepsArgs {}

/// Runs the command.
pub(crate) async fn run(
    _args: KeepsArgs,
    global: &GlobalArgs,
    printer: &Printer,
) -> Result<ExitStatus, CliError> {
    let client = connect::client(global)?;
    let mut keeps: Vec<KeptObject> = Vec::new();
    loop {
        let page = client.keeps(keeps.last().map(|last| last.verify_link.as_str())).await?;
        if page.is_empty() {
            break;
        }
        keeps.extend(page);
    }
    if printer.is_json() {
        printer.json(&keeps)?;
        return Ok(ExitStatus::Success);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let ago = |at: u64| human::seconds(now.saturating_sub(at) as f64);
    for kept in &keeps {
        let state = if kept.state == KeepState::Kept { String::new() } else { format!("  {}", kept.state) };
        let line = format!(
            "{}  {:>10}  renewed {} ago, held for {} without this daemon{state}{}",
            kept.verify_link,
            human::bytes(kept.bytes),
            ago(kept.renewed),
            human::seconds(kept.until.saturating_sub(now) as f64),
            if kept.names.is_empty() { String::new() } else { format!("  {}", human_names(&kept.names)) },
        );
        printer.sentence(line, 2)?;
    }
    printer.tell(format!("{} kept by this daemon", human::count(keeps.len() as u64, "object", "objects")));
    Ok(ExitStatus::Success)
}
