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
use serde::{Deserialize, Serialize};

use crate::{
    adversary::Role,
    experiments::{
        adversaries::{self, Adversaries},
        churn::{self, Churn},
        eclipse::{self, Eclipse},
        idle::{self, Idle},
        lookups::{self, BuiltBy, Lookups},
        partition::{self, Partition},
    },
    faults::{Faults, FaultsError},
    latency::{self, RttTableError},
    report::Report,
    sessions::{Sessions, Shape},
    world::Setup,
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

/// What a number of the report must lie between.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    /// At least.
    pub min: Option<f64>,
    /// At most.
    pub max: Option<f64>,
}

/// The experiments a scenario can ask for.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Experiment {
    /// Hops, messages and time of lookups in a network that does not change.
    Lookups(LookupsPlan),
    /// Lookups while nodes come and go.
    Churn(ChurnPlan),
    /// What nodes cost when nobody asks them for anything.
    Idle(IdlePlan),
    /// A network is cut in two and heals.
    Partition(PartitionPlan),
    /// Lookups among liars or silent nodes.
    Adversaries(AdversariesPlan),
    /// Many identities from one network.
    Eclipse(EclipsePlan),
}

/// Settings of [`Experiment::Lookups`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LookupsPlan {
    /// How many.
    pub lookups: usize,
    /// Where the tables come from.
    pub built_by: BuiltBy,
    /// Share of nodes that are dead while the tables still hold them.
    pub dead: f64,
    /// Whether leaf sets hold them too.
    pub dead_leaves: bool,
    /// How many of the nearest nodes must have answered.
    pub confirm: usize,
    /// Disjoint paths.
    pub paths: u8,
    /// How many nodes to find.
    pub want: usize,
    /// Between two lookups, milliseconds.
    pub gap_ms: u64,
    /// How long a network built by joins settles, seconds.
    pub settle_s: u64,
}

impl Default for LookupsPlan {
    fn default() -> Self {
        Self {
            lookups: 1000,
            built_by: BuiltBy::Preload,
            dead: 0.0,
            dead_leaves: false,
            confirm: 1,
            paths: 1,
            want: 20,
            gap_ms: 1,
            settle_s: 120,
        }
    }
}

/// Settings of [`Experiment::Churn`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChurnPlan {
    /// Median session, seconds.
    pub median_session_s: f64,
    /// Shape of the distribution of sessions.
    #[serde(default)]
    pub sessions: Shape,
    /// How long it is measured, seconds.
    pub duration_s: f64,
    /// How long churn goes on before that; a quarter of the duration, but at most a quarter of an hour, if not said.
    pub warmup_s: Option<f64>,
    /// Lookups per second in the whole network, 10 if not said.
    #[serde(default = "ten")]
    pub lookups_per_second: f64,
    /// Share of nodes that say goodbye, 0 if not said.
    #[serde(default)]
    pub graceful: f64,
    /// How many of the nearest nodes must have answered, 1 if not said.
    #[serde(default = "one")]
    pub confirm: usize,
}

fn ten() -> f64 {
    10.0
}

fn one() -> usize {
    1
}

impl ChurnPlan {
    fn plan(&self, setup: Setup, nodes: usize) -> Churn {
        let median = Duration::from_secs_f64(self.median_session_s);
        let sessions = Sessions { median, shape: self.sessions };
        let plan = Churn::new(setup, nodes, sessions, Duration::from_secs_f64(self.duration_s));
        Churn {
            warmup: self.warmup_s.map_or(plan.warmup, Duration::from_secs_f64),
            lookups_per_second: self.lookups_per_second,
            graceful: self.graceful,
            confirm: self.confirm,
            ..plan
        }
    }
}

/// Settings of [`Experiment::Idle`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IdlePlan {
    /// Where the tables come from.
    pub built_by: BuiltBy,
    /// How long the network settles, seconds.
    pub settle_s: f64,
    /// How long it is measured, seconds.
    pub duration_s: f64,
}

impl Default for IdlePlan {
    fn default() -> Self {
        Self { built_by: BuiltBy::Preload, settle_s: 60.0, duration_s: 300.0 }
    }
}

/// Settings of [`Experiment::Partition`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PartitionPlan {
    /// Share of the nodes on the one side.
    pub share: f64,
    /// How long the network is cut, seconds.
    pub cut_s: f64,
    /// How long it may take to heal, seconds.
    pub limit_s: f64,
}

impl Default for PartitionPlan {
    fn default() -> Self {
        Self { share: 0.5, cut_s: 600.0, limit_s: 300.0 }
    }
}

/// Settings of [`Experiment::Adversaries`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdversariesPlan {
    /// Share of adversaries.
    pub share: f64,
    /// What they do.
    pub role: Role,
    /// Lookups, 1000 if not said.
    #[serde(default = "thousand")]
    pub lookups: usize,
    /// Disjoint paths, 8 if not said.
    #[serde(default = "eight")]
    pub paths: u8,
    /// How many of the nearest nodes must have answered, 3 if not said.
    #[serde(default = "three")]
    pub confirm: usize,
    /// How many nodes are asked for, 20 if not said.
    #[serde(default = "twenty")]
    pub want: usize,
}

fn thousand() -> usize {
    1000
}

fn eight() -> u8 {
    8
}

fn three() -> usize {
    3
}

fn twenty() -> usize {
    20
}

/// Settings of [`Experiment::Eclipse`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EclipsePlan {
    /// Identities of the attacker.
    pub attackers: usize,
    /// How many of them surround one key.
    #[serde(default)]
    pub around_a_key: usize,
    /// How long the attack lasts, seconds.
    pub duration_s: f64,
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
        };
        Ok(report.expecting(&self.expect))
    }
}

fn share(name: &'static str, value: f64) -> Result<(), ScenarioError> {
    if (0.0..1.0).contains(&value) {
        return Ok(());
    }
    Err(ScenarioError::OutOfRange { name, range: "a share from 0 to less than 1", value: value.to_string() })
}

/// A positive time of at most a year.
fn seconds(name: &'static str, value: f64) -> Result<(), ScenarioError> {
    if value > 0.0 && value <= 31_536_000.0 {
        return Ok(());
    }
    let range = "a positive number of seconds, at most a year";
    Err(ScenarioError::OutOfRange { name, range, value: value.to_string() })
}

fn within(
    name: &'static str,
    value: usize,
    least: usize,
    most: usize,
    range: &'static str,
) -> Result<(), ScenarioError> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(ScenarioError::OutOfRange { name, range, value: value.to_string() })
}

impl Experiment {
    fn check(&self) -> Result<(), ScenarioError> {
        match self {
            Self::Lookups(plan) => {
                share("dead", plan.dead)?;
                within("lookups", plan.lookups, 1, 100_000_000, "from 1 to 100 million")?;
                within("want", plan.want, 1, 64, "from 1 to 64")?;
                within("confirm", plan.confirm, 0, 64, "from 0 to 64")?;
                within("paths", plan.paths.into(), 1, 8, "from 1 to 8")
            }
            Self::Churn(plan) => {
                seconds("median_session_s", plan.median_session_s)?;
                seconds("duration_s", plan.duration_s)?;
                plan.warmup_s.map_or(Ok(()), |warmup| seconds("warmup_s", warmup))?;
                share("graceful", plan.graceful)?;
                within("confirm", plan.confirm, 0, 64, "from 0 to 64")?;
                if (0.001..=1e6).contains(&plan.lookups_per_second) {
                    return Ok(());
                }
                let (name, value) = ("lookups_per_second", plan.lookups_per_second.to_string());
                Err(ScenarioError::OutOfRange { name, range: "from 0.001 to a million", value })
            }
            Self::Idle(plan) => {
                seconds("settle_s", plan.settle_s)?;
                seconds("duration_s", plan.duration_s)
            }
            Self::Partition(plan) => {
                share("share", plan.share)?;
                seconds("cut_s", plan.cut_s)?;
                seconds("limit_s", plan.limit_s)
            }
            Self::Adversaries(plan) => {
                share("share", plan.share)?;
                within("lookups", plan.lookups, 1, 100_000_000, "from 1 to 100 million")?;
                within("paths", plan.paths.into(), 1, 8, "from 1 to 8")?;
                within("confirm", plan.confirm, 0, 64, "from 0 to 64")?;
                within("want", plan.want, 1, 64, "from 1 to 64")
            }
            Self::Eclipse(plan) => {
                within("attackers", plan.attackers, 1, 1_000_000, "from 1 to a million")?;
                within("around_a_key", plan.around_a_key, 0, plan.attackers, "at most `attackers`")?;
                seconds("duration_s", plan.duration_s)
            }
        }
    }
}

impl LookupsPlan {
    fn plan(&self, setup: Setup, nodes: usize) -> Lookups {
        Lookups {
            setup,
            nodes,
            lookups: self.lookups,
            built_by: self.built_by,
            dead: self.dead,
            dead_leaves: self.dead_leaves,
            confirm: self.confirm,
            paths: self.paths,
            want: self.want,
            gap: Duration::from_millis(self.gap_ms),
            settle: Duration::from_secs(self.settle_s),
        }
    }
}
