//! Where others are, as the connections with them show it, and since when.
//!
//! A router that lets in only answers knows no more than this does: whom this daemon has sent something lately. So
//! whoever is to find out whether strangers get in has to be asked from elsewhere, and a stranger who came by itself
//! has found it out already.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use chordage_dht::Peer;
use libp2p::Multiaddr;
use libp2p::core::ConnectedPoint;
use libp2p::swarm::{ConnectionId, DialError};
use tokio::time::Instant;

use crate::address::ip;

/// For how long routers may remember that something was sent. Common are 30 to 300 s (RFC 4787, REQ-5).
const REMEMBERED: Duration = Duration::from_secs(300);
/// Addresses that are remembered; of more, those of longest ago are forgotten.
const PAST_MAX: usize = 1024;

/// See the module's description.
#[derive(Default)]
pub(super) struct Contacts {
    open: BTreeMap<ConnectionId, Multiaddr>,
    /// Addresses with which there was something once, and when it ended.
    past: BTreeMap<IpAddr, Instant>,
    visited: Option<Instant>,
}

/// Whom this daemon has had to do with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Acquaintances {
    /// Where those are to whom something was sent lately.
    pub(crate) known: Vec<IpAddr>,
    /// When somebody came of whom that is not so.
    pub(crate) visited: Option<Instant>,
    /// Whom it may join through.
    pub(crate) ways_in: Vec<Peer>,
    /// Where others reach it through relays.
    pub(crate) relayed: Vec<Multiaddr>,
    /// How many times a relay has begun to.
    pub(crate) reservations: u64,
}

impl Contacts {
    /// A connection is there.
    pub(super) fn connected(&mut self, connection: ConnectionId, point: &ConnectedPoint, now: Instant) {
        let address = point.get_remote_address();
        if point.is_listener() && ip(address).is_some_and(|ip| !self.knows(ip, now)) {
            self.visited = Some(now);
        }
        self.open.insert(connection, address.clone());
    }

    /// It is gone.
    pub(super) fn closed(&mut self, connection: ConnectionId, now: Instant) {
        if let Some(ip) = self.open.remove(&connection).as_ref().and_then(ip) {
            self.remember(ip, now);
        }
    }

    /// Something was sent in vain.
    pub(super) fn failed(&mut self, error: &DialError, now: Instant) {
        let DialError::Transport(failed) = error else { return };
        for ip in failed.iter().filter_map(|(address, _)| ip(address)) {
            self.remember(ip, now);
        }
    }

    /// Where the other end of a connection is.
    pub(super) fn address_of(&self, connection: ConnectionId) -> Option<&Multiaddr> {
        self.open.get(&connection)
    }

    pub(super) fn now(&self, now: Instant) -> Acquaintances {
        let open = self.open.values().filter_map(ip);
        let past = self.past.iter().filter(|(_, ended)| now < **ended + REMEMBERED).map(|(ip, _)| *ip);
        let mut known: Vec<IpAddr> = open.chain(past).collect();
        known.sort_unstable();
        known.dedup();
        Acquaintances {
            known,
            visited: self.visited,
            ways_in: Vec::new(),
            relayed: Vec::new(),
            reservations: 0,
        }
    }

    fn knows(&self, wanted: IpAddr, now: Instant) -> bool {
        self.past.get(&wanted).is_some_and(|ended| now < *ended + REMEMBERED)
            || self.open.values().any(|address| ip(address) == Some(wanted))
    }

    fn remember(&mut self, ip: IpAddr, now: Instant) {
        self.past.insert(ip, now);
        if self.past.len() > PAST_MAX {
            self.past.retain(|_, ended| now < *ended + REMEMBERED);
        }
        if self.past.len() > PAST_MAX
            && let Some(oldest) = self.past.iter().min_by_key(|(_, ended)| **ended).map(|(ip, _)| *ip)
        {
            self.past.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use libp2p::core::Endpoint;
    use libp2p::core::transport::PortUse;

    use super::*;

    fn ours(address: &str) -> ConnectedPoint {
        ConnectedPoint::Dialer {
            address: address.parse().expect("valid"),
            role_override: Endpoint::Dialer,
            port_use: PortUse::Reuse,
        }
    }

    fn theirs(address: &str) -> ConnectedPoint {
        ConnectedPoint::Listener {
            local_addr: "/ip4/192.0.2.1/tcp/1".parse().expect("valid"),
            send_back_addr: address.parse().expect("valid"),
        }
    }

    fn connection(number: usize) -> ConnectionId {
        ConnectionId::new_unchecked(number)
    }

    #[test]
    fn whom_something_was_sent_lately_is_known_and_others_visit() {
        let (mut contacts, now) = (Contacts::default(), Instant::now());
        contacts.connected(connection(1), &ours("/ip4/198.51.100.1/tcp/9"), now);
        contacts.connected(connection(2), &theirs("/ip4/198.51.100.1/tcp/9"), now);
        assert_eq!(contacts.now(now).visited, None, "something was sent there");
        contacts.connected(connection(3), &theirs("/ip4/198.51.100.2/tcp/9"), now);
        let known = contacts.now(now);
        assert_eq!(known.visited, Some(now));
        let ips: Vec<IpAddr> = ["198.51.100.1", "198.51.100.2"].map(|ip| ip.parse().expect("valid")).into();
        assert_eq!(known.known, ips);
        assert_eq!(
            contacts.address_of(connection(3)).map(ToString::to_string).as_deref(),
            Some("/ip4/198.51.100.2/tcp/9")
        );

        for number in 1..=3 {
            contacts.closed(connection(number), now);
        }
        assert_eq!(contacts.now(now + REMEMBERED - Duration::from_secs(1)).known, ips);
        assert!(contacts.now(now + REMEMBERED).known.is_empty());
        let later = now + REMEMBERED - Duration::from_secs(1);
        contacts.connected(connection(4), &theirs("/ip4/198.51.100.2/udp/9/quic-v1"), later);
        assert_eq!(contacts.now(later).visited, Some(now), "it was known still");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut contacts, now) = (Contacts::default(), Instant::now());
        for number in 0..2 * PAST_MAX as u32 {
            contacts.remember(
                std::net::Ipv4Addr::from(number).into(),
                now + Duration::from_millis(number.into()),
            );
        }
        assert_eq!(contacts.past.len(), PAST_MAX);
        assert!(!contacts.past.contains_key(&IpAddr::from([0, 0, 0, 0])), "the oldest goes first");
    }
}
