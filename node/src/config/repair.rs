//! How repair behaves: the table `repair` of the settings.

use std::time::Duration;

use chordage_storage::repair::Patience;
use serde::{Deserialize, Serialize};

use super::ConfigError;

/// How lost shards are found and made again. The defaults suit daemons that run for days; a network for tests wants
/// seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RepairConfig {
    /// Whether this daemon looks after the chunks it holds shards of.
    pub enabled: bool,
    /// How often the holders of each chunk are asked what they have. Shorter finds losses sooner and costs about a
    /// kilobyte for each chunk looked after, each time.
    pub survey_seconds: u64,
    /// How often each other holder has to prove that it has one shard, chosen at random. 0: never.
    pub audit_seconds: u64,
    /// A shard that nobody has shown for so long is suspect: it counts half.
    pub suspect_seconds: u64,
    /// A shard that nobody has shown for so long is lost. Shorter than the time for which daemons are usually away
    /// moves data for nothing.
    pub lost_seconds: u64,
    /// A chunk above its threshold gets its lost shards back so long after they were lost. The longer, the more losses
    /// share one rebuild.
    pub restore_seconds: u64,
    /// How long each further holder of a chunk waits for those before it to repair it.
    pub turn_seconds: u64,
    /// Bytes per second that repair may move on average, fetched and sent together; urgent repairs may borrow.
    pub bytes_per_second: u64,
    /// More than this percentage of the neighbours vanishing within `brake_window_seconds` holds back what is not
    /// urgent. 100 switches the brake off.
    pub brake_percent: u64,
    /// See `brake_percent`.
    pub brake_window_seconds: u64,
    /// For how long the brake holds.
    pub brake_freeze_seconds: u64,
}

impl Default for RepairConfig {
    fn default() -> Self {
        const MINUTE: u64 = 60;
        const HOUR: u64 = 60 * MINUTE;
        const DAY: u64 = 24 * HOUR;
        RepairConfig {
            enabled: true,
            survey_seconds: HOUR,
            audit_seconds: 10 * MINUTE,
            suspect_seconds: HOUR,
            lost_seconds: DAY,
            restore_seconds: 30 * DAY,
            turn_seconds: 10 * MINUTE,
            bytes_per_second: 1 << 20,
            brake_percent: 10,
            brake_window_seconds: 10 * MINUTE,
            brake_freeze_seconds: 30 * MINUTE,
        }
    }
}

impl RepairConfig {
    /// Checks what types cannot.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let value =
            |field, value: u64, rule| Err(ConfigError::Value { field, value: value.to_string(), rule });
        if self.survey_seconds == 0 {
            return value("repair.survey_seconds", 0, "at least 1");
        }
        if self.lost_seconds < self.suspect_seconds {
            return value("repair.lost_seconds", self.lost_seconds, "no less than repair.suspect_seconds");
        }
        if self.bytes_per_second < 1 << 10 {
            return value("repair.bytes_per_second", self.bytes_per_second, "at least 1024");
        }
        if self.brake_percent > 100 {
            return value("repair.brake_percent", self.brake_percent, "0 to 100");
        }
        Ok(())
    }

    pub(crate) fn patience(&self) -> Patience {
        Patience {
            suspect_after: Duration::from_secs(self.suspect_seconds),
            lost_after: Duration::from_secs(self.lost_seconds),
            restore_after: Duration::from_secs(self.restore_seconds),
        }
    }
}
