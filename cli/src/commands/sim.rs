//! `chordage sim`.

use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chordage_sim::experiments::churn::{self, Churn};
use chordage_sim::experiments::lookups::{self, BuiltBy, Lookups};
use chordage_sim::experiments::membership::{self, Membership};
use chordage_sim::experiments::records::{self, Records};
use chordage_sim::latency::RttTableError;
use chordage_sim::report::Report;
use chordage_sim::scenario::{NODES_MAX, Scenario, ScenarioError};
use chordage_sim::sessions::{Sessions, Shape};
use chordage_sim::world::Setup;
use chordage_sim::{AnyMetric, Config, latency};
use clap::{Args, Subcommand, ValueEnum};

use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::human;
use crate::name::quoted;
use crate::printer::Printer;

/// Simulate networks of up to a million nodes in virtual time
///
/// The nodes are the daemon's own overlay code. The same seed gives the same run.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  chordage sim lookups --nodes 100000 --metric ring --lookups 20000 --seed 1
  chordage sim lookups --nodes 100000 --dead 0.2 --json
  chordage sim lookups --nodes 10000 --metric classic --latency constant
  chordage sim churn --nodes 1000 --median-session 84s --duration 10m
  chordage sim membership --nodes 1000 --median-session 1h --duration 30m --loss 0.02
  chordage sim records --nodes 1000 --records 10000 --median-session 1h --duration 12h
  chordage sim run sim/scenarios/partition.toml --plots /tmp/plots")]
pub(crate) struct SimArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Hops, messages and time of lookups in a network that does not change
    Lookups(LookupsArgs),
    /// Lookups while nodes come and go
    Churn(ChurnArgs),
    /// How soon everybody knows who comes and goes, what it costs, and what lookups gain
    Membership(MembershipArgs),
    /// Signed records whose publishers are gone, while the nodes that keep them come and go
    Records(RecordsArgs),
    /// Run a scenario from a file; fails if it does not come out as the file expects
    Run(RunArgs),
}

/// What every simulated world needs.
#[derive(Debug, Args)]
struct WorldArgs {
    /// How many nodes, at most 10 million; a million take 12 GiB
    #[arg(long, value_name = "N", value_parser = nodes)]
    nodes: usize,
    /// How distance is measured: ring, xor, or classic (Chord as published)
    #[arg(long, value_name = "METRIC", default_value = "ring")]
    metric: AnyMetric,
    /// The same seed gives the same run
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    seed: u64,
    /// constant (100 ms), internet (a synthetic map), or a file of round-trip times
    #[arg(long, value_name = "MODEL", default_value = "internet")]
    latency: String,
    /// Share of messages lost
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    loss: f64,
    /// Questions in flight per lookup, if not the protocol's own
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..))]
    parallel: Option<u8>,
    /// Size of the leaf sets, if not the protocol's own
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(2..=64))]
    leaf_set: Option<u8>,
    /// Directory for SVG pictures
    #[arg(long, value_name = "DIR")]
    plots: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct LookupsArgs {
    #[command(flatten)]
    world: WorldArgs,
    /// How many lookups
    #[arg(long, value_name = "M", default_value_t = 1000)]
    lookups: usize,
    /// Share of nodes that are dead while the tables still hold them
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    dead: f64,
    /// Leaf sets hold the dead nodes too, as in the first seconds after a disaster
    #[arg(long)]
    dead_leaves: bool,
    /// Where the tables come from
    #[arg(long, value_enum, default_value_t = Tables::Preload)]
    built_by: Tables,
    /// The lookup is over when any of so many of the nearest living nodes has answered
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=64))]
    any_of: u8,
    /// It is over when all of so many of the nearest have answered, instead of --any-of; with 0 when any node has
    /// answered that knows the key's neighbourhood
    #[arg(long, value_name = "N", conflicts_with = "any_of", value_parser = clap::value_parser!(u8).range(..=64))]
    confirm: Option<u8>,
    /// Over how many disjoint paths to look
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=8))]
    paths: u8,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Tables {
    /// The nodes join one after the other
    Joins,
    /// Ideal tables, made by somebody who sees everything
    Preload,
}

#[derive(Debug, Args)]
struct ChurnArgs {
    #[command(flatten)]
    world: WorldArgs,
    /// Half of the nodes stay longer: 84s, 1h, 8h
    #[arg(long, value_name = "TIME", value_parser = human::parse_duration)]
    median_session: Duration,
    /// Many short sessions and some very long ones, instead of memoryless ones
    #[arg(long)]
    heavy_tailed: bool,
    /// How long to measure, in virtual time, after a warm-up of a quarter of it (at most 15m)
    #[arg(long, value_name = "TIME", default_value = "2h", value_parser = human::parse_duration)]
    duration: Duration,
    /// Lookups per second in the whole network
    #[arg(long, value_name = "N", default_value_t = 10.0, value_parser = positive)]
    lookups_per_second: f64,
    /// Share of nodes that say goodbye
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    graceful: f64,
}

#[derive(Debug, Args)]
struct MembershipArgs {
    #[command(flatten)]
    world: WorldArgs,
    /// Half of the nodes stay longer: 1h, 8h
    #[arg(long, value_name = "TIME", value_parser = human::parse_duration)]
    median_session: Duration,
    /// Many short sessions and some very long ones, instead of memoryless ones
    #[arg(long)]
    heavy_tailed: bool,
    /// How long to measure, in virtual time, after a warm-up of 20 minutes
    #[arg(long, value_name = "TIME", default_value = "30m", value_parser = human::parse_duration)]
    duration: Duration,
    /// Lookups per second in the whole network
    #[arg(long, value_name = "N", default_value_t = 1.0, value_parser = positive)]
    lookups_per_second: f64,
    /// Largest network of which every node lists all members; 0: nobody does
    #[arg(long, value_name = "N", default_value_t = chordage_sim::MEMBERS as u32)]
    members_max: u32,
}

#[derive(Debug, Args)]
struct RecordsArgs {
    #[command(flatten)]
    world: WorldArgs,
    /// How many records
    #[arg(long, value_name = "N")]
    records: usize,
    /// Half of the nodes stay longer: 1h, 8h
    #[arg(long, value_name = "TIME", value_parser = human::parse_duration)]
    median_session: Duration,
    /// Many short sessions and some very long ones, instead of memoryless ones
    #[arg(long)]
    heavy_tailed: bool,
    /// How long to measure, in virtual time, after all have been published
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = human::parse_duration)]
    duration: Duration,
    /// Reads per second in the whole network, each of a majority of those who keep the record
    #[arg(long, value_name = "N", default_value_t = 10.0, value_parser = positive)]
    reads_per_second: f64,
    /// Changes per second in the whole network, of every second record
    #[arg(long, value_name = "N", default_value_t = 1.0, value_parser = positive)]
    writes_per_second: f64,
}

#[derive(Debug, Args)]
struct RunArgs {
    /// The scenario
    #[arg(value_name = "SCENARIO.toml")]
    scenario: PathBuf,
    /// Another seed than the scenario's
    #[arg(long, value_name = "SEED")]
    seed: Option<u64>,
    /// Directory for SVG pictures
    #[arg(long, value_name = "DIR")]
    plots: Option<PathBuf>,
}

/// Runs the command.
pub(crate) fn run(args: SimArgs, printer: &Printer) -> Result<ExitStatus, CliError> {
    let plots = args.action.plots().map(Path::to_owned);
    if let Some(directory) = &plots {
        // A run may take hours, which are not to be lost for this.
        fs::create_dir_all(directory)
            .map_err(|error| CliError::file("create", directory, &error).state("nothing was simulated"))?;
    }
    let report = match args.action {
        Action::Lookups(args) => Report::lookups("lookups", lookups::run(&args.plan()?)),
        Action::Churn(args) => Report::churn("churn", churn::run(args.plan()?)),
        Action::Membership(args) => Report::membership("membership", membership::run(args.plan()?)),
        Action::Records(args) => Report::records("records", &records::run(args.plan()?)),
        Action::Run(args) => {
            let wrong = |error: ScenarioError| {
                let unreadable = matches!(
                    error,
                    ScenarioError::Unreadable { .. }
                        | ScenarioError::Latency(RttTableError::Unreadable { .. })
                );
                refused(unreadable, "scenario", error)
            };
            let mut scenario = Scenario::read(&args.scenario).map_err(wrong)?;
            scenario.seed = args.seed.unwrap_or(scenario.seed);
            scenario.run().map_err(wrong)?
        }
    };
    if let Some(directory) = &plots {
        draw(&report, directory, printer)?;
    }
    if printer.is_json() {
        printer.json(&report.to_json())?;
    } else {
        printer.raw(report.to_string().as_bytes())?;
    }
    match report.failures.first() {
        None => Ok(ExitStatus::Success),
        Some(first) => Err(CliError::new(
            ExitStatus::Internal,
            "expectation",
            format!("{} did not come out as expected: {first}", report.name),
        )
        .hint("the run can be repeated: same scenario, same seed")),
    }
}

fn draw(report: &Report, directory: &Path, printer: &Printer) -> Result<(), CliError> {
    for (name, plot) in &report.plots {
        let path = directory.join(format!("{name}.svg"));
        fs::write(&path, plot.to_svg()).map_err(|error| CliError::file("write", &path, &error))?;
        printer.tell(format_args!("wrote {}", quoted(&path)));
    }
    Ok(())
}

/// A file that cannot be read, or one that says what makes no sense.
fn refused(unreadable: bool, code: &str, error: impl Display) -> CliError {
    let status = if unreadable { ExitStatus::LocalFile } else { ExitStatus::Usage };
    CliError::new(status, code, error).state("nothing was simulated")
}

impl Action {
    fn plots(&self) -> Option<&Path> {
        match self {
            Action::Lookups(args) => args.world.plots.as_deref(),
            Action::Churn(args) => args.world.plots.as_deref(),
            Action::Membership(args) => args.world.plots.as_deref(),
            Action::Records(args) => args.world.plots.as_deref(),
            Action::Run(args) => args.plots.as_deref(),
        }
    }
}

impl WorldArgs {
    fn setup(&self) -> Result<Setup, CliError> {
        let mut setup = Setup::new(self.seed, self.metric);
        setup.latency = latency::by_name(&self.latency, Path::new(""))
            .map_err(|error| refused(matches!(error, RttTableError::Unreadable { .. }), "latency", error))?;
        setup.faults.loss = self.loss;
        let defaults = setup.config;
        setup.config = Config {
            parallel: self.parallel.unwrap_or(defaults.parallel),
            leaf_set: self.leaf_set.unwrap_or(defaults.leaf_set),
            ..defaults
        };
        Ok(setup)
    }
}

impl LookupsArgs {
    fn plan(&self) -> Result<Lookups, CliError> {
        Ok(Lookups {
            built_by: match self.built_by {
                Tables::Joins => BuiltBy::Joins,
                Tables::Preload => BuiltBy::Preload,
            },
            dead: self.dead,
            dead_leaves: self.dead_leaves,
            confirm: self.confirm.unwrap_or_default().into(),
            any_of: if self.confirm.is_some() { 0 } else { self.any_of.into() },
            paths: self.paths,
            ..Lookups::new(self.world.setup()?, self.world.nodes, self.lookups)
        })
    }
}

impl ChurnArgs {
    fn plan(&self) -> Result<Churn, CliError> {
        let shape = if self.heavy_tailed { Shape::HeavyTailed } else { Shape::Exponential };
        let sessions = Sessions { median: self.median_session, shape };
        Ok(Churn {
            lookups_per_second: self.lookups_per_second,
            graceful: self.graceful,
            ..Churn::new(self.world.setup()?, self.world.nodes, sessions, self.duration)
        })
    }
}

impl RecordsArgs {
    fn plan(&self) -> Result<Records, CliError> {
        let shape = if self.heavy_tailed { Shape::HeavyTailed } else { Shape::Exponential };
        let sessions = Sessions { median: self.median_session, shape };
        Ok(Records {
            reads_per_second: self.reads_per_second,
            writes_per_second: self.writes_per_second,
            ..Records::new(self.world.setup()?, self.world.nodes, self.records, sessions, self.duration)
        })
    }
}

impl MembershipArgs {
    fn plan(&self) -> Result<Membership, CliError> {
        let shape = if self.heavy_tailed { Shape::HeavyTailed } else { Shape::Exponential };
        let sessions = Sessions { median: self.median_session, shape };
        let mut setup = self.world.setup()?;
        setup.config.members = self.members_max;
        Ok(Membership {
            lookups_per_second: self.lookups_per_second,
            ..Membership::new(setup, self.world.nodes, sessions, self.duration)
        })
    }
}

fn nodes(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count) if (2..=NODES_MAX).contains(&count) => Ok(count),
        _ => Err("a network has from 2 to 10 million nodes".to_owned()),
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..1.0).contains(&share) => Ok(share),
        _ => Err("a share is a number from 0 to less than 1".to_owned()),
    }
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if (1e-3..=1e6).contains(&number) => Ok(number),
        _ => Err("a rate is a number from 0.001 to a million".to_owned()),
    }
}
