//! Why somebody does not become, or is not, part of a private network.

use std::path::PathBuf;

use crate::datadir::DataDirError;

/// Why a network was not founded or joined, or why a daemon that belongs to one does not start. Nothing has changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccessError {
    /// The text is no invite, or a part of it is missing.
    #[error("{0}")]
    BadInvite(String),
    /// A network cannot be called so.
    #[error("{0}")]
    BadName(String),
    /// The data directory belongs to a private network already.
    #[error("{path} belongs to the private network {network}")]
    Belongs {
        /// The directory.
        path: PathBuf,
        /// The name of its network.
        network: String,
    },
    /// The data directory has been part of a network that is open to everybody.
    #[error("the daemon of {path} has been part of an open network")]
    Open {
        /// The directory.
        path: PathBuf,
    },
    /// The papers of the private network were there, and are gone.
    #[error(
        "{0} is gone: by it this daemon belongs to its private network, and without it it would be part of an open one"
    )]
    PapersLost(PathBuf),
    /// The invite has ended.
    #[error("the invite has ended")]
    Expired,
    /// Whoever made the invite does not let this daemon in.
    #[error("the daemon that made the invite does not let this one in: {0}")]
    Refused(String),
    /// None of the addresses of the invite answers.
    #[error("the daemon that made the invite cannot be reached: {0}")]
    Unreachable(String),
    /// Whoever answered does not speak for the network of the invite.
    #[error("whoever answered does not speak for the network of the invite")]
    Foreign,
    /// The data directory cannot be used.
    #[error(transparent)]
    Dir(#[from] DataDirError),
    /// The system refused something.
    #[error("{0}")]
    System(String),
}

impl From<getrandom::Error> for AccessError {
    fn from(error: getrandom::Error) -> Self {
        AccessError::System(format!("the system has no random numbers: {error}"))
    }
}
