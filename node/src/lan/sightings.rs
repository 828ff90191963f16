//! Who is to be seen on the LAN, as long as it is. All of it comes from strangers, so there is room for so many only:
//! beyond that nobody else is seen until somebody goes.

use std::collections::BTreeMap;

use libp2p::PeerId;

use super::card::{Hint, Read};
use super::links::Links;
use crate::address::ip;

/// Daemons that are seen at a time, and as many of other networks.
const SEEN_MAX: usize = 64;
/// Longest name of a service: that of one in the DNS.
const NAME_MAX: usize = 255;
/// Addresses of one daemon that are dialled. As many as a peer's record has.
const ADDRESSES_MAX: usize = 8;

/// One of them.
#[derive(Debug)]
struct Sighting<T> {
    what: T,
    /// Whether it has shown itself in this round.
    now: bool,
}

/// See the module's description. By the names of the services.
#[derive(Debug, Default)]
pub(super) struct Sightings {
    daemons: BTreeMap<String, Sighting<Hint>>,
    others: BTreeMap<String, Sighting<()>>,
}

impl Sightings {
    /// A service shows itself, or says something else than before.
    pub(super) fn came(&mut self, service: &str, read: Read) {
        self.went(service);
        if service.len() > NAME_MAX {
            return;
        }
        match read {
            Read::Daemon(hint) if self.daemons.len() < SEEN_MAX => {
                self.daemons.insert(service.to_owned(), Sighting { what: hint, now: true });
            }
            Read::OtherNetwork if self.others.len() < SEEN_MAX => {
                self.others.insert(service.to_owned(), Sighting { what: (), now: true });
            }
            _ => {}
        }
    }

    /// A service has said goodbye, or was not heard of for long.
    pub(super) fn went(&mut self, service: &str) {
        self.daemons.remove(service);
        self.others.remove(service);
    }

    /// Everybody is asked again. Whoever has not shown itself since that was so the last time is forgotten: its goodbye
    /// may have been missed.
    pub(super) fn new_round(&mut self) {
        self.daemons.retain(|_, sighting| std::mem::take(&mut sighting.now));
        self.others.retain(|_, sighting| std::mem::take(&mut sighting.now));
    }

    /// Each daemon once, with the addresses of all its services that lie on `links`: two daemons may have one key.
    pub(super) fn hints(&self, links: &Links) -> Vec<Hint> {
        let mut by_peer: BTreeMap<PeerId, Hint> = BTreeMap::new();
        for hint in self.daemons.values().map(|sighting| &sighting.what) {
            for addr in hint.addrs.iter().filter(|addr| ip(addr).is_some_and(|ip| links.reach(ip))) {
                let known = by_peer.entry(hint.peer).or_insert(Hint { peer: hint.peer, addrs: Vec::new() });
                if known.addrs.len() < ADDRESSES_MAX && !known.addrs.contains(addr) {
                    known.addrs.push(addr.clone());
                }
            }
        }
        by_peer.into_values().collect()
    }

    /// Daemons of other networks.
    pub(super) fn others(&self) -> usize {
        self.others.len()
    }
}

#[cfg(test)]
mod tests {
    use libp2p::Multiaddr;
    use libp2p::identity::Keypair;

    use super::*;

    fn hint(peer: PeerId, addr: &str) -> Hint {
        Hint { peer, addrs: vec![addr.parse::<Multiaddr>().expect("valid")] }
    }

    fn home() -> Links {
        Links::of([("192.168.1.2".parse().expect("valid"), 24)])
    }

    fn peer() -> PeerId {
        Keypair::generate_ed25519().public().to_peer_id()
    }

    #[test]
    fn a_daemon_is_seen_until_it_goes_and_where_it_was_last() {
        let (mut seen, one) = (Sightings::default(), peer());
        seen.came("one", Read::Daemon(hint(one, "/ip4/192.168.1.2/tcp/1")));
        seen.came("one", Read::Daemon(hint(one, "/ip4/192.168.1.3/tcp/1")));
        seen.came("again", Read::Daemon(hint(one, "/ip4/192.168.1.4/tcp/1")));
        let [both] = &seen.hints(&home())[..] else { panic!("one daemon: {seen:?}") };
        let addrs: Vec<String> = both.addrs.iter().map(ToString::to_string).collect();
        assert_eq!(addrs, ["/ip4/192.168.1.4/tcp/1", "/ip4/192.168.1.3/tcp/1"]);
        seen.went("again");
        seen.came("one", Read::Nobody);
        assert_eq!(seen.hints(&home()), []);
    }

    #[test]
    fn only_addresses_on_a_link_are_hints_and_so_many_at_most() {
        let (mut seen, one, other) = (Sightings::default(), peer(), peer());
        seen.came("far", Read::Daemon(hint(other, "/ip4/198.51.100.7/tcp/1")));
        seen.came("both", Read::Daemon(hint(one, "/ip4/10.0.0.1/tcp/1")));
        for host in 1..=20 {
            seen.came(&format!("{host}"), Read::Daemon(hint(one, &format!("/ip4/192.168.1.{host}/tcp/1"))));
        }
        let [near] = &seen.hints(&home())[..] else { panic!("one daemon: {seen:?}") };
        assert_eq!((near.peer, near.addrs.len()), (one, ADDRESSES_MAX));
        assert!(near.addrs.iter().all(|addr| addr.to_string().starts_with("/ip4/192.168.1.")));
        assert_eq!(seen.hints(&Links::default()), []);
    }

    #[test]
    fn a_daemon_that_changes_its_network_is_counted_once() {
        let mut seen = Sightings::default();
        seen.came("one", Read::OtherNetwork);
        assert_eq!((seen.hints(&home()).len(), seen.others()), (0, 1));
        seen.came("one", Read::Daemon(hint(peer(), "/ip4/192.168.1.2/tcp/1")));
        assert_eq!((seen.hints(&home()).len(), seen.others()), (1, 0));
        seen.went("one");
        assert_eq!((seen.hints(&home()).len(), seen.others()), (0, 0));
    }

    #[test]
    fn who_is_silent_for_a_whole_round_is_forgotten() {
        let mut seen = Sightings::default();
        let show =
            |seen: &mut Sightings| seen.came("one", Read::Daemon(hint(peer(), "/ip4/192.168.1.2/tcp/1")));
        show(&mut seen);
        seen.came("other", Read::OtherNetwork);
        seen.new_round();
        show(&mut seen);
        assert_eq!((seen.hints(&home()).len(), seen.others()), (1, 1));
        seen.new_round();
        assert_eq!((seen.hints(&home()).len(), seen.others()), (1, 0));
        seen.new_round();
        assert_eq!(seen.hints(&home()), []);
    }

    #[test]
    fn many_services_do_not_fill_the_memory() {
        let mut seen = Sightings::default();
        for number in 0..2 * SEEN_MAX {
            seen.came(&format!("here {number}"), Read::Daemon(hint(peer(), "/ip4/192.168.1.2/tcp/1")));
            seen.came(&format!("there {number}"), Read::OtherNetwork);
        }
        seen.came(&"x".repeat(NAME_MAX + 1), Read::OtherNetwork);
        assert_eq!((seen.hints(&home()).len(), seen.others()), (SEEN_MAX, SEEN_MAX));
        seen.went("here 0");
        let late = hint(peer(), "/ip4/192.168.1.9/tcp/1");
        seen.came("late", Read::Daemon(late.clone()));
        assert!(seen.hints(&home()).contains(&late), "there is room again");
    }
}
