//! The driver's side of keeping connections: asks the policy, does what it says, and counts.

use std::collections::BTreeSet;

use chordage_dht::{NodeId, PeerInfo};
use libp2p::PeerId;

use super::{Driver, open};
use crate::address::{peer_id, public_key};
use crate::wire::{Class, Taken};

/// Connections to other daemons, at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Connections {
    /// Peers with a connection.
    pub(crate) peers: BTreeSet<PeerId>,
    /// Of these, those whose connections are kept.
    pub(crate) warm: BTreeSet<PeerId>,
    /// How many there are of each kind.
    pub(crate) taken: Taken,
    /// How many there may be.
    pub(crate) max: usize,
    /// Peers that are connected through relays only.
    pub(crate) relayed: usize,
    /// Peers that are being dialled.
    pub(crate) dialling: usize,
}

impl Driver {
    /// Begins nothing new on the connections to a peer that is gone: they lead nowhere, or to a process that ends.
    pub(super) fn distrust(&mut self, peer: &NodeId) {
        self.peers.links.end(peer);
        let is_it = |connected: &&PeerId| {
            public_key(connected).is_some_and(|key| NodeId::from_public_key(&key) == *peer)
        };
        let connected = self.swarm.connected_peers().find(is_it).copied();
        if let Some(connected) = connected {
            self.swarm.behaviour_mut().streams.distrust(connected);
        }
    }

    /// Ends links that nobody needs, opens those that should be open, and tells the swarm who comes first.
    pub(super) fn review_connections(&mut self) {
        let (leaf_set, rows) = (self.overlay.dht.neighbours(), self.overlay.dht.fingers());
        for peer in &self.peers.review(&self.announced, &leaf_set, &rows) {
            let streams = &mut self.swarm.behaviour_mut().streams;
            self.peers.links.open(peer, |reply| open(streams, peer, Class::Dht, reply));
        }
        let standings = self.peers.update(leaf_set.iter().chain(rows.iter().flat_map(|row| &row.fingers)));
        self.swarm.behaviour_mut().admission.set_standings(standings);
    }

    /// A new neighbour keeps its connection from now on, not only after the next review.
    pub(super) fn keep_connected(&mut self, peer: &PeerInfo) {
        if let Some(name) = peer_id(peer.public_key()) {
            self.swarm.behaviour_mut().admission.keep(name);
        }
    }

    /// A peer that connects by another transport than before does so because the former fails it. What we say goes by
    /// the new connection from now on, or our answers would wait until we notice, too.
    pub(super) fn connected_by_peer(&mut self, peer: PeerId) {
        if self.swarm.behaviour().streams.has_moved(&peer) {
            self.say_anew(peer);
        }
        self.leave_circuit(peer);
    }

    /// Whoever is connected directly is not spoken to through a relay any more.
    pub(super) fn leave_circuit(&mut self, peer: PeerId) {
        if self.swarm.behaviour().streams.left_circuit(&peer) {
            self.say_anew(peer);
        }
    }

    /// What is said to a peer goes by its best connection from now on.
    pub(super) fn say_anew(&mut self, peer: PeerId) {
        if let Some(key) = public_key(&peer) {
            self.peers.links.end(&NodeId::from_public_key(&key));
        }
    }

    pub(super) fn connections(&self) -> Connections {
        let peers: BTreeSet<PeerId> = self.swarm.connected_peers().copied().collect();
        let behaviour = self.swarm.behaviour();
        Connections {
            warm: self.peers.kept().filter(|name| peers.contains(name)).copied().collect(),
            peers,
            taken: behaviour.admission.taken(),
            max: behaviour.admission.max(),
            relayed: behaviour.streams.through_relays().len(),
            dialling: behaviour.streams.dialling(),
        }
    }
}
