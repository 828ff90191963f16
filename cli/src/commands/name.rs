//! `chordage name`.

use std::io::{self, Read};
use std::path::PathBuf;
use std::time::Duration;

use chordage_api::client::Client;
use chordage_api::types::{PublishReport, PublishRequest, PublishState, ResolveStep, Resolved, Voucher};
use clap::{Args, Subcommand, ValueEnum};

use crate::connect;
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::global::GlobalArgs;
use crate::human;
use crate::interrupt::until_interrupted;
use crate::passphrase;
use crate::printer::Printer;

/// Most of what is read as an exported key, bytes.
const SEALED_BYTES_MAX: u64 = 4096;

/// Give things names that can change, and find what others have named
///
/// A name is a key: whoever has it says what the name stands for, in a record that the nodes nearest to it keep, also
/// while its owner is away. Here it has a petname; for everybody else it is @ and 56 characters. Below it there are
/// paths, which can be handed to other keys.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  chordage name create team
  chordage name list
  chordage name publish team/notes chord1r...
  chordage name resolve team/notes
  chordage name resolve @fak3.../notes --consistency quorum --json
  chordage name resolve dns:example.org/notes
  chordage name delegate team/web @q7x2...
  chordage name publish team/notes chord1r... --expect-seq 4
  chordage name watch @fak3.../notes
  chordage name history team/notes
  chordage name unpublish team/notes
  chordage name export team > team.key
  chordage name import team < team.key
  chordage name delete team --yes")]
pub(crate) struct NameArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a key, and call it by a petname
    Create(PetnameArgs),
    /// List the keys of this daemon
    List,
    /// Say what a name stands for
    Publish(PublishArgs),
    /// Take away what a path of a name stands for
    Unpublish(UnpublishArgs),
    /// Hand a path of a name, and everything below it, to another key
    Delegate(DelegateArgs),
    /// Find out what a name stands for
    Resolve(ResolveArgs),
    /// Print what a name stands for, now and whenever that changes, until interrupted
    Watch(WatchArgs),
    /// Show the versions of a name that this daemon has published or seen
    History(HistoryArgs),
    /// Print the key of a name under a passphrase, to keep it elsewhere: without it nobody can change the name any more
    Export(SealArgs),
    /// Take in a key that was exported, from standard input
    Import(SealArgs),
    /// Forget a key for good; what is published under it stays until it ends
    Delete(DeleteArgs),
}

#[derive(Debug, Args)]
struct PetnameArgs {
    /// The petname: 1 to 63 of the characters a-z 0-9 - _ .
    #[arg(value_name = "PETNAME")]
    petname: String,
}

#[derive(Debug, Args)]
struct DeleteArgs {
    /// The petname
    #[arg(value_name = "PETNAME")]
    petname: String,
    /// Yes, nobody shall be able to change the name any more, unless its key was exported
    #[arg(long)]
    yes: bool,
}

/// What every new version of a name has.
#[derive(Debug, Args)]
struct VersionArgs {
    /// For how long readers may use it before they ask again
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = human::parse_duration)]
    ttl: Duration,
    /// For how long it holds; publish again before it ends
    #[arg(long, value_name = "TIME", default_value = "365d", value_parser = human::parse_duration)]
    valid: Duration,
    /// Publish only if this is the number of the version that is held now (0: none), so that no change of another
    /// writer is overwritten
    #[arg(long, value_name = "N")]
    expect_seq: Option<u64>,
}

#[derive(Debug, Args)]
struct PublishArgs {
    /// A petname or key of this daemon, and a path below it or none
    #[arg(value_name = "NAME")]
    name: String,
    /// A link, another name (@KEY or @KEY/PATH), or a text of one line
    #[arg(value_name = "TARGET")]
    target: String,
    #[command(flatten)]
    version: VersionArgs,
}

#[derive(Debug, Args)]
struct UnpublishArgs {
    /// A petname or key of this daemon, and a path below it or none
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    version: VersionArgs,
}

#[derive(Debug, Args)]
struct DelegateArgs {
    /// A petname or key of this daemon, and the path that is handed over
    #[arg(value_name = "NAME/PATH")]
    name: String,
    /// The key to which it is handed
    #[arg(value_name = "@KEY")]
    key: String,
    #[command(flatten)]
    version: VersionArgs,
}

/// How sure a reader wants to be.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Consistency {
    /// The first version that is told, and no older than any this daemon has seen
    Fast,
    /// The newest version of a majority of those who keep it
    Quorum,
}

#[derive(Debug, Args)]
struct ResolveArgs {
    /// A petname of this daemon, a key (@...) or a domain whose key DNS names (dns:example.org), and a path below it or
    /// none
    #[arg(value_name = "NAME")]
    name: String,
    /// How sure to be
    #[arg(long, value_name = "HOW", value_enum, default_value_t = Consistency::Fast)]
    consistency: Consistency,
    /// A version of at least this number
    #[arg(long, value_name = "SEQ", conflicts_with = "consistency")]
    at_least: Option<u64>,
}

#[derive(Debug, Args)]
struct SealArgs {
    /// The petname: that of the key to export, or what the imported key shall be called here
    #[arg(value_name = "PETNAME")]
    petname: String,
    /// A file whose first line is the passphrase, at least 10 characters. Otherwise CHORDAGE_PASSPHRASE is it, or the
    /// terminal is asked
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct WatchArgs {
    /// A petname of this daemon, a key (@...) or a domain whose key DNS names (dns:example.org), and a path below it or
    /// none
    #[arg(value_name = "NAME")]
    name: String,
    /// End after so many lines
    #[arg(long, value_name = "N")]
    count: Option<u64>,
}

#[derive(Debug, Args)]
struct HistoryArgs {
    /// A petname or a key
    #[arg(value_name = "NAME")]
    name: String,
}

/// Runs the command.
pub(crate) async fn run(
    args: NameArgs,
    global: &GlobalArgs,
    printer: &Printer,
) -> Result<ExitStatus, CliError> {
    let client = connect::client(global)?;
    match args.action {
        Action::Create(args) => {
            let made = client.create_name(&args.petname).await?;
            if printer.is_json() {
                printer.json(&made)?;
            } else {
                printer.line(&made.key)?;
                printer.tell(format!(
                    "others know it by that; next: chordage name publish {} TARGET",
                    made.petname
                ));
            }
        }
        Action::List => return list(&client, printer).await,
        Action::Publish(args) => {
            return publish(&client, args.version.request(args.name, Some(args.target)), printer).await;
        }
        Action::Unpublish(args) => {
            return publish(&client, args.version.request(args.name, None), printer).await;
        }
        Action::Delegate(args) => {
            let request = args.version.request(args.name, Some(args.key));
            return publish(&client, PublishRequest { delegate: true, ..request }, printer).await;
        }
        Action::Resolve(args) => return resolve(&client, &args, printer).await,
        Action::Watch(args) => return until_interrupted(watch(&client, &args, printer)).await,
        Action::History(args) => return history(&client, &args.name, printer).await,
        Action::Export(args) => {
            let passphrase = passphrase::read(args.passphrase_file.as_deref(), true)?;
            let sealed = client.export_name(&args.petname, &passphrase).await?;
            if printer.is_json() {
                printer.json(&sealed)?;
            } else {
                printer.line(&sealed.sealed)?;
                printer.tell(format!(
                    "next, where it is to be used: chordage name import {} --passphrase-file FILE",
                    sealed.petname
                ));
            }
        }
        Action::Import(args) => {
            let sealed = sealed_on_stdin()?;
            let passphrase = passphrase::read(args.passphrase_file.as_deref(), false)?;
            let made = client.import_name(&args.petname, &passphrase, &sealed).await?;
            if printer.is_json() { printer.json(&made)? } else { printer.line(&made.key)? }
        }
        Action::Delete(args) if !args.yes => {
            let message = format!("without its key nobody can change what `{}` stands for", args.petname);
            return Err(CliError::new(ExitStatus::Usage, "not_confirmed", message)
                .state("nothing was changed")
                .hint(format!(
                    "keep it with `chordage name export {0}`; then: chordage name delete {0} --yes",
                    args.petname
                )));
        }
        Action::Delete(args) => {
            client.delete_name(&args.petname).await?;
            printer.tell(format!(
                "the key of {} is gone; what it has published stays until it ends",
                args.petname
            ));
        }
    }
    Ok(ExitStatus::Success)
}

/// What was exported, from standard input.
fn sealed_on_stdin() -> Result<String, CliError> {
    let mut text = String::new();
    io::stdin().lock().take(SEALED_BYTES_MAX).read_to_string(&mut text).map_err(|error| {
        CliError::new(
            ExitStatus::LocalFile,
            "stdin",
            format!("cannot read the key on standard input: {error}"),
        )
        .state("nothing was changed")
    })?;
    Ok(text)
}

impl VersionArgs {
    fn request(&self, name: String, target: Option<String>) -> PublishRequest {
        PublishRequest {
            name,
            target,
            ttl_seconds: u32::try_from(self.ttl.as_secs()).unwrap_or(u32::MAX),
            valid_seconds: self.valid.as_secs(),
            expect_seq: self.expect_seq,
            delegate: false,
        }
    }
}

async fn list(client: &Client, printer: &Printer) -> Result<ExitStatus, CliError> {
    let names = client.names().await?;
    if printer.is_json() {
        printer.json(&names)?;
        return Ok(ExitStatus::Success);
    }
    let widest = names.iter().map(|name| name.petname.len()).max().unwrap_or(0);
    for name in &names {
        let version =
            if name.seq == 0 { "not published".to_owned() } else { format!("version {}", name.seq) };
        printer.line(format!("{:widest$}  {}  {version}", name.petname, name.key))?;
    }
    printer.tell(human::count(names.len() as u64, "name", "names"));
    Ok(ExitStatus::Success)
}

async fn publish(
    client: &Client,
    request: PublishRequest,
    printer: &Printer,
) -> Result<ExitStatus, CliError> {
    let report: PublishReport = client.publish_name(&request).await?;
    let counts = report.state == PublishState::Stored;
    if printer.is_json() {
        printer.json(&report)?;
    } else {
        printer.line(format!("{} version {}", report.name, report.seq))?;
        printer.tell(format!(
            "stored by {} of {} in {}",
            report.stored,
            report.of,
            human::seconds(report.seconds)
        ));
    }
    if counts {
        return Ok(ExitStatus::Success);
    }
    printer.warn(format!(
        "only {} of the {} nodes that keep it have stored it: it may come to count, or not; resolve it with --consistency \
         quorum, and publish again if needed",
        report.stored, report.of
    ));
    Ok(ExitStatus::NotDurable)
}

async fn resolve(client: &Client, args: &ResolveArgs, printer: &Printer) -> Result<ExitStatus, CliError> {
    let quorum = matches!(args.consistency, Consistency::Quorum);
    let found: Resolved = client.resolve_name(&args.name, quorum, args.at_least).await?;
    if printer.is_json() {
        printer.json(&found)?;
        return Ok(ExitStatus::Success);
    }
    printer.line(&found.target)?;
    for step in &found.steps {
        printer.tell(describe(step));
    }
    if found.stale {
        printer.warn("those who keep it do not answer: this is what the daemon remembers");
    }
    Ok(ExitStatus::Success)
}

/// One line: who says what.
fn describe(step: &ResolveStep) -> String {
    let path = if step.path.is_empty() { String::new() } else { format!("/{}", step.path) };
    match (step.voucher, &step.domain) {
        (Voucher::Dns, Some(domain)) => {
            format!(
                "{domain} in DNS names {}: nobody has signed that, so keep the key if it matters",
                step.key
            )
        }
        _ => format!("{}{path}: version {}, told by {} of {}", step.key, step.seq, step.agree, step.of),
    }
}

async fn watch(client: &Client, args: &WatchArgs, printer: &Printer) -> Result<ExitStatus, CliError> {
    let mut watch = client.watch_name(&args.name).await?;
    let mut left = args.count.unwrap_or(u64::MAX);
    while left > 0 {
        match watch.next().await? {
            Some(Ok(found)) if printer.is_json() => printer.json(&found)?,
            Some(Ok(found)) => printer.line(&found.target)?,
            Some(Err(problem)) if printer.is_json() => printer.json(&problem)?,
            Some(Err(problem)) => printer.warn(problem.message),
            None => {
                return Err(CliError::new(
                    ExitStatus::NoDaemon,
                    "shutting_down",
                    "the daemon is shutting down",
                ));
            }
        }
        left -= 1;
    }
    Ok(ExitStatus::Success)
}

async fn history(client: &Client, name: &str, printer: &Printer) -> Result<ExitStatus, CliError> {
    let versions = client.name_history(name).await?;
    if printer.is_json() {
        printer.json(&versions)?;
        return Ok(ExitStatus::Success);
    }
    for version in &versions {
        printer.line(format!("version {}", version.seq))?;
        for entry in &version.entries {
            let path = if entry.path.is_empty() { "." } else { &entry.path };
            let whose = if entry.delegated { "belongs to " } else { "" };
            printer.line(format!("  {path}  {whose}{}", entry.target))?;
        }
    }
    printer.tell(human::count(versions.len() as u64, "version", "versions"));
    Ok(ExitStatus::Success)
}
