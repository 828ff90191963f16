//! The Chordage overlay as a pure state machine.
//!
//! Nothing here waits, spawns, logs, or asks for time or chance: both are arguments. The daemon, a unit test and a
//! simulation of a million nodes drive the same code with the same call.

#![no_std]

extern crate alloc;

mod calls;
mod config;
mod density;
mod dht;
mod distance;
mod gone;
mod health;
mod id;
mod io;
mod leaf_set;
mod lookup;
mod message;
mod metric;
mod nearest;
pub mod params;
mod peer;
mod placement;
mod rtt;
mod table;
mod time;
mod timers;

pub use config::Config;
pub use density::{Density, density};
pub use dht::Dht;
pub use distance::Distance;
pub use id::{Key, NodeId, ParseIdError};
pub use io::{
    Confirm, DownReason, Event, Finger, FingerRow, Hop, Input, Lookup, LookupError, LookupId, LookupOptions,
    Output, SizeEstimate, Status,
};
pub use message::{CallId, DecodeError, Message, Notice, Request, Response};
pub use metric::{AnyMetric, Classic, Direction, Metric, ParseMetricError, Ring, Row, Shape, Xor};
pub use peer::{Address, Grouping, NetGroup, Peer, PeerError, PeerInfo};
pub use placement::rendezvous_order;
pub use time::Time;
