//! What the embedding program asks of places, and what it is told.

use alloc::{sync::Arc, vec::Vec};
use core::time::Duration;

use super::{Listing, ListingId, Rejection, TopicMessage};
use crate::{Key, records::OperationId};

/// Something that is wanted of a place. Ids are chosen by the caller, unique among its operations and watches of all
/// kinds; [`Input::CancelOperation`](crate::Input::CancelOperation) ends any of these, and nothing more is heard of it.
#[derive(Debug, Clone)]
pub enum RendezvousInput {
    /// List this, and keep it listed until it is withdrawn, cancelled or expires. Exactly one
    /// [`RendezvousOutput::Registered`] follows. After [`RendezvousError::Busy`], [`RendezvousError::NotJoined`] and a
    /// refusal as not this node's own nothing is registered; after other errors this node goes on trying. Another
    /// registration of the same place and number is forgotten. Cancelled, it is no longer renewed, and gone from the
    /// place a little later.
    Register {
        /// Names the registration.
        id: OperationId,
        /// The listing; its provider is this node.
        listing: Arc<Listing>,
        /// The same without a body and with a higher number, which [`RendezvousInput::Withdraw`] and
        /// [`Input::Leave`](crate::Input::Leave) send.
        withdrawal: Arc<Listing>,
    },
    /// Take a registration back at once. [`RendezvousOutput::Withdrawn`] follows if there is such a registration.
    Withdraw(OperationId),
    /// Tell what is listed at a place. Exactly one [`RendezvousOutput::ListingsFound`] follows, unless it is cancelled.
    FindListings {
        /// Names the question.
        id: OperationId,
        /// Where.
        place: Key,
        /// How long it may take.
        deadline: Duration,
    },
    /// Tell what is listed at a place, and what changes there from now on: [`RendezvousOutput::ListingsChanged`].
    WatchListings {
        /// Names the watch.
        id: OperationId,
        /// Where.
        place: Key,
    },
    /// Hand a message to those who keep a topic. Exactly one [`RendezvousOutput::Published`] follows, unless it is
    /// cancelled.
    Publish {
        /// Names the attempt.
        id: OperationId,
        /// What to publish.
        message: Arc<TopicMessage>,
        /// How long it may take.
        deadline: Duration,
    },
    /// Tell every message of a topic from now on: [`RendezvousOutput::TopicMessage`].
    Subscribe {
        /// Names the subscription.
        id: OperationId,
        /// The topic.
        place: Key,
        /// How many of the messages that are kept already are told first, at most; the newest of them.
        last: u16,
    },
}

/// What the embedding program is told of places.
#[derive(Debug, Clone)]
pub enum RendezvousOutput {
    /// The first round of a registration is over.
    Registered {
        /// Which.
        id: OperationId,
        /// Who keeps it; a majority at least.
        outcome: Result<KeptBy, RendezvousError>,
    },
    /// A registration has been taken back.
    Withdrawn {
        /// Which.
        id: OperationId,
        /// Who has been told so. From others it is gone when they have not heard of it for a while.
        told: KeptBy,
    },
    /// What is listed at a place, in the order of providers and numbers.
    ListingsFound {
        /// Which question.
        id: OperationId,
        /// What a majority of those who keep the place know.
        outcome: Result<Vec<Seen>, RendezvousError>,
    },
    /// What is listed at a watched place has changed. The first of these tells everything there is, even if that is
    /// nothing.
    ListingsChanged {
        /// Which watch.
        id: OperationId,
        /// Listings that are new, newer, suspected, or no longer suspected.
        changed: Vec<Seen>,
        /// Listings that have been withdrawn, or whose provider has not been heard for too long.
        gone: Vec<ListingId>,
    },
    /// An attempt to publish is over.
    Published {
        /// Which.
        id: OperationId,
        /// Who keeps the message; a majority at least.
        outcome: Result<KeptBy, RendezvousError>,
    },
    /// A message of a topic that is subscribed to. Each comes once.
    TopicMessage {
        /// Which subscription.
        id: OperationId,
        /// The message.
        message: Arc<TopicMessage>,
    },
    /// A watch or a subscription was not begun.
    NotBegun {
        /// Which.
        id: OperationId,
        /// Why not.
        why: RendezvousError,
    },
}

/// How many of those who keep a place keep something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptBy {
    /// How many of them do.
    pub stored: usize,
    /// How many keep the place.
    pub of: usize,
}

/// A listing, and how sure it is that its provider lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The listing.
    pub listing: Arc<Listing>,
    /// How long ago its provider was heard, by whomever heard it last.
    pub age: Duration,
    /// Whether that is longer than it should be.
    pub suspect: bool,
}

/// Why something did not go well at a place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RendezvousError {
    /// This node does as many things of this kind as it may; nothing was asked.
    #[error("this node has as many registrations, watches or questions under way as it may")]
    Busy,
    /// This node is not part of a network.
    #[error("this node is not part of a network")]
    NotJoined,
    /// Fewer nodes than a majority of those who keep the place answered before the deadline.
    #[error("{heard} of the {of} nodes that keep the place answered, and {needed} are needed")]
    NoMajority {
        /// Those that answered.
        heard: usize,
        /// How many are needed.
        needed: usize,
        /// How many keep the place.
        of: usize,
    },
    /// Fewer nodes than a majority said that they keep it. It may be seen all the same.
    #[error("{stored} of the {of} nodes that keep the place have stored it, and {needed} are needed")]
    Unknown {
        /// Those that keep it.
        stored: usize,
        /// How many are needed.
        needed: usize,
        /// How many keep the place.
        of: usize,
    },
    /// So many refused it that a majority cannot take it.
    #[error("too many of the nodes that keep the place refuse it: {0}")]
    Refused(Rejection),
}
