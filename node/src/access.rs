//! Founding a private network, and joining one. A stand-in: it checks what it is given, and changes nothing but the lock.

use std::path::{Path, PathBuf};

use chordage_api::types::MayBe;

use crate::datadir::{DataDir, DataDirError};
use crate::network::{invite::Invite, is_name};

/// A network that was founded.
#[derive(Clone, Debug)]
pub struct Founded {
    /// Its name.
    pub network: String,
    /// Its key.
    pub key: String,
    /// Its fingerprint.
    pub fingerprint: String,
    /// Where its key lies.
    pub dir: PathBuf,
}

/// A network that was joined.
#[derive(Clone, Debug)]
pub struct Joined {
    /// Its name.
    pub network: String,
    /// Its fingerprint.
    pub fingerprint: String,
    /// What the daemon may be.
    pub role: MayBe,
    /// Whether it may let others in.
    pub delegate: bool,
    /// Seconds since 1970.
    pub not_after: i64,
    /// Whether the directory belonged to the network already.
    pub renewed: bool,
}

/// Why a network was not founded or joined.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccessError {
    /// The text is no invite.
    #[error("{0}")]
    BadInvite(String),
    /// The name is none of a network.
    #[error("`{0}` is not the name of a network")]
    BadName(String),
    /// The directory belongs to a network.
    #[error("{path} belongs to the network `{network}`")]
    Belongs {
        /// The directory.
        path: PathBuf,
        /// Its network.
        network: String,
    },
    /// The directory was part of an open network.
    #[error("{path} has been part of an open network")]
    Open {
        /// The directory.
        path: PathBuf,
    },
    /// The invite has ended.
    #[error("the invite has ended")]
    Expired,
    /// The inviter said no.
    #[error("not let in: {0}")]
    Refused(String),
    /// Nobody answers.
    #[error("none of the addresses in the invite answers: {0}")]
    Unreachable(String),
    /// Somebody else answers.
    #[error("whoever answered is not of the network of the invite")]
    Foreign,
    /// The data directory cannot be used.
    #[error(transparent)]
    Dir(#[from] DataDirError),
    /// The system refused.
    #[error("{0}")]
    System(String),
}

const MISSING: &str = "private networks are not in this version";

/// Founds a private network in a data directory.
pub fn found(dir: &Path, name: &str) -> Result<Founded, AccessError> {
    if !is_name(name) {
        return Err(AccessError::BadName(name.to_owned()));
    }
    DataDir::open(dir)?;
    Err(AccessError::System(MISSING.to_owned()))
}

/// Has a data directory join a private network.
pub async fn join(dir: &Path, invite: &str) -> Result<Joined, AccessError> {
    let _: Invite = invite
        .parse()
        .map_err(|error: crate::network::invite::InviteError| AccessError::BadInvite(error.to_string()))?;
    DataDir::open(dir)?;
    Err(AccessError::System(MISSING.to_owned()))
}
