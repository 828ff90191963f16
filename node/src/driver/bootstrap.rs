//! Whom to join through: configured addresses, the peers of the last run, and those that are on the LAN now.

use std::collections::BTreeMap;
use std::sync::Arc;

use chordage_dht::{NodeId, Peer, PeerInfo};
use libp2p::{Multiaddr, PeerId};

use crate::address::{dial_order, public_key, split, to_address};
use crate::lan::Hint;

/// Peers remembered for the next start.
pub(super) const REMEMBERED_MAX: usize = 64;

/// Addresses of one peer, as many as its record has.
const ADDRESSES_MAX: usize = 8;

/// Known ways into the network.
pub(super) struct Bootstrap {
    seeds: BTreeMap<NodeId, Peer>,
    /// Addresses without a peer id: they have to be dialled to learn whom they lead to.
    anonymous: Vec<Multiaddr>,
    /// Those on the LAN; they come and go.
    nearby: BTreeMap<NodeId, Peer>,
    /// Whether the user named anybody to join through. If not, being alone is a way to be joined.
    configured: bool,
}

impl Bootstrap {
    /// `remembered` come from the last run's file: one multiaddr with `/p2p/…` per line.
    pub(super) fn new(configured: &[Multiaddr], remembered: &str) -> Self {
        let mut bootstrap = Bootstrap {
            seeds: BTreeMap::new(),
            anonymous: Vec::new(),
            nearby: BTreeMap::new(),
            configured: !configured.is_empty(),
        };
        let mut by_peer: BTreeMap<PeerId, Vec<Multiaddr>> = BTreeMap::new();
        let remembered = remembered.lines().filter_map(|line| line.parse::<Multiaddr>().ok());
        for addr in configured.iter().cloned().chain(remembered) {
            match split(addr) {
                (addr, Some(peer)) => by_peer.entry(peer).or_default().push(addr),
                (addr, None) => bootstrap.anonymous.push(addr),
            }
        }
        for (peer, addrs) in by_peer {
            bootstrap.add(peer, &addrs);
        }
        bootstrap
    }

    /// A peer answered at an address we had no name for.
    pub(super) fn add(&mut self, peer: PeerId, addrs: &[Multiaddr]) -> bool {
        named(peer, addrs).is_some_and(|peer| self.seeds.insert(peer.id(), peer).is_none())
    }

    /// These are on the LAN now, and nobody else.
    pub(super) fn set_nearby(&mut self, hints: &[Hint]) {
        let peers = hints.iter().filter_map(|hint| named(hint.peer, &hint.addrs));
        self.nearby = peers.map(|peer| (peer.id(), peer)).collect();
    }

    /// Those on the LAN.
    pub(super) fn nearby(&self) -> impl Iterator<Item = &Peer> {
        self.nearby.values()
    }

    pub(super) fn forget(&mut self, id: NodeId) {
        self.seeds.remove(&id);
        self.nearby.remove(&id);
    }

    /// Everybody known by name, those on the LAN first: they are there.
    pub(super) fn seeds(&self) -> Vec<Peer> {
        let away = self.seeds.iter().filter(|(id, _)| !self.nearby.contains_key(id)).map(|(_, seed)| seed);
        self.nearby.values().map(|near| self.at_all_addresses(near)).chain(away.cloned()).collect()
    }

    /// Somebody on the LAN may also be known from elsewhere.
    fn at_all_addresses(&self, near: &Peer) -> Peer {
        let Some(known) = self.seeds.get(&near.id()) else { return near.clone() };
        let mut addrs = known.addrs().to_vec();
        addrs.extend(near.addrs().iter().filter(|addr| !known.addrs().contains(addr)).cloned());
        addrs.truncate(ADDRESSES_MAX);
        near.with_addresses(addrs, 0).map_or_else(|_| near.clone(), Arc::new)
    }

    pub(super) fn anonymous(&self) -> &[Multiaddr] {
        &self.anonymous
    }

    /// Every address to join through, each once.
    pub(super) fn addresses(&self) -> Vec<Multiaddr> {
        let mut addrs = self.anonymous.clone();
        for addr in self.seeds().iter().flat_map(|seed| dial_order(seed)) {
            if !addrs.contains(&addr) {
                addrs.push(addr);
            }
        }
        addrs
    }

    /// The addresses to join through a peer.
    pub(super) fn addresses_of(&self, peer: NodeId) -> Vec<Multiaddr> {
        self.seeds().iter().find(|seed| seed.id() == peer).map(|seed| dial_order(seed)).unwrap_or_default()
    }

    pub(super) fn is_configured(&self) -> bool {
        self.configured
    }
}

/// A peer of which somebody says that it answers at these addresses.
fn named(peer: PeerId, addrs: &[Multiaddr]) -> Option<Peer> {
    let addrs = addrs.iter().filter_map(to_address).take(ADDRESSES_MAX).collect();
    // Sequence 0: the peer's own record replaces this as soon as it speaks.
    PeerInfo::new(public_key(&peer)?, addrs, 0).ok().map(Arc::new)
}

/// The lines to remember of these peers.
pub(super) fn remember<'a>(peers: impl Iterator<Item = &'a Peer>) -> String {
    let mut text = String::new();
    for peer in peers.take(REMEMBERED_MAX) {
        let Some(id) = crate::address::peer_id(peer.public_key()) else { continue };
        for addr in dial_order(peer) {
            text.push_str(&format!("{addr}/p2p/{id}\n"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use libp2p::identity::Keypair;

    use super::*;

    #[test]
    fn what_is_remembered_is_found_again() {
        let peer = Keypair::generate_ed25519().public().to_peer_id();
        let line = format!("/ip4/127.0.0.1/tcp/4700/p2p/{peer}\nnot an address\n");
        let bootstrap = Bootstrap::new(&[], &line);
        let seeds = bootstrap.seeds();
        assert_eq!(seeds.len(), 1);
        assert_eq!(remember(seeds.iter()), format!("/ip4/127.0.0.1/tcp/4700/p2p/{peer}\n"));
        assert!(!bootstrap.is_configured());
    }

    #[test]
    fn whoever_is_on_the_lan_is_a_seed_as_long_as_it_is() {
        let addr = |text: &str| text.parse::<Multiaddr>().expect("valid");
        let [known, stranger] = [0; 2].map(|_| Keypair::generate_ed25519().public().to_peer_id());
        let mut bootstrap = Bootstrap::new(&[], &format!("/ip4/192.0.2.7/tcp/4700/p2p/{known}\n"));
        let hint = |peer, at: &str| Hint { peer, addrs: vec![addr(at)] };
        bootstrap.set_nearby(&[
            hint(known, "/ip4/192.168.1.2/tcp/4700"),
            hint(stranger, "/ip4/192.168.1.3/tcp/4700"),
        ]);
        assert_eq!((bootstrap.nearby().count(), bootstrap.seeds().len()), (2, 2));
        assert_eq!(bootstrap.addresses().len(), 3, "the known one keeps its other address");
        assert!(!bootstrap.is_configured(), "whoever finds nobody is a network of its own");
        bootstrap.set_nearby(&[]);
        assert_eq!(bootstrap.addresses(), [addr("/ip4/192.0.2.7/tcp/4700")]);
    }

    #[test]
    fn addresses_without_a_peer_id_wait_to_be_dialled() {
        let bootstrap = Bootstrap::new(&["/ip4/127.0.0.1/tcp/1".parse().expect("valid")], "");
        assert!(bootstrap.seeds().is_empty());
        assert_eq!(bootstrap.anonymous().len(), 1);
    }
}
