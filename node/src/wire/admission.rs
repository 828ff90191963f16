//! The plan of seats, as a part of the swarm: it refuses connections, and closes those that have to make way.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::net::IpAddr;
use std::task::{Context, Poll};

use libp2p::core::transport::PortUse;
use libp2p::core::{ConnectedPoint, Endpoint};
use libp2p::swarm::behaviour::{ConnectionClosed, ConnectionEstablished, ListenFailure};
use libp2p::swarm::{
    CloseConnection, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm, dummy,
};
use libp2p::{Multiaddr, PeerId};

use super::seats::{Began, Refused, SeatLimits, Seats, Standing, Taken};
use crate::address::{ip, is_near};

/// The connections to this peer are about to be closed, because somebody else needs the seat.
#[derive(Debug)]
pub(crate) struct MakesWay(pub(crate) PeerId);

/// See the module's description.
pub(crate) struct Admission {
    seats: Seats,
    /// Inbound handshakes with public addresses, of which one address may not have all.
    knocking: BTreeMap<ConnectionId, IpAddr>,
    knocking_per_ip_max: usize,
    queue: VecDeque<ToSwarm<MakesWay, Infallible>>,
}

impl Admission {
    pub(crate) fn new(limits: SeatLimits) -> Self {
        Admission {
            seats: Seats::new(limits),
            knocking: BTreeMap::new(),
            knocking_per_ip_max: limits.per_ip_max,
            queue: VecDeque::new(),
        }
    }

    /// What peers are to us from now on; those not named are strangers.
    pub(crate) fn set_standings(&mut self, standings: BTreeMap<PeerId, Standing>) {
        self.seats.set_standings(standings);
    }

    /// A peer has become a neighbour.
    pub(crate) fn keep(&mut self, peer: PeerId) {
        self.seats.keep(peer);
    }

    /// Connected peers by what they are to us.
    pub(crate) fn taken(&self) -> Taken {
        self.seats.taken()
    }

    /// How many peers may be connected.
    pub(crate) fn max(&self) -> usize {
        self.seats.max()
    }

    fn admit(&mut self, peer: &PeerId, began: Began, remote: &Multiaddr) -> Result<(), ConnectionDenied> {
        let goes = self.seats.admit(peer, began, ip(remote)).map_err(|refused| {
            tracing::debug!(%peer, %remote, %refused, "connection refused");
            ConnectionDenied::new(refused)
        })?;
        if let Some(peer) = goes {
            self.seats.vacate(&peer);
            self.queue.push_back(ToSwarm::GenerateEvent(MakesWay(peer)));
            self.queue
                .push_back(ToSwarm::CloseConnection { peer_id: peer, connection: CloseConnection::All });
        }
        Ok(())
    }
}

impl NetworkBehaviour for Admission {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = MakesWay;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        let Some(ip) = ip(remote).filter(|ip| !is_near(*ip)) else { return Ok(()) };
        if self.knocking.values().filter(|other| **other == ip).count() >= self.knocking_per_ip_max {
            return Err(ConnectionDenied::new(Refused::Address));
        }
        self.knocking.insert(connection, ip);
        Ok(())
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.knocking.remove(&connection);
        self.admit(&peer, Began::There, remote)?;
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        remote: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.admit(&peer, Began::Here, remote)?;
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(ConnectionEstablished { peer_id, endpoint, .. }) => {
                let began = match endpoint {
                    ConnectedPoint::Dialer { .. } => Began::Here,
                    ConnectedPoint::Listener { .. } => Began::There,
                };
                self.seats.take(peer_id, began, ip(endpoint.get_remote_address()));
            }
            FromSwarm::ConnectionClosed(ConnectionClosed { peer_id, .. }) => self.seats.leave(&peer_id),
            FromSwarm::ListenFailure(ListenFailure { connection_id, .. }) => {
                self.knocking.remove(&connection_id);
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        match self.queue.pop_front() {
            Some(action) => Poll::Ready(action),
            None => Poll::Pending,
        }
    }
}
