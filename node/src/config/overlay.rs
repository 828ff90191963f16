//! The daemon's part in the overlay.

use std::fmt;
use std::str::FromStr;

use chordage_dht::Willingness;
use chordage_dht::params::MEMBERS;
use serde::{Deserialize, Serialize};

use super::ConfigError;

/// What a daemon is to others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Whichever fits: others are asked whether they reach it.
    #[default]
    Auto,
    /// Others reach it at its addresses; it has a place in the ring and holds shards.
    Member,
    /// Others need not reach it, as behind NAT: it stores and fetches over connections of its own, and holds nothing.
    Client,
}

/// Not a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a role is auto, member or client")]
pub struct ParseRoleError;

impl FromStr for Role {
    type Err = ParseRoleError;

    fn from_str(text: &str) -> Result<Self, ParseRoleError> {
        match text {
            "auto" => Ok(Role::Auto),
            "member" => Ok(Role::Member),
            "client" => Ok(Role::Client),
            _ => Err(ParseRoleError),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Auto => "auto",
            Role::Member => "member",
            Role::Client => "client",
        })
    }
}

/// The daemon's part in the overlay; `[overlay]` in the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OverlayConfig {
    /// `auto` (default): the daemon asks others whether they reach it, and is a member or a client accordingly.
    /// `member`: whatever they say. `client`: it listens nowhere, is in nobody's tables, and holds no shards. What it
    /// held as a member is to be handed over before (`chordage drain`).
    pub role: Role,
    /// Largest network of which all members are listed, up to 100,000; lookups then need one hop. 2,000 unless told
    /// otherwise; 0: none are listed. A member costs some 300 bytes of memory.
    pub members_max: u32,
    /// In a network larger than that: `auto` (default), take a seat as a super-peer when it is drawn, list all members
    /// and answer others from the list; `never`; or `prefer`: list all members without a seat too, for the daemon's own
    /// lookups.
    pub superpeer: Willingness,
}

impl Default for OverlayConfig {
    fn default() -> Self {
        OverlayConfig { role: Role::default(), members_max: MEMBERS as u32, superpeer: Willingness::Auto }
    }
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
