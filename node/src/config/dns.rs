//! DNS: the daemon as a server of it, and whom it asks itself. The table `dns` of the settings.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::ConfigError;

/// Resolvers that can be named.
const RESOLVERS_MAX: usize = 3;

/// The daemon's part in DNS; `[dns]` in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DnsConfig {
    /// Answer for `chord.alt` at this address, over UDP and TCP; with port 0 the system chooses one. Nowhere unless
    /// told otherwise.
    pub listen: Option<SocketAddr>,
    /// Take an address that other machines can reach. All of them can then ask what the names and petnames of this
    /// daemon stand for.
    pub beyond_loopback: bool,
    /// Resolvers to ask for the keys of domains (`dns:example.org`), at most 3; those of the system unless told
    /// otherwise.
    pub resolvers: Vec<SocketAddr>,
}

impl DnsConfig {
    /// Checks what types cannot.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let value = |field, value: String, rule| Err(ConfigError::Value { field, value, rule });
        if let Some(addr) = self.listen
            && !addr.ip().is_loopback()
            && !self.beyond_loopback
        {
            return value(
                "dns.listen",
                addr.to_string(),
                "a loopback address such as 127.0.0.1:5354, because whoever can ask learns what names stand for; to let other \
                 machines ask, put beyond_loopback = true below [dns] in config.toml",
            );
        }
        if self.resolvers.len() > RESOLVERS_MAX {
            return value("dns.resolvers", format!("{} addresses", self.resolvers.len()), "at most 3");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_can_ask_only_if_the_file_says_so() {
        let read = |text: &str| toml::from_str::<DnsConfig>(text).expect("readable");
        for near in ["listen = \"127.0.0.1:0\"", "listen = \"[::1]:5354\"", "", "listen = \"127.9.9.9:53\""] {
            read(near).check().expect("is near");
        }
        for far in ["0.0.0.0:53", "192.0.2.7:53", "[::]:53"] {
            let text = format!("listen = \"{far}\"");
            assert!(
                matches!(read(&text).check(), Err(ConfigError::Value { field: "dns.listen", .. })),
                "{far}"
            );
            read(&format!("{text}\nbeyond_loopback = true")).check().expect("is allowed");
        }
        let many =
            read("resolvers = [\"192.0.2.1:53\", \"192.0.2.2:53\", \"192.0.2.3:53\", \"192.0.2.4:53\"]");
        assert!(matches!(many.check(), Err(ConfigError::Value { field: "dns.resolvers", .. })));
    }
}
