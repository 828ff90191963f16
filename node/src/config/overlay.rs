//! The daemon's part in the overlay.

use serde::{Deserialize, Serialize};

use super::ConfigError;

/// What this daemon knows of the network beyond its tables; `[overlay]` in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OverlayConfig {
    /// Largest network of which all members are listed, up to 100,000; lookups then need one hop. 2,000 has been tried. 0,
    /// none are listed, unless told otherwise. A member costs some 300 bytes of memory.
    pub members_max: u32,
}

impl OverlayConfig {
    /// Checks what types cannot.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.members_max > 100_000 {
            return Err(ConfigError::Value {
                field: "overlay.members_max",
                value: self.members_max.to_string(),
                rule: "0 to 100000",
            });
        }
        Ok(())
    }
}
