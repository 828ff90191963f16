//! Overlay messages out and in: one held-open stream per peer and direction.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use chordage_dht::{Message, NodeId, Peer, PeerInfo};
use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::swarm::ConnectionId;
use libp2p::{PeerId, Stream};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::pace::Pace;
use super::signature::Credence;
use crate::address::public_key;
use crate::wire::frame::{DhtFrame, read_dht, write_dht};
use crate::wire::{CLOSING, GuardedStream, OpenError, OpenReply, Spoken};

/// Messages that may wait for one peer's stream; beyond that they are dropped, and time out at the sender.
const QUEUE_MAX: usize = 64;
/// How long opening may take, dialling included.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// A peer that does not take in a message for so long is unreachable.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// News of links with the time at which it came, which may be well before the driver finds the time for it.
pub(super) type LinkNews = (Instant, LinkEvent);

/// What links tell the driver.
#[derive(Debug)]
pub(super) enum LinkEvent {
    /// A message came in.
    Received { from: Peer, connection: ConnectionId, message: Message },
    /// This link is over.
    Over {
        peer: NodeId,
        /// Its number: the link to the peer may be another by now.
        link: u64,
        /// Whether the peer could not be reached, or broke the stream.
        unreachable: bool,
        /// Whether it answered in another network's name.
        other_network: bool,
    },
    /// None of the old peers answered, and nobody else is configured: go on as a network of one.
    Alone,
}

/// The outgoing links.
pub(super) struct Links {
    links: BTreeMap<NodeId, Link>,
    /// Links begun so far.
    begun: u64,
    events: mpsc::Sender<LinkNews>,
    record: Arc<Vec<u8>>,
    /// How long every frame is held back.
    delay: Duration,
}

/// A frame, and when it may leave.
struct Due {
    at: Instant,
    frame: DhtFrame,
}

struct Link {
    number: u64,
    frames: mpsc::Sender<Due>,
    /// The peer, as it was known when the link was opened.
    peer: Peer,
    /// When the last message was sent.
    used: Instant,
}

impl Links {
    pub(super) fn new(local: &PeerInfo, events: mpsc::Sender<LinkNews>, delay: Duration) -> Self {
        Links { links: BTreeMap::new(), begun: 0, events, record: Arc::new(record(local)), delay }
    }

    fn due(&self, frame: DhtFrame) -> Due {
        Due { at: Instant::now() + self.delay, frame }
    }

    /// Our record changed: tell everybody we talk to, and whoever we will.
    pub(super) fn set_local(&mut self, local: &PeerInfo) {
        self.record = Arc::new(record(local));
        for link in self.links.values() {
            // A full queue belongs to a peer that learns of it elsewhere, or is dead.
            let _ = link.frames.try_send(self.due(DhtFrame::Record(self.record.to_vec())));
        }
    }

    /// Notes that `peer` speaks. Tells whether it has a newer record than the one its link was opened with: it has
    /// started anew, and that link, which is dropped, may lead to its former self.
    pub(super) fn heard(&mut self, peer: &Peer) -> bool {
        let Some(link) = self.links.get_mut(&peer.id()) else { return false };
        if link.peer.seq() == 0 {
            // An address that somebody gave us, before the peer ever spoke.
            link.peer = peer.clone();
        }
        let stale = link.peer.seq() < peer.seq();
        if stale {
            self.links.remove(&peer.id());
        }
        stale
    }

    /// Ends the link to a peer, if there is one, and tells to whom it led.
    pub(super) fn end(&mut self, peer: &NodeId) -> Option<Peer> {
        self.links.remove(peer).map(|link| link.peer)
    }

    /// A link is over. Tells to whom it led, as the peer was known then, if it was still the one to the peer: one that
    /// we ended or replaced says nothing.
    pub(super) fn over(&mut self, peer: &NodeId, number: u64) -> Option<Peer> {
        let current = self.links.get(peer).is_some_and(|link| link.number == number);
        if current { self.end(peer) } else { None }
    }

    /// Every open link, with the time of its last message.
    pub(super) fn last_used(&self) -> BTreeMap<NodeId, Instant> {
        let open = self.links.iter().filter(|(_, link)| !link.frames.is_closed());
        open.map(|(id, link)| (*id, link.used)).collect()
    }

    /// Says one thing on a stream of its own, which is being opened.
    pub(super) fn say(&self, message: &Message, opening: oneshot::Receiver<Result<Spoken, OpenError>>) {
        let (mut body, record) = (Vec::new(), self.record.to_vec());
        message.encode(&mut body);
        drop(tokio::spawn(async move {
            let Ok(Ok(Ok(Spoken { mut stream, .. }))) = timeout(OPEN_TIMEOUT, opening).await else { return };
            for frame in [DhtFrame::Record(record), DhtFrame::Message(body)] {
                if !written(&mut stream, &frame).await {
                    return;
                }
            }
            let _ = timeout(WRITE_TIMEOUT, stream.close()).await;
        }));
    }

    /// Sends `message` to `to`; `open` is called if a stream has to be opened first.
    pub(super) fn send(&mut self, to: &Peer, message: &Message, open: impl FnOnce(OpenReply)) {
        let mut body = Vec::new();
        message.encode(&mut body);
        let due = self.due(DhtFrame::Message(body));
        let due = match self.links.get_mut(&to.id()) {
            Some(link) => match link.frames.try_send(due) {
                Ok(()) => {
                    link.used = Instant::now();
                    return;
                }
                Err(TrySendError::Full(_)) => return,
                Err(TrySendError::Closed(due)) => due,
            },
            None => due,
        };
        // The queue is new and empty.
        let _ = self.begin(to, open).try_send(due);
    }

    /// Opens a link to `to` without anything to say, unless there is one.
    pub(super) fn open(&mut self, to: &Peer, open: impl FnOnce(OpenReply)) {
        if self.links.get(&to.id()).is_none_or(|link| link.frames.is_closed()) {
            self.begin(to, open);
        }
    }

    fn begin(&mut self, to: &Peer, open: impl FnOnce(OpenReply)) -> &mpsc::Sender<Due> {
        let (frames, queue) = mpsc::channel(QUEUE_MAX);
        let (reply, opening) = oneshot::channel();
        open(reply);
        self.begun += 1;
        let name = (to.id(), self.begun);
        tokio::spawn(write_link(name, opening, self.record.clone(), queue, self.events.clone()));
        let link = Link { number: self.begun, frames, peer: to.clone(), used: Instant::now() };
        let link = match self.links.entry(to.id()) {
            Entry::Occupied(mut former) => {
                former.insert(link);
                former.into_mut()
            }
            Entry::Vacant(place) => place.insert(link),
        };
        &link.frames
    }
}

fn record(local: &PeerInfo) -> Vec<u8> {
    let mut bytes = Vec::new();
    local.encode(&mut bytes);
    bytes
}

async fn write_link(
    (peer, link): (NodeId, u64),
    opening: oneshot::Receiver<Result<Spoken, OpenError>>,
    record: Arc<Vec<u8>>,
    mut queue: mpsc::Receiver<Due>,
    events: mpsc::Sender<LinkNews>,
) {
    let mut other_network = false;
    let alive = match timeout(OPEN_TIMEOUT, opening).await {
        Ok(Ok(Ok(Spoken { stream, .. }))) => {
            let alive = write_stream(stream, record, &mut queue).await;
            if !alive {
                // The overlay asks again at once, which has to go by another connection.
                sleep(CLOSING).await;
            }
            alive
        }
        // It has answered the dial, so it lives; perhaps it has no seat for us, or we had none. What was to be said
        // times out.
        Ok(Err(_) | Ok(Err(OpenError::Closed | OpenError::Overloaded))) => true,
        Ok(Ok(Err(OpenError::OtherNetwork))) => {
            other_network = true;
            false
        }
        _ => false,
    };
    // Closed before the event is sent, so that the next message opens a new link.
    drop(queue);
    // A driver that has stopped needs no news.
    let over = LinkEvent::Over { peer, link, unreachable: !alive, other_network };
    let _ = events.send((Instant::now(), over)).await;
}

/// Writes until the link is ended (true) or the stream breaks (false).
async fn write_stream(stream: Stream, record: Arc<Vec<u8>>, queue: &mut mpsc::Receiver<Due>) -> bool {
    let (mut reader, mut writer) = stream.split();
    let writing = async {
        if !written(&mut writer, &DhtFrame::Record(record.to_vec())).await {
            return false;
        }
        loop {
            let Some(mut due) = queue.recv().await else { return true };
            loop {
                if due.at > Instant::now() {
                    // What has been written must not wait with this one.
                    if !flushed(&mut writer).await {
                        return false;
                    }
                    sleep_until(due.at).await;
                }
                if !written(&mut writer, &due.frame).await {
                    return false;
                }
                match queue.try_recv() {
                    Ok(next) => due = next,
                    Err(_) => break,
                }
            }
            if !flushed(&mut writer).await {
                return false;
            }
        }
    };
    // The other side never writes here: whatever ends this read is the end of the stream. So a killed
    // neighbour is noticed when its sockets close, not only when it misses a probe.
    let mut nothing = [0; 1];
    let alive = tokio::select! {
        alive = writing => alive,
        _ = reader.read(&mut nothing) => false,
    };
    if alive {
        let _ = timeout(WRITE_TIMEOUT, writer.close()).await;
    }
    alive
}

async fn written<W: futures::AsyncWrite + Unpin>(writer: &mut W, frame: &DhtFrame) -> bool {
    matches!(timeout(WRITE_TIMEOUT, write_dht(writer, frame)).await, Ok(Ok(())))
}

async fn flushed<W: futures::AsyncWrite + Unpin>(writer: &mut W) -> bool {
    matches!(timeout(WRITE_TIMEOUT, writer.flush()).await, Ok(Ok(())))
}

/// Reads an incoming link until it ends or its peer breaks the rules. The first frame is the peer's record, and
/// it has to be that of the key the connection was authenticated with.
pub(super) async fn read_link(
    (peer, connection): (PeerId, ConnectionId),
    pace: Pace,
    stream: GuardedStream,
    credence: Credence,
    events: mpsc::Sender<LinkNews>,
) {
    let Some(key) = public_key(&peer) else { return };
    let (mut stream, _place) = stream.into_parts();
    let mut from: Option<Peer> = None;
    while let Ok(Some(frame)) = read_dht(&mut stream).await {
        // What is not read waits in the peer's own windows and memory.
        if let Some(at) = pace.count(Instant::now()) {
            sleep_until(at).await;
        }
        match (frame, &from) {
            (DhtFrame::Record(bytes), _) => match PeerInfo::decode(&bytes) {
                Ok(info) if *info.public_key() == key => from = Some(Arc::new(info)),
                _ => return,
            },
            (DhtFrame::Message(bytes), Some(from)) => {
                let Ok(message) = Message::decode(&bytes) else { return };
                // Here, so that many signatures keep nobody waiting but the peer that sent them.
                if !credence.believes(&message) {
                    return;
                }
                // Waiting here is the back-pressure: a flooding peer waits for the driver, not the other way.
                let received = LinkEvent::Received { from: from.clone(), connection, message };
                if events.send((Instant::now(), received)).await.is_err() {
                    return;
                }
            }
            (DhtFrame::Message(_), None) => return,
        }
    }
}
