//! Why a daemon does not start.

use std::path::PathBuf;

use chordage_storage::OpenError;

use crate::access::AccessError;
use crate::config::ConfigError;
use crate::datadir::DataDirError;
use crate::descriptors;
use crate::dns::DnsError;
use crate::listen::ListenError;
use crate::server::ServeError;

/// Why a daemon did not start. Nothing runs, and nothing in the data directory was lost.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The shard store cannot be opened.
    #[error("the shard store in {path} cannot be opened: {source}")]
    Store {
        /// Where it is.
        path: PathBuf,
        /// Why not.
        source: OpenError,
    },
    /// A book of leases cannot be opened. Without it nobody knows what is still wanted.
    #[error("the book of leases in {path} cannot be opened: {problem}")]
    Leases {
        /// Where it is.
        path: PathBuf,
        /// Why not.
        problem: String,
    },
    /// The papers of its private network do not let it start.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// A port is taken, or the system refused.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The API cannot be served.
    #[error(transparent)]
    Api(#[from] ServeError),
    /// DNS cannot be answered.
    #[error(transparent)]
    Dns(#[from] DnsError),
    /// The system does not give a thread that a daemon needs.
    #[error("the system does not give as many threads as a daemon needs: {0}")]
    Threads(std::io::Error),
    /// The system does not give as many file descriptors as a daemon needs.
    #[error("the system lets this process open {limit} files and sockets, and a daemon needs {needed}", needed = descriptors::NEEDED)]
    Descriptors {
        /// What it gives.
        limit: u64,
    },
    /// The system refused something else.
    #[error("{0}")]
    System(String),
}
