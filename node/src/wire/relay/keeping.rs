//! Does with the swarm what the policy of reservations says.

use tokio::time::Instant;

use super::super::reservations::{Reservations, Step};
use super::super::transport::NetworkSwarm;

/// Lets the policy have its way. To be called after events and from time to time.
pub(crate) fn keep_reservations(swarm: &mut NetworkSwarm, reservations: &mut Reservations, now: Instant) {
    for step in reservations.poll(now) {
        match step {
            Step::Listen { relay, addr } => {
                let listener = swarm.listen_on(addr.clone());
                if let Err(error) = &listener {
                    tracing::debug!(%addr, %error, "cannot ask for a reservation");
                }
                reservations.listening(relay, listener.ok());
            }
            // By closing the connection. That closes the listener as well, and to remove that alone makes libp2p (0.22) panic if
            // the relay has us renew at this moment.
            Step::Stop { relay, .. } => drop(swarm.disconnect_peer_id(relay)),
        }
    }
}
