//! What a daemon begins as, before anybody was asked.

use chordage_api::types::DaemonRole;
use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use tokio::sync::watch;

use super::Follow;
use super::candidates::Own;
use super::policy::Standing;
use crate::config::{Config, Role};
use crate::datadir::{DataDir, DataDirError};
use crate::driver::Announced;

/// What the daemon was when it ran last.
pub(super) const ROLE_FILE: &str = "role";
const MEMBER: &[u8] = b"member\n";
const CLIENT: &[u8] = b"client\n";

/// See the module's description.
pub(crate) struct Start {
    pub(super) standing: Standing,
    pub(super) follow: Follow,
    pub(super) announced: Vec<Multiaddr>,
    /// Whether others may relay to it: in private networks.
    pub(super) relays: bool,
    pub(super) part: watch::Sender<DaemonRole>,
    /// Whether a router is asked to forward ports.
    pub(super) maps: bool,
    /// Where others are told to dial it at first.
    pub(crate) first: Announced,
}

impl Start {
    /// What it is at any moment.
    pub(crate) fn part(&self) -> watch::Receiver<DaemonRole> {
        self.part.subscribe()
    }
}

/// Whom a daemon knows before it starts, who can tell how it is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Others {
    /// Whether there is anybody.
    pub(crate) known: bool,
    /// Whether one of them is on another machine.
    pub(crate) elsewhere: bool,
}

impl Others {
    /// Those of the settings, and `met`, of the last run or an invite: one address per line.
    pub(crate) fn of(config: &Config, met: &[u8]) -> Self {
        let met = String::from_utf8_lossy(met);
        let met = met.lines().filter_map(|line| line.parse::<Multiaddr>().ok());
        let all: Vec<Multiaddr> = met.chain(config.bootstrap.iter().cloned()).collect();
        Others { known: !all.is_empty(), elsewhere: all.iter().any(|addr| !is_here(addr)) }
    }
}

/// Whether an address is one of this machine.
fn is_here(addr: &Multiaddr) -> bool {
    match addr.iter().next() {
        Some(Protocol::Ip4(ip)) => ip.is_loopback(),
        Some(Protocol::Ip6(ip)) => ip.is_loopback(),
        Some(Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name)) => name == "localhost",
        _ => false,
    }
}

/// What the daemon with these settings begins as. `listened`: where it listens. Who founds a network is a member until
/// others say something else.
pub(crate) fn start(
    config: &Config,
    listened: Vec<Multiaddr>,
    others: &Others,
    dir: &DataDir,
    is_private: bool,
) -> Result<Start, DataDirError> {
    let was_member = dir.read(ROLE_FILE)?.is_some_and(|role| role == MEMBER);
    let own = Own { announced: config.announce.clone(), listened, mapped: Vec::new() };
    let as_member = || Standing::Reached(own.candidates(&[]));
    let (standing, follow) = match config.overlay.role {
        Role::Client => (Standing::Unreached(None), Follow::Nothing),
        // Those whom it joins could not reach it.
        Role::Auto if own.is_local() && others.elsewhere => (Standing::Unreached(None), Follow::Nothing),
        Role::Auto | Role::Member if own.is_local() => (as_member(), Follow::Nothing),
        Role::Member => (as_member(), Follow::Settings),
        // What the settings announce counts until others have tried it.
        Role::Auto if was_member || !others.known || !config.announce.is_empty() => {
            (as_member(), Follow::Found)
        }
        Role::Auto => (Standing::Unknown, Follow::Found),
    };
    let (first, role) = match &standing {
        Standing::Reached(_) if config.announce.is_empty() => (Announced::Listened, DaemonRole::Member),
        Standing::Reached(_) => (Announced::These(config.announce.clone()), DaemonRole::Member),
        Standing::Unreached(_) => (Announced::Nowhere, DaemonRole::Client),
        Standing::Unknown => (Announced::Unknown, DaemonRole::Client),
    };
    // What the settings announce is all that counts.
    let maps = config.reachability.upnp && follow == Follow::Found && config.announce.is_empty();
    let (announced, part) = (own.announced, watch::Sender::new(role));
    Ok(Start { standing, follow, announced, relays: is_private, part, maps, first })
}

/// Writes down what it is now.
pub(super) fn remember(dir: &DataDir, role: DaemonRole) -> Result<(), DataDirError> {
    dir.write(ROLE_FILE, if role == DaemonRole::Member { MEMBER } else { CLIENT })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTSIDE: &str = "/ip4/192.168.7.2/tcp/4700";

    fn started(role: Role, listened: &str, knows_others: bool, dir: &DataDir) -> (Announced, Follow) {
        let mut config = Config::default();
        config.overlay.role = role;
        let listened_here = listened.contains("127.0.0.1");
        let listened = vec![listened.parse().expect("valid")];
        let others = Others { known: knows_others, elsewhere: knows_others && !listened_here };
        let start = start(&config, listened, &others, dir, false).expect("readable");
        (start.first, start.follow)
    }

    #[test]
    fn a_newcomer_asks_first_and_a_founder_or_member_goes_on() {
        let place = tempfile::tempdir().expect("a directory");
        let dir = DataDir::open(place.path()).expect("new");
        let auto = |listened, knows_others| started(Role::Auto, listened, knows_others, &dir);
        assert_eq!(auto(OUTSIDE, true), (Announced::Unknown, Follow::Found));
        assert_eq!(auto(OUTSIDE, false), (Announced::Listened, Follow::Found));
        assert_eq!(auto("/ip4/127.0.0.1/tcp/1", true), (Announced::Listened, Follow::Nothing));
        assert_eq!(started(Role::Client, OUTSIDE, true, &dir), (Announced::Nowhere, Follow::Nothing));
        assert_eq!(started(Role::Member, OUTSIDE, true, &dir), (Announced::Listened, Follow::Settings));
        let config = Config { bootstrap: vec![OUTSIDE.parse().expect("valid")], ..Config::default() };
        let others = Others::of(&config, b"");
        assert_eq!(others, Others { known: true, elsewhere: true });
        let inside = vec!["/ip4/127.0.0.1/tcp/1".parse().expect("valid")];
        let start = start(&config, inside, &others, &dir, false).expect("readable");
        assert_eq!((start.first, start.follow), (Announced::Nowhere, Follow::Nothing), "nobody can reach it");
        remember(&dir, DaemonRole::Member).expect("writable");
        assert_eq!(auto(OUTSIDE, true), (Announced::Listened, Follow::Found));
        remember(&dir, DaemonRole::Client).expect("writable");
        assert_eq!(auto(OUTSIDE, true), (Announced::Unknown, Follow::Found));
    }

    #[test]
    fn others_are_here_or_elsewhere() {
        let of = |met: &str| Others::of(&Config::default(), met.as_bytes());
        assert_eq!(of(""), Others { known: false, elsewhere: false });
        for (met, elsewhere) in [
            ("/ip4/127.0.0.1/tcp/1", false),
            ("/ip6/::1/tcp/1", false),
            ("/dns4/localhost/tcp/1", false),
            ("/ip4/127.0.0.1/tcp/1\n/ip4/192.0.2.7/tcp/1\n", true),
            ("/dns4/home.example/tcp/1", true),
        ] {
            assert_eq!(of(met), Others { known: true, elsewhere }, "{met}");
        }
    }

    #[test]
    fn a_router_is_asked_only_where_what_it_says_would_count() {
        let place = tempfile::tempdir().expect("a directory");
        let dir = DataDir::open(place.path()).expect("new");
        let maps = |config: &Config, listened: &str| {
            let listened = vec![listened.parse().expect("valid")];
            start(config, listened, &Others { known: true, elsewhere: true }, &dir, false)
                .expect("readable")
                .maps
        };
        let with = |change: &dyn Fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            maps(&config, OUTSIDE)
        };
        assert!(with(&|_| {}));
        assert!(!with(&|config| config.reachability.upnp = false));
        assert!(!with(&|config| config.overlay.role = Role::Member));
        assert!(!with(&|config| config.overlay.role = Role::Client));
        assert!(!with(&|config| config.announce = vec!["/ip4/203.0.113.5/tcp/80".parse().expect("valid")]));
        assert!(!maps(&Config::default(), "/ip4/127.0.0.1/tcp/1"));
    }

    #[test]
    fn what_the_settings_announce_is_announced() {
        let place = tempfile::tempdir().expect("a directory");
        let dir = DataDir::open(place.path()).expect("new");
        let announce: Vec<Multiaddr> = vec!["/ip4/203.0.113.5/tcp/80".parse().expect("valid")];
        let config = Config { announce: announce.clone(), ..Config::default() };
        let start = start(
            &config,
            vec!["/ip4/0.0.0.0/tcp/80".parse().expect("valid")],
            &Others { known: false, elsewhere: false },
            &dir,
            false,
        );
        assert_eq!(start.expect("readable").first, Announced::These(announce));
    }
}
