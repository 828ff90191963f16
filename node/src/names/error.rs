//! Why something about a name did not succeed.

use chordage_api::name::{Name, NameError, NameKey};
use chordage_dht::{OperationError, Refusal, VALUE_BYTES_MAX};

use super::anchor::AnchorError;
use super::content::TargetError;
use super::keyring::KeyringError;
use super::sealed::SealedKeyError;

/// See the module's description.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NamesError {
    /// The text is no name.
    #[error(transparent)]
    BadName(#[from] NameError),
    /// What it is to stand for cannot be that.
    #[error("that cannot be what a name stands for: {0}")]
    BadTarget(String),
    /// About the keyring.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// About a key under a passphrase.
    #[error(transparent)]
    Sealed(#[from] SealedKeyError),
    /// The key is not one of this daemon's.
    #[error("`{0}` is not a name of this daemon's keyring, so that it cannot sign for it")]
    NotOwned(String),
    /// About a domain that is to name a key.
    #[error(transparent)]
    Anchor(#[from] AnchorError),
    /// Nobody has published it.
    #[error("the name {0} does not exist: a majority of those who would keep it have nothing")]
    NoSuchName(NameKey),
    /// Its record does not say anything about the path.
    #[error("the record of {key} says nothing about {}", if path.is_empty() { "the name itself, only about paths below it" } else { path })]
    NoSuchPath {
        /// Whose record.
        key: NameKey,
        /// What was asked for.
        path: String,
        /// Whether it says something about paths below that one.
        below: bool,
    },
    /// What is published is of no use here.
    #[error("the record of {0} is of a newer version of chordage, or makes no sense")]
    NotUnderstood(NameKey),
    /// Names lead to names without an end.
    #[error("{name} leads from name to name more than {most} times, perhaps in a circle")]
    TooDeep {
        /// The name that was asked for.
        name: Name,
        /// How many are followed.
        most: usize,
    },
    /// The record has ended.
    #[error(
        "the record of {key} was valid until {until}, and this machine's clock shows {now} (seconds since 1970)"
    )]
    Expired {
        /// Whose record.
        key: NameKey,
        /// Until when it was valid, seconds since 1970.
        until: u64,
        /// What this machine's clock shows.
        now: u64,
    },
    /// Those who keep it show an older version than was seen here.
    #[error(
        "the newest version of {key} that can be had is {found}, but this daemon has seen {seen}: it was rolled back"
    )]
    RolledBack {
        /// Whose record.
        key: NameKey,
        /// The number of the version found.
        found: u64,
        /// The number that was seen before.
        seen: u64,
    },
    /// Somebody else has changed it first.
    #[error("the version that is held is {found}, not {expected}")]
    Conflict {
        /// The number that is held; 0: none.
        found: u64,
        /// The number that was expected.
        expected: u64,
    },
    /// Another writer with the same key came first.
    #[error("another writer with this key has published version {found} at the same time")]
    Overtaken {
        /// Its number.
        found: u64,
    },
    /// The record would be too large.
    #[error("with this the record of the name has {0} bytes, and it may have {VALUE_BYTES_MAX}")]
    TooLarge(usize),
    /// Too few of those who keep it could be reached.
    #[error("{0}")]
    NoMajority(OperationError),
    /// They refuse it.
    #[error("too many of the nodes that keep the name refuse it: {0}")]
    Refused(Refusal),
    /// This daemon does too much at a time.
    #[error("too many names are being read and published at a time")]
    Busy,
    /// The daemon is not part of its network.
    #[error("the daemon has not joined its network yet")]
    NotJoined,
    /// The daemon is leaving.
    #[error("the daemon is shutting down")]
    Stopped,
}

impl From<TargetError> for NamesError {
    fn from(error: TargetError) -> Self {
        NamesError::BadTarget(error.to_string())
    }
}

impl From<OperationError> for NamesError {
    fn from(error: OperationError) -> Self {
        match error {
            OperationError::Busy => NamesError::Busy,
            OperationError::NotJoined => NamesError::NotJoined,
            OperationError::Refused(why) => NamesError::Refused(why),
            error @ (OperationError::NoMajority { .. } | OperationError::Unknown { .. }) => {
                NamesError::NoMajority(error)
            }
        }
    }
}
