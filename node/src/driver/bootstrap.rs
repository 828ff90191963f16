//! Whom to join through: configured addresses, and the peers of the last run.

use std::collections::BTreeMap;
use std::sync::Arc;

use chordage_dht::{NodeId, Peer, PeerInfo};
use libp2p::{Multiaddr, PeerId};

use crate::address::{dial_order, public_key, split, to_address};

/// Peers remembered for the next start.
pub(super) const REMEMBERED_MAX: usize = 64;

/// Known ways into the network.
pub(super) struct Bootstrap {
    seeds: BTreeMap<NodeId, Peer>,
    /// Addresses without a peer id: they have to be dialled to learn whom they lead to.
    anonymous: Vec<Multiaddr>,
    /// Whether the user named anybody to join through. If not, being alone is a way to be joined.
    configured: bool,
}

impl Bootstrap {
    /// `remembered` come from the last run's file: one multiaddr with `/p2p/…` per line.
    pub(super) fn new(configured: &[Multiaddr], remembered: &str) -> Self {
        let mut bootstrap =
            Bootstrap { seeds: BTreeMap::new(), anonymous: Vec::new(), configured: !configured.is_empty() };
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
        let Some(key) = public_key(&peer) else { return false };
        let addrs = addrs.iter().filter_map(to_address).take(8).collect();
        // Sequence 0: the peer's own record replaces this as soon as it speaks.
        match PeerInfo::new(key, addrs, 0) {
            Ok(info) => self.seeds.insert(info.id(), Arc::new(info)).is_none(),
            Err(_) => false,
        }
    }

    pub(super) fn forget(&mut self, id: NodeId) {
        self.seeds.remove(&id);
    }

    pub(super) fn seeds(&self) -> Vec<Peer> {
        self.seeds.values().cloned().collect()
    }

    pub(super) fn anonymous(&self) -> &[Multiaddr] {
        &self.anonymous
    }

    /// Every address to join through, each once.
    pub(super) fn addresses(&self) -> Vec<Multiaddr> {
        let mut addrs = self.anonymous.clone();
        for addr in self.seeds.values().flat_map(|seed| dial_order(seed)) {
            if !addrs.contains(&addr) {
                addrs.push(addr);
            }
        }
        addrs
    }

    /// The addresses to join through a peer.
    pub(super) fn addresses_of(&self, peer: NodeId) -> Vec<Multiaddr> {
        self.seeds.get(&peer).map(|seed| dial_order(seed)).unwrap_or_default()
    }

    pub(super) fn is_configured(&self) -> bool {
        self.configured
    }
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
    fn addresses_without_a_peer_id_wait_to_be_dialled() {
        let bootstrap = Bootstrap::new(&["/ip4/127.0.0.1/tcp/1".parse().expect("valid")], "");
        assert!(bootstrap.seeds().is_empty());
        assert_eq!(bootstrap.anonymous().len(), 1);
    }
}
