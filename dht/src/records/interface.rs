//! What the embedding program asks of records, and what it is told.

use core::time::Duration;

use super::{Held, Refusal};

/// Names an operation on a record; chosen by the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationId(pub u64);

/// Names something that is to be written to disk before others are told that it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriteId(pub u64);

/// What an operation is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// To find out what a record says.
    Read(Consistency),
    /// To change it. What is held is told first ([`Output::Decide`](crate::Output::Decide)), and the caller says what
    /// follows it ([`Input::Decided`](crate::Input::Decided)).
    Update,
    /// To find out what it says, and to hear of changes from now on. The state machine's own: others use
    /// [`Input::StartWatch`](crate::Input::StartWatch).
    Watch,
}

/// How sure a reader wants to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consistency {
    /// The first version that anybody tells. It may be an old one. The others are heard all the same, and those that
    /// hold less are told.
    Fast,
    /// The newest version that a majority of the region holds: no later read like this one sees an older one.
    Quorum,
    /// The first version of at least this number, or else as `Quorum`.
    AtLeast(u64),
}

/// How an operation went well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// What a read found.
    Found(Found),
    /// What an update has stored.
    Stored(Stored),
    /// The caller decided to change nothing, or somebody else had changed the record first; this is held by a majority.
    Unchanged(Found),
}

/// What a read found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The record; none if a majority holds none.
    pub held: Option<Held>,
    /// How many nodes of the region hold this version, as far as they were heard.
    pub agree: usize,
    /// How many nodes of the region have been heard.
    pub heard: usize,
    /// How many nodes the region has.
    pub of: usize,
    /// Time taken.
    pub elapsed: Duration,
}

/// What an update has stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The record.
    pub held: Held,
    /// How many nodes of the region keep it.
    pub stored: usize,
    /// How many nodes the region has.
    pub of: usize,
    /// Time taken.
    pub elapsed: Duration,
}

/// Why an operation did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OperationError {
    /// Too many operations are in progress; nothing was asked.
    #[error("too many operations on records are in progress")]
    Busy,
    /// This node is not part of a network.
    #[error("this node is not part of a network")]
    NotJoined,
    /// Fewer nodes than a majority of the region answered before the deadline. Nothing was changed.
    #[error("{heard} of the {of} nodes that keep the record answered, and {needed} are needed")]
    NoMajority {
        /// Those that answered and would know.
        heard: usize,
        /// How many are needed.
        needed: usize,
        /// How many nodes the region has.
        of: usize,
    },
    /// Fewer nodes than a majority said that they keep the new version. It may become the valid one, or not: read, and
    /// write again if needed.
    #[error("{stored} of the {of} nodes that keep the record have stored it, and {needed} are needed")]
    Unknown {
        /// Those that keep it.
        stored: usize,
        /// How many are needed.
        needed: usize,
        /// How many nodes the region has.
        of: usize,
    },
    /// So many nodes of the region refused the new version that a majority cannot take it.
    #[error("too many of the nodes that keep the record refuse it: {0}")]
    Refused(Refusal),
}
