//! The local HTTP API of the Chordage daemon: what it says, as types, and a client. All that an application needs.
//!
//! An application that stores some bytes and reads them back, through the daemon whose data directory it is told:
//!
//! ```no_run
//! use chordage_api::client::Client;
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let client = Client::find("/var/lib/chordage")?;
//!     let report = client.put_bytes(b"hello, ring").await?;
//!     let bytes = client.get_bytes(&report.link, 1024).await?;
//!     println!("{}", String::from_utf8_lossy(&bytes));
//!     Ok(())
//! }
//! ```
//!
//! Whoever has the link can read the object; it stays until [`Client::forget`](client::Client::forget). What does not
//! fit into memory goes through [`upload`](upload::upload) and [`Client::content`](client::Client::content).
//!
//! | module | what is in it |
//! |---|---|
//! | [`endpoint`] | where a daemon listens: a socket, a loopback port with a token, or a data directory that says it |
//! | [`client`] | one method for each request; every error says what is true now |
//! | [`upload`] | bodies that a thread writes while they are sent, and that count only when they are whole |
//! | [`types`] | what requests ask and answers say |
//! | [`name`], [`OpenName`], [`service`] | names of keys, of services and topics; what a service says about itself |
//! | [`volume`], [`phrase`] | the texts that open volumes; the words from which everything of a person comes back |
//! | [`range`], [`operation`] | parts of files; names of requests, to ask later why one failed |
//!
//! Answers gain fields and words in newer versions and lose none: a client reads what older and newer daemons say.

pub mod client;
mod client_error;
mod download;
pub mod endpoint;
mod events;
mod exchange;
mod fingerprint;
mod hex;
pub mod name;
pub mod name_watch;
mod open_name;
pub mod operation;
pub mod phrase;
pub mod range;
pub mod service;
pub mod service_watch;
pub mod subscription;
pub mod types;
pub mod upload;
mod uri;
pub mod volume;
mod waiting;

pub use self::fingerprint::{FILES_MAX, fingerprint, is_settled};
pub use self::hex::{hex, unhex};
pub use self::open_name::{OPEN_NAME_BYTES_MAX, OpenName, OpenNameError};
pub use chordage_storage::{Fingerprint, Link, LinkError, OpenError, Redundancy, RedundancyError};
