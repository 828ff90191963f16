//! The part of the wire that belongs to the swarm: opens streams to peers, dialling first where needed.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU8;
use std::sync::Arc;
use std::task::{Context, Poll};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::behaviour::{ConnectionClosed, ConnectionEstablished, DialFailure};
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{
    CloseConnection, ConnectionDenied, ConnectionId, DialError, FromSwarm, NetworkBehaviour, NotifyHandler,
    Stream, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId};
use tokio::sync::oneshot;

use super::handler::{Class, GuardedStream, Handler, Open, Protocols};

/// Streams that may wait for one dial to succeed.
const WAITING_PER_PEER_MAX: usize = 16;

/// Where an opened stream, or the reason why there is none, goes.
pub(crate) type OpenReply = oneshot::Sender<Result<Stream, OpenError>>;

/// Why a stream could not be opened. Nothing was sent in any of these cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OpenError {
    /// No address of the peer answered.
    #[error("no address of the peer answered")]
    Unreachable,
    /// The peer answered but speaks for another network (or another version).
    #[error("the peer belongs to another network or speaks another version")]
    OtherNetwork,
    /// The peer did not negotiate in time.
    #[error("the peer did not answer in time")]
    TimedOut,
    /// The connection closed meanwhile.
    #[error("the connection closed")]
    Closed,
    /// Too many streams or dials are waiting already.
    #[error("too many connections are being opened")]
    Overloaded,
}

/// A stream somebody opened to us.
#[derive(Debug)]
pub(crate) struct Inbound {
    pub(crate) peer: PeerId,
    /// The connection by which it came.
    pub(crate) connection: ConnectionId,
    pub(crate) class: Class,
    pub(crate) stream: GuardedStream,
}

/// See the module's description.
pub(crate) struct Behaviour {
    protocols: Arc<Protocols>,
    /// Open connections, the newest last.
    connected: BTreeMap<PeerId, Vec<ConnectionId>>,
    /// The newest connections of peers that had fallen silent: nothing new is begun on these.
    distrusted: BTreeMap<PeerId, ConnectionId>,
    waiting: BTreeMap<PeerId, Vec<Open>>,
    /// Peers that may be being dialled at a time.
    dialling_max: usize,
    queue: VecDeque<ToSwarm<Inbound, Open>>,
}

impl Behaviour {
    pub(crate) fn new(protocols: Protocols, dialling_max: usize) -> Self {
        Behaviour {
            protocols: Arc::new(protocols),
            connected: BTreeMap::new(),
            distrusted: BTreeMap::new(),
            waiting: BTreeMap::new(),
            dialling_max,
            queue: VecDeque::new(),
        }
    }

    /// Opens a stream to `peer`, dialling `addrs` one after the other if there is no connection.
    ///
    /// The swarm has to be polled afterwards; the driver's loop does that anyway, so no waker is kept.
    pub(crate) fn open(&mut self, peer: PeerId, addrs: Vec<Multiaddr>, class: Class, reply: OpenReply) {
        let open = Open { class, reply };
        if let Some(newest) = self.newest(peer) {
            self.ask(peer, newest, open);
            return;
        }
        let dialling = self.waiting.len();
        if let Some(waiting) = self.waiting.get_mut(&peer) {
            if waiting.len() >= WAITING_PER_PEER_MAX {
                let _ = open.reply.send(Err(OpenError::Overloaded));
            } else {
                waiting.push(open);
            }
            return;
        }
        if dialling >= self.dialling_max || addrs.is_empty() {
            let why = if addrs.is_empty() { OpenError::Unreachable } else { OpenError::Overloaded };
            let _ = open.reply.send(Err(why));
            return;
        }
        // Whom we are connected to by a connection that we do not trust is dialled all the same.
        let condition = match self.connected.contains_key(&peer) {
            true => PeerCondition::NotDialing,
            false => PeerCondition::DisconnectedAndNotDialing,
        };
        self.waiting.insert(peer, vec![open]);
        self.queue.push_back(ToSwarm::Dial {
            opts: DialOpts::peer_id(peer)
                .condition(condition)
                .addresses(addrs)
                // Addresses come best first; racing TCP against QUIC would pay for two handshakes each time.
                .override_dial_concurrency_factor(NonZeroU8::MIN)
                .build(),
        });
    }

    /// Opens a stream on this very connection, if it is still there: of two peers with one key it leads to the right
    /// one.
    pub(crate) fn open_on(&mut self, peer: PeerId, connection: ConnectionId, class: Class, reply: OpenReply) {
        if self.connected.get(&peer).is_some_and(|open| open.contains(&connection)) {
            self.ask(peer, connection, Open { class, reply });
        }
    }

    /// The peer has started anew: connections older than its newest lead to a process that is gone. Over QUIC
    /// that would be noticed only after its idle time-out.
    pub(crate) fn retire_older(&mut self, peer: PeerId) {
        let Some(connections) = self.connected.get(&peer) else { return };
        for old in connections.iter().rev().skip(1) {
            self.queue.push_back(ToSwarm::CloseConnection {
                peer_id: peer,
                connection: CloseConnection::One(*old),
            });
        }
    }

    /// The peer has fallen silent. If that is the network's doing, its connections may be dead long before TCP says so:
    /// it waits up to two minutes between two attempts to send, also when the way is free again. What is under way may
    /// finish, but whoever wants the peer again dials.
    pub(crate) fn distrust(&mut self, peer: PeerId) {
        self.retire_older(peer);
        if let Some(newest) = self.connected.get(&peer).and_then(|connections| connections.last()) {
            self.distrusted.insert(peer, *newest);
        }
    }

    /// The newest connection is the one that is most surely alive.
    fn newest(&self, peer: PeerId) -> Option<ConnectionId> {
        let newest = self.connected.get(&peer)?.last().copied()?;
        (self.distrusted.get(&peer) != Some(&newest)).then_some(newest)
    }

    /// Peers that are being dialled.
    pub(crate) fn dialling(&self) -> usize {
        self.waiting.len()
    }

    fn ask(&mut self, peer: PeerId, connection: ConnectionId, open: Open) {
        self.queue.push_back(ToSwarm::NotifyHandler {
            peer_id: peer,
            handler: NotifyHandler::One(connection),
            event: open,
        });
    }

    fn connection_established(&mut self, peer: PeerId, connection: ConnectionId) {
        self.connected.entry(peer).or_default().push(connection);
        for open in self.waiting.remove(&peer).unwrap_or_default() {
            self.ask(peer, connection, open);
        }
    }

    fn connection_closed(&mut self, peer: PeerId, connection: ConnectionId) {
        if self.distrusted.get(&peer) == Some(&connection) {
            self.distrusted.remove(&peer);
        }
        if let Some(connections) = self.connected.get_mut(&peer) {
            connections.retain(|open| *open != connection);
            if connections.is_empty() {
                self.connected.remove(&peer);
            }
        }
    }

    fn dial_failed(&mut self, peer: PeerId, error: &DialError) {
        // A second dial may fail because the first has just succeeded.
        if self.newest(peer).is_some() {
            return;
        }
        let why = match error {
            // By our own limits.
            DialError::Denied { .. } => OpenError::Overloaded,
            _ => OpenError::Unreachable,
        };
        for open in self.waiting.remove(&peer).unwrap_or_default() {
            let _ = open.reply.send(Err(why));
        }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Inbound;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::new(self.protocols.clone()))
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::new(self.protocols.clone()))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(ConnectionEstablished { peer_id, connection_id, .. }) => {
                self.connection_established(peer_id, connection_id);
            }
            FromSwarm::ConnectionClosed(ConnectionClosed { peer_id, connection_id, .. }) => {
                self.connection_closed(peer_id, connection_id);
            }
            FromSwarm::DialFailure(DialFailure { peer_id: Some(peer), error, .. }) => {
                self.dial_failed(peer, error);
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        (class, stream): THandlerOutEvent<Self>,
    ) {
        self.queue.push_back(ToSwarm::GenerateEvent(Inbound { peer, connection, class, stream }));
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        match self.queue.pop_front() {
            Some(action) => Poll::Ready(action),
            None => Poll::Pending,
        }
    }
}
