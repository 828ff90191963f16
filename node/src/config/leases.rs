//! For how long data is kept: the table `leases` of the settings.

use std::time::Duration;

use chordage_storage::lease::Limits;
use serde::{Deserialize, Serialize};

use super::ConfigError;

const DAY: u64 = 24 * 60 * 60;

/// For how long what is kept from here is claimed, what others are granted, and what becomes of what nobody claims. The
/// defaults suit daemons that run for months; a network for tests wants seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LeaseConfig {
    /// For so long holders keep what is kept from here without hearing of this daemon again.
    pub lease_seconds: u32,
    /// For so long they keep the shards of a put that is not finished; one that takes longer renews them. At most a
    /// lease.
    pub unfinished_seconds: u32,
    /// Everything that is kept is renewed so often. A renewal costs 32 bytes for each chunk and holder.
    pub renew_seconds: u32,
    /// The longest lease that is granted to others.
    pub lease_max_seconds: u32,
    /// The longest time before which even its writer cannot drop something, as far as it is granted to others.
    pub retain_max_seconds: u32,
    /// Shards that nobody claims because the book of claims was lost are kept for so long: long enough for their
    /// writers to renew them. Where a crash can have taken some claims only, or somebody has dropped the chunk, two
    /// times `renew_seconds` are enough.
    pub orphan_seconds: u32,
    /// Whether a claim that was not renewed in time ends. Without it, shards are freed only when all their writers have
    /// said that they do not need them, and what a put has left behind that broke off stays for ever.
    pub expire: bool,
}

impl Default for LeaseConfig {
    fn default() -> Self {
        let days = |days: u64| u32::try_from(days * DAY).unwrap_or(u32::MAX);
        LeaseConfig {
            // More than a year: a machine that burns must not take its backups with it.
            lease_seconds: days(400),
            unfinished_seconds: days(1),
            renew_seconds: days(7),
            lease_max_seconds: days(400),
            retain_max_seconds: days(400),
            orphan_seconds: days(400),
            expire: true,
        }
    }
}

impl LeaseConfig {
    /// For how long the shards of a put are claimed that is not finished, in seconds.
    pub(crate) fn unfinished(&self) -> u32 {
        self.unfinished_seconds.min(self.lease_seconds)
    }

    /// How long a claim that is nobody's lasts once somebody has dropped its chunk: time for whoever else needs it to
    /// renew, twice.
    pub(crate) fn nobodys(&self) -> Duration {
        Duration::from_secs(self.renew_seconds.into()) * 2
    }

    /// Checks what types cannot.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let value =
            |field, value: u32, rule| Err(ConfigError::Value { field, value: value.to_string(), rule });
        let as_long = "no less than leases.lease_seconds";
        if self.renew_seconds == 0 || self.renew_seconds > self.lease_seconds / 2 {
            let rule = "at least 1, and at most half of leases.lease_seconds: a renewal may fail";
            return value("leases.renew_seconds", self.renew_seconds, rule);
        }
        if self.unfinished_seconds == 0 {
            let rule = "at least 1: a put would lose its shards while it goes on";
            return value("leases.unfinished_seconds", 0, rule);
        }
        if self.lease_max_seconds < self.lease_seconds {
            return value("leases.lease_max_seconds", self.lease_max_seconds, as_long);
        }
        if self.orphan_seconds < self.lease_seconds {
            return value("leases.orphan_seconds", self.orphan_seconds, as_long);
        }
        Ok(())
    }

    pub(crate) fn limits(&self) -> Limits {
        Limits {
            lease_max: Duration::from_secs(self.lease_max_seconds.into()),
            retain_max: Duration::from_secs(self.retain_max_seconds.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_under_which_data_would_end_by_themselves_are_refused() {
        let refused = |config: LeaseConfig| match config.check() {
            Ok(()) => None,
            Err(ConfigError::Value { field, .. }) => Some(field),
            Err(other) => panic!("{other}"),
        };
        let defaults = LeaseConfig::default();
        assert_eq!(refused(defaults), None);
        let seldom = LeaseConfig { renew_seconds: 201 * 86_400, ..defaults };
        assert_eq!(refused(seldom), Some("leases.renew_seconds"));
        let hasty = LeaseConfig { orphan_seconds: 3600, ..defaults };
        assert_eq!(refused(hasty), Some("leases.orphan_seconds"));
        let none = LeaseConfig { unfinished_seconds: 0, ..defaults };
        assert_eq!(refused(none), Some("leases.unfinished_seconds"));
    }
}
