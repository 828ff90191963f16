//! Why something about a volume did not succeed.

use std::sync::Arc;

use chordage_api::volume::CapabilityError;
use chordage_dht::OperationError;
use chordage_storage::volume::MapError;

use crate::get::GetError;
use crate::put::PutError;

/// See the module's description.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum VolumesError {
    /// The petname cannot be one.
    #[error("`{0}` cannot be a petname: it has 1 to 63 of the characters a-z 0-9 - _ .")]
    BadPetname(String),
    /// The text opens nothing.
    #[error(transparent)]
    BadCapability(#[from] CapabilityError),
    /// Nothing of that name is known here.
    #[error("there is no volume `{0}` here")]
    NoSuchVolume(String),
    /// There is one.
    #[error("there is a volume `{0}` already")]
    Exists(String),
    /// It is known under another name.
    #[error("this volume is known here already, as `{0}`")]
    Known(String),
    /// There are too many.
    #[error("this daemon knows {0} volumes, which is the most it takes")]
    TooMany(usize),
    /// It cannot be changed from here.
    #[error("this volume can only be read from here")]
    ReadOnly,
    /// A key, a value or their number is out of range.
    #[error("{0}")]
    BadChange(String),
    /// What was expected is not so.
    #[error("{0}")]
    Conflict(String),
    /// Too many others change it at the same time.
    #[error("others changed this volume each time before this change was stored")]
    Overtaken,
    /// No snapshot, or several.
    #[error("{0}")]
    NoSuchSnapshot(String),
    /// It cannot be forgotten yet.
    #[error("snapshot {id} is locked until {until} (seconds since 1970)")]
    Locked {
        /// Which.
        id: String,
        /// Until when.
        until: u64,
    },
    /// The tree that a snapshot is to be made of.
    #[error("this daemon has no tree {0} for this volume: it was never stored here, or more than a day ago")]
    NoSuchTree(String),
    /// Parts of it are not held well enough, or nobody could be asked.
    #[error("{0}")]
    Incomplete(String),
    /// What was stored is being freed: it was there before, and nothing needed it any more.
    #[error("what was stored is being freed, because it was there before and not needed any more")]
    Freed,
    /// What its writer has written makes no sense here.
    #[error("the head of the volume is of a newer version of chordage, or makes no sense")]
    NotUnderstood,
    /// Chunks break the rules of their format.
    #[error("the volume is malformed: {0}")]
    Malformed(String),
    /// Those who keep the head show an older one than was seen here.
    #[error(
        "the newest state of the volume that can be had is {found}, but this daemon has seen {seen}: it was rolled back"
    )]
    RolledBack {
        /// The number of the state found.
        found: u64,
        /// The number that was seen before.
        seen: u64,
    },
    /// Something of it cannot be read.
    #[error(transparent)]
    Read(#[from] GetError),
    /// Something of it cannot be stored.
    #[error("{0}")]
    Store(Arc<PutError>),
    /// Its head cannot be read or changed.
    #[error("{0}")]
    Head(OperationError),
    /// The book of volumes.
    #[error("the book of volumes failed: {0}")]
    Book(Arc<std::io::Error>),
    /// The system.
    #[error("the system gives no randomness")]
    NoRandomness,
    /// The daemon is leaving.
    #[error("the daemon is shutting down")]
    Stopped,
}

impl From<PutError> for VolumesError {
    fn from(error: PutError) -> Self {
        match error {
            PutError::Read(error) => VolumesError::Read(error),
            error => VolumesError::Store(Arc::new(error)),
        }
    }
}

impl From<std::io::Error> for VolumesError {
    fn from(error: std::io::Error) -> Self {
        VolumesError::Book(Arc::new(error))
    }
}

impl From<MapError<GetError>> for VolumesError {
    fn from(error: MapError<GetError>) -> Self {
        match error {
            MapError::Chunk(error) => VolumesError::Read(error),
            error => VolumesError::Malformed(error.to_string()),
        }
    }
}

impl From<MapError<PutError>> for VolumesError {
    fn from(error: MapError<PutError>) -> Self {
        match error {
            MapError::Chunk(error) => error.into(),
            error => VolumesError::Malformed(error.to_string()),
        }
    }
}
