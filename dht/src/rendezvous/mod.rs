//! Places where programs meet: live services that are listed, and topics whose messages are passed on.
//!
//! A place is a key, made outside from a kind, the network and a name. The nine nodes nearest to it, its **region**, keep in memory
//! what is there: nothing of it is written to disk, and nothing is handed over to newcomers.
//!
//! This room holds the parts that know nothing of the overlay; `dht/rendezvous.rs` and its neighbours put them to work.

mod board;
mod crowd;
mod hints;
mod interface;
mod listing;
mod message;
#[cfg(test)]
mod samples;
mod sight;
mod subscription;
mod task;
mod topic_message;
mod topics;

pub use interface::{KeptBy, RendezvousError, RendezvousInput, RendezvousOutput, Seen};
pub use listing::{ItemError, LISTING_BYTES_MAX, Listing, ListingId, ListingStatement};
pub use message::{
    Head, Item, ItemId, ItemKind, Rejection, RendezvousNotice, RendezvousRequest, RendezvousResponse,
};
pub use topic_message::{TOPIC_BYTES_MAX, TopicMessage, TopicStatement};

pub(crate) use board::{Board, Change, GONE_AFTER, SUSPECTED_AFTER};
pub(crate) use hints::Hints;
pub(crate) use sight::{Sights, seen};
pub(crate) use subscription::Subscription;
pub(crate) use task::{Known, Next, Sighting, Spread, Survey, Task, Work};
pub(crate) use topics::{Stamp, Topics};

use board::PER_PLACE;
use topics::PER_TOPIC;

/// Heads in one message, so that it stays below the limit for messages.
pub(crate) const HEADS_PER_PAGE: usize = 256;

/// Bytes as bytes, not as a list of numbers.
mod bytes {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<&'de [u8], D::Error> {
        <&[u8]>::deserialize(deserializer)
    }
}
