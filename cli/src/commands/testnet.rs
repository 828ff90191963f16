//! `chordage testnet`.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chordage_testnet::{Lifetime, Plan, SignalError, StartError, StateError, Survey, Testnet, select};
use clap::{Args, Subcommand};

use crate::error::{CliError, shell_word};
use crate::exit::ExitStatus;
use crate::human;
use crate::interrupt::Interrupt;
use crate::printer::Printer;

/// How long a network may take until every daemon has found its neighbours.
const SETTLE_WAIT: Duration = Duration::from_secs(60);

/// Run a network of daemons on this machine, and break it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  chordage testnet up --nodes 12 --dir /tmp/net
  chordage put ~/notes --api /tmp/net/nodes/00
  chordage testnet status --dir /tmp/net
  chordage testnet kill 3 7 --dir /tmp/net
  chordage testnet freeze 5 --dir /tmp/net
  chordage testnet thaw 5 --dir /tmp/net
  chordage testnet restart all --dir /tmp/net
  chordage testnet down --dir /tmp/net --remove")]
pub(crate) struct TestnetArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Start daemons, wait until every one has found its neighbours, and leave them running
    ///
    /// In a directory with a network: start those of it that do not run, and add more if --nodes says so.
    Up(UpArgs),
    /// Say which daemons run, and what they hold
    Status(DirArgs),
    /// Kill daemons with SIGKILL
    Kill(NodesArgs),
    /// Freeze daemons with SIGSTOP: they keep their connections and answer nothing
    Freeze(NodesArgs),
    /// Let frozen daemons go on
    Thaw(NodesArgs),
    /// Start daemons again with their old data; those that run are stopped first
    Restart(NodesArgs),
    /// Stop all daemons
    Down(DownArgs),
    /// Break a network of its own in every way for a while, and check every byte that it acknowledged
    Chaos(super::chaos::ChaosArgs),
}

#[derive(Debug, Args)]
struct DirArgs {
    /// Directory of the network
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

#[derive(Debug, Args)]
struct UpArgs {
    #[command(flatten)]
    place: DirArgs,
    /// How many daemons
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u16).range(1..=1000))]
    nodes: u16,
    /// How many clients beside these: they store and fetch, and hold nothing
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=1000))]
    clients: u16,
    /// Into how many zones to put the daemons of a new network, in turn: chunks are spread so that any one may fail
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=1000))]
    zones: u16,
    /// Arguments for every daemon of a new network, after `--` (see `chordage daemon --help`)
    #[arg(last = true, value_name = "DAEMON_ARGS")]
    daemon_args: Vec<String>,
}

#[derive(Debug, Args)]
struct NodesArgs {
    /// Numbers of daemons, beginnings of their node ids, or `all`
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
    #[command(flatten)]
    place: DirArgs,
}

#[derive(Debug, Args)]
struct DownArgs {
    #[command(flatten)]
    place: DirArgs,
    /// Seconds that daemons have for leaving; then they are killed
    #[arg(long, value_name = "SECONDS", default_value_t = 20)]
    wait: u64,
    /// Remove the daemons' data and logs too
    #[arg(long)]
    remove: bool,
}

/// Runs the command.
pub(crate) async fn run(args: TestnetArgs, printer: &Printer) -> Result<ExitStatus, CliError> {
    let mut interrupt = Interrupt::listen()?;
    let action = async {
        match args.action {
            Action::Up(args) => up(args, printer).await,
            Action::Status(args) => show(&Testnet::observe(&args.dir)?.survey().await, printer),
            Action::Kill(args) => kill(&args, printer).await,
            Action::Freeze(args) => signal(&args, printer, Testnet::freeze).await,
            Action::Thaw(args) => signal(&args, printer, Testnet::thaw).await,
            Action::Restart(args) => restart(&args, printer).await,
            Action::Down(args) => down(args, printer).await,
            Action::Chaos(args) => return super::chaos::run(args, program()?, printer).await,
        }
        .map(|()| ExitStatus::Success)
    };
    tokio::select! {
        () = interrupt.wait() => Err(CliError::interrupted("what this command had started is stopped again")),
        result = action => result,
    }
}

async fn up(args: UpArgs, printer: &Printer) -> Result<(), CliError> {
    let (dir, nodes, clients) = (&args.place.dir, usize::from(args.nodes), usize::from(args.clients));
    let started = Instant::now();
    let mut network = if Testnet::exists(dir) {
        let mut network = Testnet::attach(program()?, dir)?;
        if !args.daemon_args.is_empty() {
            return Err(usage("the daemons of this network have their arguments already")
                .hint("leave out what comes after `--`, or take another --dir"));
        }
        if args.zones != 0 {
            return Err(usage("the daemons of this network have their zones already")
                .hint("leave out --zones, or take another --dir"));
        }
        let members = network.len() - network.clients();
        if members > nodes {
            return Err(usage(format!("there are {members} daemons in {dir:?}, and {nodes} are asked for"))
                .hint(format!("take --nodes {members}, or another --dir")));
        }
        let dead: Vec<usize> = (0..network.len()).filter(|&index| !network.is_living(index)).collect();
        if !dead.is_empty() {
            printer.tell(format!("starting {} again", human::count(dead.len() as u64, "daemon", "daemons")));
        }
        network.restart(&dead).await?;
        network.grow(nodes + network.clients()).await?;
        network
    } else {
        let mut plan = Plan::new(program()?, dir, nodes);
        plan.lifetime = Lifetime::Detachable;
        plan.daemon_args = args.daemon_args;
        plan.zones = args.zones.into();
        Testnet::start(plan).await?
    };
    network.add_clients(clients.saturating_sub(network.clients())).await?;
    network.wait_settled(SETTLE_WAIT).await.map_err(|error| {
        CliError::new(ExitStatus::Deadline, "not_settled", error)
            .state("what this command had started is stopped again")
            .hint("try again when the machine is less busy, or with fewer --nodes")
    })?;
    let survey = network.survey().await;
    network.detach()?;
    if printer.is_json() {
        return printer.json(&survey);
    }
    let count = survey.nodes.len() as u64;
    let rss_bytes = survey.nodes.iter().map(|node| node.rss_bytes).sum::<u64>() / count.max(1);
    let dir = shell_word(Path::new(&survey.dir));
    printer.line(format!(
        "{} up after {}, every one has found its neighbours; {} of memory each",
        human::count(count, "daemon is", "daemons are"),
        human::seconds(started.elapsed().as_secs_f64()),
        human::bytes(rss_bytes)
    ))?;
    printer.tell(format!(
        "use:  chordage put FILE --api {dir}/nodes/00\nlook: chordage testnet status --dir {dir}\nend:  chordage testnet down --dir {dir}"
    ));
    Ok(())
}

async fn kill(args: &NodesArgs, printer: &Printer) -> Result<(), CliError> {
    let mut network = Testnet::attach(program()?, &args.place.dir)?;
    let chosen = chosen(&network, &args.ids)?;
    network.kill(&chosen)?;
    finish(network, printer).await
}

async fn signal(
    args: &NodesArgs,
    printer: &Printer,
    send: fn(&Testnet, usize) -> Result<(), SignalError>,
) -> Result<(), CliError> {
    let network = Testnet::attach(program()?, &args.place.dir)?;
    for index in chosen(&network, &args.ids)? {
        send(&network, index)?;
    }
    finish(network, printer).await
}

async fn restart(args: &NodesArgs, printer: &Printer) -> Result<(), CliError> {
    let mut network = Testnet::attach(program()?, &args.place.dir)?;
    let chosen = chosen(&network, &args.ids)?;
    network.restart(&chosen).await?;
    finish(network, printer).await
}

async fn down(args: DownArgs, printer: &Printer) -> Result<(), CliError> {
    let mut network = Testnet::attach(program()?, &args.place.dir)?;
    let killed = network.down(Duration::from_secs(args.wait)).await?;
    if !killed.is_empty() {
        let names: Vec<String> = killed.iter().map(|index| format!("{index:02}")).collect();
        printer.warn(format!("did not leave within {} s and were killed: {}", args.wait, names.join(" ")));
    }
    let survey = network.survey().await;
    if args.remove {
        network.remove()?;
    }
    if printer.is_json() {
        return printer.json(&survey);
    }
    let what = if args.remove { "nothing runs, nothing is left" } else { "nothing runs; the data is kept" };
    printer.tell(what);
    Ok(())
}

async fn finish(network: Testnet, printer: &Printer) -> Result<(), CliError> {
    let survey = network.survey().await;
    network.detach()?;
    show(&survey, printer)
}

fn show(survey: &Survey, printer: &Printer) -> Result<(), CliError> {
    if printer.is_json() {
        return printer.json(survey);
    }
    printer.line("node  id                state        pid    memory  shards     bytes")?;
    for node in &survey.nodes {
        let dash = || "-".to_owned();
        printer.line(format!(
            "{:>4}  {:<16}  {:<7}  {:>7}  {:>8}  {:>6}  {:>8}",
            node.index,
            node.id.map_or_else(dash, human::short),
            node.state,
            node.pid.map_or_else(dash, |pid| pid.to_string()),
            human::bytes(node.rss_bytes),
            node.shards.map_or_else(dash, |shards| shards.to_string()),
            node.stored_bytes.map_or_else(dash, human::bytes),
        ))?;
    }
    let dir = shell_word(Path::new(&survey.dir));
    printer.tell(format!(
        "{} of {} run; --api {dir}/nodes/NN talks to one",
        survey.running,
        survey.nodes.len()
    ));
    Ok(())
}

fn chosen(network: &Testnet, ids: &[String]) -> Result<Vec<usize>, CliError> {
    let known: Vec<_> = (0..network.len()).map(|index| network.id(index)).collect();
    select(ids, &known).map_err(|error| usage(error.to_string()))
}

/// The daemons are this same program.
fn program() -> Result<PathBuf, CliError> {
    std::env::current_exe().map_err(|error| {
        CliError::new(ExitStatus::Internal, "internal", format!("cannot find this program: {error}"))
    })
}

fn usage(message: impl std::fmt::Display) -> CliError {
    CliError::new(ExitStatus::Usage, "usage", message).state("nothing was changed")
}

impl From<StateError> for CliError {
    fn from(error: StateError) -> Self {
        match &error {
            StateError::NoNetwork(_) => CliError::new(ExitStatus::LocalFile, "no_testnet", &error)
                .state("nothing was changed")
                .hint("make one with `chordage testnet up --nodes 12 --dir DIR`"),
            StateError::NotOurs(_) => CliError::new(ExitStatus::LocalFile, "exists", &error)
                .state("nothing was changed")
                .hint("take a new or empty --dir"),
            StateError::Damaged { .. } => CliError::new(ExitStatus::LocalFile, "damaged", &error)
                .state("nothing was changed; daemons of this network may still run")
                .hint("end them by hand (their log files name their process ids) and remove the directory"),
            StateError::OtherVersion { .. } => CliError::new(ExitStatus::InUse, "version", &error)
                .state("nothing was changed")
                .hint("use the program that made this network"),
            StateError::Busy(_) => CliError::new(ExitStatus::InUse, "busy", &error)
                .state("nothing was changed")
                .hint("wait until that command has ended"),
            StateError::NotPrivate(_) => CliError::new(ExitStatus::LocalFile, "not_private", &error)
                .state("no daemon was started")
                .hint("run as the user who owns the directory, or take another --dir"),
            StateError::Io { .. } => CliError::new(ExitStatus::LocalFile, "local_file", &error),
        }
    }
}

impl From<SignalError> for CliError {
    fn from(error: SignalError) -> Self {
        CliError::new(ExitStatus::LocalFile, "signal", error).hint("run as the user who started the network")
    }
}

impl From<StartError> for CliError {
    fn from(error: StartError) -> Self {
        match error {
            StartError::State(error) => error.into(),
            StartError::Signal(error) => error.into(),
            StartError::NotReady { .. } => CliError::new(ExitStatus::Deadline, "not_ready", &error)
                .state("what this command had started is stopped again"),
            StartError::Launch { .. } | StartError::Ended { .. } => {
                CliError::new(ExitStatus::Internal, "not_started", &error)
                    .state("what this command had started is stopped again")
            }
            StartError::NoSuchNode(_) => usage(&error),
        }
    }
}
