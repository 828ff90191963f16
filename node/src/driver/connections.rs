//! The driver's side of keeping connections: asks the policy, does what it says, and counts.

use std::collections::BTreeSet;

use chordage_dht::{NodeId, PeerInfo};
use libp2p::PeerId;
use tokio::time::Instant;

use super::{Driver, open};
use crate::address::{peer_id, public_key};
use crate::wire::{Class, Standing, Taken};

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
    /// Peers that are being dialled.
    pub(crate) dialling: usize,
}

impl Driver {
    /// Begins nothing new on the connections to a peer that is gone: they lead nowhere, or to a process that ends.
    pub(super) fn distrust(&mut self, peer: &NodeId) {
        self.links.end(peer);
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
        let (leaf_set, rows) = (self.dht.neighbours(), self.dht.fingers());
        // The neighbours of a client are none: it keeps the fastest of all it knows, so that members have seats for others.
        let kept = if self.is_client() { &[][..] } else { &leaf_set };
        let review = self.warmth.review(Instant::now(), kept, &rows, &self.links.last_used());
        for id in &review.end {
            self.links.end(id);
        }
        for peer in &review.open {
            let streams = &mut self.swarm.behaviour_mut().streams;
            self.links.open(peer, |reply| open(streams, peer, Class::Dht, reply));
        }
        let fingers = leaf_set.iter().chain(rows.iter().flat_map(|row| &row.fingers));
        self.roster.update(Instant::now(), fingers.clone().map(|finger| &finger.peer));
        let before = std::mem::take(&mut self.known);
        self.known = fingers
            .filter_map(|finger| {
                let id = finger.peer.id();
                // Taken over where possible, because making one means to check a point of the curve.
                let name = before.get(&id).copied().or_else(|| peer_id(finger.peer.public_key()))?;
                Some((id, name))
            })
            .collect();
        let standings = self.known.iter().map(|(id, name)| {
            let standing = if self.warmth.keeps(id) { Standing::Kept } else { Standing::Known };
            (*name, standing)
        });
        self.swarm.behaviour_mut().admission.set_standings(standings.collect());
    }

    /// A new neighbour keeps its connection from now on, not only after the next review.
    pub(super) fn keep_connected(&mut self, peer: &PeerInfo) {
        if let Some(name) = peer_id(peer.public_key()) {
            self.swarm.behaviour_mut().admission.keep(name);
        }
    }

    /// A peer that connects by another transport than before does so because the former fails it. What we say goes by the
    /// new connection from now on, or our answers would wait until we notice, too.
    pub(super) fn connected_by_peer(&mut self, peer: PeerId) {
        if self.swarm.behaviour().streams.has_moved(&peer)
            && let Some(key) = public_key(&peer)
        {
            self.links.end(&NodeId::from_public_key(&key));
        }
    }

    pub(super) fn connections(&self) -> Connections {
        let peers: BTreeSet<PeerId> = self.swarm.connected_peers().copied().collect();
        let kept = self.known.iter().filter(|(id, name)| self.warmth.keeps(id) && peers.contains(name));
        let behaviour = self.swarm.behaviour();
        Connections {
            warm: kept.map(|(_, name)| *name).collect(),
            peers,
            taken: behaviour.admission.taken(),
            max: behaviour.admission.max(),
            dialling: behaviour.streams.dialling(),
        }
    }
}
