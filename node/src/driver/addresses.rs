//! Where others are told to dial this daemon, and whom it has met.

use chordage_dht::Input;
use libp2p::Multiaddr;
use libp2p::swarm::SwarmEvent;
use tokio::time::Instant;

use super::Driver;
use crate::address::to_address;
use crate::wire::{WireEvent, listening};

/// Addresses in a record, at most.
const ADDRESSES_MAX: usize = 8;

/// Where others are told to dial this daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Announced {
    /// Where it listens.
    Listened,
    /// There.
    These(Vec<Multiaddr>),
    /// Nowhere: it is a client.
    Nowhere,
    /// Nowhere yet: it finds out where, and does not join until then.
    Unknown,
}

impl Announced {
    /// These addresses, of which a record has so many at most, as the overlay writes them.
    pub(crate) fn addresses(&self, listened: &[Multiaddr]) -> Vec<chordage_dht::Address> {
        let addresses = match self {
            Announced::Listened => listened,
            Announced::These(these) => these,
            Announced::Nowhere | Announced::Unknown => &[],
        };
        addresses.iter().filter_map(to_address).take(ADDRESSES_MAX).collect()
    }
}

impl Driver {
    /// Others are told to dial it there from now on.
    pub(super) fn announce(&mut self, announced: Announced) {
        let before = std::mem::replace(&mut self.announced, announced);
        self.addresses_changed();
        if before == Announced::Unknown {
            self.join();
        }
    }

    /// It listens elsewhere, or is to be dialled elsewhere.
    pub(super) fn addresses_changed(&mut self) {
        let addresses = self.announced.addresses(&listening(&self.swarm));
        self.remember_own_addresses();
        self.input(Input::SetAddresses(addresses));
        self.remember_own_addresses();
        self.relay_for_others();
        self.peers.links.set_local(self.overlay.dht.local());
    }

    /// Whether nobody is told to dial it.
    pub(super) fn is_client(&self) -> bool {
        self.overlay.dht.status().client
    }

    /// Somebody was met, or not.
    pub(super) fn note_contact(&mut self, event: &SwarmEvent<WireEvent>) {
        let now = Instant::now();
        self.peers.relaying.reservations.event(event);
        match event {
            SwarmEvent::ConnectionEstablished { connection_id, endpoint, .. } => {
                self.peers.contacts.connected(*connection_id, endpoint, now);
            }
            SwarmEvent::ConnectionClosed { connection_id, .. } => {
                self.peers.contacts.closed(*connection_id, now);
            }
            SwarmEvent::OutgoingConnectionError { error, .. } => self.peers.contacts.failed(error, now),
            _ => {}
        }
    }
}
