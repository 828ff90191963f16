//! The Chordage overlay as a pure state machine.
//!
//! Nothing here waits, spawns, logs, or asks for time or chance: both are arguments. The daemon, a unit test and a
//! simulation of a million nodes drive the same code with the same call:
//!
//! ```
//! use chordage_dht::{Address, AnyMetric, Config, Dht, Event, Input, Output, PeerInfo, Time};
//! use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
//!
//! let record = PeerInfo::new([7; 32], vec![Address::new(b"here")?], 1)?;
//! let mut node = Dht::new(record, AnyMetric::Ring, Config::default());
//! let mut rng = ChaCha8Rng::seed_from_u64(1);
//! let mut outputs = Vec::new();
//!
//! // Without seeds it is the first node of a new network.
//! node.handle(Time::ZERO, &mut rng, Input::Join { seeds: vec![] }, &mut outputs);
//! assert!(matches!(outputs[..], [Output::Event(Event::Joined)]));
//! let wake_at = node.next_timeout().expect("a member always has something to do");
//! node.handle(wake_at, &mut rng, Input::Timeout, &mut outputs);
//! # Ok::<(), chordage_dht::PeerError>(())
//! ```
//!
//! # How it works
//!
//! - A [`Metric`] says how far apart two positions are. The table has rows by distance ([`Row`]), so one table is
//!   Chord's fingers under [`Ring`] and Kademlia's buckets under [`Xor`].
//! - The leaf set holds the nearest live nodes. Lookups are right if leaf sets are; rows only make them fast. It is
//!   kept right by exchanging what has changed with neighbours, every 15 s and soon after a change, and by probing.
//! - Lookups are iterative: a few questions at a time to the nearest peers known, each with a time-out learnt from that
//!   peer, late ones hedged rather than waited for, done when the nearest have answered themselves.
//! - Nobody is believed about somebody else: a peer enters a table after it has spoken to us, and leaves it after we
//!   ourselves have failed to reach it. What others say decides only whom to ask.
//! - Everything is bounded: rows, reserve, leaf set, messages, questions per lookup, lookups ([`params`], [`Config`]).
//!
//! The transport delivers messages as well as it can, authenticates their senders, and says when it cannot reach a
//! peer. It need not be reliable or ordered.

#![no_std]

extern crate alloc;

mod allowance;
mod calls;
mod config;
mod density;
mod dht;
mod distance;
mod gone;
mod health;
mod id;
mod io;
mod leaf_set;
mod lookup;
mod members;
mod message;
mod metric;
mod nearest;
mod origin;
pub mod params;
mod peer;
mod placement;
mod plumtree;
mod records;
mod rendezvous;
mod rtt;
mod short_ids;
mod table;
mod time;
mod timers;
mod timing;
mod zone;

pub use config::{Config, Willingness};
pub use density::{Density, density};
pub use dht::Dht;
pub use distance::Distance;
pub use gone::EXCLUDED_MAX;
pub use id::{Key, NodeId, ParseIdError};
pub use io::{
    Confirm, DownReason, Event, Finger, FingerRow, Hop, Input, Lookup, LookupError, LookupId, LookupOptions,
    Member, Output, SizeEstimate, Status, SuperPeer,
};
pub use members::{Announcement, ArcMembers, Digest, Gossip, IdPrefix, News, NewsId, Scope, Signature};
pub use message::{CallId, DecodeError, Message, Notice, Reach, Request, Response};
pub use metric::{AnyMetric, Classic, Direction, Metric, ParseMetricError, Ring, Row, Shape, Xor};
pub use peer::{Address, Grouping, NetGroup, Peer, PeerError, PeerInfo};
pub use placement::Spread;
pub use records::{
    Ballot, Consistency, Found, Goal, Held, Namespace, OperationError, OperationId, Outcome, Record,
    RecordError, RecordHash, RecordName, RecordRequest, RecordResponse, RecordTag, Refusal, SALT_BYTES_MAX,
    SEQ_MAX, Statement, Stored, VALUE_BYTES_MAX, Write, WriteId,
};
pub use rendezvous::{
    Head, Item, ItemError, ItemId, ItemKind, KeptBy, LISTING_BYTES_MAX, Listing, ListingId, ListingStatement,
    Rejection, RendezvousError, RendezvousInput, RendezvousNotice, RendezvousOutput, RendezvousRequest,
    RendezvousResponse, Seen, TOPIC_BYTES_MAX, TopicMessage, TopicStatement,
};
pub use short_ids::ShortIds;
pub use time::Time;
pub use zone::{Zone, ZoneError};
