//! Addresses at which this daemon might be reached.

use std::net::IpAddr;

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;

use super::frames::TESTED_MAX;
use super::scope::Scope;
use crate::address::{ip, split};

/// How an address is known, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// By the settings.
    Announced,
    /// It listens there itself.
    Listened,
    /// A router says that it passes on what comes there.
    Mapped,
    /// Others see the daemon there, and the port is the one on which it listens: somebody may have had the router pass
    /// it on.
    Forwarded,
    /// Others see what it sends come from there. A router lets others in at the same port, or only those who were sent
    /// something, or nobody.
    Seen,
}

/// See the module's description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) addr: Multiaddr,
    pub(super) kind: Kind,
}

/// What a daemon knows of its own addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Own {
    /// By the settings; others do not count then.
    pub(super) announced: Vec<Multiaddr>,
    pub(super) listened: Vec<Multiaddr>,
    /// What a router says that it passes on.
    pub(super) mapped: Vec<Multiaddr>,
}

/// What is between a daemon and others, as far as what they see of it tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Between {
    /// Others see an address of its own.
    Nothing,
    /// Others see another address, and all see the same port of a socket.
    Nat,
    /// Others see another address, and each of them another port: what one sees is no use to the next.
    SymmetricNat,
}

impl Own {
    /// Whether nobody on another machine can reach it.
    pub(super) fn is_local(&self) -> bool {
        let all = if self.announced.is_empty() { &self.listened } else { &self.announced };
        all.iter().all(|addr| ip(addr).is_some_and(|ip| Scope::of(ip) == Scope::Machine))
    }

    fn has(&self, wanted: IpAddr) -> bool {
        self.listened.iter().any(|addr| ip(addr) == Some(wanted))
    }

    /// What is between this daemon and others who see it there.
    pub(super) fn between(&self, seen: &[Multiaddr]) -> Option<Between> {
        let foreign: Vec<&Multiaddr> = self.foreign(seen).collect();
        if seen.is_empty() {
            return None;
        }
        if foreign.is_empty() {
            return Some(Between::Nothing);
        }
        let differ = |a: &Multiaddr, b: &Multiaddr| ip(a) == ip(b) && is_udp(a) && is_udp(b) && a != b;
        let symmetric = foreign.iter().any(|a| foreign.iter().any(|b| differ(a, b)));
        Some(if symmetric { Between::SymmetricNat } else { Between::Nat })
    }

    /// What is worth a test, the best first and no more than one request may have.
    pub(super) fn candidates(&self, seen: &[Multiaddr]) -> Vec<Candidate> {
        let mut all: Vec<Candidate> = Vec::new();
        let mut add = |addr: &Multiaddr, kind| {
            let addr = split(addr.clone()).0;
            let reaches = ip(&addr).is_some_and(|ip| Scope::of(ip) > Scope::Link);
            if reaches && !all.iter().any(|other| other.addr == addr) {
                all.push(Candidate { addr, kind });
            }
        };
        if !self.announced.is_empty() {
            self.announced.iter().for_each(|addr| add(addr, Kind::Announced));
            all.truncate(TESTED_MAX);
            return all;
        }
        self.listened.iter().for_each(|addr| add(addr, Kind::Listened));
        self.mapped.iter().for_each(|addr| add(addr, Kind::Mapped));
        self.forwarded(seen).for_each(|addr| add(&addr, Kind::Forwarded));
        if self.between(seen) != Some(Between::SymmetricNat) {
            self.foreign(seen).for_each(|addr| add(addr, Kind::Seen));
        }
        // What others see of several routers at once is too much for one request: the rest waits until these are gone.
        all.truncate(TESTED_MAX);
        all
    }

    /// Where others may get through once this daemon dials them, the best last: what it has in its own network, for
    /// those who are there too; where it would be seen if its router kept the ports, also of the protocol by which
    /// nobody sees it now; and where others see it.
    pub(super) fn holes(&self, seen: &[Multiaddr]) -> Vec<Multiaddr> {
        let near = self.listened.iter().filter(|addr| ip(addr).is_some_and(|ip| Scope::of(ip) > Scope::Link));
        let seen_at = seen.iter().filter(|addr| ip(addr).is_some());
        near.cloned().chain(self.forwarded(seen)).chain(seen_at.cloned()).collect()
    }

    /// Those of the addresses at which others see it that are not its own.
    fn foreign<'a>(&self, seen: &'a [Multiaddr]) -> impl Iterator<Item = &'a Multiaddr> {
        seen.iter().filter(|addr| ip(addr).is_some_and(|ip| !self.has(ip)))
    }

    /// What it listens on, at the hosts at which others see it.
    fn forwarded(&self, seen: &[Multiaddr]) -> impl Iterator<Item = Multiaddr> {
        self.foreign(seen).flat_map(|seen| self.listened.iter().filter_map(move |own| with_ip_of(own, seen)))
    }
}

fn is_udp(addr: &Multiaddr) -> bool {
    addr.iter().any(|part| matches!(part, Protocol::Udp(_)))
}

/// An address with the host of another one of the same family.
fn with_ip_of(addr: &Multiaddr, other: &Multiaddr) -> Option<Multiaddr> {
    let mut parts = addr.iter();
    let host = match (parts.next()?, other.iter().next()?) {
        (Protocol::Ip4(_), host @ Protocol::Ip4(_)) | (Protocol::Ip6(_), host @ Protocol::Ip6(_)) => host,
        _ => return None,
    };
    Some(std::iter::once(host).chain(parts).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addrs(texts: &[&str]) -> Vec<Multiaddr> {
        texts.iter().map(|text| text.parse().expect("valid")).collect()
    }

    fn own(listened: &[&str]) -> Own {
        Own { listened: addrs(listened), ..Own::default() }
    }

    fn found(own: &Own, seen: &[&str]) -> Vec<(String, Kind)> {
        let candidates = own.candidates(&addrs(seen));
        candidates.into_iter().map(|candidate| (candidate.addr.to_string(), candidate.kind)).collect()
    }

    fn named(expected: &[(&str, Kind)]) -> Vec<(String, Kind)> {
        expected.iter().map(|(addr, kind)| ((*addr).to_owned(), *kind)).collect()
    }

    const HOME: [&str; 3] =
        ["/ip4/127.0.0.1/tcp/4700", "/ip4/192.168.7.2/tcp/4700", "/ip4/192.168.7.2/udp/4701/quic-v1"];

    #[test]
    fn behind_nat_what_others_see_and_what_may_be_forwarded_is_tried_too() {
        let own = own(&HOME);
        let expected = [
            ("/ip4/192.168.7.2/tcp/4700", Kind::Listened),
            ("/ip4/192.168.7.2/udp/4701/quic-v1", Kind::Listened),
            ("/ip4/203.0.113.5/tcp/4700", Kind::Forwarded),
            ("/ip4/203.0.113.5/udp/4701/quic-v1", Kind::Forwarded),
            ("/ip4/203.0.113.5/udp/61000/quic-v1", Kind::Seen),
        ];
        let seen = "/ip4/203.0.113.5/udp/61000/quic-v1";
        assert_eq!(found(&own, &[seen, seen]), named(&expected));
        assert_eq!(own.between(&addrs(&[seen, seen])), Some(Between::Nat));
        assert_eq!(found(&own, &[]), named(&expected[..2]));
        assert_eq!(found(&own, &["/ip4/192.168.7.2/tcp/4700"]), named(&expected[..2]));
        assert_eq!(own.between(&addrs(&["/ip4/192.168.7.2/tcp/50000"])), Some(Between::Nothing));
        assert_eq!(own.between(&[]), None);
    }

    #[test]
    fn the_ports_of_a_symmetric_nat_are_not_tried() {
        let own = own(&HOME);
        let seen = ["/ip4/203.0.113.5/udp/61000/quic-v1", "/ip4/203.0.113.5/udp/61001/quic-v1"];
        assert_eq!(own.between(&addrs(&seen)), Some(Between::SymmetricNat));
        assert!(found(&own, &seen).iter().all(|(_, kind)| *kind != Kind::Seen));
        // TCP uses another port towards each peer where the one on which it listens cannot be had twice.
        let seen = ["/ip4/203.0.113.5/tcp/61000", "/ip4/203.0.113.5/tcp/61001"];
        assert_eq!(own.between(&addrs(&seen)), Some(Between::Nat));
    }

    #[test]
    fn holes_are_dug_by_all_protocols_wherever_it_is_seen() {
        let own = own(&HOME[1..]);
        let expected = addrs(&[
            "/ip4/192.168.7.2/tcp/4700",
            "/ip4/192.168.7.2/udp/4701/quic-v1",
            "/ip4/203.0.113.5/tcp/4700",
            "/ip4/203.0.113.5/udp/4701/quic-v1",
            "/ip4/203.0.113.5/tcp/61000",
        ]);
        assert_eq!(own.holes(&addrs(&["/ip4/203.0.113.5/tcp/61000"])), expected);
        assert_eq!(own.holes(&[]), expected[..2]);
    }

    #[test]
    fn what_the_settings_announce_is_all_that_counts() {
        let own = Own { announced: addrs(&["/ip4/203.0.113.5/tcp/80"]), ..own(&HOME) };
        let seen = ["/ip4/203.0.113.6/udp/61000/quic-v1"];
        assert_eq!(found(&own, &seen), named(&[("/ip4/203.0.113.5/tcp/80", Kind::Announced)]));
    }

    #[test]
    fn a_daemon_of_one_machine_is_known_as_such_and_no_link_is_crossed() {
        assert!(own(&["/ip4/127.0.0.1/tcp/1", "/ip6/::1/tcp/1"]).is_local());
        assert!(!own(&HOME).is_local());
        assert!(own(&[]).is_local());
        assert!(found(&own(&["/ip6/fe80::1/tcp/1", "/ip4/127.0.0.1/tcp/1"]), &[]).is_empty());
    }

    #[test]
    fn no_request_has_more_than_it_may_have() {
        let listened: Vec<String> = (1..20).map(|host| format!("/ip4/10.0.0.{host}/tcp/1")).collect();
        let listened: Vec<&str> = listened.iter().map(String::as_str).collect();
        assert_eq!(found(&own(&listened), &[]).len(), TESTED_MAX);
    }
}
