//! File descriptors (open files and sockets): how many this process may have, and what of them clients of the API get.
//! Without a share of their own they could take the last one, and nobody would see what is wrong.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// With fewer a daemon does not start: its own files and sockets are about thirty.
pub(crate) const NEEDED: u64 = 48;
/// What the daemon keeps for itself: its books and segments, what it listens on, and its first neighbours.
const OWN: u64 = 40;
/// Clients that are being told that there is no place for them.
const TURNED_AWAY_MAX: usize = 64;

/// Connections over which DNS is asked, at most.
const DNS_CONNECTIONS_MAX: usize = 32;

/// Connections of backup programs, at most.
const GATEWAY_CONNECTIONS_MAX: usize = 64;
/// What each of them takes: its own descriptor, and both ends of a connection to the API.
const GATEWAY_DESCRIPTORS: u64 = 3;

/// What clients of the API may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ApiShare {
    /// Connections that are served.
    pub(crate) served: usize,
    /// Connections beyond, which are told so.
    pub(crate) turned_away: usize,
}

/// Asks the system for as many as it gives without more rights (the hard limit).
pub fn raise() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        // What there is has to do then.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }
}

/// How many this process may have.
pub(crate) fn limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// The share of the API among so many: at most `connections_max`, and half of what the daemon does not need itself, the
/// other half being for other daemons.
pub(crate) fn api_share(limit: u64, connections_max: usize) -> ApiShare {
    let half = usize::try_from(limit.saturating_sub(OWN) / 2).unwrap_or(usize::MAX);
    let turned_away = (half / 4).clamp(1, TURNED_AWAY_MAX);
    ApiShare { served: half.saturating_sub(turned_away).clamp(1, connections_max), turned_away }
}

/// The connections of DNS among so many: an eighth of what the daemon does not need itself, which goes off the half for
/// other daemons.
pub(crate) fn dns_share(limit: u64) -> usize {
    let eighth = usize::try_from(limit.saturating_sub(OWN) / 8).unwrap_or(usize::MAX);
    eighth.clamp(1, DNS_CONNECTIONS_MAX)
}

/// The connections that one gateway can serve beside a daemon, such as those of backup programs: as many descriptors as
/// DNS gets.
pub fn gateway_connections() -> usize {
    gateway_share(limit())
}

fn gateway_share(limit: u64) -> usize {
    let share = limit.saturating_sub(OWN) / 8 / GATEWAY_DESCRIPTORS;
    usize::try_from(share).unwrap_or(usize::MAX).clamp(2, GATEWAY_CONNECTIONS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_get_their_share_and_no_more() {
        let share = |limit, max| {
            let ApiShare { served, turned_away } = api_share(limit, max);
            (served, turned_away)
        };
        assert_eq!(share(u64::MAX, 128), (128, 64));
        assert_eq!(share(1024, 128), (128, 64));
        assert_eq!(share(1024, 4096), (428, 64));
        assert_eq!(share(60, 128), (8, 2));
        assert_eq!(share(NEEDED, 128), (3, 1));
        assert_eq!(share(0, 128), (1, 1));
        for limit in NEEDED..2000 {
            let (served, turned_away) = share(limit, 4096);
            assert!((served + turned_away) as u64 <= (limit - OWN) / 2, "{limit}");
        }
        assert_eq!([0, NEEDED, 1024, u64::MAX].map(dns_share), [1, 1, 32, 32]);
        assert_eq!([0, NEEDED, 1024, u64::MAX].map(gateway_share), [2, 2, 41, 64]);
    }
}
