//! The swarm: TCP with noise and yamux, QUIC, and circuits through relays, all also by name, with limits on
//! connections.

use std::time::Duration;

use libp2p::connection_limits::{self, ConnectionLimits};
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::{OptionalTransport, PortUse};
use libp2p::core::upgrade::Version;
use libp2p::core::{ConnectedPoint, Endpoint};
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::swarm::{NetworkBehaviour, Swarm};
use libp2p::{Multiaddr, Transport, noise, quic, relay, yamux};

use super::admission::Admission;
use super::batching::{ReadAhead, Together};
use super::behaviour::{Behaviour, DIALS_PER_PEER};
use super::gate::Gate;
use super::handler::Protocols;
use super::names::Named;
use super::relay::{Punching, RelaySettings, Serving};
use super::seats::SeatLimits;
use super::socket;
use crate::address::{in_dial_order, is_relayed};
use crate::config::ConnectionConfig;

/// Connections without streams close after this: long enough for the next stream of somebody who opens one after
/// another.
const IDLE: Duration = Duration::from_secs(5);
/// Connections with one peer. Two are normal when both dial at once, and more when one has started anew.
const PER_PEER_MAX: u32 = 4;
/// Flow-control windows of QUIC: smaller than the default costs no speed and bounds memory per connection.
const QUIC_STREAM_WINDOW: u32 = 1 << 20;
const QUIC_CONNECTION_WINDOW: u32 = 3 << 19;

/// What the swarm runs: limits on connections, our streams, and what belongs to relays. In this order, so that nothing
/// makes way for a connection that is then refused, and the last, which counts direct connections, counts none that is
/// not to be.
#[derive(NetworkBehaviour)]
pub(crate) struct Wire {
    limits: connection_limits::Behaviour,
    pub(crate) admission: Admission,
    pub(crate) streams: Behaviour,
    pub(super) relay_server: Toggle<Serving>,
    relay_client: Toggle<relay::client::Behaviour>,
    pub(super) punching: Toggle<Punching>,
}

/// The node's swarm.
pub(crate) type NetworkSwarm = Swarm<Wire>;

/// The addresses of this machine that are listened on, in the order in which to dial them. The swarm itself keeps them
/// in an order that chance decides anew in every process: who joins through the first one would be served by TCP in one
/// network and by QUIC, at half again the CPU, in the next.
pub(crate) fn listening(swarm: &NetworkSwarm) -> Vec<Multiaddr> {
    in_dial_order(swarm.listeners().filter(|addr| !is_relayed(addr)).cloned().collect())
}

/// Which end of a connection this is. Of two that dialled each other at the same moment, so that NATs let them pass,
/// both have dialled, and one of them is to act as if it had been. QUIC (libp2p-quic 0.14) does so only for dials from
/// a new port: from a shared one both ends have a connection that they dialled and one that they accepted, whatever
/// they were to act as.
fn role(point: &ConnectedPoint) -> Endpoint {
    match point {
        ConnectedPoint::Dialer { address, port_use: PortUse::Reuse, .. } if is_quic(address) => {
            Endpoint::Dialer
        }
        ConnectedPoint::Dialer { role_override, .. } => *role_override,
        ConnectedPoint::Listener { .. } => Endpoint::Listener,
    }
}

fn is_quic(addr: &Multiaddr) -> bool {
    addr.iter().any(|part| matches!(part, Protocol::Quic | Protocol::QuicV1))
}

/// Why the swarm could not be built.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuildError {
    /// The noise handshake could not be set up from the key.
    #[error("cannot set up the noise handshake: {0}")]
    Noise(#[from] noise::Error),
}

/// Builds a swarm for `key`. It neither listens nor dials yet. Needs a tokio runtime around it.
pub(crate) fn build(
    key: Keypair,
    protocols: Protocols,
    gate: Gate,
    connections: &ConnectionConfig,
    relays: &RelaySettings,
) -> Result<NetworkSwarm, BuildError> {
    let local = key.public().to_peer_id();
    let limits = ConnectionLimits::default()
        .with_max_pending_incoming(Some(connections.dialling_max))
        .with_max_pending_outgoing(Some(connections.dialling_max.saturating_mul(DIALS_PER_PEER as u32)))
        .with_max_established_per_peer(Some(PER_PEER_MAX));
    let (circuits, relay_client) = relay::client::new(local);
    let wire = Wire {
        limits: connection_limits::Behaviour::new(limits),
        admission: Admission::new(SeatLimits {
            max: connections.max as usize,
            strangers_max: connections.strangers_max as usize,
            per_ip_max: connections.per_ip_max as usize,
        }),
        streams: Behaviour::new(protocols, connections.dialling_max as usize),
        relay_server: relays.serves.map(|limits| Serving::new(local, limits)).into(),
        relay_client: relays.uses.then_some(relay_client).into(),
        punching: relays.punches.then(|| Punching::new(local)).into(),
    };
    let noise = ReadAhead(noise::Config::new(&key)?);
    let yamux = Together(yamux::Config::default());
    let tcp = socket::tcp().upgrade(Version::V1Lazy).authenticate(noise.clone()).multiplex(yamux.clone());
    let circuits = circuits.upgrade(Version::V1Lazy).authenticate(noise).multiplex(yamux);
    let circuits = if relays.uses { OptionalTransport::some(circuits) } else { OptionalTransport::none() };
    let mut config = quic::Config::new(&key);
    config.max_stream_data = QUIC_STREAM_WINDOW;
    config.max_connection_data = QUIC_CONNECTION_WINDOW;
    let quic = quic::tokio::Transport::new(config);
    let both = quic
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
        .or_transport(tcp.map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer))))
        .map(|either, _| either.into_inner());
    let all = circuits
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
        .or_transport(both)
        .map(|either, _| either.into_inner())
        .and_then(move |connection, point| gate.pass(connection, role(&point)));
    let Ok(builder) = libp2p::SwarmBuilder::with_existing_identity(key)
        .with_tokio()
        .with_other_transport(|_| Named::new(all.boxed()));
    let Ok(builder) = builder.with_behaviour(|_| wire);
    Ok(builder.with_swarm_config(|config| config.with_idle_connection_timeout(IDLE)).build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_that_dialled_each_other_one_acts_as_if_it_had_been_dialled() {
        let dialled = |addr: &str, role_override, port_use| {
            role(&ConnectedPoint::Dialer { address: addr.parse().expect("valid"), role_override, port_use })
        };
        let (tcp, quic) = ("/ip4/192.0.2.1/tcp/1", "/ip4/192.0.2.1/udp/1/quic-v1");
        for addr in [tcp, quic] {
            assert_eq!(dialled(addr, Endpoint::Dialer, PortUse::Reuse), Endpoint::Dialer);
            assert_eq!(dialled(addr, Endpoint::Listener, PortUse::New), Endpoint::Listener);
        }
        assert_eq!(dialled(tcp, Endpoint::Listener, PortUse::Reuse), Endpoint::Listener);
        assert_eq!(
            dialled(quic, Endpoint::Listener, PortUse::Reuse),
            Endpoint::Dialer,
            "it is accepted there"
        );
        let (local_addr, send_back_addr) = (Multiaddr::empty(), Multiaddr::empty());
        assert_eq!(role(&ConnectedPoint::Listener { local_addr, send_back_addr }), Endpoint::Listener);
    }
}
