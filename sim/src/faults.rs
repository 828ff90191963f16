//! What goes wrong between nodes.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How the network mistreats messages.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// Share of messages lost, 0 to 1.
    pub loss: f64,
    /// Share of messages delivered twice.
    pub duplication: f64,
    /// Share of messages held up by up to [`Faults::reordering_delay_ms`], so that later ones overtake them.
    pub reordering: f64,
    /// Longest such delay, milliseconds.
    pub reordering_delay_ms: u32,
    /// Every message takes up to this share longer than the model says, drawn evenly. 0.05 by default.
    pub jitter: f64,
    /// Whether a dead node's host answers for it, so that the sender learns after a round trip that nobody is there
    /// (a process that ended). Otherwise there is silence (a machine that is gone), which is harder and the default.
    pub refuses: bool,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            loss: 0.0,
            duplication: 0.0,
            reordering: 0.0,
            reordering_delay_ms: 500,
            jitter: 0.05,
            refuses: false,
        }
    }
}

/// A share that is none.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("`{name}` is a share from 0 to {most}, not {value}")]
pub struct FaultsError {
    /// Name of the setting.
    pub name: &'static str,
    /// What it was set to.
    pub value: f64,
    /// What it may be at most.
    pub most: f64,
}

impl Faults {
    /// Nothing goes wrong, and no two messages between the same nodes differ in their delay.
    pub const NONE: Self = Self {
        loss: 0.0,
        duplication: 0.0,
        reordering: 0.0,
        reordering_delay_ms: 500,
        jitter: 0.0,
        refuses: false,
    };

    /// Says which setting makes no sense.
    pub fn check(&self) -> Result<(), FaultsError> {
        let limits = [
            ("loss", self.loss, 1.0),
            ("duplication", self.duplication, 1.0),
            ("reordering", self.reordering, 1.0),
            ("jitter", self.jitter, 10.0),
        ];
        for (name, value, most) in limits {
            if !(0.0..=most).contains(&value) {
                return Err(FaultsError { name, value, most });
            }
        }
        Ok(())
    }

    pub(crate) fn reordering_delay(&self) -> Duration {
        Duration::from_millis(self.reordering_delay_ms.into())
    }
}
