//! Looking for others on the LAN: the table `lan` of the settings.

use libp2p::Multiaddr;
use serde::{Deserialize, Serialize};

use super::ConfigError;
use crate::address::ip;

/// Whether daemons of the same network on the same LAN are to find each other without an address; `[lan]` in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LanConfig {
    /// Look for them with multicast DNS, join through them, and be found in the same way; a client only looks.
    /// Everybody on the LAN then sees this daemon's peer id and ports. Off unless told otherwise.
    pub enabled: bool,
}

impl LanConfig {
    /// Checks that a daemon which shows itself on the LAN can be reached there. `listen`: where it does listen.
    pub(super) fn check(&self, listen: &[Multiaddr]) -> Result<(), ConfigError> {
        let is_reachable = |addr: &Multiaddr| ip(addr).is_none_or(|ip| !ip.is_loopback());
        if self.enabled && !listen.iter().any(is_reachable) {
            return Err(ConfigError::Value {
                field: "lan.enabled",
                value: "true".to_owned(),
                rule: "false for a daemon that listens on this machine only; leave `listen` (--listen) out to listen on all \
                       interfaces, or name one that the LAN reaches, as in /ip4/0.0.0.0/tcp/4700",
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Config, OverlayConfig, Role};
    use super::*;

    #[test]
    fn nobody_shows_what_others_cannot_reach() {
        let lan = LanConfig { enabled: true };
        let listen = |text: &str| Config {
            listen: vec!["/ip4/127.0.0.1/tcp/0".parse().expect("valid"), text.parse().expect("valid")],
            lan,
            ..Config::default()
        };
        for (text, reachable) in [
            ("/ip4/0.0.0.0/tcp/4700", true),
            ("/ip4/192.168.1.2/tcp/4700", true),
            ("/ip6/::1/udp/4700/quic-v1", false),
        ] {
            let checked = listen(text).check();
            assert_eq!(checked.is_ok(), reachable, "{text}");
            assert!(reachable || matches!(checked, Err(ConfigError::Value { field: "lan.enabled", .. })));
        }
        let client = OverlayConfig { role: Role::Client, ..OverlayConfig::default() };
        Config { overlay: client, ..listen("/ip6/::1/tcp/0") }.check().expect("a client only looks");
    }

    #[test]
    fn who_says_nothing_listens_on_the_lan_only_when_asked_to_be_seen_there() {
        let mut config = Config::default();
        let everywhere = |config: &Config| {
            config.listens_on(false).iter().any(|addr| ip(addr).is_some_and(|ip| ip.is_unspecified()))
        };
        assert!(!everywhere(&config) && !config.lan.enabled);
        config.lan.enabled = true;
        config.check().expect("it listens on all interfaces");
        assert!(everywhere(&config));
        assert!(toml::from_str::<Config>("[lan]\nseen = true").is_err());
    }
}
