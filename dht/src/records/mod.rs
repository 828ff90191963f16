//! Signed mutable records, kept by the nodes nearest to their address.
//!
//! - The **region** of an address is the nine nearest live nodes, or all in a smaller network. Each keeps the record. A
//!   majority of them (five) makes a write count, and a majority answers a read that must not miss one.
//! - A change runs in two rounds, as in CASPaxos (Rystsov 2018): a majority promises to take nothing from earlier
//!   attempts and tells what it holds; the owner signs the next version of that; a majority accepts it. So of two
//!   writers one sees the other's change, and no change that a majority has taken is lost to one that it has not.
//! - A reader that wants to be sure hands what it found to those of the region that lack it, before it believes it
//!   itself (Attiya, Bar-Noy and Dolev 1995): no later reader sees less.
//! - **Holders** keep records alive, not publishers: neighbours compare what they should both have, when one of them is
//!   new and from time to time ([`digest`]). A newcomer's word about what does not exist counts once it has compared
//!   with all who may know better ([`partners`]).
//! - Nothing is linearizable across a partition of the network: both sides may go on, and the higher number wins after
//!   it.
//!
//! This room holds the parts that know nothing of the overlay; `dht/records.rs` and its neighbours put them to work.

mod digest;
mod held;
mod interface;
mod message;
mod operation;
mod partners;
mod record;
#[cfg(test)]
mod samples;
mod shelf;
mod subnets;
mod watchers;

pub use held::{Ballot, Held};
pub use interface::{Consistency, Found, Goal, OperationError, OperationId, Outcome, Stored, WriteId};
pub use message::{RecordRequest, RecordResponse, RecordTag, Refusal, Write};
pub use record::{
    Namespace, Record, RecordError, RecordHash, RecordName, SALT_BYTES_MAX, SEQ_MAX, Statement,
    VALUE_BYTES_MAX,
};

pub(crate) use digest::{BUCKETS_MAX, Digests, buckets_for, prefix as prefix_of, region_digest};
pub(crate) use operation::{Next, Operation};
pub(crate) use partners::{COMPARE_EVERY, Partners};
pub(crate) use shelf::{PROMISE, Shelf, Taken};
pub(crate) use subnets::CLIENTS;
pub(crate) use watchers::Watchers;

/// Nodes that keep a record. Design: five of nine survive any four failures between two comparisons.
pub(crate) const REGION: usize = 9;

/// How many of a region are its majority.
pub(crate) const fn majority(region: usize) -> usize {
    region / 2 + 1
}
