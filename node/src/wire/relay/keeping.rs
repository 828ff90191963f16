//! Does with the swarm what the policy of reservations says.

use libp2p::PeerId;
use tokio::time::Instant;

use super::super::reservations::{Reservations, Step};
use super::super::transport::NetworkSwarm;

/// Lets the policy have its way. To be called after events and from time to time. Returns the relays whose connections
/// are closed by this: what breaks with them says nothing about them.
pub(crate) fn keep_reservations(
    swarm: &mut NetworkSwarm,
    reservations: &mut Reservations,
    now: Instant,
) -> Vec<PeerId> {
    let mut closed = Vec::new();
    for step in reservations.poll(now) {
        match step {
            Step::Listen { relay, addr } => {
                let listener = swarm.listen_on(addr.clone());
                if let Err(error) = &listener {
                    tracing::debug!(%addr, %error, "cannot ask for a reservation");
                }
                reservations.listening(relay, listener.ok());
            }
            // By closing the connection. That closes the listener as well, and to remove that alone makes libp2p (0.22)
            // panic if the relay has us renew at this moment.
            Step::Stop { relay, .. } => {
                if swarm.disconnect_peer_id(relay).is_ok() {
                    closed.push(relay);
                }
            }
        }
    }
    closed
}
