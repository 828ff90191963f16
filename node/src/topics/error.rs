//! Why something about a topic did not succeed.

use chordage_api::OpenNameError;
use chordage_dht::{RendezvousError, TOPIC_BYTES_MAX};

use crate::place::PlaceError;

/// See the module's description.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TopicsError {
    /// The text is no name of a topic.
    #[error(transparent)]
    BadName(#[from] OpenNameError),
    /// The message is too long.
    #[error("a message has at most {TOPIC_BYTES_MAX} bytes")]
    TooLarge,
    /// A subscriber does not take what it is told.
    #[error("messages came faster than they were taken, and some were left out")]
    TooSlow,
    /// Something in the network.
    #[error(transparent)]
    Place(#[from] PlaceError),
}

impl From<RendezvousError> for TopicsError {
    fn from(error: RendezvousError) -> Self {
        TopicsError::Place(error.into())
    }
}
