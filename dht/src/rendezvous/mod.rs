//! Places where programs meet: live services that are listed, and topics whose messages are passed on.
//!
//! A place is a key, made outside from a kind, the network and a name. The nine nodes nearest to it, its **region**,
//! keep in memory what is there: nothing of it is written to disk, and nothing is handed over to newcomers.
//!
//! - A **listing** is signed by its provider and kept alive by it: it tells all nine, and every five seconds tells them
//!   in a few bytes that it still holds. A holder that does not know it says so and gets it again; so newcomers know it
//!   after five seconds, and say so themselves until then. A provider that has not been heard for eight seconds is
//!   suspected, and after fifteen it is gone. A withdrawal is a listing without a body and with a higher number; it is
//!   remembered for a minute, so that it wins over what comes late.
//! - Who **finds** asks all of the region for heads: what there is and how long ago its provider was heard. Those of a
//!   majority are united: the newest version and the smallest age count. So a live provider is found whoever of the
//!   region ends or starts again, as long as one of a majority has heard it. What the asker does not have it fetches,
//!   and nothing counts that nobody can show: holders can keep somebody alive who is gone, but withdraw nothing that
//!   they have not been given.
//! - Who **watches** does the same again when one of the region hints that something has changed, and every half minute
//!   all the same, and tells its caller the difference.
//! - A **message** of a topic counts as published when a majority keeps it. It is pushed to the subscribers; every
//!   fifteen seconds they ask for heads and fetch what they have missed.
//!
//! # What is promised
//!
//! - A provider that ends without a word is gone from what is found and watched within 20 seconds; one that withdraws
//!   or leaves, within a second. One that lives is never gone while a majority of the region answers and hears it.
//! - A message that a majority took reaches every subscriber that is connected within the time it is kept, once, while
//!   one of the holders that took it and that the subscriber hears is alive and 64 newer ones have not displaced it.
//!   Messages of one publisher normally come in order; there is no order among publishers. What comes so late that
//!   1,024 newer ones have been told is not told. Newcomers to a region bring no history.
//! - Nothing is said about who may list or publish at a place: whoever knows its key may. What is in a body is the
//!   caller's.
//!
//! # Bounds of one holder
//!
//! | what | most |
//! |---|---|
//! | listings of a place | 1,024; of one provider 16; from one subnet 64 |
//! | listings in all | 16,384 and 16 MiB; of one provider 256 |
//! | messages of a topic | 64, for an hour; of one publisher 32, its own oldest goes first |
//! | messages in all | 4,096 topics and 32 MiB; of one publisher 1,024 |
//! | watchers, and subscribers | 64 of a place, 8,192 in all; others hear with their next question |
//! | time of a message | an hour old, or five minutes ahead of the holder's clock |
//!
//! Of its own, one node has 256 registrations, 256 watches and subscriptions, and 256 questions and messages under way.
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
pub(crate) use topics::{Stamp, Topics, is_past};

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
