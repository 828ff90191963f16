//! One connection's share of the wire: negotiates streams of all classes, in both directions.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use libp2p::StreamProtocol;
use libp2p::core::upgrade::{InboundUpgrade, ReadyUpgrade, UpgradeInfo};
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

/// The protocol names of one network. Networks with other names or metrics never understand each other.
#[derive(Clone, Debug)]
pub(crate) struct Protocols {
    dht: StreamProtocol,
    shard: StreamProtocol,
    papers: StreamProtocol,
    reach: StreamProtocol,
}

impl Protocols {
    /// `network` is checked by the configuration: short, lower case, no slashes.
    pub(crate) fn new(network: &str, metric: &str) -> Self {
        let name = |class: &str, version: u8| {
            StreamProtocol::try_from_owned(format!("/chordage/{network}/{metric}/{class}/{version}"))
                .expect("the name begins with a slash")
        };
        Protocols {
            dht: name("dht", 1),
            shard: name("shard", 2),
            papers: name("papers", 1),
            reach: name("reach", 1),
        }
    }

    fn name(&self, class: Class) -> StreamProtocol {
        match class {
            Class::Dht => self.dht.clone(),
            Class::Shard => self.shard.clone(),
            Class::Papers => self.papers.clone(),
            Class::Reach => self.reach.clone(),
        }
    }

    fn class(&self, name: &StreamProtocol) -> Class {
        let classes = [Class::Dht, Class::Shard, Class::Papers, Class::Reach];
        classes.into_iter().find(|class| self.name(*class) == *name).unwrap_or(Class::Shard)
    }
}

/// Accepts a stream of any class.
#[derive(Clone, Debug)]
pub(crate) struct Accept(Arc<Protocols>);

impl UpgradeInfo for Accept {
    type Info = StreamProtocol;
    type InfoIter = [StreamProtocol; 4];

    fn protocol_info(&self) -> Self::InfoIter {
        [self.0.dht.clone(), self.0.shard.clone(), self.0.papers.clone(), self.0.reach.clone()]
    }
}

impl InboundUpgrade<Stream> for Accept {
    type Output = (Class, Stream);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Self::Error>>;

    fn upgrade_inbound(self, stream: Stream, name: StreamProtocol) -> Self::Future {
        ready(Ok((self.0.class(&name), stream)))
    }
}

/// An inbound stream that gives its place back when dropped.
#[derive(Debug)]
pub(crate) struct GuardedStream {
    pub(crate) stream: Stream,
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
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
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
                protocol: SubstreamProtocol::new(ReadyUpgrade::new(self.protocols.name(class)), reply),
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
                protocol: (class, stream),
                ..
            }) => {
                if self.inbound.fetch_add(1, Ordering::Relaxed) >= INBOUND_STREAMS_MAX {
                    self.inbound.fetch_sub(1, Ordering::Relaxed);
                    return;
                }
                let place = Place(self.inbound.clone());
                self.accepted.push_back((class, GuardedStream { stream, place }));
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
