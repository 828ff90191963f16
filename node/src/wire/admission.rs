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
use crate::address::{ip, is_near, is_relayed};

/// The connections to this peer are about to be closed, because somebody else needs the seat.
#[derive(Debug)]
pub(crate) struct MakesWay(pub(crate) PeerId);

/// How a handshake comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Knock {
    /// From this public address.
    From(IpAddr),
    /// Through a relay, which could pass on any number.
    Relayed,
}

/// See the module's description.
pub(crate) struct Admission {
    seats: Seats,
    /// Inbound handshakes with public addresses, of which one address may not have all, and those through relays.
    knocking: BTreeMap<ConnectionId, Knock>,
    knocking_per_ip_max: usize,
    knocking_relayed_max: usize,
    queue: VecDeque<ToSwarm<MakesWay, Infallible>>,
}

impl Admission {
    pub(crate) fn new(limits: SeatLimits) -> Self {
        Admission {
            seats: Seats::new(limits),
            knocking: BTreeMap::new(),
            knocking_per_ip_max: limits.per_ip_max,
            knocking_relayed_max: limits.strangers_max.div_ceil(4),
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
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        let (knock, max) = match ip(remote).filter(|ip| !is_near(*ip)) {
            _ if is_relayed(local) => (Knock::Relayed, self.knocking_relayed_max),
            Some(ip) => (Knock::From(ip), self.knocking_per_ip_max),
            None => return Ok(()),
        };
        if self.knocking.values().filter(|other| **other == knock).count() >= max {
            return Err(ConnectionDenied::new(Refused::Address));
        }
        self.knocking.insert(connection, knock);
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

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: SeatLimits = SeatLimits { max: 20, strangers_max: 8, per_ip_max: 2 };
    const PUBLIC: &str = "/ip4/203.0.113.7/tcp/1";

    fn addr(text: &str) -> Multiaddr {
        text.parse().expect("valid")
    }

    /// A peer comes, directly or through a relay at [`PUBLIC`], and is let in or not.
    fn comes(admission: &mut Admission, number: usize, relayed: bool) -> Result<(), ConnectionDenied> {
        let (peer, relay) = (PeerId::random(), PeerId::random());
        let (local, remote) = match relayed {
            true => (format!("{PUBLIC}/p2p/{relay}/p2p-circuit"), format!("/p2p/{peer}")),
            false => ("/ip4/192.0.2.1/tcp/9".to_owned(), PUBLIC.to_owned()),
        };
        let id = ConnectionId::new_unchecked(number);
        let (local_addr, send_back_addr) = (addr(&local), addr(&remote));
        admission.handle_pending_inbound_connection(id, &local_addr, &send_back_addr)?;
        admission.handle_established_inbound_connection(id, peer, &local_addr, &send_back_addr)?;
        admission.on_swarm_event(FromSwarm::ConnectionEstablished(ConnectionEstablished {
            peer_id: peer,
            connection_id: id,
            endpoint: &ConnectedPoint::Listener { local_addr, send_back_addr },
            failed_addresses: &[],
            other_established: 0,
        }));
        Ok(())
    }

    #[test]
    fn circuits_use_up_nothing_of_what_the_relays_address_may_have() {
        let mut admission = Admission::new(LIMITS);
        for number in 0..5 {
            comes(&mut admission, number, true).expect("there are seats");
        }
        // Nor do those that are opened from here.
        for number in 5..8 {
            let circuit = addr(&format!("{PUBLIC}/p2p/{}/p2p-circuit", PeerId::random()));
            let id = ConnectionId::new_unchecked(number);
            let opened = admission.handle_established_outbound_connection(
                id,
                PeerId::random(),
                &circuit,
                Endpoint::Dialer,
                PortUse::Reuse,
            );
            opened.expect("there are seats");
        }
        for number in 8..10 {
            comes(&mut admission, number, false).expect("the address has two places");
        }
        comes(&mut admission, 10, false).expect_err("and no third");
        comes(&mut admission, 11, true).expect("there are still seats for circuits");
    }

    #[test]
    fn a_relay_does_not_take_all_handshakes() {
        let mut admission = Admission::new(LIMITS);
        let (local, remote) = (format!("{PUBLIC}/p2p/{}/p2p-circuit", PeerId::random()), "/p2p/");
        let knock = |admission: &mut Admission, number: usize| {
            let remote = addr(&format!("{remote}{}", PeerId::random()));
            let id = ConnectionId::new_unchecked(number);
            admission.handle_pending_inbound_connection(id, &addr(&local), &remote)
        };
        for number in 0..2 {
            knock(&mut admission, number).expect("a quarter of the seats for strangers");
        }
        knock(&mut admission, 2).expect_err("and no more");
        comes(&mut admission, 3, false).expect("others knock as before");
    }
}
