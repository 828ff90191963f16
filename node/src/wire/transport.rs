//! The swarm: TCP with noise and yamux, and QUIC, with limits on connections.

use std::time::Duration;

use libp2p::connection_limits::{self, ConnectionLimits};
use libp2p::identity::Keypair;
use libp2p::swarm::{NetworkBehaviour, Swarm};
use libp2p::{noise, tcp, yamux};

use super::behaviour::Behaviour;
use super::handler::Protocols;

/// Connections without streams close after this.
const IDLE: Duration = Duration::from_secs(10);
/// Flow-control windows of QUIC: smaller than the default costs no speed and bounds memory per connection.
const QUIC_STREAM_WINDOW: u32 = 1 << 20;
const QUIC_CONNECTION_WINDOW: u32 = 3 << 19;

/// What the swarm runs: our streams, and limits on connections.
#[derive(NetworkBehaviour)]
pub(crate) struct Wire {
    pub(crate) streams: Behaviour,
    limits: connection_limits::Behaviour,
}

/// The node's swarm.
pub(crate) type NetworkSwarm = Swarm<Wire>;

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
    connections_max: u32,
) -> Result<NetworkSwarm, BuildError> {
    let limits = ConnectionLimits::default()
        .with_max_pending_incoming(Some(128))
        .with_max_pending_outgoing(Some(256))
        .with_max_established(Some(connections_max))
        .with_max_established_incoming(Some(connections_max.saturating_mul(3) / 4))
        .with_max_established_per_peer(Some(4));
    let wire = Wire { streams: Behaviour::new(protocols), limits: connection_limits::Behaviour::new(limits) };
    let Ok(builder) = libp2p::SwarmBuilder::with_existing_identity(key)
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)?
        .with_quic_config(|mut config| {
            config.max_stream_data = QUIC_STREAM_WINDOW;
            config.max_connection_data = QUIC_CONNECTION_WINDOW;
            config
        })
        .with_behaviour(|_| wire);
    Ok(builder.with_swarm_config(|config| config.with_idle_connection_timeout(IDLE)).build())
}
