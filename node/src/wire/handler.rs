//! One connection's share of the wire: negotiates streams of all classes, in both directions.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use libp2p::StreamProtocol;
use libp2p::core::upgrade::{InboundUpgrade, OutboundUpgrade, UpgradeInfo};
use libp2p::swarm::Stream;
use libp2p::swarm::handler::{
    ConnectionEvent, ConnectionHandler, ConnectionHandlerEvent, DialUpgradeError, FullyNegotiatedInbound,
    FullyNegotiatedOutbound, StreamUpgradeError, SubstreamProtocol,
};

use super::behaviour::{OpenError, OpenReply};

/// Inbound streams a single connection may hold open; more are dropped at once.
const INBOUND_STREAMS_MAX: usize = 16;

/// What a stream carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Class {
    /// Overlay messages, one way: the opener writes, the accepter reads.
    Dht,
    /// Shard requests and their answers.
    Shard,
    /// What members of a private network ask each other about certificates and revocations.
    Papers,
    /// Who wants to know how it can be reached, and who is asked to dial somebody for that.
    Reach,
}

/// The versions in which shards are asked for, the newest first: the newest that both sides speak is spoken on a
/// stream. The one before the newest stays for as long as daemons are in use that know no other.
pub(crate) const SHARD_VERSIONS: [u8; 2] = [3, 2];

/// The protocol names of one network. Networks with other names or metrics never understand each other.
#[derive(Clone, Debug)]
pub(crate) struct Protocols {
    /// In the order in which they are proposed.
    names: Vec<(Class, u8, StreamProtocol)>,
}

impl Protocols {
    /// `network` is checked by the configuration: short, lower case, no slashes.
    pub(crate) fn new(network: &str, metric: &str) -> Self {
        let name = |class: &str, version: u8| {
            StreamProtocol::try_from_owned(format!("/chordage/{network}/{metric}/{class}/{version}"))
                .expect("the name begins with a slash")
        };
        let mut names = vec![
            (Class::Dht, 1, name("dht", 1)),
            (Class::Papers, 1, name("papers", 1)),
            (Class::Reach, 1, name("reach", 1)),
        ];
        names.extend(SHARD_VERSIONS.map(|version| (Class::Shard, version, name("shard", version))));
        Protocols { names }
    }

    /// The same without the newest version, as a daemon is that does not know it yet.
    pub(crate) fn without_newest(mut self) -> Self {
        let [newest, ..] = SHARD_VERSIONS;
        self.names.retain(|(class, version, _)| *class != Class::Shard || *version != newest);
        self
    }

    fn of(&self, class: Class) -> Vec<StreamProtocol> {
        let of_class =
            |(known, _, name): &(Class, u8, StreamProtocol)| (*known == class).then(|| name.clone());
        self.names.iter().filter_map(of_class).collect()
    }

    /// What is spoken under a name that was agreed on.
    fn spoken(&self, name: &StreamProtocol) -> (Class, u8) {
        let known = self.names.iter().find(|(.., known)| known == name);
        known.map_or((Class::Shard, 0), |(class, version, _)| (*class, *version))
    }
}

/// Accepts a stream of any class.
#[derive(Clone, Debug)]
pub(crate) struct Accept(Arc<Protocols>);

impl UpgradeInfo for Accept {
    type Info = StreamProtocol;
    type InfoIter = Vec<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.names.iter().map(|(.., name)| name.clone()).collect()
    }
}

impl InboundUpgrade<Stream> for Accept {
    type Output = (Class, Spoken);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Self::Error>>;

    fn upgrade_inbound(self, stream: Stream, name: StreamProtocol) -> Self::Future {
        let (class, version) = self.0.spoken(&name);
        ready(Ok((class, Spoken { stream, version })))
    }
}

/// A stream, and the version that is spoken on it.
#[derive(Debug)]
pub(crate) struct Spoken {
    pub(crate) stream: Stream,
    pub(crate) version: u8,
}

/// Proposes a stream of one class, in any version.
#[derive(Clone, Debug)]
pub(crate) struct Propose(Arc<Protocols>, Class);

impl UpgradeInfo for Propose {
    type Info = StreamProtocol;
    type InfoIter = Vec<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.of(self.1)
    }
}

impl OutboundUpgrade<Stream> for Propose {
    type Output = Spoken;
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Self::Error>>;

    fn upgrade_outbound(self, stream: Stream, name: StreamProtocol) -> Self::Future {
        let (_, version) = self.0.spoken(&name);
        ready(Ok(Spoken { stream, version }))
    }
}

/// An inbound stream that gives its place back when dropped.
#[derive(Debug)]
pub(crate) struct GuardedStream {
    pub(crate) stream: Stream,
    /// What is spoken on it.
    pub(crate) version: u8,
    place: Place,
}

impl GuardedStream {
    /// Splits off the stream; the place is kept for as long as the second half lives.
    pub(crate) fn into_parts(self) -> (Stream, Place) {
        (self.stream, self.place)
    }
}

/// One of the connection's places for inbound streams.
#[derive(Debug)]
pub(crate) struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A wish to open a stream, and where the answer goes. Dropping it tells the waiter that the connection went.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) class: Class,
    pub(crate) reply: OpenReply,
}

/// See the module's description.
pub(crate) struct Handler {
    protocols: Arc<Protocols>,
    to_open: VecDeque<Open>,
    accepted: VecDeque<(Class, GuardedStream)>,
    inbound: Arc<AtomicUsize>,
    waker: Option<Waker>,
}

impl Handler {
    pub(crate) fn new(protocols: Arc<Protocols>) -> Self {
        Handler {
            protocols,
            to_open: VecDeque::new(),
            accepted: VecDeque::new(),
            inbound: Arc::default(),
            waker: None,
        }
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Open;
    type ToBehaviour = (Class, GuardedStream);
    type InboundProtocol = Accept;
    type OutboundProtocol = Propose;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = OpenReply;

    fn listen_protocol(&self) -> SubstreamProtocol<Accept, ()> {
        SubstreamProtocol::new(Accept(self.protocols.clone()), ())
    }

    // Open streams keep a connection alive; without any it closes after the swarm's idle time-out.

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, OpenReply, Self::ToBehaviour>> {
        if let Some(accepted) = self.accepted.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(accepted));
        }
        if let Some(Open { class, reply }) = self.to_open.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest {
                protocol: SubstreamProtocol::new(Propose(self.protocols.clone(), class), reply),
            });
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, open: Open) {
        self.to_open.push_back(open);
        self.wake();
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, Accept, Self::OutboundProtocol, (), OpenReply>,
    ) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: (class, Spoken { stream, version }),
                ..
            }) => {
                if self.inbound.fetch_add(1, Ordering::Relaxed) >= INBOUND_STREAMS_MAX {
                    self.inbound.fetch_sub(1, Ordering::Relaxed);
                    return;
                }
                let place = Place(self.inbound.clone());
                self.accepted.push_back((class, GuardedStream { stream, version, place }));
                self.wake();
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol, info }) => {
                // A waiter that gave up drops the stream with its receiver.
                let _ = info.send(Ok(protocol));
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info, error }) => {
                let _ = info.send(Err(match error {
                    StreamUpgradeError::Timeout => OpenError::TimedOut,
                    StreamUpgradeError::NegotiationFailed => OpenError::OtherNetwork,
                    StreamUpgradeError::Io(_) => OpenError::Closed,
                    StreamUpgradeError::Apply(never) => match never {},
                }));
            }
            _ => {}
        }
    }
}
