//! A swarm that runs in a task of its own, and does what a test tells it.

use std::collections::VecDeque;
use std::time::Duration;

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::core::ConnectedPoint;
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{ConnectionId, Stream, SwarmEvent};
use libp2p::{Multiaddr, PeerId};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout_at};

use crate::address::in_dial_order;
use crate::config::{ConnectionConfig, RelayConfig};
use crate::wire::relay::{RelayRefusal, why_refused};
use crate::wire::{
    Class, Gate, Inbound, NetworkSwarm, OpenError, Protocols, RelaySettings, WireEvent, build,
};

/// How long anything may take.
pub(super) const DEADLINE: Duration = Duration::from_secs(20);

/// Events that nobody has asked for yet, and calls. No test has as many; the swarm would wait.
const QUEUED_MAX: usize = 4096;

type Event = SwarmEvent<WireEvent>;
type Call = Box<dyn FnOnce(&mut NetworkSwarm) + Send>;

/// See the module's description.
pub(super) struct Party {
    pub(super) peer: PeerId,
    /// Where it listens, with its id: by TCP, and by QUIC.
    pub(super) addrs: Vec<Multiaddr>,
    pub(super) key: Keypair,
    calls: mpsc::Sender<Call>,
    events: mpsc::Receiver<Box<Event>>,
    /// Events that were passed over by whoever waited for others.
    passed: VecDeque<Box<Event>>,
    task: JoinHandle<()>,
}

impl Drop for Party {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a daemon of an open network would be.
pub(super) fn usual() -> RelaySettings {
    RelaySettings::of(&RelayConfig::default(), false)
}

/// The same without hole punching: circuits stay circuits.
pub(super) fn unpunched() -> RelaySettings {
    RelaySettings { punches: false, ..usual() }
}

impl Party {
    /// Somebody who listens on loopback, by TCP and QUIC.
    pub(super) async fn listening(gate: Gate, relays: &RelaySettings) -> Party {
        let on = ["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"];
        let on = on.map(|addr| addr.parse().expect("valid"));
        Party::with(Keypair::generate_ed25519(), gate, relays, &on).await
    }

    /// Somebody who listens nowhere.
    pub(super) async fn hidden(gate: Gate, relays: &RelaySettings) -> Party {
        Party::with(Keypair::generate_ed25519(), gate, relays, &[]).await
    }

    /// A relay for everybody.
    pub(super) async fn relay(gate: Gate, relays: &RelaySettings) -> Party {
        let mut party = Party::listening(gate, relays).await;
        party.serve().await;
        party
    }

    pub(super) async fn with(key: Keypair, gate: Gate, relays: &RelaySettings, on: &[Multiaddr]) -> Party {
        let protocols = Protocols::new("n", "ring");
        let mut swarm =
            build(key.clone(), protocols, gate, &ConnectionConfig::default(), relays).expect("valid");
        let peer = *swarm.local_peer_id();
        for addr in on {
            // The ports of somebody who has just gone may be in use for a moment more.
            let deadline = Instant::now() + DEADLINE;
            while let Err(error) = swarm.listen_on(addr.clone()) {
                assert!(Instant::now() < deadline, "{error}");
                sleep(Duration::from_millis(50)).await;
            }
        }
        let (calls, mut called) = mpsc::channel::<Call>(QUEUED_MAX);
        let (events_in, events) = mpsc::channel(QUEUED_MAX);
        let task = tokio::spawn(async move {
            loop {
                tokio::select! {
                    event = swarm.select_next_some() => drop(events_in.send(Box::new(event)).await),
                    Some(call) = called.recv() => call(&mut swarm),
                }
            }
        });
        let (passed, addrs) = (VecDeque::new(), Vec::new());
        let mut party = Party { peer, addrs, key, calls, events, passed, task };
        while party.addrs.len() < on.len() {
            let addr = party
                .until(|event| match *event {
                    SwarmEvent::NewListenAddr { address, .. } => Ok(address),
                    other => Err(Box::new(other)),
                })
                .await;
            party.addrs.push(addr.with(Protocol::P2p(peer)));
        }
        party.addrs = in_dial_order(std::mem::take(&mut party.addrs));
        party
    }

    /// Makes it a relay for others.
    pub(super) async fn serve(&mut self) {
        let addrs = self.addrs.clone();
        self.call(move |swarm| {
            addrs.into_iter().for_each(|addr| swarm.add_external_address(addr));
            swarm.behaviour_mut().serve_as_relay(true);
        })
        .await;
    }

    /// Does something with the swarm.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        call: impl FnOnce(&mut NetworkSwarm) -> T + Send + 'static,
    ) -> T {
        let (done_in, done) = oneshot::channel();
        let call: Call = Box::new(move |swarm| drop(done_in.send(call(swarm))));
        assert!(self.calls.send(call).await.is_ok(), "it runs");
        done.await.expect("it runs")
    }

    /// The first event that `pick` takes, of those that have happened or will. Others are kept for later.
    pub(super) async fn until<T>(&mut self, mut pick: impl FnMut(Box<Event>) -> Result<T, Box<Event>>) -> T {
        let deadline = Instant::now() + DEADLINE;
        for _ in 0..self.passed.len() {
            match self.passed.pop_front().map(&mut pick) {
                Some(Ok(picked)) => return picked,
                Some(Err(event)) => self.passed.push_back(event),
                None => {}
            }
        }
        loop {
            let event = timeout_at(deadline, self.events.recv()).await;
            let event = event.unwrap_or_else(|_| panic!("it never happened; instead: {:?}", self.passed));
            match pick(event.expect("it runs")) {
                Ok(picked) => return picked,
                Err(event) => self.passed.push_back(event),
            }
        }
    }

    /// Opens a stream, dialling `addrs` where needed.
    pub(super) async fn open(&self, peer: PeerId, addrs: &[Multiaddr]) -> Result<Stream, OpenError> {
        let (reply, opened) = oneshot::channel();
        let addrs = addrs.to_vec();
        self.call(move |swarm| swarm.behaviour_mut().streams.open(peer, addrs, Class::Dht, reply)).await;
        timeout_at(Instant::now() + DEADLINE, opened)
            .await
            .expect("in time")
            .unwrap_or(Err(OpenError::Closed))
            .map(|spoken| spoken.stream)
    }

    /// The next stream that somebody opens here.
    pub(super) async fn accepted(&mut self) -> Inbound {
        self.until(|event| match *event {
            SwarmEvent::Behaviour(WireEvent::Streams(inbound)) => Ok(inbound),
            other => Err(Box::new(other)),
        })
        .await
    }

    /// The next connection with `peer` of one kind.
    pub(super) async fn connected(&mut self, peer: PeerId, relayed: bool) -> (ConnectionId, ConnectedPoint) {
        self.until(|event| match *event {
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. }
                if peer_id == peer && endpoint.is_relayed() == relayed =>
            {
                Ok((connection_id, endpoint))
            }
            other => Err(Box::new(other)),
        })
        .await
    }

    /// The end of a connection.
    pub(super) async fn closed(&mut self, connection: ConnectionId) {
        self.until(|event| match *event {
            SwarmEvent::ConnectionClosed { connection_id, .. } if connection_id == connection => Ok(()),
            other => Err(Box::new(other)),
        })
        .await;
    }

    /// Reserves at `relay`, and tells by which address it is reached from then on, or why there is none.
    pub(super) async fn reserve(&mut self, relay: &Party) -> Result<Multiaddr, Option<RelayRefusal>> {
        let at = relay.addrs[0].clone().with(Protocol::P2pCircuit);
        let listener = self.call(|swarm| swarm.listen_on(at).expect("it can be asked for")).await;
        self.until(|event| match *event {
            SwarmEvent::NewListenAddr { listener_id, address } if listener_id == listener => Ok(Ok(address)),
            SwarmEvent::ListenerClosed { listener_id, reason, .. } if listener_id == listener => {
                // If there is no connection to the relay, that is all that is said.
                let refusal = reason.err().and_then(|error| why_refused(&error));
                Ok(Err(refusal))
            }
            other => Err(Box::new(other)),
        })
        .await
    }
}

/// Shows that what is written on one end arrives at the other.
pub(super) async fn talk(from: &mut Stream, to: &mut Stream, text: &[u8]) {
    let mut heard = vec![0; text.len()];
    let said = async {
        from.write_all(text).await?;
        from.flush().await
    };
    let (said, read) = tokio::time::timeout(DEADLINE, futures::future::join(said, to.read_exact(&mut heard)))
        .await
        .expect("in time");
    said.expect("written");
    read.expect("read");
    assert_eq!(heard, text);
}
