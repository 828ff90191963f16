//! `chordage trace`.

use chordage_api::types::TraceReport;
use clap::Args;

use crate::connect;
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::global::GlobalArgs;
use crate::human;
use crate::link;
use crate::printer::Printer;

/// Look a key up and show every hop
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  chordage trace chord1r...                            who is nearest to an object
  chordage trace $(chordage status --json | jq -r .id)  a node, by its id
  chordage trace --json KEY | jq '.hops | length'")]
pub(crate) struct TraceArgs {
    /// Node id or key (64 hexadecimal digits), or a link
    #[arg(value_name = "KEY")]
    key: String,
}

/// Runs the command.
pub(crate) async fn run(
    args: TraceArgs,
    global: &GlobalArgs,
    printer: &Printer,
) -> Result<ExitStatus, CliError> {
    let key = key(&args.key)?;
    let report = connect::client(global)?.trace(&key).await?;
    if printer.is_json() {
        printer.json(&report)?;
        return Ok(ExitStatus::Success);
    }
    for line in describe(&report) {
        printer.sentence(line, 4)?;
    }
    Ok(ExitStatus::Success)
}

/// A key as it is, a link as its verify link: looking it up needs no power to read it.
fn key(text: &str) -> Result<String, CliError> {
    if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(text.to_ascii_lowercase());
    }
    if text.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("chord")) {
        return Ok(link::parse(text)?.to_verify().to_string());
    }
    Err(CliError::new(ExitStatus::Usage, "bad_key", format!("{text:?} is neither a key nor a link"))
        .hint("give 64 hexadecimal digits (a key or a node id, see `chordage peers --json`), or a link"))
}

fn describe(report: &TraceReport) -> Vec<String> {
    let mut lines: Vec<String> = report
        .hops
        .iter()
        .map(|hop| {
            let rtt = hop.rtt_ms.map_or_else(|| "no answer".to_owned(), |rtt| format!("{rtt:.1} ms"));
            let named = match hop.named_by {
                Some(id) => format!("named by {}", human::short(id)),
                None => "from our table".to_owned(),
            };
            format!(
                "{:>2}  {}  {:>3} bits away  {rtt:>9}  {named}",
                hop.depth,
                human::short(hop.id),
                hop.distance_bits
            )
        })
        .collect();
    let who = if report.owner_is_self { " (this daemon)" } else { "" };
    lines.push(format!(
        "owner {}{who}, {} deep, {}, {}",
        report.owner,
        human::count(report.depth.into(), "hop", "hops"),
        human::count(report.messages.into(), "message", "messages"),
        human::seconds(report.seconds)
    ));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_told_from_links_and_from_neither() {
        assert_eq!(key(&"AB".repeat(32)).unwrap(), "ab".repeat(32));
        assert_eq!(key("nonsense").unwrap_err().status(), ExitStatus::Usage);
        assert_eq!(key("chord1rabc").unwrap_err().status(), ExitStatus::BadLink);
    }
}
