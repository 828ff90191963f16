//! Links and names in a browser: the daemon's command serves them beside the daemon. The table `gateway` of the
//! settings.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::ConfigError;

/// Names of hosts at most.
const HOSTS_MAX: usize = 16;
/// Longest of them, bytes: a name (RFC 1035) and a port.
const HOST_BYTES_MAX: usize = 260;

/// Links and names in a browser; `[gateway]` in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GatewayConfig {
    /// Serve them at this address; with port 0 the system chooses one. Nowhere unless told otherwise.
    pub listen: Option<SocketAddr>,
    /// By which names browsers call it, beside 127.0.0.1, `[::1]` and localhost: for whoever has it behind a proxy.
    /// With the port, where browsers show one. At most 16.
    pub hosts: Vec<String>,
    /// The file with the users and their passwords, a line for each. Without it everybody on this machine may store
    /// files.
    pub users: Option<PathBuf>,
}

impl GatewayConfig {
    /// Checks what types cannot.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let fits = |host: &String| {
            let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-.:[]".contains(&byte);
            (1..=HOST_BYTES_MAX).contains(&host.len()) && host.bytes().all(is_allowed)
        };
        if self.hosts.len() > HOSTS_MAX || !self.hosts.iter().all(fits) {
            let rule = "at most 16 names of hosts, such as files.example.org or files.example.org:8443";
            return Err(ConfigError::Value { field: "gateway.hosts", value: self.hosts.join(", "), rule });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names() {
        let read = |text: &str| toml::from_str::<GatewayConfig>(text).expect("readable");
        assert_eq!(read(""), GatewayConfig::default());
        read("hosts = [\"files.example.org:8443\", \"10.0.0.7\"]").check().expect("are allowed");
        for bad in ["hosts = [\"\"]", "hosts = [\"http://a\"]", "hosts = [\"a b\"]"] {
            assert!(read(bad).check().is_err(), "{bad}");
        }
    }
}
