//! What crosses the network, counted.

use chordage_dht::{Message, Notice, Request, Response};
use serde::Serialize;

/// Bytes that every message costs besides its own encoding, when it travels alone in a packet on a warm connection:
/// IPv4 header 20, TCP header with time stamps 32, Noise length and tag 18, yamux frame header 12, length prefix 2.
/// Acknowledgements that ride on nothing else are not counted, nor are connections being made.
pub const PACKET_OVERHEAD_BYTES: u64 = 84;

/// Kinds of messages, in the order of [`Traffic::kinds`].
pub const KINDS: [&str; 12] = [
    "ping", "pong", "closest?", "closest", "leaves?", "leaves", "reach", "notice", "news", "compare",
    "records", "places",
];
/// The kinds that the list of all members costs.
pub(crate) const MEMBERSHIP: core::ops::Range<usize> = 8..10;
/// The kind that signed records cost.
pub(crate) const RECORDS: usize = 10;
/// The kind that places cost: live services and topics.
const PLACES: usize = 11;

/// Which kind a message is of.
fn kind(message: &Message) -> usize {
    match message {
        Message::Request(_, Request::Ping) => 0,
        Message::Response(_, Response::Pong) => 1,
        Message::Request(_, Request::Closest { .. }) => 2,
        Message::Response(_, Response::Closest { .. }) => 3,
        Message::Request(_, Request::Leaves { .. }) => 4,
        Message::Response(
            _,
            Response::Leaves { .. } | Response::LeavesUnchanged | Response::LeavesChanged,
        ) => 5,
        Message::Request(_, Request::Reach { .. }) | Message::Response(_, Response::Reached(_)) => 6,
        Message::Notice(Notice::Gossip(_)) => 8,
        Message::Notice(Notice::RecordChanged(_)) => RECORDS,
        Message::Notice(Notice::Rendezvous(_)) => PLACES,
        Message::Notice(_) => 7,
        Message::Request(_, Request::Compare { .. } | Request::Records { .. })
        | Message::Response(_, Response::Differences { .. } | Response::Records { .. }) => 9,
        Message::Request(_, Request::Record(_)) | Message::Response(_, Response::Record(_)) => RECORDS,
        Message::Request(_, Request::Rendezvous(_)) | Message::Response(_, Response::Rendezvous(_)) => PLACES,
    }
}

/// Messages and bytes of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Messages sent.
    pub messages: u64,
    /// Their bytes, overhead included; 0 where bytes are not counted.
    pub bytes: u64,
}

/// What has been sent since a moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Traffic {
    /// By kind; see [`KINDS`].
    pub kinds: [Count; KINDS.len()],
    /// Messages that did not arrive: lost, or to somebody dead or cut off.
    pub undelivered: u64,
    /// Their bytes.
    pub undelivered_bytes: u64,
}

impl Traffic {
    pub(crate) fn count(&mut self, message: &Message, bytes: u64) {
        let count = &mut self.kinds[kind(message)];
        count.messages += 1;
        count.bytes += bytes;
    }

    /// All messages together.
    pub fn total(&self) -> Count {
        self.kinds.iter().fold(Count::default(), |sum, count| Count {
            messages: sum.messages + count.messages,
            bytes: sum.bytes + count.bytes,
        })
    }
}
