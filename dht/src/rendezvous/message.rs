//! What nodes say to each other about places.

use alloc::{sync::Arc, vec::Vec};

use serde::{Deserialize, Serialize};

use super::{Listing, ListingId, TopicMessage};
use crate::{Key, peer::Peer};

/// Something that is kept at a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Item {
    /// What a provider says of a service.
    Listing(Arc<Listing>),
    /// A message of a topic.
    Message(Arc<TopicMessage>),
}

impl Item {
    /// Where it is kept.
    pub fn place(&self) -> &Key {
        match self {
            Self::Listing(listing) => listing.place(),
            Self::Message(message) => message.place(),
        }
    }

    /// What it is called there.
    pub fn id(&self) -> ItemId {
        match self {
            Self::Listing(listing) => ItemId::of_listing(listing.id(), listing.seq()),
            Self::Message(message) => {
                ItemId { by: message.statement().publisher, number: 0, seq: message.seq() }
            }
        }
    }

    /// Of which kind it is.
    pub(crate) fn kind(&self) -> ItemKind {
        match self {
            Self::Listing(_) => ItemKind::Listing,
            Self::Message(_) => ItemKind::Message,
        }
    }

    /// Length of its encoding, bytes, or a little more.
    pub(crate) fn encoded_len(&self) -> usize {
        match self {
            Self::Listing(listing) => listing.encoded_len(),
            Self::Message(message) => message.encoded_len(),
        }
    }
}

/// What is kept at a place: listings, or messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ItemKind {
    /// Listings.
    Listing,
    /// Messages.
    Message,
}

/// What one version of a listing, or a message, is called at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ItemId {
    /// Whose it is.
    pub by: [u8; 32],
    /// Which listing; zero for a message.
    pub number: u16,
    /// The number of the version, or of the message.
    pub seq: u64,
}

impl ItemId {
    pub(crate) fn of_listing(ListingId { provider, number }: ListingId, seq: u64) -> Self {
        Self { by: provider, number, seq }
    }

    /// The listing of which it is a version.
    pub(crate) fn listing(&self) -> ListingId {
        ListingId { provider: self.by, number: self.number }
    }
}

/// Something kept at a place, in short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Which.
    pub id: ItemId,
    /// For how many milliseconds the provider of a listing has not been heard.
    pub age: u32,
}

/// A question about a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RendezvousRequest {
    /// Keep this. A listing is taken from its provider only.
    Keep {
        /// What.
        item: Item,
        /// A sum over the ids of those who keep the place, as the asker sees them.
        region: u32,
    },
    /// The asker is still there, and this listing holds.
    Renew {
        /// The place.
        place: Key,
        /// Which of the asker's listings.
        number: u16,
        /// Its version.
        seq: u64,
        /// As in [`RendezvousRequest::Keep`].
        region: u32,
    },
    /// What is kept at this place?
    Survey {
        /// The place.
        place: Key,
        /// Of which kind.
        kind: ItemKind,
        /// Begins after this one; a page has no more than fits.
        after: Option<ItemId>,
        /// Asks to be told of changes from now on.
        watch: bool,
        /// As in [`RendezvousRequest::Keep`].
        region: u32,
    },
    /// What do these say? As many are answered as fit.
    Fetch {
        /// The place.
        place: Key,
        /// Of which kind.
        kind: ItemKind,
        /// Which.
        wanted: Vec<ItemId>,
    },
}

/// An answer to one of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RendezvousResponse {
    /// To [`RendezvousRequest::Keep`] and [`RendezvousRequest::Renew`]: it is kept.
    Kept {
        /// Those who keep the place as this node sees them, if the asker sees others.
        region: Vec<Peer>,
    },
    /// To [`RendezvousRequest::Renew`]: it is not known here.
    Unknown {
        /// As in [`RendezvousResponse::Kept`].
        region: Vec<Peer>,
    },
    /// To [`RendezvousRequest::Keep`] and [`RendezvousRequest::Renew`]: it is not kept.
    Refused {
        /// Why.
        why: Rejection,
        /// As in [`RendezvousResponse::Kept`].
        region: Vec<Peer>,
    },
    /// To [`RendezvousRequest::Survey`].
    Heads {
        /// What is kept.
        heads: Vec<Head>,
        /// Whether there are more after the last one.
        more: bool,
        /// Whether this node has kept the place for long enough to know all that is there.
        ready: bool,
        /// As in [`RendezvousResponse::Kept`].
        region: Vec<Peer>,
    },
    /// To [`RendezvousRequest::Fetch`].
    Items(Vec<Item>),
}

impl RendezvousResponse {
    /// Whether it can be an answer to this question.
    pub(crate) fn fits(&self, request: &RendezvousRequest) -> bool {
        matches!(
            (request, self),
            (RendezvousRequest::Keep { .. }, Self::Kept { .. } | Self::Refused { .. })
                | (
                    RendezvousRequest::Renew { .. },
                    Self::Kept { .. } | Self::Unknown { .. } | Self::Refused { .. }
                )
                | (RendezvousRequest::Survey { .. }, Self::Heads { .. })
                | (RendezvousRequest::Fetch { .. }, Self::Items(_))
        )
    }

    /// The peers that it names.
    pub(crate) fn region(&self) -> &[Peer] {
        match self {
            Self::Kept { region }
            | Self::Unknown { region }
            | Self::Refused { region, .. }
            | Self::Heads { region, .. } => region,
            Self::Items(_) => &[],
        }
    }

    /// The same, to leave some out.
    pub(crate) fn region_mut(&mut self) -> Option<&mut Vec<Peer>> {
        match self {
            Self::Kept { region }
            | Self::Unknown { region }
            | Self::Refused { region, .. }
            | Self::Heads { region, .. } => Some(region),
            Self::Items(_) => None,
        }
    }
}

/// Something said once about a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RendezvousNotice {
    /// What is listed at a place that the receiver watches has changed: a hint to ask again.
    Changed(Key),
    /// A new message of a topic to which the receiver has subscribed.
    Message(Arc<TopicMessage>),
}

/// Why a node does not keep something. A closed list, so that the asker knows whether to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Rejection {
    /// A listing is taken from its provider only.
    #[error("the listing is not its sender's own")]
    NotYours,
    /// By the holder's clock the listing may no longer be listed, or the message is older than what is kept.
    #[error("it has expired by the holder's clock")]
    Expired,
    /// By the holder's clock the message comes from the future.
    #[error("its time is ahead of the holder's clock")]
    Ahead,
    /// A newer version has been listed, or it has been withdrawn; or the number stands for another message.
    #[error("a newer version has been listed, or it was withdrawn")]
    Superseded,
    /// The topic has newer messages, as many as are kept.
    #[error("newer messages have taken its room")]
    Displaced,
    /// The place, or the holder, has as many as it may.
    #[error("the place has as many listings or messages as it may")]
    Full,
    /// The provider or publisher has as many as it may.
    #[error("its sender has as many listings or messages as it may")]
    SenderFull,
    /// The sender's subnet has as many listings at the place as it may.
    #[error("the sender's subnet has as many listings at the place as it may")]
    SubnetFull,
}
