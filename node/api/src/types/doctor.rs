//! What a daemon finds out about itself when it is asked how it is.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::words::{CheckName, CheckState};

/// What a daemon found out about itself. Answer of `GET /v1/doctor`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Diagnosis {
    /// Everything that was looked at, in the order in which one thing rests on another.
    pub checks: Vec<Check>,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Check {
    /// What.
    pub check: CheckName,
    /// How it is.
    pub state: CheckState,
    /// What was found, for people.
    pub found: String,
    /// What to do about it, if there is anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// What was measured, if it is a number: seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
}

impl Diagnosis {
    /// The worst of all.
    pub fn state(&self) -> CheckState {
        let is = |state| self.checks.iter().any(|check| check.state == state);
        let worst_first = [CheckState::Fault, CheckState::Warning, CheckState::Unknown];
        worst_first.into_iter().find(|state| is(*state)).unwrap_or(CheckState::Ok)
    }
}
