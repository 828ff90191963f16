//! `chordage doctor`.

use std::time::{Duration, Instant};

use chordage_api::client::{Client, Timeouts};
use chordage_api::types::{Check, CheckName, CheckState, Diagnosis};
use clap::Args;

use crate::connect;
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::global::GlobalArgs;
use crate::printer::Printer;

/// Bytes that are stored to see whether it works.
const TRIAL_BYTES: usize = 1 << 20;
/// A daemon that is silent for longer has stopped: what it looks at takes a few seconds.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longer than this to store and fetch them is spoken of.
const TRIAL_WARN: Duration = Duration::from_secs(10);

/// Look at a daemon, and say what is wrong and what to type
///
/// Where it listens, whether it is part of its network, whether others reach it and what is between it and them, its
/// clock beside theirs, its certificate in a private network, how long it takes to hear from who would hold something,
/// zones, limits of the system, its disk and files, whether what it looks after is safe, and whether repair and its
/// other duties get on. In the end it stores a mebibyte of random bytes, fetches it and forgets it again; --quick
/// leaves that out. It takes a few seconds.
///
/// The exit code is 0 if nothing has failed, also with warnings, and 10 otherwise.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  chordage doctor
  chordage doctor --quick
  chordage doctor --json | jq -r '.[] | select(.state != \"ok\") | .found, .remedy'")]
pub(crate) struct DoctorArgs {
    /// Store nothing to see whether it works
    #[arg(long)]
    quick: bool,
}

/// Runs the command.
pub(crate) async fn run(
    args: DoctorArgs,
    global: &GlobalArgs,
    printer: &Printer,
) -> Result<ExitStatus, CliError> {
    let asked = async {
        let client =
            connect::client(global)?.with_timeouts(Timeouts { answer: PATIENCE, ..Timeouts::default() });
        let diagnosis = client.diagnosis().await?;
        Ok::<_, CliError>((client, diagnosis))
    };
    match asked.await {
        Ok((client, Diagnosis { mut checks })) => {
            checks.insert(0, check(CheckName::Daemon, CheckState::Ok, "it answers"));
            if !args.quick {
                checks.push(trial(&client).await);
            }
            tell(&Diagnosis { checks }, printer)
        }
        Err(error) if matches!(error.status(), ExitStatus::NoDaemon | ExitStatus::Deadline) => {
            let silent = to_do(check(CheckName::Daemon, CheckState::Fault, &error.message), &error.hint);
            tell(&Diagnosis { checks: vec![silent] }, printer)?;
            Ok(error.status())
        }
        Err(error) => Err(error),
    }
}

fn tell(diagnosis: &Diagnosis, printer: &Printer) -> Result<ExitStatus, CliError> {
    let state = diagnosis.state();
    if printer.is_json() {
        printer.json(&diagnosis.checks)?;
    } else {
        for check in &diagnosis.checks {
            printer.line(describe(check))?;
        }
        printer.tell(match state {
            CheckState::Ok => "all is well",
            CheckState::Fault => "something does not work: see what is to do, then run this again",
            _ => "it works; what could be better says so",
        });
    }
    Ok(if state == CheckState::Fault { ExitStatus::Incomplete } else { ExitStatus::Success })
}

fn check(name: CheckName, state: CheckState, found: impl Into<String>) -> Check {
    Check { check: name, state, found: found.into(), remedy: None, seconds: None }
}

fn to_do(check: Check, remedy: &str) -> Check {
    Check { remedy: Some(remedy.to_owned()), ..check }
}

/// Stores something, fetches it and forgets it.
async fn trial(client: &Client) -> Check {
    const NAME: CheckName = CheckName::Trial;
    let mut bytes = vec![0; TRIAL_BYTES];
    if let Err(error) = getrandom::fill(&mut bytes) {
        return check(NAME, CheckState::Unknown, format!("the system gives no randomness: {error}"));
    }
    let begun = Instant::now();
    let report = match client.put_bytes(&bytes).await {
        Ok(report) => report,
        Err(error) => return failed("storing a mebibyte", &error),
    };
    let stored = begun.elapsed();
    let got = client.get_bytes(&report.link, TRIAL_BYTES).await;
    let took = begun.elapsed();
    let forgotten = client.forget(&report.link).await;
    match got {
        Err(error) => return failed("fetching a mebibyte that was just stored", &error),
        Ok(got) if got[..] != bytes[..] => {
            return check(NAME, CheckState::Fault, "what came back is not what was stored");
        }
        Ok(_) => {}
    }
    if let Err(error) = forgotten {
        return failed("forgetting what was stored for a trial", &error);
    }
    let found = format!(
        "a mebibyte was stored in {} ms, fetched in {} ms, and forgotten",
        stored.as_millis(),
        (took - stored).as_millis()
    );
    let check = Check { seconds: Some(took.as_secs_f64()), ..check(NAME, CheckState::Ok, found) };
    if took < TRIAL_WARN {
        return check;
    }
    to_do(
        Check { state: CheckState::Warning, ..check },
        "see with `chordage peers` who answers slowly, and with `chordage status` for whom puts wait",
    )
}

fn failed(what: &str, error: &impl std::error::Error) -> Check {
    let check = check(CheckName::Trial, CheckState::Fault, format!("{what} failed: {error}"));
    to_do(check, "see above what does not work; `chordage members` says who is there")
}

fn describe(check: &Check) -> String {
    let name = match check.check {
        CheckName::FirstHolder => "holder".to_owned(),
        name => name.to_string(),
    };
    let mut text = format!("{:<7}  {name:<12}  {}", check.state, check.found);
    if let Some(remedy) = &check.remedy {
        text.push_str(&format!("\n{:>23}to do: {remedy}", ""));
    }
    text
}
