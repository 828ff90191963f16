//! What a daemon begins as, before anybody was asked.

use chordage_api::types::DaemonRole;
use libp2p::Multiaddr;
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

/// What the daemon with these settings begins as. `listened`: where it listens; `knows_others`: whether there is anybody to join
/// through, who can tell how it is reached. Who founds a network is a member until others say something else.
pub(crate) fn start(
    config: &Config,
    listened: Vec<Multiaddr>,
    knows_others: bool,
    dir: &DataDir,
) -> Result<Start, DataDirError> {
    let was_member = dir.read(ROLE_FILE)?.is_some_and(|role| role == MEMBER);
    let own = Own { announced: config.announce.clone(), listened, mapped: Vec::new() };
    let as_member = || Standing::Reached(own.candidates(&[]));
    let (standing, follow) = match config.overlay.role {
        Role::Client => (Standing::Unreached(None), Follow::Nothing),
        // Those whom it joins could not reach it.
        Role::Auto if own.is_local() && config.joins_elsewhere() => {
            (Standing::Unreached(None), Follow::Nothing)
        }
        Role::Auto | Role::Member if own.is_local() => (as_member(), Follow::Nothing),
        Role::Member => (as_member(), Follow::Settings),
        Role::Auto if was_member || !knows_others => (as_member(), Follow::Found),
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
    Ok(Start { standing, follow, announced: own.announced, part: watch::Sender::new(role), maps, first })
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
        if knows_others && !listened.contains("127.0.0.1") {
            config.bootstrap.push("/ip4/192.168.7.3/tcp/4700".parse().expect("valid"));
        }
        let listened = vec![listened.parse().expect("valid")];
        let start = start(&config, listened, knows_others, dir).expect("readable");
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
        let inside = vec!["/ip4/127.0.0.1/tcp/1".parse().expect("valid")];
        let start = start(&config, inside, true, &dir).expect("readable");
        assert_eq!((start.first, start.follow), (Announced::Nowhere, Follow::Nothing), "nobody can reach it");
        remember(&dir, DaemonRole::Member).expect("writable");
        assert_eq!(auto(OUTSIDE, true), (Announced::Listened, Follow::Found));
        remember(&dir, DaemonRole::Client).expect("writable");
        assert_eq!(auto(OUTSIDE, true), (Announced::Unknown, Follow::Found));
    }

    #[test]
    fn a_router_is_asked_only_where_what_it_says_would_count() {
        let place = tempfile::tempdir().expect("a directory");
        let dir = DataDir::open(place.path()).expect("new");
        let maps = |config: &Config, listened: &str| {
            let listened = vec![listened.parse().expect("valid")];
            start(config, listened, true, &dir).expect("readable").maps
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
        let start = start(&config, vec!["/ip4/0.0.0.0/tcp/80".parse().expect("valid")], false, &dir);
        assert_eq!(start.expect("readable").first, Announced::These(announce));
    }
}
