//! Chordage in virtual time.
//!
//! A discrete-event simulation of up to a million nodes in one process. The nodes are the overlay's own state machine,
//! unmodified, called as the daemon calls it; this crate supplies the clock, chance, the network and everything that
//! can go wrong, and it knows at any moment what the right answers are. Everything follows from one seed: the same
//! seed gives the same run, message for message.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub use chordage_dht::{AnyMetric, Config, params::MEMBERS};

pub mod build;
pub mod census;
pub mod chance;
pub mod checks;
pub mod experiments;
pub mod faults;
mod groups;
pub mod ideal;
pub mod latency;
pub mod memory;
pub mod plot;
mod processor;
pub mod queue;
pub mod report;
pub mod scenario;
pub mod sessions;
pub mod stats;
pub mod traffic;
pub mod world;
