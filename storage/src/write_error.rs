//! Why an object or a volume cannot be written.

use crate::manifest::OrderError;
use crate::submitted::SubmitError;

/// Why an object could not be written. What was submitted so far is in the network without a root, so that nobody
/// can take it for an object; the writer is of no further use after [`Sink`](Self::Sink).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WriteError<E> {
    /// The sink failed.
    #[error(transparent)]
    Sink(E),
    /// The sink returned fewer or more references than it was given chunks.
    #[error("the sink returned {returned} references for {submitted} chunks")]
    WrongReferences {
        /// Chunks submitted.
        submitted: usize,
        /// References returned.
        returned: usize,
    },
    /// The entry cannot follow the one before it. It was not added.
    #[error("entry cannot be added: {0}")]
    Order(#[from] OrderError),
    /// Mode, time or link target is out of range. The entry was not added.
    #[error("entry cannot be added: its mode, time or target is out of range")]
    OutOfRange,
    /// A file has to be ended first.
    #[error("a file is still open")]
    FileOpen,
    /// A file has to be begun first.
    #[error("no file is open")]
    NoFileOpen,
    /// The manifest would exceed its limit of 256 MiB: too many files or too much data for one object.
    #[error("too many files, or too much data, for one object")]
    TooLarge,
}

impl<E> From<SubmitError<E>> for WriteError<E> {
    fn from(error: SubmitError<E>) -> Self {
        match error {
            SubmitError::Sink(error) => Self::Sink(error),
            SubmitError::WrongReferences { submitted, returned } => {
                Self::WrongReferences { submitted, returned }
            }
        }
    }
}
