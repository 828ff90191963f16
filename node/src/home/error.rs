//! Why something about a home did not succeed.

use chordage_api::phrase::PhraseError;

use crate::names::NamesError;
use crate::volumes::VolumesError;

/// See the module's description.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HomeError {
    /// The text is not a phrase.
    #[error(transparent)]
    Phrase(#[from] PhraseError),
    /// This daemon has one.
    #[error("this daemon has a home already, and it is another")]
    Exists,
    /// This daemon has none.
    #[error("this daemon has no home yet")]
    None,
    /// Nobody has a record of it.
    #[error("nobody in this network knows a home of this phrase")]
    NotFound,
    /// A newer program made it.
    #[error("this home is of version {0}, which this program does not know")]
    Newer(u32),
    /// Fewer than a majority have said that they store it.
    #[error("it is not known whether the network has stored it")]
    Unknown,
    /// The operating system gave none.
    #[error("the system gives no randomness")]
    NoRandomness,
    /// The phrase cannot be worked on.
    #[error("there is not enough memory to work on the phrase")]
    NoMemory,
    /// Its volume, or one of those in it.
    #[error(transparent)]
    Volumes(Box<VolumesError>),
    /// The keyring.
    #[error(transparent)]
    Names(Box<NamesError>),
}

impl From<VolumesError> for HomeError {
    fn from(error: VolumesError) -> Self {
        HomeError::Volumes(Box::new(error))
    }
}

impl From<NamesError> for HomeError {
    fn from(error: NamesError) -> Self {
        HomeError::Names(Box::new(error))
    }
}
