//! How often everything held is read again: the table `scrub` of the settings.

use serde::{Deserialize, Serialize};

/// How often everything is read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScrubConfig {
    /// Every shard is read against its hash once in so many seconds; 0 switches it off, and `chordage scrub` still
    /// works.
    pub period_seconds: u64,
}

impl Default for ScrubConfig {
    fn default() -> Self {
        ScrubConfig { period_seconds: 14 * 24 * 60 * 60 }
    }
}
