//! Dialling somebody only to find out whether it can be reached.
//!
//! The dial comes from a port that was never used before and in the name of a key that exists for this alone, so that
//! no table, router or firewall on the way knows it, and nobody takes the connection for one that stays. That the right
//! daemon answered is proven by the handshake of the transport. A gate comes after that, and nothing is said there.

use std::time::Duration;

use libp2p::core::Endpoint;
use libp2p::core::transport::{DialOpts, PortUse};
use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::{Multiaddr, PeerId, Transport, noise, quic, tcp, yamux};
use tokio::time::timeout;

/// How long the handshake may take. Design: a few round trips around the world.
const PATIENCE: Duration = Duration::from_secs(4);

/// Whether `peer` answers at `addr`, by TCP or QUIC.
pub(crate) async fn reaches(peer: PeerId, addr: Multiaddr) -> bool {
    let key = Keypair::generate_ed25519();
    let Ok(noise) = noise::Config::new(&key) else { return false };
    let tcp = tcp::tokio::Transport::new(tcp::Config::default())
        .upgrade(Version::V1Lazy)
        .authenticate(noise)
        .multiplex(yamux::Config::default());
    let quic = quic::tokio::Transport::new(quic::Config::new(&key));
    let mut both = quic
        .map(|(peer, _), _| peer)
        .or_transport(tcp.map(|(peer, _), _| peer))
        .map(|either, _| either.into_inner());
    let Ok(dial) = both.dial(addr, DialOpts { role: Endpoint::Dialer, port_use: PortUse::New }) else {
        return false;
    };
    matches!(timeout(PATIENCE, dial).await, Ok(Ok(answered)) if answered == peer)
}

#[cfg(test)]
mod tests {
    use libp2p::Swarm;
    use libp2p::futures::StreamExt;
    use libp2p::swarm::{SwarmEvent, dummy};

    use super::*;

    async fn listening(addr: &str) -> (PeerId, Multiaddr) {
        let mut swarm: Swarm<dummy::Behaviour> = libp2p::SwarmBuilder::with_new_identity()
            .with_tokio()
            .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
            .expect("a key")
            .with_quic()
            .with_behaviour(|_| dummy::Behaviour)
            .expect("it cannot fail")
            .build();
        swarm.listen_on(addr.parse().expect("valid")).expect("a port");
        let peer = *swarm.local_peer_id();
        let (told, heard) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            let mut told = Some(told);
            loop {
                if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await
                    && let Some(told) = told.take()
                {
                    let _ = told.send(address);
                }
            }
        });
        (peer, heard.await.expect("it listens"))
    }

    #[tokio::test]
    async fn only_the_one_with_the_key_at_the_address_is_reached() {
        for listen in ["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"] {
            let (peer, addr) = listening(listen).await;
            assert!(reaches(peer, addr.clone()).await, "{addr}");
            assert!(!reaches(PeerId::random(), addr.clone()).await, "somebody else at {addr}");
        }
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
        let port = nobody.expect("a free port").port();
        let addr = format!("/ip4/127.0.0.1/tcp/{port}").parse().expect("valid");
        assert!(!reaches(PeerId::random(), addr).await);
        assert!(!reaches(PeerId::random(), "/dns4/localhost/tcp/1".parse().expect("valid")).await);
    }
}
