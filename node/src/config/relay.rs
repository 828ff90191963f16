//! Relays: what this daemon carries between two others that cannot reach each other. The table `relay` of the settings.

use serde::{Deserialize, Serialize};

use super::ConfigError;

/// The longest a circuit may last: a day.
const CIRCUIT_SECONDS_MAX: u32 = 24 * 3600;
/// A circuit of less carries no handshake and no hole punching.
const CIRCUIT_BYTES_MIN: u64 = 16 << 10;

/// Within which limits this daemon is a relay for others; `[relay]` in the file. A circuit is one connection of two
/// others through this daemon. It is encrypted between those two: the relay learns who they are, when they talk, and
/// how much.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RelayConfig {
    /// Whether to be a relay at all. Only a daemon that others reach by itself is one, whatever this says.
    pub serve: bool,
    /// Daemons that may be reached through this one at a time, 1 to 65536. Each keeps a connection here, and with it
    /// one of `connections.max`.
    pub reservations_max: u32,
    /// Circuits at a time, 1 to 65536. Each costs two streams and 16 KiB of memory.
    pub circuits_max: u32,
    /// Of the circuits, those that one daemon has an end of, 1 to `circuits_max`, so that nobody has all of them. Who
    /// has so many can be reached by others still, but opens no more.
    pub circuits_per_peer_max: u32,
    /// How long a circuit lasts, in seconds, 10 to 86400. Unless told otherwise 120 in a network that is open to
    /// everybody, enough to become a direct connection, and 3600 in a private one.
    pub circuit_seconds: Option<u32>,
    /// How many bytes go through a circuit, both directions together, before it ends, at least 16384. Unless told
    /// otherwise 131072 in a network that is open to everybody, enough to make a direct connection and to find one's
    /// place, but not for one shard; and 67108864 in a private one, where members carry shards for each other.
    pub circuit_bytes: Option<u64>,
}

impl Default for RelayConfig {
    fn default() -> Self {
        // Reservations: half of the seats for strangers (`connections.strangers_max`), so that those who only visit get
        // in. Circuits: with the bytes and seconds of an open network 70 KB per second, if all are used to the end.
        RelayConfig {
            serve: true,
            reservations_max: 64,
            circuits_max: 64,
            circuits_per_peer_max: 8,
            circuit_seconds: None,
            circuit_bytes: None,
        }
    }
}

impl RelayConfig {
    /// How long a circuit lasts, in seconds, in a private network or an open one.
    pub(crate) fn seconds(&self, private: bool) -> u32 {
        self.circuit_seconds.unwrap_or(if private { 3600 } else { 120 })
    }

    /// How many bytes go through a circuit, both directions together, in a private network or an open one.
    pub(crate) fn bytes(&self, private: bool) -> u64 {
        self.circuit_bytes.unwrap_or(if private { 64 << 20 } else { 128 << 10 })
    }

    /// Checks what types cannot.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let circuits = 1..=self.circuits_max;
        let rules = [
            (
                "relay.reservations_max",
                u64::from(self.reservations_max),
                (1..=65536).contains(&self.reservations_max),
                "1 to 65536",
            ),
            (
                "relay.circuits_max",
                u64::from(self.circuits_max),
                (1..=65536).contains(&self.circuits_max),
                "1 to 65536",
            ),
            (
                "relay.circuits_per_peer_max",
                u64::from(self.circuits_per_peer_max),
                circuits.contains(&self.circuits_per_peer_max),
                "1 to relay.circuits_max",
            ),
            (
                "relay.circuit_seconds",
                u64::from(self.seconds(false)),
                (10..=CIRCUIT_SECONDS_MAX).contains(&self.seconds(false)),
                "10 to 86400",
            ),
            (
                "relay.circuit_bytes",
                self.bytes(false),
                self.bytes(false) >= CIRCUIT_BYTES_MIN,
                "at least 16384",
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

    fn read(text: &str) -> RelayConfig {
        toml::from_str(text).expect("readable")
    }

    #[test]
    fn circuits_carry_no_shards_in_an_open_network_and_do_so_among_friends() {
        let config = RelayConfig::default();
        config.check().expect("defaults are valid");
        assert!(config.serve);
        assert_eq!((config.seconds(false), config.bytes(false)), (120, 131_072));
        assert_eq!((config.seconds(true), config.bytes(true)), (3600, 67_108_864));
        let own = read("circuit_seconds = 30\ncircuit_bytes = 20000");
        for private in [false, true] {
            assert_eq!(
                (own.seconds(private), own.bytes(private)),
                (30, 20_000),
                "what is set counts everywhere"
            );
        }
    }

    #[test]
    fn what_is_no_limit_is_refused_by_name() {
        for (text, named) in [
            ("reservations_max = 0", "relay.reservations_max"),
            ("circuits_max = 70000", "relay.circuits_max"),
            ("circuits_max = 4\ncircuits_per_peer_max = 5", "relay.circuits_per_peer_max"),
            ("circuits_per_peer_max = 0", "relay.circuits_per_peer_max"),
            ("circuit_seconds = 9", "relay.circuit_seconds"),
            ("circuit_bytes = 1000", "relay.circuit_bytes"),
        ] {
            let checked = read(text).check();
            assert!(matches!(checked, Err(ConfigError::Value { field, .. }) if field == named), "{text}");
        }
        assert!(toml::from_str::<RelayConfig>("circuits = 7").is_err());
    }
}
