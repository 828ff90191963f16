//! The part of the wire that belongs to the swarm: opens streams to peers, dialling first where needed.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::behaviour::{ConnectionClosed, ConnectionEstablished, DialFailure};
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{
    CloseConnection, ConnectionDenied, ConnectionId, DialError, FromSwarm, NetworkBehaviour, NotifyHandler,
    THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId};
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep, sleep_until};

use super::circuits::Circuits;
use super::handler::{Class, GuardedStream, Handler, Open, Protocols, Spoken};
use super::paths::{Transport, is_refused, is_stalled};
use super::race::{Failed, Races};

/// Streams that may wait for one dial to succeed.
const WAITING_PER_PEER_MAX: usize = 16;
/// Dials under way for each peer that may be being dialled: one goes on while the next address is tried.
pub(super) const DIALS_PER_PEER: usize = 2;

/// Where an opened stream, or the reason why there is none, goes.
pub(crate) type OpenReply = oneshot::Sender<Result<Spoken, OpenError>>;

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

/// Another address of the peer answered earlier.
#[derive(Debug, thiserror::Error)]
#[error("another address of the peer answered earlier")]
struct TooLate;

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
    connected: BTreeMap<PeerId, Vec<(ConnectionId, Transport)>>,
    /// The newest connections of peers that had fallen silent: nothing new is begun on these.
    distrusted: BTreeMap<PeerId, ConnectionId>,
    races: Races,
    /// Circuits through relays that are to end.
    circuits: Circuits,
    /// Runs until the next address of somebody is to be dialled, or a circuit is to end.
    timer: Option<Pin<Box<Sleep>>>,
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
            races: Races::default(),
            circuits: Circuits::default(),
            timer: None,
            dialling_max,
            queue: VecDeque::new(),
        }
    }

    /// Opens a stream to `peer`; if there is no connection, `addrs` are dialled, each with a head start on the next.
    ///
    /// The swarm has to be polled afterwards; the driver's loop does that anyway, so no waker is kept.
    pub(crate) fn open(&mut self, peer: PeerId, addrs: Vec<Multiaddr>, class: Class, reply: OpenReply) {
        let open = Open { class, reply };
        let now = Instant::now();
        if let Some(connection) = self.best(peer, &addrs, now) {
            self.ask(peer, connection, open);
            return;
        }
        let dialling = self.races.len();
        if let Some(race) = self.races.get(&peer) {
            if race.waiting.len() >= WAITING_PER_PEER_MAX {
                let _ = open.reply.send(Err(OpenError::Overloaded));
            } else {
                race.waiting.push(open);
            }
            return;
        }
        if dialling >= self.dialling_max || addrs.is_empty() {
            let why = if addrs.is_empty() { OpenError::Unreachable } else { OpenError::Overloaded };
            let _ = open.reply.send(Err(why));
            return;
        }
        self.races.begin(peer, addrs, open, now);
        self.dial_next(peer, now);
    }

    fn dial_next(&mut self, peer: PeerId, now: Instant) {
        let Some(addr) = self.races.next(&peer, now) else { return };
        // Who is connected or being dialled by a way that we do not trust is dialled all the same.
        let opts =
            DialOpts::peer_id(peer).condition(PeerCondition::Always).addresses(vec![addr.clone()]).build();
        self.races.dialled(opts.connection_id(), peer, &addr);
        self.queue.push_back(ToSwarm::Dial { opts });
    }

    /// Dials the next address of everybody whose former ones have had their head start.
    fn dial_those_due(&mut self, now: Instant) {
        for peer in self.races.due(now) {
            if self.races.dials() < self.dialling_max * DIALS_PER_PEER {
                self.dial_next(peer, now);
            } else {
                self.races.postpone(&peer, now);
            }
        }
    }

    /// Ends the circuits that direct connections have replaced for long enough.
    fn end_circuits(&mut self, now: Instant) {
        for circuit in self.circuits.due(now) {
            let is_it = |(open, _): &(ConnectionId, Transport)| *open == circuit;
            let peer = self.connected.iter().find(|(_, open)| open.iter().any(is_it)).map(|(peer, _)| *peer);
            if let Some(peer_id) = peer {
                let connection = CloseConnection::One(circuit);
                self.queue.push_back(ToSwarm::CloseConnection { peer_id, connection });
            }
        }
    }

    /// Opens a stream on this very connection, if it is still there: of two peers with one key it leads to the right
    /// one.
    pub(crate) fn open_on(&mut self, peer: PeerId, connection: ConnectionId, class: Class, reply: OpenReply) {
        if self.connected.get(&peer).is_some_and(|open| open.iter().any(|(open, _)| *open == connection)) {
            self.ask(peer, connection, Open { class, reply });
        }
    }

    /// The peer has started anew: connections older than its newest lead to a process that is gone. Over QUIC
    /// that would be noticed only after its idle time-out.
    pub(crate) fn retire_older(&mut self, peer: PeerId) {
        let Some(connections) = self.connected.get(&peer) else { return };
        for (old, _) in connections.iter().rev().skip(1) {
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
        if let Some((newest, _)) = self.connected.get(&peer).and_then(|connections| connections.last()) {
            self.distrusted.insert(peer, *newest);
        }
    }

    /// The newest direct connection, as the one that is most surely alive, unless nothing may be begun on any. Through
    /// a relay only if there is no other way.
    fn newest(&self, peer: PeerId) -> Option<ConnectionId> {
        let connections = self.connected.get(&peer)?;
        let distrusted = self.distrusted.get(&peer);
        let (newest, _) = connections.last()?;
        if distrusted == Some(newest) {
            return None;
        }
        let direct = |connection: &ConnectionId, transport: &Transport| {
            transport.is_direct() && distrusted != Some(connection)
        };
        let direct = connections.iter().rev().find(|(connection, transport)| direct(connection, transport));
        Some(direct.map_or(*newest, |(direct, _)| *direct))
    }

    /// The newest connection by a transport that is not doubted, a direct one if possible, or by any if `addrs` have no
    /// better: a peer that knows nothing of our doubt connects by the one that fails us, too.
    fn best(&self, peer: PeerId, addrs: &[Multiaddr], now: Instant) -> Option<ConnectionId> {
        let newest = self.newest(peer)?;
        let good = |transport| !self.races.doubts(&peer, transport, now);
        let trusted = |connection| self.distrusted.get(&peer) != Some(connection);
        let usable = || {
            let connections = self.connected.get(&peer).into_iter().flatten().rev();
            connections.filter(|(connection, transport)| trusted(connection) && good(*transport))
        };
        match usable().find(|(_, transport)| transport.is_direct()).or_else(|| usable().next()) {
            Some((connection, _)) => Some(*connection),
            None if addrs.iter().any(|addr| good(Transport::of(addr))) => None,
            None => Some(newest),
        }
    }

    /// Whether the peer's newest connection is by another transport than the one before. A circuit is never what a peer
    /// with a direct connection moves to: both may have begun at once.
    pub(crate) fn has_moved(&self, peer: &PeerId) -> bool {
        let connections = self.connected.get(peer).map(Vec::as_slice).unwrap_or_default();
        matches!(connections, [.., (_, before), (_, newest)] if before != newest && newest.is_direct())
    }

    /// Peers that are connected through relays only.
    pub(crate) fn through_relays(&self) -> Vec<PeerId> {
        let connected = self.connected.iter();
        let relayed = connected
            .filter(|(_, connections)| connections.iter().all(|(_, transport)| !transport.is_direct()));
        relayed.map(|(peer, _)| *peer).collect()
    }

    /// Whether the peer's newest connection is direct and there is still a circuit, on which nothing is to be said any
    /// more.
    pub(crate) fn left_circuit(&self, peer: &PeerId) -> bool {
        let connections = self.connected.get(peer).map(Vec::as_slice).unwrap_or_default();
        let direct = connections.last().is_some_and(|(_, transport)| transport.is_direct());
        direct && connections.iter().any(|(_, transport)| !transport.is_direct())
    }

    /// Peers that are being dialled.
    pub(crate) fn dialling(&self) -> usize {
        self.races.len()
    }

    fn ask(&mut self, peer: PeerId, connection: ConnectionId, open: Open) {
        self.queue.push_back(ToSwarm::NotifyHandler {
            peer_id: peer,
            handler: NotifyHandler::One(connection),
            event: open,
        });
    }

    fn connection_established(&mut self, peer: PeerId, connection: ConnectionId, transport: Transport) {
        let now = Instant::now();
        let connections = self.connected.entry(peer).or_default();
        connections.push((connection, transport));
        self.circuits.review(connections, now);
        if self.races.peer_of(connection).is_none() && self.races.doubts(&peer, transport, now) {
            // The peer's own, by what fails us. Our dials go on.
            return;
        }
        for open in self.races.won(peer, connection, now) {
            self.ask(peer, connection, open);
        }
    }

    fn connection_closed(&mut self, peer: PeerId, connection: ConnectionId) {
        if self.distrusted.get(&peer) == Some(&connection) {
            self.distrusted.remove(&peer);
        }
        self.circuits.ended(connection);
        if let Some(connections) = self.connected.get_mut(&peer) {
            connections.retain(|(open, _)| *open != connection);
            self.circuits.review(connections, Instant::now());
            if connections.is_empty() {
                self.connected.remove(&peer);
            }
        }
    }

    fn dial_failed(&mut self, connection: ConnectionId, error: &DialError) {
        let now = Instant::now();
        let ours = matches!(error, DialError::Denied { .. } | DialError::Aborted);
        // When all fail, the last one tells why.
        let why = if ours { OpenError::Overloaded } else { OpenError::Unreachable };
        let Some(peer) = self.races.peer_of(connection) else { return };
        // A refusal says that nobody listens there now, as while a daemon is started again, and nothing about the way.
        match self.races.failed(connection, ours || is_refused(error), now) {
            Failed::Nothing => {}
            Failed::Next => self.dial_next(peer, now),
            Failed::Over(waiting) => {
                let other = self.newest(peer);
                for open in waiting {
                    match other {
                        Some(connection) => self.ask(peer, connection, open),
                        None => drop(open.reply.send(Err(why))),
                    }
                }
            }
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
        connection: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        // The peer has the one that was faster, too, so that nobody loses the last connection by this.
        if let Some(faster) = self.races.lost_to(connection)
            && self.connected.get(&peer).is_some_and(|open| open.iter().any(|(id, _)| *id == faster))
            && self.distrusted.get(&peer) != Some(&faster)
        {
            return Err(ConnectionDenied::new(TooLate));
        }
        Ok(Handler::new(self.protocols.clone()))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            }) => {
                let transport = Transport::of_connection(endpoint);
                self.connection_established(peer_id, connection_id, transport);
            }
            FromSwarm::ConnectionClosed(ConnectionClosed {
                peer_id, connection_id, endpoint, cause, ..
            }) => {
                if cause.is_some_and(is_stalled) {
                    let transport = Transport::of_connection(endpoint);
                    tracing::debug!(peer = %peer_id, ?transport, "nothing gets through any more");
                    self.races.stalled(peer_id, transport, Instant::now());
                }
                self.connection_closed(peer_id, connection_id);
            }
            FromSwarm::DialFailure(DialFailure { connection_id, error, .. }) => {
                self.dial_failed(connection_id, error);
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

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        loop {
            if let Some(action) = self.queue.pop_front() {
                return Poll::Ready(action);
            }
            let due = [self.races.next_due(), self.circuits.next_due()];
            let Some(at) = due.into_iter().flatten().min() else {
                self.timer = None;
                return Poll::Pending;
            };
            match &mut self.timer {
                Some(timer) if timer.deadline() == at => {}
                Some(timer) => timer.as_mut().reset(at),
                None => self.timer = Some(Box::pin(sleep_until(at))),
            }
            if let Some(timer) = &mut self.timer
                && timer.as_mut().poll(cx).is_pending()
            {
                return Poll::Pending;
            }
            self.timer = None;
            let now = Instant::now();
            self.dial_those_due(now);
            self.end_circuits(now);
        }
    }
}
