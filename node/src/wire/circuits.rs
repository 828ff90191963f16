//! Circuits through relays that have become superfluous, because there is a direct connection to the same peer.
//!
//! What is under way on a circuit may finish for a while, and then it ends, so that the relay has room for others. If
//! the direct connection breaks before that, the circuit stays.

use std::collections::BTreeMap;
use std::time::Duration;

use libp2p::swarm::ConnectionId;
use tokio::time::Instant;

use super::paths::Transport;

/// How long what is under way on a circuit may take to finish, once there is a direct connection. Design: longer than a
/// request for a shard takes that is answered at all.
const LINGER: Duration = Duration::from_secs(10);

/// See the module's description.
#[derive(Default)]
pub(super) struct Circuits {
    ends: BTreeMap<ConnectionId, Instant>,
}

impl Circuits {
    /// These are the connections to a peer from now on.
    pub(super) fn review(&mut self, connections: &[(ConnectionId, Transport)], now: Instant) {
        let direct = connections.iter().any(|(_, transport)| transport.is_direct());
        for (circuit, _) in connections.iter().filter(|(_, transport)| !transport.is_direct()) {
            if direct {
                self.ends.entry(*circuit).or_insert(now + LINGER);
            } else {
                self.ends.remove(circuit);
            }
        }
    }

    /// A connection has ended.
    pub(super) fn ended(&mut self, connection: ConnectionId) {
        self.ends.remove(&connection);
    }

    /// Circuits that are to be closed now. Each is named once.
    pub(super) fn due(&mut self, now: Instant) -> Vec<ConnectionId> {
        let due: Vec<_> =
            self.ends.iter().filter(|(_, at)| **at <= now).map(|(circuit, _)| *circuit).collect();
        self.ends.retain(|circuit, _| !due.contains(circuit));
        due
    }

    /// The next time to look for those.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.ends.values().min().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circuit_ends_some_time_after_a_direct_connection_has_come_and_stays_without_one() {
        let [circuit, direct] = [1, 2].map(ConnectionId::new_unchecked);
        let (mut circuits, now) = (Circuits::default(), Instant::now());
        let (relayed, tcp) = ((circuit, Transport::Relayed), (direct, Transport::Tcp));
        circuits.review(&[relayed], now);
        assert_eq!(circuits.next_due(), None);
        circuits.review(&[relayed, tcp], now);
        circuits.review(&[relayed, tcp, (ConnectionId::new_unchecked(3), Transport::Quic)], now + LINGER / 2);
        assert_eq!(circuits.next_due(), Some(now + LINGER), "the first direct connection counts");
        assert!(circuits.due(now + LINGER / 2).is_empty());
        // The direct one breaks, and another comes.
        circuits.review(&[relayed], now + LINGER / 2);
        assert!(circuits.due(now + LINGER).is_empty());
        circuits.review(&[tcp, relayed], now + LINGER);
        assert_eq!(circuits.due(now + LINGER * 2), [circuit]);
        assert!(circuits.due(now + LINGER * 2).is_empty(), "once");
        circuits.review(&[relayed, tcp], now);
        circuits.ended(circuit);
        assert_eq!(circuits.next_due(), None);
    }
}
