//! What types cannot say of a scenario's numbers.

use super::{Experiment, ScenarioError};

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
    pub(super) fn check(&self) -> Result<(), ScenarioError> {
        match self {
            Self::Lookups(plan) => {
                share("dead", plan.dead)?;
                within("lookups", plan.lookups, 1, 100_000_000, "from 1 to 100 million")?;
                within("want", plan.want, 1, 64, "from 1 to 64")?;
                within("confirm", plan.confirm, 0, 64, "from 0 to 64")?;
                within("any_of", plan.any_of, 0, 64, "from 0 to 64")?;
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
            Self::Membership(plan) => {
                seconds("median_session_s", plan.median_session_s)?;
                seconds("duration_s", plan.duration_s)?;
                plan.warmup_s.map_or(Ok(()), |warmup| seconds("warmup_s", warmup))
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
            Self::Seats(plan) => {
                within("attackers", plan.attackers, 1, 1_000_000, "from 1 to a million")?;
                within("subnets", plan.subnets, 1, 256, "from 1 to 256")?;
                share("ground", plan.ground)?;
                share("forged", plan.forged)?;
                within("lookups", plan.lookups, 1, 100_000_000, "from 1 to 100 million")?;
                seconds("settle_s", plan.settle_s)?;
                seconds("duration_s", plan.duration_s)
            }
        }
    }
}
