//! The local HTTP API: its types, a client, and the server inside the daemon.

pub mod client;
mod client_error;
mod download;
pub mod endpoint;
mod fingerprint;
pub mod operation;
mod problem;
pub mod range;
pub mod server;
pub mod types;
pub mod upload;
mod uri;
mod waiting;

pub use self::fingerprint::{fingerprint, is_settled};
pub use chordage_storage::{Fingerprint, Link, LinkError, OpenError, Redundancy, RedundancyError};
