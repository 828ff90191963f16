//! `chordage doctor`.

use chordage_api::types::{Check, CheckName, CheckState};
use clap::Args;

use crate::connect;
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::global::GlobalArgs;
use crate::printer::Printer;

/// Have the daemon look at itself, and say what is wrong and what to type
///
/// Where it listens, whether it is part of its network, whether others reach it and what is between it and them, its clock beside
/// theirs, its certificate in a private network, how long it takes to hear from who would hold something, and its disk. It takes a
/// few seconds, and changes nothing.
///
/// The exit code is 0 if nothing has failed, also with warnings, and 10 otherwise.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  chordage doctor
  chordage doctor --json | jq -r '.checks[] | select(.state != \"ok\") | .found, .hint'")]
pub(crate) struct DoctorArgs {}

/// Runs the command.
pub(crate) async fn run(
    _args: DoctorArgs,
    global: &GlobalArgs,
    printer: &Printer,
) -> Result<ExitStatus, CliError> {
    let diagnosis = connect::client(global)?.diagnosis().await?;
    let state = diagnosis.state();
    if printer.is_json() {
        printer.json(&diagnosis)?;
    } else {
        for check in &diagnosis.checks {
            printer.line(describe(check))?;
        }
        printer.tell(match state {
            CheckState::Ok => "all is well",
            CheckState::Fail => "something does not work: see what is to do, then run this again",
            _ => "it works; what could be better says so",
        });
    }
    Ok(if state == CheckState::Fail { ExitStatus::Incomplete } else { ExitStatus::Success })
}

fn describe(check: &Check) -> String {
    let name = match check.name {
        CheckName::FirstHolder => "holder".to_owned(),
        name => name.to_string(),
    };
    let mut text = format!("{:<7}  {name:<12}  {}", check.state, check.found);
    if let Some(hint) = &check.hint {
        text.push_str(&format!("\n{:>23}to do: {hint}", ""));
    }
    text
}
