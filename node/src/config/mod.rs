//! The daemon's settings: `config.toml` in the data directory, overridden by flags.

mod connections;
mod dns;
mod gateway;
mod lan;
mod leases;
mod log;
mod overlay;
mod problems;
mod reachability;
mod relay;
mod repair;
mod restic;
mod scrub;
mod webdav;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use chordage_dht::{AnyMetric, Zone};
use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use serde::{Deserialize, Serialize};

pub use self::connections::ConnectionConfig;
pub use self::dns::DnsConfig;
pub use self::gateway::GatewayConfig;
pub use self::lan::LanConfig;
pub use self::leases::LeaseConfig;
pub use self::log::LogFormat;
pub use self::overlay::{OverlayConfig, ParseRoleError, Role};
pub use self::problems::SettingProblem;
pub use self::reachability::ReachabilityConfig;
pub use self::relay::RelayConfig;
pub use self::repair::RepairConfig;
pub use self::restic::ResticConfig;
pub use self::scrub::ScrubConfig;
pub use self::webdav::WebdavConfig;
use crate::address::{AddressError, Use, check_address};
use crate::network::is_name;

/// Settings of one daemon. Every field has a default; unknown fields are refused.
/// It has many fields because each top-level setting is one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Name of the network: 1 to 32 of `a-z`, `0-9` and `-`. Daemons of other networks are not understood.
    pub network: String,
    /// `ring` (default) or `xor`. The same for every daemon of a network.
    pub metric: AnyMetric,
    /// Addresses to listen on. Empty: any ports of loopback, or of all interfaces (IPv4) where `lan.enabled` says so or
    /// peers on other machines are known (`bootstrap`, an invite, the last run); TCP and QUIC. Port 0 lets the system
    /// choose once, and later starts reuse what it chose.
    pub listen: Vec<Multiaddr>,
    /// Addresses to announce instead of those listened on (behind a forwarded port, say).
    pub announce: Vec<Multiaddr>,
    /// Daemons to join through, `/ip4/…/tcp/…` or `/dns4/…/tcp/…` with or without `/p2p/…`. Empty: the first of a new
    /// network.
    pub bootstrap: Vec<Multiaddr>,
    /// What this daemon fails together with, such as a house, a rack or a provider: 1 to 32 of `a-z`, `0-9` and `-`,
    /// the same for all daemons there. The shards of a chunk are spread over zones. None unless told otherwise.
    pub zone: Option<Zone>,
    /// Most bytes of shards to hold for the network.
    pub quota_bytes: u64,
    /// What is logged: a filter such as `info,chordage_node=debug`. CHORDAGE_LOG wins over it. Unless told otherwise
    /// what the daemon decides, and warnings of everybody.
    pub log: Option<String>,
    /// How it is logged: `text` for people, or `json`, an object in each line, for programs.
    pub log_format: LogFormat,
    /// Serve the API on this loopback address too, with a bearer token; the Unix socket is always there.
    pub api_listen: Option<SocketAddr>,
    /// Connections of clients to the API at a time, 1 to 4096; more are answered 503. A command has one while it runs.
    pub api_connections_max: u32,
    /// Bytes that puts and gets may have in memory at a time, at least 32 MiB, of which 9 are for manifests, first
    /// chunks and small puts alone. Too little serialises chunks.
    pub transfer_memory_bytes: u64,
    /// Worker threads of the network runtime. One is best for many daemons on few cores.
    pub runtime_threads: usize,
    /// For experiments: every overlay message waits so many milliseconds before it is sent, at most 2000. A round trip
    /// between two daemons of one machine then takes the sum of theirs. 0, no delay, otherwise.
    pub debug_delay_ms: u16,
    /// For experiments: the daemon takes its clock to be off by so many seconds, ahead or (negative) behind.
    pub debug_clock_seconds: i64,
    /// For experiments: at each start so many seconds of lease time have passed since the end of the last run, so that
    /// claims end as if it had run meanwhile.
    pub debug_lease_seconds: u32,
    /// For experiments: certificates that this daemon signs for others in a private network are valid for so many
    /// seconds. As long as they may be otherwise.
    pub debug_certificate_seconds: Option<std::num::NonZeroU64>,
    /// For tests only: the daemon starts although its key lacks the work that its open network asks for.
    pub debug_id_without_work: bool,
    /// For tests only: the daemon speaks with others as the version before this one does.
    pub debug_old_wire: bool,
    /// For tests only: the task of this name panics whenever it is started.
    pub debug_panic_task: Option<String>,
    /// Connections to other daemons: how many there may be, and which are kept.
    pub connections: ConnectionConfig,
    /// Whether daemons on one LAN find each other.
    pub lan: LanConfig,
    /// What is known of the network beyond the tables.
    pub overlay: OverlayConfig,
    /// How it is found out whether others reach this daemon, and what helps.
    pub reachability: ReachabilityConfig,
    /// What this daemon carries between others that cannot reach each other.
    pub relay: RelayConfig,
    /// How lost shards are found and made again.
    pub repair: RepairConfig,
    /// How often everything held is read again.
    pub scrub: ScrubConfig,
    /// For how long what is kept from here is claimed, and what becomes of what nobody claims.
    pub leases: LeaseConfig,
    /// Where names can be asked for in DNS, and whom the daemon asks there.
    pub dns: DnsConfig,
    /// Where repositories for restic are served, and to whom.
    pub restic: ResticConfig,
    /// Where files are served by WebDAV, which and to whom.
    pub webdav: WebdavConfig,
    /// Where links and names are served to browsers.
    pub gateway: GatewayConfig,
}

/// Why settings were refused. Nothing was started or changed.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file exists but cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not valid.
    #[error("{path}: {}", problems::in_a_row(problems))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// All that is wrong with it.
        problems: Vec<SettingProblem>,
    },
    /// An address that leads nowhere.
    #[error("{field} = {addr}: {source}")]
    Address {
        /// Name of the setting.
        field: &'static str,
        /// What was given.
        addr: Multiaddr,
        /// Why it cannot be used.
        source: AddressError,
    },
    /// A value outside its range.
    #[error("{field} = {value}: {rule}")]
    Value {
        /// Name of the setting.
        field: &'static str,
        /// What was given.
        value: String,
        /// What is allowed.
        rule: &'static str,
    },
}

impl ConfigError {
    /// The setting that a rule refuses, if it is one.
    pub fn setting(&self) -> Option<&'static str> {
        match self {
            ConfigError::Address { field, .. } | ConfigError::Value { field, .. } => Some(field),
            ConfigError::Read { .. } | ConfigError::Invalid { .. } => None,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Config {
            network: "main".to_owned(),
            metric: AnyMetric::Ring,
            listen: Vec::new(),
            announce: Vec::new(),
            bootstrap: Vec::new(),
            zone: None,
            quota_bytes: 100 << 30,
            log: None,
            log_format: LogFormat::default(),
            api_listen: None,
            api_connections_max: 128,
            connections: ConnectionConfig::default(),
            transfer_memory_bytes: 48 << 20,
            runtime_threads: 1,
            debug_delay_ms: 0,
            debug_clock_seconds: 0,
            debug_lease_seconds: 0,
            debug_certificate_seconds: None,
            debug_id_without_work: false,
            debug_old_wire: false,
            debug_panic_task: None,
            lan: LanConfig::default(),
            overlay: OverlayConfig::default(),
            reachability: ReachabilityConfig::default(),
            relay: RelayConfig::default(),
            repair: RepairConfig::default(),
            scrub: ScrubConfig::default(),
            leases: LeaseConfig::default(),
            dns: DnsConfig::default(),
            restic: ResticConfig::default(),
            webdav: WebdavConfig::default(),
            gateway: GatewayConfig::default(),
        }
    }
}

impl Config {
    /// Reads `path`; defaults when it does not exist.
    pub fn load(path: &Path) -> Result<Config, ConfigError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Config::default()),
            Err(source) => return Err(ConfigError::Read { path: path.to_owned(), source }),
        };
        toml::from_str(&text).map_err(|error| {
            let mut problems = Config::problems(&text);
            if problems.is_empty() {
                problems.push(SettingProblem::syntax(&text, &error));
            }
            ConfigError::Invalid { path: path.to_owned(), problems }
        })
    }

    /// All that is wrong with the text of a settings file, from its first line to its last. Nothing, if a daemon starts
    /// with it.
    pub fn problems(text: &str) -> Vec<SettingProblem> {
        problems::of(text)
    }

    /// The addresses to listen on, also where none are given. `elsewhere`: whether there are others on other machines.
    pub fn listens_on(&self, elsewhere: bool) -> Vec<Multiaddr> {
        if !self.listen.is_empty() {
            return self.listen.clone();
        }
        let outside = self.lan.enabled || elsewhere;
        let ip = if outside { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::LOCALHOST };
        let at = Multiaddr::from(ip);
        vec![at.clone().with(Protocol::Tcp(0)), at.with(Protocol::Udp(0)).with(Protocol::QuicV1)]
    }

    /// Checks what types cannot.
    pub fn check(&self) -> Result<(), ConfigError> {
        let value = |field, value: String, rule| Err(ConfigError::Value { field, value, rule });
        if !is_name(&self.network) {
            return value("network", self.network.clone(), "1 to 32 of a-z, 0-9 and -");
        }
        if self.metric == AnyMetric::Classic {
            return value("metric", self.metric.to_string(), "ring or xor; classic is for simulations");
        }
        for (field, addrs, used) in [
            ("listen", &self.listen, Use::Listen),
            ("announce", &self.announce, Use::Announce),
            ("bootstrap", &self.bootstrap, Use::Join),
        ] {
            for addr in addrs {
                check_address(addr, used).map_err(|source| ConfigError::Address {
                    field,
                    addr: addr.clone(),
                    source,
                })?;
            }
        }
        if self.overlay.role != Role::Client {
            self.lan.check(&self.listens_on(false))?;
        }
        if self.overlay.role == Role::Client && !self.announce.is_empty() {
            return value(
                "announce",
                self.announce.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
                "nothing, when overlay.role is client: who can be reached is a member",
            );
        }
        if !(1..=4096).contains(&self.api_connections_max) {
            return value("api_connections_max", self.api_connections_max.to_string(), "1 to 4096");
        }
        self.connections.check()?;
        self.overlay.check()?;
        self.relay.check()?;
        if self.transfer_memory_bytes < 32 << 20 {
            return value(
                "transfer_memory_bytes",
                self.transfer_memory_bytes.to_string(),
                "at least 33554432",
            );
        }
        if !(1..=64).contains(&self.runtime_threads) {
            return value("runtime_threads", self.runtime_threads.to_string(), "1 to 64");
        }
        if self.debug_delay_ms > 2000 {
            return value("debug_delay_ms", self.debug_delay_ms.to_string(), "0 to 2000");
        }
        self.repair.check()?;
        self.leases.check()?;
        self.dns.check()?;
        self.restic.check()?;
        self.webdav.check()?;
        self.gateway.check()?;
        if let Some(addr) = self.api_listen
            && !addr.ip().is_loopback()
        {
            return value("api_listen", addr.to_string(), "a loopback address: the API gives full control");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_pass_their_own_check_and_survive_a_round_trip() {
        let config = Config::default();
        config.check().expect("defaults are valid");
        let text = toml::to_string(&config).expect("serialisable");
        assert_eq!(toml::from_str::<Config>(&text).expect("readable"), config);
    }

    #[test]
    fn the_simulators_baseline_is_no_metric_for_a_network() {
        let config = Config { metric: AnyMetric::Classic, ..Config::default() };
        assert!(matches!(config.check(), Err(ConfigError::Value { field: "metric", .. })));
    }

    #[test]
    fn who_knows_others_on_other_machines_listens_outside_of_its_own() {
        for elsewhere in [false, true] {
            let listens = Config::default().listens_on(elsewhere);
            assert!(listens.iter().all(|addr| addr.to_string().contains("/0.0.0.0/") == elsewhere));
        }
    }

    #[test]
    fn a_client_announces_nothing() {
        let text = "announce = [\"/ip4/192.0.2.7/tcp/4700\"]\n[overlay]\nrole = \"client\"";
        let config = toml::from_str::<Config>(text).expect("readable");
        assert_eq!(config.overlay.role, Role::Client);
        assert!(matches!(config.check(), Err(ConfigError::Value { field: "announce", .. })));
        assert!(toml::from_str::<Config>("[overlay]\nrole = \"server\"").is_err());
    }

    #[test]
    fn unknown_fields_are_refused_by_name() {
        let error = toml::from_str::<Config>("quota = 7").expect_err("no such field");
        assert!(error.to_string().contains("quota"), "{error}");
    }

    #[test]
    fn an_api_that_strangers_could_reach_is_refused() {
        let config = Config { api_listen: Some(([0, 0, 0, 0], 80).into()), ..Config::default() };
        assert!(matches!(config.check(), Err(ConfigError::Value { field: "api_listen", .. })));
    }
}
