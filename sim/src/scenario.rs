//! Scenarios in TOML: a world, one experiment, and what is expected of it.
//!
//! ```toml
//! name = "a thousand nodes, a fifth of them dead"
//! seed = 7
//! nodes = 1000
//! metric = "ring"          # ring (default), xor or classic
//! latency = "internet"     # internet (default), constant, or a file of round-trip times
//!
//! [faults]                 # all 0 unless said; see `Faults`
//! loss = 0.01
//!
//! [config]                 # settings of the nodes; what is not named keeps its default
//! row_active = 8
//!
//! [experiment]
//! kind = "lookups"
//! lookups = 1000
//! dead = 0.2
//!
//! [expect]                 # fields of the report
//! success_rate = { min = 0.999 }
//! ```

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use chordage_dht::{AnyMetric, Config};
use serde::Deserialize;

use crate::{
    experiments::{
        adversaries::{self, Adversaries},
        churn,
        eclipse::{self, Eclipse},
        idle::{self, Idle},
        lookups, membership,
        partition::{self, Partition},
        seats,
    },
    faults::{Faults, FaultsError},
    latency::{self, RttTableError},
    report::{Bounds, Report},
    world::Setup,
};

mod check;
mod plans;

pub use plans::{
    AdversariesPlan, ChurnPlan, EclipsePlan, IdlePlan, LookupsPlan, MembershipPlan, PartitionPlan, SeatsPlan,
};

/// A scenario as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What it is about, in a few words.
    pub name: String,
    /// The same seed gives the same run.
    #[serde(default)]
    pub seed: u64,
    /// Nodes of the network, at most 10 million.
    pub nodes: usize,
    /// How distance is measured.
    #[serde(default)]
    pub metric: AnyMetric,
    /// `internet`, `constant` (100 ms) or the path of a file, relative to the scenario's.
    #[serde(default = "internet")]
    pub latency: String,
    /// What goes wrong between the nodes.
    #[serde(default)]
    pub faults: Faults,
    /// Settings of the nodes that differ from the metric's defaults.
    #[serde(default)]
    pub config: toml::Table,
    /// What is done.
    pub experiment: Experiment,
    /// Bounds for fields of the report.
    #[serde(default)]
    pub expect: BTreeMap<String, Bounds>,
    /// Where the file lies.
    #[serde(skip)]
    directory: PathBuf,
}

fn internet() -> String {
    "internet".to_owned()
}

/// The experiments a scenario can ask for.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Experiment {
    /// Hops, messages and time of lookups in a network that does not change.
    Lookups(LookupsPlan),
    /// Lookups while nodes come and go.
    Churn(ChurnPlan),
    /// How soon everybody knows who comes and goes, and what that costs.
    Membership(MembershipPlan),
    /// What nodes cost when nobody asks them for anything.
    Idle(IdlePlan),
    /// A network is cut in two and heals.
    Partition(PartitionPlan),
    /// Lookups among liars or silent nodes.
    Adversaries(AdversariesPlan),
    /// Many identities from one network.
    Eclipse(EclipsePlan),
    /// Many identities in few subnets claim seats of super-peers, and say of others that they are gone.
    Seats(SeatsPlan),
}

/// Why a scenario cannot be run. Nothing has been done then.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// Its path.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Not a scenario; the text says where and why.
    #[error("{0}")]
    Malformed(toml::de::Error),
    /// The settings of the nodes are not what they may be.
    #[error("in [config]: {0}")]
    Config(String),
    /// A share that is none.
    #[error("in [faults]: {0}")]
    Faults(#[from] FaultsError),
    /// The file of round-trip times is no such thing.
    #[error("in `latency`: {0}")]
    Latency(#[from] RttTableError),
    /// A number out of its range.
    #[error("`{name}` must be {range}, not {value}")]
    OutOfRange {
        /// Name of the setting.
        name: &'static str,
        /// What it may be.
        range: &'static str,
        /// What it is.
        value: String,
    },
}

/// Nodes one process can reasonably hold.
pub const NODES_MAX: usize = 10_000_000;

impl Scenario {
    /// Reads a scenario from a file.
    pub fn read(path: &Path) -> Result<Self, ScenarioError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ScenarioError::Unreadable { path: path.display().to_string(), source })?;
        let mut scenario = Self::parse(&text)?;
        scenario.directory = path.parent().unwrap_or(Path::new("")).to_owned();
        Ok(scenario)
    }

    /// Reads a scenario from a text.
    pub fn parse(text: &str) -> Result<Self, ScenarioError> {
        let scenario: Self = toml::from_str(text).map_err(ScenarioError::Malformed)?;
        if !(2..=NODES_MAX).contains(&scenario.nodes) {
            let range = "from 2 to 10 million";
            return Err(ScenarioError::OutOfRange {
                name: "nodes",
                range,
                value: scenario.nodes.to_string(),
            });
        }
        scenario.faults.check()?;
        scenario.node_config()?;
        scenario.experiment.check()?;
        Ok(scenario)
    }

    /// The nodes' settings: the metric's defaults with what the scenario changes.
    fn node_config(&self) -> Result<Config, ScenarioError> {
        let wrong = |error: String| ScenarioError::Config(error.trim_end().to_owned());
        let defaults = Setup::new(0, self.metric).config;
        let mut table = toml::Table::try_from(&defaults).map_err(|error| wrong(error.to_string()))?;
        table.extend(self.config.clone());
        table.try_into().map_err(|error: toml::de::Error| wrong(error.to_string()))
    }

    /// The world it describes.
    fn setup(&self) -> Result<Setup, ScenarioError> {
        let latency = latency::by_name(&self.latency, &self.directory)?;
        let config = self.node_config()?;
        Ok(Setup { config, latency, faults: self.faults, ..Setup::new(self.seed, self.metric) })
    }

    /// Runs it.
    pub fn run(&self) -> Result<Report, ScenarioError> {
        let setup = self.setup()?;
        let report = match &self.experiment {
            Experiment::Lookups(plan) => {
                Report::lookups(&self.name, lookups::run(&plan.plan(setup, self.nodes)))
            }
            Experiment::Churn(plan) => Report::churn(&self.name, churn::run(plan.plan(setup, self.nodes))),
            Experiment::Membership(plan) => {
                Report::membership(&self.name, membership::run(plan.plan(setup, self.nodes)))
            }
            Experiment::Idle(plan) => {
                let plan = Idle {
                    setup,
                    nodes: self.nodes,
                    built_by: plan.built_by,
                    settle: Duration::from_secs_f64(plan.settle_s),
                    duration: Duration::from_secs_f64(plan.duration_s),
                };
                Report::new(&self.name, &idle::run(&plan))
            }
            Experiment::Partition(plan) => {
                let plan = Partition {
                    setup,
                    nodes: self.nodes,
                    share: plan.share,
                    cut: Duration::from_secs_f64(plan.cut_s),
                    limit: Duration::from_secs_f64(plan.limit_s),
                };
                Report::new(&self.name, &partition::run(&plan))
            }
            Experiment::Adversaries(plan) => {
                let plan = Adversaries {
                    setup,
                    nodes: self.nodes,
                    share: plan.share,
                    role: plan.role,
                    lookups: plan.lookups,
                    paths: plan.paths,
                    confirm: plan.confirm,
                    want: plan.want,
                };
                Report::new(&self.name, &adversaries::run(&plan))
            }
            Experiment::Eclipse(plan) => {
                let plan = Eclipse {
                    setup,
                    nodes: self.nodes,
                    attackers: plan.attackers,
                    around_a_key: plan.around_a_key,
                    duration: Duration::from_secs_f64(plan.duration_s),
                };
                Report::new(&self.name, &eclipse::run(&plan))
            }
            Experiment::Seats(plan) => Report::new(&self.name, &seats::run(&plan.plan(setup, self.nodes))),
        };
        Ok(report.expecting(&self.expect))
    }
}
