//! `chordage backup forget`.

mod policy;
mod report;

use std::time::{SystemTime, UNIX_EPOCH};

use chordage_api::client::Client;
use chordage_api::types::{SnapshotInfo, SnapshotSelection};
use clap::Args;

use self::policy::PolicyArgs;
use self::report::{GroupReport, Outcome};
use super::Context;
use super::prune::{self, GraceArgs};
use crate::backup::calendar::Calendar;
use crate::backup::choice::{self, short};
use crate::backup::filter::FilterArgs;
use crate::backup::groups::{Group, GroupBy, grouped, newest_first};
use crate::backup::retention::judge;
use crate::error::CliError;
use crate::exit::ExitStatus;

/// How often a policy is applied when others forget at the same time.
const ATTEMPTS_MAX: usize = 5;
/// The code of an error that a snapshot is not there.
const GONE: &str = "no_such_snapshot";
/// Snapshots that one request may name.
const SNAPSHOTS_MAX: usize = 1000;

/// Forget snapshots that are named, or that a policy does not keep
///
/// They are gone from lists at once, and can be taken back with `undelete` until `prune` removes them for good. A
/// policy is applied to each host and set of paths by itself, from the newest snapshot to the oldest; what any of its
/// rules keeps is kept. Hours, days, weeks (from Monday), months and years are those of the local calendar, and those
/// without a snapshot do not count.
#[derive(Debug, Args)]
#[command(
    after_help = "\
Examples:
  chordage backup forget --keep-daily 7 --keep-weekly 5 --keep-monthly 12 -n
  chordage backup forget --keep-within 14d --keep-tag important --prune
  chordage backup forget 5f3a01 9c7702",
    after_long_help = "\
Snapshots that are locked (`create --lock`) are kept, whatever a policy says.

Examples:
  chordage backup forget --keep-daily 7 --keep-weekly 5 --keep-monthly 12 --keep-yearly unlimited --dry-run
  chordage backup forget --keep-within 14d --keep-tag important --prune
  chordage backup forget --keep-last 3 --host old-laptop
  chordage backup forget 5f3a01 9c7702"
)]
pub(super) struct ForgetArgs {
    /// Beginnings of ids of snapshots, or latest
    #[arg(value_name = "SNAPSHOT")]
    snapshots: Vec<String>,
    #[command(flatten)]
    policy: PolicyArgs,
    #[command(flatten)]
    filter: FilterArgs,
    /// How to group snapshots
    ///
    /// What those of one group have in common: some of host, paths and tags, with commas; '': all are one group.
    #[arg(short, long, value_name = "WHAT", default_value = "host,paths", conflicts_with = "snapshots")]
    group_by: GroupBy,
    /// Only show what would be forgotten
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Then prune, as `chordage backup prune` does
    ///
    /// It frees what only forgotten snapshots need.
    #[arg(long)]
    prune: bool,
    #[command(flatten)]
    grace: GraceArgs,
    /// Forget also all snapshots of a group
    ///
    /// If no rule keeps one of them. Without any rule it has to be said which snapshots are meant: with --host, --tag
    /// or --path.
    #[arg(long, conflicts_with = "snapshots")]
    unsafe_allow_remove_all: bool,
}

/// Runs the command.
pub(super) async fn run(args: &ForgetArgs, context: &Context<'_>) -> Result<ExitStatus, CliError> {
    let Context { client, volume, printer } = context;
    check(args)?;
    let mut attempts = 0;
    let (groups, ids) = loop {
        attempts += 1;
        let snapshots = context.snapshots().await?;
        let is_policy = args.snapshots.is_empty();
        let groups = if is_policy { by_policy(args, &snapshots)? } else { vec![by_name(args, &snapshots)?] };
        let ids: Vec<String> = groups.iter().flat_map(GroupReport::forgotten).map(str::to_owned).collect();
        match if args.dry_run { Ok(()) } else { forget(client, volume, &ids).await } {
            // Another machine was faster, with the same policy most likely: what is left is judged anew.
            Err(error) if is_policy && error.code == GONE && attempts < ATTEMPTS_MAX => {}
            ended => break ended.map(|()| (groups, ids))?,
        }
    };
    // What was refused is not told as if it were done.
    if !printer.is_json() {
        let calendar = Calendar::local();
        for group in &groups {
            group.lines(args.dry_run, &calendar).into_iter().try_for_each(|line| printer.line(line))?;
        }
    }
    let pruned = match args.prune && !args.dry_run {
        true => Some(prune::prune(&args.grace, context).await.map_err(|error| match ids.len() {
            0 => error,
            _ => {
                error.hint("the snapshots are forgotten; free what they needed with `chordage backup prune`")
            }
        })?),
        false => None,
    };
    if printer.is_json() {
        printer.json(&Outcome::new(args.dry_run, groups, pruned))?;
        return Ok(ExitStatus::Success);
    }
    match (ids.len(), args.dry_run, args.prune) {
        (0, ..) => printer.tell("there is nothing to forget"),
        (_, true, _) => printer.tell("nothing was forgotten: this was a dry run"),
        (_, false, false) => printer.tell(
            "they can be taken back with `chordage backup undelete` until `chordage backup prune` removes them for \
             good, a week from now at the earliest unless it is told otherwise",
        ),
        (_, false, true) => {}
    }
    Ok(ExitStatus::Success)
}

/// Refuses what makes no sense, before anybody is asked.
fn check(args: &ForgetArgs) -> Result<(), CliError> {
    let wrong =
        |message: &str| CliError::new(ExitStatus::Usage, "usage", message).state("nothing was forgotten");
    let names = !args.snapshots.is_empty();
    match () {
        () if names && !args.policy.is_empty() => {
            Err(wrong("either name snapshots or give a policy (--keep-...), not both")
                .hint("chordage backup forget 5f3a01, or chordage backup forget --keep-daily 7"))
        }
        () if names || !args.policy.is_empty() => Ok(()),
        () if !args.unsafe_allow_remove_all => Err(wrong(
            "there is no policy, and a policy without rules keeps nothing",
        )
        .hint("say what to keep: --keep-last 3, --keep-daily 7, --keep-within 14d; or name what to forget")),
        () if args.filter.is_empty() => {
            Err(wrong("--unsafe-allow-remove-all without a policy would forget every snapshot in the volume")
                .hint("say which snapshots are meant: --host HOST, --tag TAG or --path PATH"))
        }
        () => Ok(()),
    }
}

/// What a policy says of all groups.
fn by_policy(args: &ForgetArgs, snapshots: &[SnapshotInfo]) -> Result<Vec<GroupReport>, CliError> {
    let chosen: Vec<SnapshotInfo> =
        snapshots.iter().filter(|snapshot| args.filter.takes(snapshot)).cloned().collect();
    let (rules, calendar) = (args.policy.rules(), Calendar::local());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    let judged = grouped(&chosen, args.group_by).into_iter().map(|(group, snapshots)| {
        let verdicts = judge(&snapshots, &rules, now, &calendar);
        if args.unsafe_allow_remove_all || verdicts.iter().any(|verdict| verdict.keeps()) {
            return Ok(GroupReport::new(group, &verdicts));
        }
        Err(CliError::new(
            ExitStatus::Usage,
            "would_forget_all",
            format!("the policy keeps no snapshot of {}", crate::name::shown(group.describe().as_bytes())),
        )
        .state("nothing was forgotten")
        .hint("look at it with --dry-run --unsafe-allow-remove-all, and leave out --dry-run if that is what you want"))
    });
    judged.collect()
}

/// Those that are named.
fn by_name(args: &ForgetArgs, snapshots: &[SnapshotInfo]) -> Result<GroupReport, CliError> {
    let mut named = args
        .snapshots
        .iter()
        .map(|name| choice::find(snapshots, name, &args.filter))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| error.state("nothing was forgotten"))?;
    newest_first(&mut named);
    named.dedup_by(|a, b| a.id == b.id);
    Ok(GroupReport::of_named(Group { host: None, paths: None, tags: None }, &named))
}

/// Forgets them, as many at a time as a request may name.
async fn forget(client: &Client, volume: &str, ids: &[String]) -> Result<(), CliError> {
    let mut done = 0;
    for some in ids.chunks(SNAPSHOTS_MAX) {
        let selection = SnapshotSelection { volume: volume.to_owned(), snapshots: some.to_vec() };
        client.forget_snapshots(&selection).await.map_err(|error| {
            let error = CliError::from(error);
            match done {
                0 => error,
                done => error.state(format!("the first {done} of {} snapshots are forgotten", ids.len())),
            }
        })?;
        done += some.len();
    }
    Ok(())
}

/// For messages.
fn named(snapshot: &SnapshotInfo, calendar: &Calendar) -> String {
    format!("{}  {}", short(&snapshot.id), calendar.show(snapshot.time))
}
