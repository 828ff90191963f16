//! Being reached from outside: the table `reachability` of the settings.

use serde::{Deserialize, Serialize};

/// What a daemon does so that others reach it; `[reachability]` in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReachabilityConfig {
    /// Ask the router to forward the ports on which the daemon listens (UPnP IGD). Only a daemon does that whose
    /// `overlay.role` is `auto`, which listens at an address of a private network (IPv4) and announces nothing else. On
    /// unless told otherwise.
    pub upnp: bool,
}

impl Default for ReachabilityConfig {
    fn default() -> Self {
        ReachabilityConfig { upnp: true }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;

    #[test]
    fn the_router_is_asked_unless_the_settings_forbid_it() {
        assert!(Config::default().reachability.upnp);
        let config = toml::from_str::<Config>("[reachability]\nupnp = false").expect("readable");
        assert!(!config.reachability.upnp);
        assert!(toml::from_str::<Config>("[reachability]\nnatpmp = true").is_err());
    }
}
