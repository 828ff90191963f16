//! `chordage backup verify`.

use chordage_api::types::VerifyReport;
use clap::Args;

use super::Context;
use crate::backup::choice;
use crate::backup::filter::FilterArgs;
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::human;
use crate::interrupt::Interrupt;

/// Check that everything that snapshots need is there
///
/// Without --read-data the daemons that should have the pieces are asked whether they have them. With it every piece is
/// read, rebuilt and checked against its hash, and every file is there byte by byte if this ends with 0.
#[derive(Debug, Args)]
#[command(after_help = "\
Ends with 4 if something is damaged or cannot be read now. What is at risk can be read, and repair is due by itself.

Examples:
  chordage backup verify
  chordage backup verify latest --read-data
  chordage backup verify --read-data --json | jq '.damaged + .missing'")]
pub(super) struct VerifyArgs {
    /// The beginning of a snapshot's id, or latest; by default all of them
    #[arg(value_name = "SNAPSHOT")]
    snapshot: Option<String>,
    /// Read everything
    #[arg(long)]
    read_data: bool,
}

/// Runs the command.
pub(super) async fn run(args: &VerifyArgs, context: &Context<'_>) -> Result<ExitStatus, CliError> {
    let Context { client, volume, printer } = context;
    let mut interrupt = Interrupt::listen()?;
    let snapshots = context.snapshots().await?;
    let snapshot = args.snapshot.as_ref().map(|name| choice::find(&snapshots, name, &FilterArgs::default()));
    let snapshot = snapshot.transpose()?.map(|snapshot| snapshot.id.as_str());
    let progress =
        printer.progress(if args.read_data { "reading everything" } else { "asking holders" }, None);
    let verified = tokio::select! {
        verified = client.verify_volume(volume, snapshot, args.read_data) => verified.map_err(CliError::from),
        () = interrupt.wait() => Err(CliError::interrupted("nothing is known of what was not looked at yet")),
    };
    progress.clear();
    let report = verified?;
    let whole = report.damaged == 0 && report.missing == 0 && report.files.is_empty();
    if printer.is_json() {
        printer.json(&report)?;
    } else {
        for line in lines(&report, args.read_data, whole) {
            printer.line(line)?;
        }
    }
    Ok(if whole { ExitStatus::Success } else { ExitStatus::Unavailable })
}

fn lines(report: &VerifyReport, read_data: bool, whole: bool) -> Vec<String> {
    let mut lines = vec![format!(
        "{}: {} {} in {}: {} damaged, {} missing, {} at risk",
        if whole { "whole" } else { "NOT whole" },
        human::count(report.chunks, "chunk", "chunks"),
        format_args!(
            "of {} {}",
            human::count(report.snapshots, "snapshot", "snapshots"),
            if read_data { "read" } else { "asked for" }
        ),
        human::seconds(report.seconds),
        report.damaged,
        report.missing,
        report.at_risk
    )];
    lines.extend(
        report
            .files
            .iter()
            .map(|file| format!("  cannot be read whole: {}", crate::name::shown(file.as_bytes()))),
    );
    if report.at_risk > 0 {
        lines.push("what is at risk can be read; repair makes the missing shards again by itself".to_owned());
    }
    if report.missing > 0 {
        lines.push(
            "what is missing may come back with the daemons that have it: see `chordage members`, and verify again"
                .to_owned(),
        );
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_named() {
        let report = VerifyReport {
            snapshots: 2,
            chunks: 7,
            damaged: 0,
            missing: 1,
            at_risk: 2,
            files: vec!["ab12:home/a\n".to_owned()],
            seconds: 2.0,
        };
        let said = lines(&report, true, false);
        assert_eq!(
            said[0],
            "NOT whole: 7 chunks of 2 snapshots read in 2.0 s: 0 damaged, 1 missing, 2 at risk"
        );
        assert_eq!(said[1], r"  cannot be read whole: ab12:home/a\n");
        assert_eq!(said.len(), 4);
    }
}
