//! Connections to other daemons.

use serde::{Deserialize, Serialize};

use super::ConfigError;

/// How many connections to other daemons there may be, and which of them are kept; `[connections]` in the file. One
/// costs about 40 KB of memory and a file descriptor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConnectionConfig {
    /// Connected daemons at most, 48 to 65536; a leaf set needs 40. Each has one connection, two where both sides
    /// dialled at once.
    pub max: u32,
    /// Of these, those in none of our tables that dialled us, 1 to half of `max`. Beyond, the oldest of the most
    /// crowded subnet makes way, so that newcomers get in and neighbours stay.
    pub strangers_max: u32,
    /// Of the strangers, those from one public IP address (IPv6: one /64), at least 1. This machine and private
    /// networks are not counted.
    pub per_ip_max: u32,
    /// Dials under way at most, and as many inbound handshakes, 8 to 4096.
    pub dialling_max: u32,
    /// Fingers whose connections stay open because their round trips are the shortest, beside the leaf set.
    pub warm_fingers: u32,
    /// A connection that is not kept closes after so many seconds without a message, 1 to 3600.
    pub idle_seconds: u32,
}

impl Default for ConnectionConfig {
    fn default() -> Self {
        // 64 fast fingers: lookups begin with these, and a handshake costs a round trip (QUIC) or three (TCP, noise,
        // yamux). The rest is design: twice what a node keeps, twice over for those that keep it.
        ConnectionConfig {
            max: 512,
            strangers_max: 128,
            per_ip_max: 8,
            dialling_max: 128,
            warm_fingers: 64,
            idle_seconds: 30,
        }
    }
}

impl ConnectionConfig {
    /// Checks what types cannot.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let rules = [
            ("connections.max", self.max, (48..=65536).contains(&self.max), "48 to 65536"),
            (
                "connections.strangers_max",
                self.strangers_max,
                (1..=self.max / 2).contains(&self.strangers_max),
                "1 to half of connections.max",
            ),
            ("connections.per_ip_max", self.per_ip_max, self.per_ip_max >= 1, "at least 1"),
            (
                "connections.dialling_max",
                self.dialling_max,
                (8..=4096).contains(&self.dialling_max),
                "8 to 4096",
            ),
            (
                "connections.warm_fingers",
                self.warm_fingers,
                self.warm_fingers <= self.max / 2,
                "at most half of connections.max",
            ),
            (
                "connections.idle_seconds",
                self.idle_seconds,
                (1..=3600).contains(&self.idle_seconds),
                "1 to 3600",
            ),
        ];
        match rules.into_iter().find(|(_, _, kept, _)| !kept) {
            Some((field, value, _, rule)) => {
                Err(ConfigError::Value { field, value: value.to_string(), rule })
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_would_lock_neighbours_out_is_refused_by_name() {
        ConnectionConfig::default().check().expect("defaults are valid");
        let config =
            ConnectionConfig { max: 64, strangers_max: 60, warm_fingers: 0, ..ConnectionConfig::default() };
        assert!(matches!(config.check(), Err(ConfigError::Value { field: "connections.strangers_max", .. })));
    }
}
