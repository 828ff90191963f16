//! What the daemon's decoders use of the crate `chordage-api`: its own files, without the HTTP client and all that it
//! needs.

#[path = "../../../node/api/src/hex.rs"]
mod hex;
#[path = "../../../node/api/src/name.rs"]
pub mod name;
#[path = "../../../node/api/src/operation.rs"]
pub mod operation;
#[path = "../../../node/api/src/service.rs"]
pub mod service;
#[path = "../../../node/api/src/volume.rs"]
pub mod volume;

pub use self::hex::{hex, unhex};
pub use chordage_storage::{Link, LinkError};
