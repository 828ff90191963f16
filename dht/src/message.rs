//! What nodes say to each other.

use alloc::{sync::Arc, vec::Vec};

use serde::{Deserialize, Serialize};

use crate::{
    Distance, Key, NodeId,
    members::{Announcement, ArcMembers, Digest, Gossip, IdPrefix, News, Scope},
    params::{MESSAGE_BYTES_MAX, MESSAGE_PEERS_MAX, WIRE_VERSION},
    peer::{Peer, PeerInfo},
    records::{Held, Record, RecordRequest, RecordResponse},
    rendezvous::{Item, Listing, RendezvousNotice, RendezvousRequest, RendezvousResponse, TopicMessage},
    short_ids::ShortIds,
};

/// Ties an answer to its question. Chosen by the asker, meaningless to anybody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CallId(pub u32);

/// One message between two nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// Something that wants an answer.
    Request(CallId, Request),
    /// The answer.
    Response(CallId, Response),
    /// Something said once, without an answer.
    Notice(Notice),
}

/// A question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Are you there?
    Ping,
    /// Who is near this key?
    Closest {
        /// The key.
        key: Key,
        /// How many peers to name, at most 64.
        count: u8,
    },
    /// What is your leaf set?
    Leaves {
        /// Digest of the leaf set the asker remembers from last time; 0 if none.
        known: u32,
        /// Whom the asker knows already. Without it the answer says only whether the digest is out of date.
        have: Option<ShortIds>,
    },
    /// Does this peer answer you? (SWIM's indirect probe, Das et al. 2002.)
    Reach {
        /// Whom to try.
        peer: NodeId,
    },
    /// Where does your list of members differ from mine?
    Compare {
        /// Which list.
        scope: Scope,
        /// Digests of equal arcs of the ring: 1, 2, 4 … or 1,024 of them.
        digests: Vec<Digest>,
    },
    /// What are the records of these members?
    Records {
        /// The members; as many are answered as fit.
        wanted: Vec<IdPrefix>,
    },
    /// Something about signed records.
    Record(RecordRequest),
    /// Something about a place where live services or messages are kept.
    Rendezvous(RendezvousRequest),
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Response {
    /// To [`Request::Ping`].
    Pong,
    /// To [`Request::Closest`].
    Closest {
        /// Peers near the key, nearest first. The answering node itself is not among them.
        peers: Vec<Peer>,
        /// Whether the key lies inside the answering node's leaf set, so that these are all there are.
        covered: bool,
    },
    /// To [`Request::Leaves`], when the asker's digest is out of date and it has said whom it knows: the rest.
    Leaves {
        /// Digest of the whole leaf set.
        digest: u32,
        /// How far clockwise and counterclockwise of the answering node the members are all there are; under a metric
        /// without sides only the first counts.
        reach: [Reach; 2],
        /// Bit i is set if the i-th of those whom the asker knows is a member.
        shared: u64,
        /// The members that the asker has not named.
        peers: Vec<Peer>,
    },
    /// To [`Request::Leaves`], when nothing has changed.
    LeavesUnchanged,
    /// To [`Request::Leaves`], when something has changed and the asker has not said whom it knows.
    LeavesChanged,
    /// To [`Request::Reach`].
    Reached(bool),
    /// To [`Request::Compare`].
    Differences {
        /// Whether the answering node keeps such a list at all.
        kept: bool,
        /// The members in arcs that differ, as many arcs as fit.
        arcs: Vec<ArcMembers>,
        /// Whether other arcs differ too.
        more: bool,
    },
    /// To [`Request::Records`].
    Records {
        /// The records.
        records: Vec<Arc<Announcement>>,
    },
    /// To [`Request::Record`].
    Record(RecordResponse),
    /// To [`Request::Rendezvous`].
    Rendezvous(RendezvousResponse),
}

impl Response {
    /// Whether it can be an answer to this question.
    pub(crate) fn answers(&self, request: &Request) -> bool {
        match (request, self) {
            (Request::Ping, Self::Pong)
            | (Request::Closest { .. }, Self::Closest { .. })
            | (Request::Leaves { .. }, Self::Leaves { .. } | Self::LeavesUnchanged | Self::LeavesChanged)
            | (Request::Reach { .. }, Self::Reached(_))
            | (Request::Compare { .. }, Self::Differences { .. })
            | (Request::Records { .. }, Self::Records { .. }) => true,
            (Request::Record(asked), Self::Record(told)) => told.fits(asked),
            (Request::Rendezvous(asked), Self::Rendezvous(told)) => told.fits(asked),
            _ => false,
        }
    }
}

/// A distance up to which somebody knows every node, in steps of 2^192; the largest value stands for the whole space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reach(pub u64);

impl Reach {
    /// The largest reach that this distance allows.
    pub fn up_to(distance: Distance) -> Self {
        Self(distance.0[0])
    }

    /// The distance.
    pub fn distance(self) -> Distance {
        if self.0 == u64::MAX { Distance::MAX } else { Distance([self.0, 0, 0, 0]) }
    }
}

/// Something said once, without an answer. Each is a hint: a node that acts on it checks for itself first. (A signed
/// [`Announcement`] is something else.)
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Notice {
    /// The sender's record has changed.
    Record(PeerInfo),
    /// The sender is about to go.
    Leaving,
    /// The sender has lost touch with this peer.
    Down(NodeId),
    /// News of members.
    Gossip(Gossip),
    /// A record that the receiver watches has this version now, as far as the sender knows.
    RecordChanged(Held),
    /// News of a place.
    Rendezvous(RendezvousNotice),
}

/// Why bytes are not a message or record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// No bytes at all.
    #[error("the message is empty")]
    Empty,
    /// Longer than any message may be.
    #[error("the message is longer than {MESSAGE_BYTES_MAX} bytes")]
    TooLong,
    /// A version this node does not speak.
    #[error("unknown message version {0}")]
    Version(u8),
    /// Not what this version describes.
    #[error("malformed message")]
    Malformed,
    /// Names more peers than any message may.
    #[error("the message names more than {MESSAGE_PEERS_MAX} peers")]
    TooManyPeers,
    /// Bytes are left over after the end.
    #[error("bytes are left over after the message")]
    Trailing,
}

impl Message {
    /// Appends the encoding to `out`. If it would exceed the limits, the last peers it names are left out; if it is of
    /// a kind that names no peers, nothing is appended.
    pub fn encode(&self, out: &mut Vec<u8>) {
        if self.peers().len() <= MESSAGE_PEERS_MAX && encode_into(self, out) {
            return;
        }
        let mut shorter = self.clone();
        while let Some(peers) = shorter.peers_mut() {
            let keep = peers.len().saturating_sub(1).min(MESSAGE_PEERS_MAX);
            peers.truncate(keep);
            if encode_into(&shorter, out) {
                return;
            }
        }
    }

    /// How many bytes [`encode`](Self::encode) would append, without a buffer to write them to.
    pub fn encoded_len(&self) -> usize {
        if self.peers().len() <= MESSAGE_PEERS_MAX
            && let Ok(length) = postcard::serialize_with_flavor(self, Counted::default())
            && length < MESSAGE_BYTES_MAX
        {
            return 1 + length;
        }
        let mut bytes = Vec::new();
        self.encode(&mut bytes);
        bytes.len()
    }

    /// Reads one message that fills `bytes` entirely.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut message: Self = decode_from(bytes)?;
        match message.peers_mut() {
            Some(peers) if peers.len() > MESSAGE_PEERS_MAX => Err(DecodeError::TooManyPeers),
            _ => Ok(message),
        }
    }

    /// The announcements in it. Whoever receives a message checks their signatures before it is handed in, and drops
    /// the message if one does not hold.
    pub fn announcements(&self) -> impl Iterator<Item = &Announcement> {
        let (news, records) = match self {
            Self::Notice(Notice::Gossip(
                Gossip::News(news) | Gossip::Missed(news) | Gossip::Report(news),
            )) => (&news[..], &[][..]),
            Self::Response(_, Response::Records { records }) => (&[][..], &records[..]),
            _ => (&[][..], &[][..]),
        };
        let told = news.iter().filter_map(|news| match news {
            News::Member(announcement) => Some(announcement),
            News::Gone { .. } => None,
        });
        told.chain(records).map(|announcement| &**announcement)
    }

    /// The signed records in it. Whoever receives a message checks their signatures before it is handed in, and drops
    /// the message if one does not hold.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        let (one, many) = match self {
            Self::Request(_, Request::Record(RecordRequest::Write { record, .. })) => (Some(record), &[][..]),
            Self::Request(_, Request::Record(RecordRequest::Give(given))) => (None, &given[..]),
            Self::Notice(Notice::RecordChanged(held)) => (None, core::slice::from_ref(held)),
            Self::Response(_, Response::Record(response)) => (None, response.records()),
            _ => (None, &[][..]),
        };
        one.into_iter().chain(many.iter().map(|held| &held.record)).map(|record| &**record)
    }

    /// The listings in it. Whoever receives a message checks their signatures before it is handed in, and drops the
    /// message if one does not hold.
    pub fn listings(&self) -> impl Iterator<Item = &Listing> {
        self.items().iter().filter_map(|item| match item {
            Item::Listing(listing) => Some(&**listing),
            Item::Message(_) => None,
        })
    }

    /// The messages of topics in it, whose signatures are checked likewise.
    pub fn topic_messages(&self) -> impl Iterator<Item = &TopicMessage> {
        let pushed = match self {
            Self::Notice(Notice::Rendezvous(RendezvousNotice::Message(message))) => Some(message),
            _ => None,
        };
        let items = self.items().iter().filter_map(|item| match item {
            Item::Listing(_) => None,
            Item::Message(message) => Some(message),
        });
        pushed.into_iter().chain(items).map(|message| &**message)
    }

    fn items(&self) -> &[Item] {
        match self {
            Self::Request(_, Request::Rendezvous(RendezvousRequest::Keep { item, .. })) => {
                core::slice::from_ref(item)
            }
            Self::Response(_, Response::Rendezvous(RendezvousResponse::Items(items))) => items,
            _ => &[],
        }
    }

    /// The peers that an answer names to the asker. If the network demands something of a node's key (proof of work,
    /// say), the receiver checks that all of these meet it before it hands the message in.
    pub fn peers(&self) -> &[Peer] {
        match self {
            Self::Response(_, Response::Closest { peers, .. } | Response::Leaves { peers, .. }) => peers,
            Self::Response(_, Response::Record(response)) => response.region(),
            Self::Response(_, Response::Rendezvous(response)) => response.region(),
            _ => &[],
        }
    }

    fn peers_mut(&mut self) -> Option<&mut Vec<Peer>> {
        match self {
            Self::Response(_, Response::Closest { peers, .. } | Response::Leaves { peers, .. }) => {
                Some(peers)
            }
            Self::Response(_, Response::Record(response)) => response.region_mut(),
            Self::Response(_, Response::Rendezvous(response)) => response.region_mut(),
            _ => None,
        }
    }
}

impl PeerInfo {
    /// Appends the encoding of the record alone.
    pub fn encode(&self, out: &mut Vec<u8>) {
        // Eight addresses of 128 bytes stay far below the limit.
        encode_into(self, out);
    }

    /// Reads one record that fills `bytes` entirely.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode_from(bytes)
    }
}

/// A sink that stops at the limit instead of growing.
struct Bounded<'a> {
    out: &'a mut Vec<u8>,
    end: usize,
}

impl postcard::ser_flavors::Flavor for Bounded<'_> {
    type Output = ();

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        if self.out.len() >= self.end {
            return Err(postcard::Error::SerializeBufferFull);
        }
        self.out.push(byte);
        Ok(())
    }

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        if self.out.len() + bytes.len() > self.end {
            return Err(postcard::Error::SerializeBufferFull);
        }
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// A sink that only counts.
#[derive(Default)]
struct Counted {
    bytes: usize,
}

impl postcard::ser_flavors::Flavor for Counted {
    type Output = usize;

    #[inline]
    fn try_push(&mut self, _: u8) -> postcard::Result<()> {
        self.bytes += 1;
        Ok(())
    }

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.bytes += bytes.len();
        Ok(())
    }

    fn finalize(self) -> postcard::Result<usize> {
        Ok(self.bytes)
    }
}

/// Whether the value fitted; if not, `out` is as it was.
fn encode_into<T: Serialize>(value: &T, out: &mut Vec<u8>) -> bool {
    let start = out.len();
    let end = start + MESSAGE_BYTES_MAX;
    out.push(WIRE_VERSION);
    if postcard::serialize_with_flavor(value, Bounded { out, end }).is_ok() {
        return true;
    }
    out.truncate(start);
    false
}

fn decode_from<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, DecodeError> {
    if bytes.len() > MESSAGE_BYTES_MAX {
        return Err(DecodeError::TooLong);
    }
    let (version, rest) = bytes.split_first().ok_or(DecodeError::Empty)?;
    if *version != WIRE_VERSION {
        return Err(DecodeError::Version(*version));
    }
    let (value, rest) = postcard::take_from_bytes(rest).map_err(|_| DecodeError::Malformed)?;
    if rest.is_empty() { Ok(value) } else { Err(DecodeError::Trailing) }
}
