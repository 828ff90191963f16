//! Why somebody does not become, or is not, part of a network.

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
    /// No network may ask for so much work.
    #[error("{0}")]
    BadBits(String),
    /// The data directory belongs to a network already.
    #[error("{path} belongs to the network {network}")]
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
    /// What said to which network it belongs was there, and is gone.
    #[error(
        "{0} is gone: by it this daemon belongs to its network, a private network or an open one that asks for work, \
         and without it it would be part of one that is nothing but a name"
    )]
    PapersLost(PathBuf),
    /// The key of a daemon in an open network is gone, and another would lack the work.
    #[error("{0} is gone: a new key would lack the work that its open network asks for")]
    KeyLost(PathBuf),
    /// The key of a daemon in an open network is not the one for which work was done.
    #[error(
        "the key in {path} lacks the work that the open network {network} asks for, {bits} bits: nobody there would talk \
         to this daemon"
    )]
    LacksWork {
        /// The file.
        path: PathBuf,
        /// The name of the network.
        network: String,
        /// How many bits it asks for.
        bits: u8,
    },
    /// Trying keys was ended before one was found that has the work.
    #[error("no key was found that has the work, because that was stopped")]
    Stopped,
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
