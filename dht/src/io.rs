//! What goes into the state machine and what comes out.

use alloc::{boxed::Box, collections::BTreeSet, sync::Arc, vec::Vec};
use core::time::Duration;

use crate::{
    Key, NodeId,
    members::Signature,
    message::Message,
    params::LOOKUP_DEADLINE,
    peer::{Address, Peer},
    records::{Goal, Held, OperationError, OperationId, Outcome, Record, WriteId},
    rendezvous::{RendezvousInput, RendezvousOutput},
};

/// Something that happened outside.
#[derive(Debug, Clone)]
pub enum Input {
    /// Become part of the network these peers belong to. Without seeds this node is the first and joins at once.
    /// At most 64 seeds are kept; giving new ones while joining replaces the old.
    Join {
        /// Whom to ask.
        seeds: Vec<Peer>,
    },
    /// A peer that perhaps belongs to this network although nobody here knows it: if it answers, this node looks for
    /// its own place among the nodes that the peer knows, and two networks that began apart become one. It is ignored
    /// if the peer is in this node's tables or list of members, and while this node is not a member (not joined, or a
    /// client). Each meeting costs a lookup, so the embedding program bounds how often it asks for one.
    Meet {
        /// Whom to ask.
        peer: Peer,
    },
    /// A message arrived. The transport has checked the signatures in it
    /// ([`Message::announcements`]).
    Message {
        /// Its sender, as the transport has authenticated it, with its current record.
        from: Peer,
        /// What it said.
        message: Message,
    },
    /// The transport could not reach this peer, or lost the connection to it. Everything asked of it has failed.
    Unreachable {
        /// The peer, with the record by which it was tried: that nobody answers at an address which it has left says
        /// nothing about it.
        peer: Peer,
    },
    /// The time that [`Dht::next_timeout`](crate::Dht::next_timeout) named has come. Early or late ones do no harm.
    Timeout,
    /// Find the nodes nearest a key. Exactly one [`Output::LookupFinished`] follows, unless it is cancelled.
    StartLookup {
        /// Chosen by the caller, unique among its lookups in progress.
        id: LookupId,
        /// What to look for.
        key: Key,
        /// How hard to look.
        options: LookupOptions,
    },
    /// Forget a lookup; nothing more is heard of it.
    CancelLookup(LookupId),
    /// This node is now reachable at these addresses; neighbours are told. Longer lists are cut to 8. Without any it
    /// becomes a client, which only asks; a client that is given some joins as a member.
    SetAddresses(Vec<Address>),
    /// The signature that [`Output::Sign`] asked for.
    Signed {
        /// The version of this node's record that was signed.
        seq: u64,
        /// The signature.
        signature: Signature,
    },
    /// Another node with this node's key, of which [`Event::Twin`] or [`Event::FormerLife`] told, is gone: this one
    /// takes its place with a record of a higher number, and everybody is told.
    Outlive {
        /// The number of the other's record.
        above: u64,
    },
    /// These nodes are no part of the network any more, whatever they or others say: they leave all tables, are named
    /// to nobody and not listened to, for as long as this node runs. At most [`EXCLUDED_MAX`](crate::EXCLUDED_MAX) are.
    Exclude(Vec<NodeId>),
    /// From now on exactly these nodes may only be clients, whatever they or others say (this list replaces the one
    /// given before): none of them is in a table or named to anybody, and all are answered as clients are. Of more than
    /// [`EXCLUDED_MAX`](crate::EXCLUDED_MAX) nodes the rest is ignored.
    ClientsOnly(BTreeSet<NodeId>),
    /// Read or change a record. Exactly one [`Output::OperationFinished`] follows, unless it is cancelled.
    StartOperation {
        /// Chosen by the caller, unique among its operations in progress.
        id: OperationId,
        /// The address of the record.
        address: Key,
        /// What for.
        goal: Goal,
        /// How long it may take.
        deadline: Duration,
    },
    /// What is to follow the version that [`Output::Decide`] has told of.
    Decided {
        /// Which operation.
        id: OperationId,
        /// The next version, of the same address; none to change nothing.
        record: Option<Arc<Record>>,
    },
    /// Tell what a record says, and every version that follows, until it is cancelled: [`Output::Watched`].
    StartWatch {
        /// Chosen by the caller, unique among its operations and watches.
        id: OperationId,
        /// The address of the record.
        address: Key,
    },
    /// Something is wanted of a place where live services or messages are kept.
    Rendezvous(RendezvousInput),
    /// Forget an operation, a watch, a registration or a subscription; nothing more is heard of it.
    CancelOperation(OperationId),
    /// A record that was to be kept ([`Output::KeepRecord`]) is on disk.
    RecordKept {
        /// Which write.
        write: WriteId,
        /// Whether it is; if not, others are told that it is not kept here.
        kept: bool,
    },
    /// Say goodbye to the neighbours and stop.
    Leave,
}

/// Something to be done outside.
#[derive(Debug, Clone)]
pub enum Output {
    /// Send this message; best effort will do.
    Send {
        /// To whom, with the addresses to dial.
        to: Peer,
        /// What to say.
        message: Message,
    },
    /// A lookup is over.
    LookupFinished {
        /// Which.
        id: LookupId,
        /// How it went.
        outcome: Result<Lookup, LookupError>,
    },
    /// An operation that changes a record: this is the newest version among the answers of a majority of those who keep
    /// the record, or none if they hold none. Answer with [`Input::Decided`].
    Decide {
        /// Which operation.
        id: OperationId,
        /// What is held; the next version names it as the one before.
        current: Option<Held>,
    },
    /// An operation on a record is over.
    OperationFinished {
        /// Which.
        id: OperationId,
        /// How it went.
        outcome: Result<Outcome, OperationError>,
    },
    /// A record that is watched has this version now, held by a majority. Versions in between may be left out; none
    /// comes twice, and none after a later one.
    Watched {
        /// Which watch.
        id: OperationId,
        /// The version.
        held: Held,
    },
    /// Write this record to disk in place of its earlier version.
    KeepRecord {
        /// The record.
        held: Held,
        /// The tag of the subnet that brought it, 0 for none: to be kept with it, for
        /// [`Dht::load_records`](crate::Dht::load_records).
        subnet: u32,
        /// What to answer with [`Input::RecordKept`] once a crash would not lose it, or once that has failed.
        write: WriteId,
    },
    /// This record is no longer kept here: remove it from the disk.
    DropRecord(Key),
    /// What has become of something that was wanted of a place, or news from there.
    Rendezvous(RendezvousOutput),
    /// Sign [`Announcement::signed_bytes`](crate::Announcement::signed_bytes) of this node's own record and hand the
    /// signature back with [`Input::Signed`]. Without it this node is in nobody's list of members.
    Sign {
        /// The record.
        record: Peer,
        /// Whether it takes a seat as a super-peer.
        seat: bool,
    },
    /// Something others may want to know.
    Event(Event),
}

/// A change of this node's place in the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// This node is part of the network.
    Joined,
    /// No seed answered. The next attempt is already planned.
    JoinFailed {
        /// Attempts so far.
        attempts: u32,
        /// When the next one starts.
        retry_in: Duration,
    },
    /// A peer has become a neighbour (entered the leaf set), or a neighbour has a new record.
    NeighbourUp(Peer),
    /// A peer is no longer a neighbour.
    NeighbourDown {
        /// Which.
        peer: NodeId,
        /// Why.
        why: DownReason,
    },
    /// Somebody says that it hears this node's key from elsewhere too. It may err or lie: see whether that is so.
    Twin(Peer),
    /// There is a record that this node's key has signed, that is not older than its own and that has other addresses.
    /// Either an earlier life of this node signed it and this one has lost count, or a twin does so now. If nobody
    /// answers at those addresses, give [`Input::Outlive`], which takes a higher number.
    FormerLife(Peer),
    /// This node has left; it does nothing more until the next [`Input::Join`].
    Left,
}

/// Why a peer is no longer a neighbour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DownReason {
    /// It did not answer our own probes.
    Failed,
    /// It said goodbye.
    Left,
    /// It has become a client: it lives, and only asks from now on.
    Client,
    /// Nearer peers took its place; it may well be alive.
    Displaced,
    /// It was excluded from the network ([`Input::Exclude`]).
    Excluded,
}

/// Names a lookup; chosen by the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LookupId(pub u64);

/// How hard to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LookupOptions {
    /// How many of the nearest nodes to return, 1 to 64. Up to half of the leaf set (20) they are exact; beyond, the
    /// far ones are as good as the answers of the nearest ones.
    pub want: usize,
    /// What must be known before the result counts.
    pub confirm: Confirm,
    /// How long it may take.
    pub deadline: Duration,
    /// Over how many disjoint paths to look, 1 to 8. More paths withstand more lying nodes (S/Kademlia, Baumgart and
    /// Mies 2007) and cost more messages: 1 for ordinary reads, 4 for writes, 8 on suspicion.
    pub paths: u8,
}

impl Default for LookupOptions {
    fn default() -> Self {
        Self { want: 20, confirm: Confirm::Answered(3), deadline: LOOKUP_DEADLINE, paths: 1 }
    }
}

/// What must be known before a result counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirm {
    /// So many of the nearest nodes have answered during this lookup.
    Answered(usize),
    /// One node has answered whose leaf set shows the key, or this node's own does. Then the nearest node is known, and
    /// so are nodes near enough to hold what the key stands for; but the nearest itself need not have answered.
    Covered,
    /// As [`Confirm::Covered`], and one of this many nodes nearest to the key is among those that have answered.
    Near(usize),
    /// If this node's own leaf set shows all the wanted nodes, that is enough and no message is sent; otherwise as
    /// `Answered(3)`.
    Known,
}

/// What a lookup found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// What was looked for.
    pub key: Key,
    /// The nearest nodes, nearest first; this node is among them if it belongs there.
    pub closest: Vec<Peer>,
    /// How many of `closest`, counted from the nearest, have answered during this lookup (or are this node).
    pub confirmed: usize,
    /// [`Hop::depth`] of the nearest node that has answered (this node itself counts, with 0), or that
    /// [`Confirm::Covered`] and [`Confirm::Near`] accept without an answer of its own; 0 if there is none.
    pub hops: u32,
    /// Messages sent.
    pub messages: u32,
    /// Time taken.
    pub elapsed: Duration,
    /// Everybody who answered, in the order of the answers.
    pub trace: Vec<Hop>,
}

/// One answer during a lookup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// Who answered.
    pub peer: Peer,
    /// How many contacts led to it: 1 for peers this node knew by itself.
    pub depth: u32,
    /// Between question and answer.
    pub rtt: Duration,
    /// [`Distance::bits`](crate::Distance::bits) of its distance to the key.
    pub distance_bits: u32,
    /// Who named it; none if this node knew it by itself.
    pub named_by: Option<NodeId>,
}

/// Why a lookup did not succeed. What was found until then is attached where there is something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// Too many lookups are in progress; nothing was sent.
    #[error("too many lookups are in progress")]
    Busy,
    /// This node knows nobody to ask and is not part of a network.
    #[error("this node is not part of a network")]
    NotJoined,
    /// Nobody answered.
    #[error("none of the peers asked has answered")]
    NoAnswer(Box<Lookup>),
    /// The deadline passed before enough of the nearest nodes had answered.
    #[error("the deadline passed")]
    Deadline(Box<Lookup>),
    /// The message budget ran out before enough of the nearest nodes had answered.
    #[error("the message budget ran out")]
    Budget(Box<Lookup>),
}

impl LookupError {
    /// What was found until then.
    pub fn partial(&self) -> Option<&Lookup> {
        match self {
            Self::Busy | Self::NotJoined => None,
            Self::NoAnswer(lookup) | Self::Deadline(lookup) | Self::Budget(lookup) => Some(lookup),
        }
    }
}

/// How large the network is believed to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SizeEstimate {
    /// Nodes, this one included unless it is a client.
    pub nodes: f64,
    /// Whether this is a count: the leaf set is not full, so it shows everybody.
    pub exact: bool,
}

/// A node in numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Status {
    /// Whether it is part of a network, or as a client has found one.
    pub joined: bool,
    /// Whether it is a client: it has no addresses, only asks, and is in nobody's tables.
    pub client: bool,
    /// How large that network is believed to be.
    pub size: SizeEstimate,
    /// Entries in the rows of the table.
    pub table_entries: usize,
    /// Unverified names in reserve.
    pub cached: usize,
    /// Members of the leaf set.
    pub leaf_set: usize,
    /// Members of the network that it lists; 0 where it lists none.
    pub members: usize,
    /// Members of the leaf set that have missed a probe.
    pub suspects: usize,
    /// Lookups in progress, this node's own included.
    pub lookups: usize,
    /// Questions without an answer yet.
    pub calls: usize,
}

/// One row of the table, as seen from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FingerRow {
    /// Which row.
    pub row: crate::metric::Row,
    /// Its entries, in the order of the ids.
    pub fingers: Vec<Finger>,
    /// Unverified names in reserve.
    pub cached: usize,
}

/// One entry of the table, or one member of the leaf set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finger {
    /// Who.
    pub peer: Peer,
    /// Smoothed round-trip time, if it has been measured.
    pub rtt: Option<Duration>,
    /// Own probes it has missed in a row.
    pub missed: u8,
}

/// A super-peer, as known here.
#[derive(Debug, Clone, PartialEq)]
pub struct SuperPeer {
    /// Who, and where it says it can be reached.
    pub peer: Peer,
    /// When this version of its record came to be listed.
    pub since: crate::Time,
    /// When its seat ends.
    pub seat_ends_in: Duration,
    /// Own questions that it has left unanswered, in a row.
    pub missed: u8,
    /// Smoothed round-trip time, if it has been measured.
    pub rtt: Option<Duration>,
    /// Share of this node's questions that it has answered, if it is among those that are asked first.
    pub score: Option<f64>,
}

/// A member of the network, as listed here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Who, and where it says it can be reached.
    pub peer: Peer,
    /// When this version of its record came to be listed.
    pub since: crate::Time,
    /// Own questions that it has left unanswered, in a row.
    pub missed: u8,
}
