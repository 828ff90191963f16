//! The wire: libp2p streams of a few classes, opened on demand and held open.
//!
//! Measurements decided the style: one framed, pipelined stream per peer and direction costs a third of a
//! request-response exchange. Overlay messages ([`Class::Dht`]) and shards ([`Class::Shard`]) travel on
//! different streams, so that bulk never delays control.

mod admission;
mod batching;
mod behaviour;
mod circuits;
pub(crate) mod frame;
mod gate;
mod handler;
mod names;
mod once;
mod paths;
mod probe;
mod race;
mod relay;
mod reservations;
mod seats;
mod socket;
mod transport;

pub(crate) use admission::MakesWay;
pub(crate) use behaviour::{Behaviour, Inbound, OpenError, OpenReply};
pub(crate) use gate::{Doorkeeper, Gate, Refusal, Verdict};
#[cfg(test)]
pub(crate) use handler::SHARD_VERSIONS;
pub(crate) use handler::{Class, GuardedStream, Protocols, Spoken};
pub(crate) use once::{read_once, write_once};
use paths::causes;
pub(crate) use probe::reaches;
pub(crate) use relay::{RelaySettings, keep_reservations};
pub(crate) use reservations::Reservations;
pub(crate) use seats::{Standing, Taken};
pub(crate) use transport::{NetworkSwarm, WireEvent, build, listening};

/// How long after its streams a broken connection is surely noticed by the driver, which would open others on it until
/// then.
pub(crate) const CLOSING: std::time::Duration = std::time::Duration::from_millis(50);
