//! The settings of each experiment, as scenarios write them.

use std::time::Duration;

use serde::Deserialize;

use crate::{
    experiments::{
        churn::Churn,
        lookups::{BuiltBy, Lookups},
        membership::Membership,
        seats::Seats,
    },
    sessions::{Sessions, Shape},
    world::Setup,
    world::adversary::Role,
};

/// Settings of [`Experiment::Lookups`](super::Experiment::Lookups).
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
    /// How many of the nearest nodes must have answered; 0: a node whose leaf set shows the key will do.
    pub confirm: usize,
    /// If not 0, this decides instead: an answer from one of so many of the nearest nodes will do.
    pub any_of: usize,
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
            confirm: 0,
            any_of: 0,
            paths: 1,
            want: 20,
            gap_ms: 1,
            settle_s: 120,
        }
    }
}

/// Settings of [`Experiment::Churn`](super::Experiment::Churn).
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
    /// How many of the nearest nodes must have answered, 1 if not said. With 0 a node whose leaf set shows the key will
    /// do; that node may not have noticed yet that the nearest one is dead.
    #[serde(default = "one")]
    pub confirm: usize,
}

fn one() -> usize {
    1
}

fn ten() -> f64 {
    10.0
}

impl ChurnPlan {
    pub(super) fn plan(&self, setup: Setup, nodes: usize) -> Churn {
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

/// Settings of [`Experiment::Membership`](super::Experiment::Membership).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MembershipPlan {
    /// Median session, seconds.
    pub median_session_s: f64,
    /// Shape of the distribution of sessions.
    #[serde(default)]
    pub sessions: Shape,
    /// How long it is measured, seconds.
    pub duration_s: f64,
    /// How long churn goes on before that; 20 minutes if not said.
    pub warmup_s: Option<f64>,
}

impl MembershipPlan {
    pub(super) fn plan(&self, setup: Setup, nodes: usize) -> Membership {
        let median = Duration::from_secs_f64(self.median_session_s);
        let sessions = Sessions { median, shape: self.sessions };
        let plan = Membership::new(setup, nodes, sessions, Duration::from_secs_f64(self.duration_s));
        Membership { warmup: self.warmup_s.map_or(plan.warmup, Duration::from_secs_f64), ..plan }
    }
}

/// Settings of [`Experiment::Idle`](super::Experiment::Idle).
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

/// Settings of [`Experiment::Partition`](super::Experiment::Partition).
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

/// Settings of [`Experiment::Adversaries`](super::Experiment::Adversaries).
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

/// Settings of [`Experiment::Eclipse`](super::Experiment::Eclipse).
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

/// Settings of [`Experiment::Seats`](super::Experiment::Seats).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeatsPlan {
    /// Identities of the attacker.
    pub attackers: usize,
    /// In how many subnets they are.
    pub subnets: usize,
    /// Share of them whose keys were tried until they were drawn.
    pub ground: f64,
    /// How long they claim seats before lookups begin, seconds.
    pub settle_s: f64,
    /// How long they do so then, and once more while others are said to be gone, seconds.
    pub duration_s: f64,
    /// Share of the honest nodes that are said to be gone.
    pub forged: f64,
    /// Lookups before that, and as many while it goes on.
    pub lookups: usize,
}

impl SeatsPlan {
    pub(super) fn plan(&self, setup: Setup, nodes: usize) -> Seats {
        let Self { attackers, subnets, ground, forged, lookups, .. } = *self;
        let [settle, duration] = [self.settle_s, self.duration_s].map(Duration::from_secs_f64);
        Seats { setup, nodes, attackers, subnets, ground, settle, duration, forged, lookups }
    }
}

impl LookupsPlan {
    pub(super) fn plan(&self, setup: Setup, nodes: usize) -> Lookups {
        Lookups {
            setup,
            nodes,
            lookups: self.lookups,
            built_by: self.built_by,
            dead: self.dead,
            dead_leaves: self.dead_leaves,
            confirm: self.confirm,
            any_of: self.any_of,
            paths: self.paths,
            want: self.want,
            gap: Duration::from_millis(self.gap_ms),
            settle: Duration::from_secs(self.settle_s),
        }
    }
}
