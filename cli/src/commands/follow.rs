//! `chordage follow`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::connect;
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::follow::{Brought, Events, Follower, Found, Home, News, Options, Stop};
use crate::global::GlobalArgs;
use crate::interrupt::Interrupt;
use crate::printer::{OUTPUT_CLOSED, Printer};

/// Before what could not be had is tried again: at first, and at most.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Have a directory follow what a name stands for
///
/// Brings the directory or file that is published under a name, and every new version of it, into DIR: only files that
/// have changed are fetched, and what was brought before and is not in the new version is removed. It goes on until it
/// is interrupted. What was changed in DIR is never overwritten or removed.
#[derive(Debug, Args)]
#[command(after_help = "\
DIR is switched to a version when all of it has been fetched, and has the version before until then. What was changed in
DIR, or lay there before, and has to make room is kept beside it as NAME.local-TIME. The directory .chordage-follow in it
says what was brought.

Examples:
  chordage follow @fak3.../notes notes
  chordage follow dns:example.org/site /srv/www --once && nginx -s reload
  chordage follow team/notes notes --dry-run
  chordage follow team/notes notes --json | jq -r 'select(.event == \"current\") | .seq'")]
pub(crate) struct FollowArgs {
    /// A petname of this daemon, a key (@...) or a domain whose key DNS names (dns:example.org), and a path below it
    /// or none
    #[arg(value_name = "NAME")]
    name: String,
    /// The directory, which is made if it is not there
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Bring it to the version of now and end
    #[arg(long)]
    once: bool,
    /// Leave there what is not in the new version any more
    #[arg(long)]
    no_delete: bool,
    /// Say what would be fetched and removed, and end
    #[arg(short = 'n', long)]
    dry_run: bool,
}

/// Runs the command.
pub(crate) async fn run(
    args: FollowArgs,
    global: &GlobalArgs,
    printer: &Printer,
) -> Result<ExitStatus, CliError> {
    let interrupt = Interrupt::listen()?;
    let options = Options { delete: !args.no_delete, dry_run: args.dry_run };
    let mut stop = Stop { interrupt, news: None };
    if args.once || args.dry_run {
        let client = connect::client(global)?;
        let found = tokio::select! {
            found = client.resolve_name(&args.name, true, None) => found?,
            error = stop.wait() => return Err(error.state("nothing was changed")),
        };
        let home = Home::open(&args.dir, &args.name, options.dry_run)?;
        let mut follower = Follower::new(home, options, Events::new(printer));
        return match follower.bring(&client, &found, &mut stop).await {
            Ok(Brought::Current { conflicts: 0 }) => Ok(ExitStatus::Success),
            Ok(Brought::Current { .. }) if options.dry_run => Ok(ExitStatus::Success),
            Ok(Brought::Current { .. }) => Ok(ExitStatus::Incomplete),
            Ok(Brought::Waiting(missing)) => {
                for missing in &missing {
                    follower.waits(Some(&missing.path), &missing.error, Duration::ZERO)?;
                }
                let first = missing.into_iter().next().map(|missing| missing.error);
                Err(first.unwrap_or_else(nothing_came).state(follower.describe()))
            }
            Err(error) => Err(with_state(error, &follower)),
        };
    }
    stop.news = Some(News::begin(global, &args.name).await?);
    let home = Home::open(&args.dir, &args.name, false)?;
    let mut follower = Follower::new(home, options, Events::new(printer));
    go_on(&mut follower, global, &mut stop).await
}

fn nothing_came() -> CliError {
    CliError::new(ExitStatus::Unavailable, "unavailable", "not all of it can be had now")
}

/// Says what is true of the directory, where the error says nothing of it.
fn with_state(error: CliError, follower: &Follower) -> CliError {
    if error.status() == ExitStatus::Interrupted || error.state.is_empty() {
        return error.state(follower.describe());
    }
    error
}

/// Until it is interrupted, or nobody reads what is said any more.
async fn go_on(
    follower: &mut Follower,
    global: &GlobalArgs,
    stop: &mut Stop,
) -> Result<ExitStatus, CliError> {
    let mut again = AGAIN.0;
    loop {
        let found = stop.news.as_mut().map_or(Found::Nothing, News::now);
        let wait = match found {
            Found::Nothing => None,
            // The daemon goes on looking, and so does whoever looks for the daemon.
            Found::Problem(error) => {
                follower.waits(None, &error, News::AGAIN_MAX)?;
                None
            }
            Found::Target(found) => match bring(follower, global, &found, stop).await {
                Ok(Brought::Current { .. }) => {
                    follower.events.forget_waiting();
                    again = AGAIN.0;
                    None
                }
                Ok(Brought::Waiting(missing)) => {
                    for missing in &missing {
                        follower.waits(Some(&missing.path), &missing.error, again)?;
                    }
                    Some(again)
                }
                Err(error) if error.code == Stop::SUPERSEDED => continue,
                Err(error) if ends(&error) => return Err(with_state(error, follower)),
                Err(error) => {
                    follower.waits(None, &error, again)?;
                    Some(again)
                }
            },
        };
        let stopped = match wait {
            None => Some(stop.wait().await),
            Some(wait) => {
                again = (again * 2).min(AGAIN.1);
                tokio::time::timeout(wait, stop.wait()).await.ok()
            }
        };
        match stopped {
            Some(error) if error.status() == ExitStatus::Interrupted => {
                return Err(with_state(error, follower));
            }
            // Another version may be had at once.
            Some(_) => again = AGAIN.0,
            None => {}
        }
    }
}

async fn bring(
    follower: &mut Follower,
    global: &GlobalArgs,
    found: &chordage_api::types::Resolved,
    stop: &mut Stop,
) -> Result<Brought, CliError> {
    // A daemon that was started again may listen elsewhere.
    let client = connect::client(global)?;
    follower.bring(&client, found, stop).await
}

/// Whether there is no sense in going on.
fn ends(error: &CliError) -> bool {
    error.status() == ExitStatus::Interrupted || error.code == OUTPUT_CLOSED || error.code == "output"
}
