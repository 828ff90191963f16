//! `chordage members`.

use chordage_api::types::{MemberState, MemberStatus};
use clap::Args;

use crate::connect;
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::global::GlobalArgs;
use crate::human;
use crate::printer::Printer;

/// List who is in the network as the daemon sees it, and neighbours lost lately
///
/// That is itself and those in its tables; in a network of up to 2,000 (`overlay.members_max` in config.toml),
/// everybody.
///
/// A member that leaves a question unanswered is suspect: it is asked again, also through others, and is alive again as
/// soon as it speaks. One that stays silent is dead. Those who are gone are listed for ten minutes.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  chordage members
  chordage members --json | jq -r '.[] | select(.state != \"alive\") | [.id, .state] | @tsv'")]
pub(crate) struct MembersArgs {}

/// Runs the command.
pub(crate) async fn run(
    _args: MembersArgs,
    global: &GlobalArgs,
    printer: &Printer,
) -> Result<ExitStatus, CliError> {
    let members = connect::client(global)?.members().await?;
    if printer.is_json() {
        printer.json(&members)?;
        return Ok(ExitStatus::Success);
    }
    printer.line("id                state    role      known for  round trip")?;
    for member in &members {
        printer.line(row(member))?;
    }
    let here = |state: MemberState| members.iter().filter(|member| member.state == state).count() as u64;
    let revoked = match here(MemberState::Revoked) {
        0 => String::new(),
        revoked => format!(", {revoked} revoked (`chordage network show` says who else was, and why)"),
    };
    printer.tell(format!(
        "{} alive, {} suspect, {} dead, {} left{revoked}; as far as this daemon knows",
        here(MemberState::Alive),
        here(MemberState::Suspect),
        here(MemberState::Dead),
        here(MemberState::Left)
    ));
    Ok(ExitStatus::Success)
}

fn row(member: &MemberStatus) -> String {
    let rtt = member.rtt_ms.map_or_else(|| "-".to_owned(), |rtt| format!("{rtt:.1} ms"));
    let zone = member.zone.as_ref().map(|zone| format!("  zone {zone}")).unwrap_or_default();
    let note = match (member.is_self, member.gone_seconds) {
        (true, _) => "  this daemon".to_owned(),
        (false, Some(gone)) => format!("  lost {} ago", human::seconds(gone)),
        (false, None) if member.leaf => "  neighbour".to_owned(),
        (false, None) => String::new(),
    };
    format!(
        "{}  {:<7}  {:<8}  {:>9}  {rtt:>10}{zone}{note}",
        human::short(member.id),
        member.state,
        member.role,
        human::seconds(member.age_seconds)
    )
}
