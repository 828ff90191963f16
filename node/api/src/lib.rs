//! The local HTTP API of the Chordage daemon: its types and a client.

pub mod client;
mod client_error;
mod download;
pub mod endpoint;
mod fingerprint;
mod hex;
pub mod name;
pub mod operation;
pub mod range;
pub mod types;
pub mod upload;
mod uri;
mod waiting;

pub use self::fingerprint::{FILES_MAX, fingerprint, is_settled};
pub use self::hex::{hex, unhex};
pub use chordage_storage::{Fingerprint, Link, LinkError, OpenError, Redundancy, RedundancyError};
