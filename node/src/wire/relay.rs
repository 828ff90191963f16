//! Relays: connections between two that cannot reach each other, through a third whom both reach.
//!
//! Who cannot be reached *reserves* at a relay, which means that it keeps a connection there and may be asked for
//! through it. A connection through a relay is a *circuit*. It has the same handshake, encryption and gate as any
//! other, from end to end, so that the relay sees ciphertext and nobody gets further by it than directly. Over a
//! circuit the two ends agree on a moment to dial each other, which NATs of the usual kinds let pass (*hole punching*).
//!
//! The protocols are libp2p's (circuit relay v2, DCUtR). This module says which of them a swarm speaks, and within
//! which limits.

mod keeping;
mod punching;
mod refusal;
mod serving;
#[cfg(test)]
mod tests;

use std::time::Duration;

use chordage_api::types::{HolesStatus, RelayingStatus};
use libp2p::{Multiaddr, relay};

pub(crate) use self::keeping::keep_reservations;
pub(super) use self::punching::Punching;
pub(super) use self::refusal::{RelayRefusal, why_refused};
pub(super) use self::serving::Serving;
use super::transport::Wire;
use crate::config::RelayConfig;

/// How long a reservation lasts: as long as the connection, in effect. With a time that a daemon lives to see, the
/// relay's part of libp2p (0.22) can be made to panic by somebody who renews at the very end and reads the answer late,
/// and a relay that is full refuses to renew what it has. Connections that are dead are found by QUIC, and by TCP after
/// minutes (`socket`).
const RESERVED: Duration = Duration::from_secs(365 * 24 * 3600);
/// Reservations of one peer: a second while the relay has not noticed the end of the first.
const RESERVATIONS_PER_PEER: usize = 2;

/// Which parts of relaying a swarm has; none, unless told otherwise.
#[derive(Clone, Debug, Default)]
pub(crate) struct RelaySettings {
    /// Within which limits it can be a relay. It is none before [`Wire::serve_as_relay`] says so.
    pub(crate) serves: Option<RelayLimits>,
    /// Whether it can reserve at relays and open circuits.
    pub(crate) uses: bool,
    /// Whether it makes direct connections out of circuits.
    pub(crate) punches: bool,
}

impl RelaySettings {
    /// What the settings of a daemon say, in a private network or an open one.
    pub(crate) fn of(config: &RelayConfig, private: bool) -> RelaySettings {
        let serves = config.serve.then(|| RelayLimits::of(config, private));
        RelaySettings { serves, uses: true, punches: true }
    }
}

/// Limits of a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RelayLimits {
    pub(crate) reservations_max: usize,
    pub(crate) circuits_max: usize,
    /// Circuits that one peer has an end of when it opens one more.
    pub(crate) circuits_per_peer_max: usize,
    /// How long a circuit lasts.
    pub(crate) circuit_time: Duration,
    /// How many bytes go through a circuit, both directions together.
    pub(crate) circuit_bytes: u64,
}

impl RelayLimits {
    /// What the settings of a daemon say, in a private network or an open one.
    pub(crate) fn of(config: &RelayConfig, private: bool) -> RelayLimits {
        RelayLimits {
            reservations_max: config.reservations_max as usize,
            circuits_max: config.circuits_max as usize,
            circuits_per_peer_max: config.circuits_per_peer_max as usize,
            circuit_time: Duration::from_secs(config.seconds(private).into()),
            circuit_bytes: config.bytes(private),
        }
    }
}

/// The limits in libp2p's words.
fn config(limits: &RelayLimits) -> relay::Config {
    relay::Config {
        max_reservations: limits.reservations_max,
        // These two refuse only what is beyond one more.
        max_reservations_per_peer: RESERVATIONS_PER_PEER - 1,
        max_circuits_per_peer: limits.circuits_per_peer_max.saturating_sub(1),
        max_circuits: limits.circuits_max,
        max_circuit_duration: limits.circuit_time,
        max_circuit_bytes: limits.circuit_bytes,
        reservation_duration: RESERVED,
        // How many in which time: libp2p's own, by peer and by address.
        ..relay::Config::default()
    }
}

impl Wire {
    /// Whether to be a relay for others from now on. They are told the swarm's external addresses, and get no
    /// reservation while there is none. Circuits that exist go on. Nothing happens if the settings exclude it.
    pub(crate) fn serve_as_relay(&mut self, serve: bool) {
        if let Some(server) = self.relay_server.as_mut() {
            server.turn(serve);
        }
    }

    /// What this daemon does as a relay; `None`: it is none.
    pub(crate) fn relaying(&self) -> Option<RelayingStatus> {
        self.relay_server.as_ref().and_then(Serving::status)
    }

    /// What came of making direct connections out of circuits.
    pub(crate) fn holes(&self) -> HolesStatus {
        self.punching.as_ref().map(Punching::status).unwrap_or_default()
    }

    /// Addresses at which this daemon may be reachable once it dials out from there, the best last: its own ports as
    /// others see them. Circuits that begin from now on are turned into direct connections by them.
    pub(crate) fn add_candidates(&mut self, addrs: &[Multiaddr]) {
        if let Some(punching) = self.punching.as_mut() {
            punching.add_candidates(addrs);
        }
    }
}
