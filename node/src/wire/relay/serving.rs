//! Being a relay for others: libp2p's server, and a count of what it does.

use std::collections::BTreeSet;
use std::task::{Context, Poll};

use chordage_api::types::RelayingStatus;
use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::behaviour::ConnectionClosed;
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent,
    ToSwarm,
};
use libp2p::{Multiaddr, PeerId, relay};

use super::{RelayLimits, config};

/// See the module's description.
pub(crate) struct Serving {
    server: relay::Behaviour,
    limits: RelayLimits,
    is_on: bool,
    /// Who has reserved. It ends with the last connection of a peer: libp2p (0.22) tells the end of every connection as
    /// that of a reservation, whether there was one on it or not.
    reserved: BTreeSet<PeerId>,
    circuits: usize,
    circuits_opened: u64,
    refused: u64,
}

impl Serving {
    /// A relay that serves nobody yet.
    pub(crate) fn new(local: PeerId, limits: RelayLimits) -> Self {
        let mut server = relay::Behaviour::new(local, config(&limits));
        server.set_status(Some(relay::Status::Disable));
        Serving {
            server,
            limits,
            is_on: false,
            reserved: BTreeSet::new(),
            circuits: 0,
            circuits_opened: 0,
            refused: 0,
        }
    }

    /// Whether to serve from now on. Circuits that exist go on.
    pub(super) fn turn(&mut self, on: bool) {
        self.is_on = on;
        self.server.set_status(Some(if on { relay::Status::Enable } else { relay::Status::Disable }));
    }

    /// What it does, and within which limits; `None`: it serves nobody.
    pub(super) fn status(&self) -> Option<RelayingStatus> {
        let limits = &self.limits;
        (self.is_on || self.circuits > 0).then_some(RelayingStatus {
            reservations: self.reserved.len() as u64,
            reservations_max: limits.reservations_max as u64,
            circuits: self.circuits as u64,
            circuits_max: limits.circuits_max as u64,
            circuits_opened: self.circuits_opened,
            refused: self.refused,
            circuit_bytes_max: limits.circuit_bytes,
            circuit_seconds_max: limits.circuit_time.as_secs(),
        })
    }

    fn count(&mut self, event: &relay::Event) {
        match event {
            relay::Event::ReservationReqAccepted { src_peer_id, .. } => {
                self.reserved.insert(*src_peer_id);
            }
            relay::Event::CircuitReqAccepted { .. } => {
                self.circuits += 1;
                self.circuits_opened += 1;
            }
            relay::Event::CircuitClosed { .. } => self.circuits = self.circuits.saturating_sub(1),
            relay::Event::ReservationReqDenied { .. } | relay::Event::CircuitReqDenied { .. } => {
                self.refused += 1;
            }
            _ => {}
        }
    }
}

impl NetworkBehaviour for Serving {
    type ConnectionHandler = THandler<relay::Behaviour>;
    type ToSwarm = relay::Event;

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.server.handle_established_inbound_connection(connection, peer, local, remote)
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        addr: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.server.handle_established_outbound_connection(connection, peer, addr, role, port)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        if let FromSwarm::ConnectionClosed(ConnectionClosed { peer_id, remaining_established: 0, .. }) = event
        {
            self.reserved.remove(&peer_id);
        }
        self.server.on_swarm_event(event);
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        self.server.on_connection_handler_event(peer, connection, event);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        let told = self.server.poll(cx);
        if let Poll::Ready(ToSwarm::GenerateEvent(event)) = &told {
            self.count(event);
        }
        told
    }
}
