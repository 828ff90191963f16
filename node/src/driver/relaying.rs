//! The driver's part in relaying: reservations of this daemon at others, and being a relay for them.

use chordage_dht::Peer;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::{Multiaddr, PeerId};
use tokio::time::Instant;

use super::digging::Digging;
use super::{Announced, Driver};
use crate::address::{dial_order, is_relayed, peer_id};
use crate::wire::{Reservations, keep_reservations, listening};

/// Peers that are dialled anew at a time, at most.
const DUG_MAX: usize = 16;

/// What is wanted of relays.
#[derive(Clone, Debug, Default)]
pub(crate) struct Relays {
    /// Who may be asked to relay, the best first; nobody: none is wanted.
    pub(crate) through: Vec<Peer>,
    /// Where others may get through once this daemon dials them, the best last.
    pub(crate) holes: Vec<Multiaddr>,
}

/// See the module's description.
pub(super) struct Relaying {
    pub(super) reservations: Reservations,
    /// What others are told when they reserve here.
    serves_at: Vec<Multiaddr>,
    /// Where others might get through, as it was said last.
    holes: Vec<Multiaddr>,
    digging: Digging,
}

impl Relaying {
    pub(super) fn new(local: PeerId) -> Self {
        Relaying {
            reservations: Reservations::new(local),
            serves_at: Vec::new(),
            holes: Vec::new(),
            digging: Digging::default(),
        }
    }
}

impl Driver {
    /// Asks these relays from now on.
    pub(super) fn use_relays(&mut self, Relays { through, holes }: Relays) {
        let reservations = &mut self.peers.relaying.reservations;
        reservations.wanted(!through.is_empty());
        let direct = |peer: &Peer| Some((peer_id(peer.public_key())?, dial_order(peer)));
        reservations.candidates(through.iter().filter_map(direct).collect());
        self.swarm.behaviour_mut().add_candidates(&holes);
        let before = std::mem::replace(&mut self.peers.relaying.holes, holes);
        if self.peers.relaying.holes.iter().any(|addr| !before.contains(addr)) {
            self.peers.relaying.digging.moved(Instant::now());
        }
        self.keep_reservations();
    }

    /// Dials those anew who are spoken to through relays only, if it is time.
    pub(super) fn dig_anew(&mut self) {
        let through_relays = self.swarm.behaviour().streams.through_relays();
        if !self.peers.relaying.digging.is_due(!through_relays.is_empty(), Instant::now()) {
            return;
        }
        let known: Vec<Peer> = self.overlay.dht.leaf_set().cloned().collect();
        let dials = known.iter().filter_map(|peer| {
            let id = peer_id(peer.public_key()).filter(|id| through_relays.contains(id))?;
            let circuits: Vec<Multiaddr> = dial_order(peer).into_iter().filter(is_relayed).collect();
            (!circuits.is_empty())
                .then(|| DialOpts::peer_id(id).condition(PeerCondition::Always).addresses(circuits).build())
        });
        for dial in dials.take(DUG_MAX) {
            // If it cannot be dialled now, all stays as it is.
            let _ = self.swarm.dial(dial);
        }
    }

    /// Asks for what is missing, and ends what is not needed.
    pub(super) fn keep_reservations(&mut self) {
        for peer in keep_reservations(&mut self.swarm, &mut self.peers.relaying.reservations, Instant::now())
        {
            self.say_anew(peer);
        }
    }

    /// Whoever is reached directly relays to others, where the settings have it so.
    pub(super) fn relay_for_others(&mut self) {
        let direct = |addrs: &[Multiaddr]| addrs.iter().filter(|addr| !is_relayed(addr)).cloned().collect();
        let at: Vec<Multiaddr> = match &self.announced {
            Announced::Listened => direct(&listening(&self.swarm)),
            Announced::These(these) => direct(these),
            Announced::Nowhere | Announced::Unknown => Vec::new(),
        };
        let before = std::mem::replace(&mut self.peers.relaying.serves_at, at.clone());
        before
            .iter()
            .filter(|addr| !at.contains(addr))
            .for_each(|addr| self.swarm.remove_external_address(addr));
        self.swarm.behaviour_mut().serve_as_relay(!at.is_empty());
        at.into_iter()
            .filter(|addr| !before.contains(addr))
            .for_each(|addr| self.swarm.add_external_address(addr));
    }
}
