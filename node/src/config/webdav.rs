//! Files by WebDAV: the daemon's command serves them beside the daemon. The table `webdav` of the settings.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::ConfigError;

/// How long the content of what was deleted is kept, at most: ten years.
const KEEP_DELETED_MAX: u64 = 3650 * 24 * 3600;
/// Longest petname of a volume, bytes.
const PETNAME_MAX: usize = 63;

/// Files by WebDAV; `[webdav]` in the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebdavConfig {
    /// Serve them at this address; with port 0 the system chooses one. Nowhere unless told otherwise.
    pub listen: Option<SocketAddr>,
    /// The volume whose files are shown, by its petname. It is made when it is used first, unless there is one.
    pub volume: String,
    /// The file with the users and their passwords, a line for each. Without it everybody on this machine may do
    /// everything.
    pub users: Option<PathBuf>,
    /// How long the content of what was deleted or replaced is kept. Its space is freed after that.
    pub keep_deleted_seconds: u64,
}

impl Default for WebdavConfig {
    fn default() -> Self {
        let volume = "webdav".to_owned();
        WebdavConfig { listen: None, volume, users: None, keep_deleted_seconds: 7 * 24 * 3600 }
    }
}

impl WebdavConfig {
    /// Checks what types cannot.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let value = |field, value, rule| Err(ConfigError::Value { field, value, rule });
        if self.keep_deleted_seconds > KEEP_DELETED_MAX {
            let seconds = self.keep_deleted_seconds.to_string();
            return value("webdav.keep_deleted_seconds", seconds, "0 to 315360000");
        }
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
        if !(1..=PETNAME_MAX).contains(&self.volume.len()) || !self.volume.bytes().all(fits) {
            return value("webdav.volume", self.volume.clone(), "1 to 63 of a-z, 0-9, `-`, `_` and `.`");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_has_a_petname_and_what_is_deleted_is_kept_for_a_week() {
        let read = |text: &str| toml::from_str::<WebdavConfig>(text).expect("readable");
        assert_eq!((read("").volume.as_str(), read("").keep_deleted_seconds), ("webdav", 604_800));
        read("volume = \"photos.2026\"").check().expect("is allowed");
        for bad in ["volume = \"\"", "volume = \"My Photos\"", "keep_deleted_seconds = 315360001"] {
            assert!(read(bad).check().is_err(), "{bad}");
        }
    }
}
