//! Direct connections made out of circuits: libp2p's DCUtR, told of our addresses by us, and with circuits that nobody
//! uses allowed to end.
//!
//! libp2p's part keeps every circuit alive in case it has to try again, also when it has succeeded at once. Here a
//! circuit lives as long as there are streams on it, those of an attempt included.

use std::task::{Context, Poll};

use chordage_api::types::HolesStatus;
use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::behaviour::NewExternalAddrCandidate;
use libp2p::swarm::handler::{ConnectionEvent, ConnectionHandler, ConnectionHandlerEvent, SubstreamProtocol};
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent,
    ToSwarm,
};
use libp2p::{Multiaddr, PeerId, dcutr};

/// See the module's description.
pub(crate) struct Punching {
    inner: dcutr::Behaviour,
    count: HolesStatus,
}

impl Punching {
    pub(crate) fn new(local: PeerId) -> Self {
        Punching { inner: dcutr::Behaviour::new(local), count: HolesStatus::default() }
    }

    /// Addresses to try from now on, the best last; the latest twenty count. Told here rather than by the swarm, which
    /// keeps to itself what it takes to be reachable anyway.
    pub(crate) fn add_candidates(&mut self, addrs: &[Multiaddr]) {
        for addr in addrs {
            self.inner.on_swarm_event(FromSwarm::NewExternalAddrCandidate(NewExternalAddrCandidate { addr }));
        }
    }

    /// What came of it since the start.
    pub(super) fn status(&self) -> HolesStatus {
        self.count
    }
}

impl NetworkBehaviour for Punching {
    type ConnectionHandler = Unheld<THandler<dcutr::Behaviour>>;
    type ToSwarm = dcutr::Event;

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.inner.handle_established_inbound_connection(connection, peer, local, remote).map(Unheld)
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        addr: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.inner.handle_established_outbound_connection(connection, peer, addr, role, port).map(Unheld)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        self.inner.on_swarm_event(event);
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        self.inner.on_connection_handler_event(peer, connection, event);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        let told = self.inner.poll(cx);
        if let Poll::Ready(ToSwarm::GenerateEvent(dcutr::Event { result, .. })) = &told {
            self.count.tried += 1;
            self.count.dug += u64::from(result.is_ok());
        }
        told
    }
}

/// A handler that keeps no connection alive, except by its streams.
pub(crate) struct Unheld<H>(H);

impl<H: ConnectionHandler> ConnectionHandler for Unheld<H> {
    type FromBehaviour = H::FromBehaviour;
    type ToBehaviour = H::ToBehaviour;
    type InboundProtocol = H::InboundProtocol;
    type OutboundProtocol = H::OutboundProtocol;
    type InboundOpenInfo = H::InboundOpenInfo;
    type OutboundOpenInfo = H::OutboundOpenInfo;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol, Self::InboundOpenInfo> {
        self.0.listen_protocol()
    }

    // Not `connection_keep_alive`, which is the point.

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, Self::OutboundOpenInfo, Self::ToBehaviour>> {
        self.0.poll(cx)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Option<Self::ToBehaviour>> {
        self.0.poll_close(cx)
    }

    fn on_behaviour_event(&mut self, event: Self::FromBehaviour) {
        self.0.on_behaviour_event(event);
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<
            '_,
            Self::InboundProtocol,
            Self::OutboundProtocol,
            Self::InboundOpenInfo,
            Self::OutboundOpenInfo,
        >,
    ) {
        self.0.on_connection_event(event);
    }
}
