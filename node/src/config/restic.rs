//! Repositories for restic: the daemon's command serves them beside the daemon. The table `restic` of the settings.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::ConfigError;

/// How long what was deleted can be brought back, at most: ten years.
const KEEP_DELETED_MAX: u64 = 3650 * 24 * 3600;

/// Repositories for restic and other programs that speak its protocol; `[restic]` in the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResticConfig {
    /// Serve them at this address; with port 0 the system chooses one. Nowhere unless told otherwise.
    pub listen: Option<SocketAddr>,
    /// The file with the users and their passwords, a line for each. Without it everybody on this machine may do
    /// everything.
    pub users: Option<PathBuf>,
    /// Take backups, and let nobody delete anything but locks.
    pub append_only: bool,
    /// How long what a client deletes can be brought back. Its space is freed after that.
    pub keep_deleted_seconds: u64,
}

impl Default for ResticConfig {
    fn default() -> Self {
        ResticConfig { listen: None, users: None, append_only: false, keep_deleted_seconds: 7 * 24 * 3600 }
    }
}

impl ResticConfig {
    /// Checks what types cannot.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.keep_deleted_seconds > KEEP_DELETED_MAX {
            let value = self.keep_deleted_seconds.to_string();
            return Err(ConfigError::Value {
                field: "restic.keep_deleted_seconds",
                value,
                rule: "0 to 315360000",
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_deleted_is_kept_for_a_week_and_ten_years_at_most() {
        let read = |text: &str| toml::from_str::<ResticConfig>(text).expect("readable");
        assert_eq!(read("").keep_deleted_seconds, 604_800);
        read("keep_deleted_seconds = 0").check().expect("is allowed");
        assert!(read("keep_deleted_seconds = 315360001").check().is_err());
    }
}
