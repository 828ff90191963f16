//! Overlay messages out and in: one held-open stream per peer and direction.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chordage_dht::{Message, NodeId, Peer, PeerInfo};
use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::{PeerId, Stream};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use crate::wire::frame::{DhtFrame, read_dht, write_dht};
use crate::wire::peer::public_key;
use crate::wire::{GuardedStream, OpenError};

/// Messages that may wait for one peer's stream; beyond that they are dropped, and time out at the sender.
const QUEUE_MAX: usize = 64;
/// How long opening may take, dialling included.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// A stream that carried nothing for so long is closed; its connection follows.
const IDLE: Duration = Duration::from_secs(300);
/// A peer that does not take in a message for so long is unreachable.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// What links tell the driver.
#[derive(Debug)]
pub(super) enum LinkEvent {
    /// A message came in.
    Received { from: Peer, message: Message },
    /// The peer could not be reached, or its stream broke.
    Unreachable(NodeId),
    /// None of the old peers answered, and nobody else is configured: go on as a network of one.
    Alone,
}

/// A stream being opened.
pub(super) type Opening = oneshot::Receiver<Result<Stream, OpenError>>;

/// The outgoing links.
pub(super) struct Links {
    links: BTreeMap<NodeId, Link>,
    events: mpsc::Sender<LinkEvent>,
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
    frames: mpsc::Sender<Due>,
    /// The peer, as it was known when the link was opened.
    peer: Peer,
}

impl Links {
    pub(super) fn new(local: &PeerInfo, events: mpsc::Sender<LinkEvent>, delay: Duration) -> Self {
        Links { links: BTreeMap::new(), events, record: Arc::new(record(local)), delay }
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
        // 0: an address somebody gave us, before the peer ever spoke.
        let stale = self.links.get(&peer.id()).is_some_and(|link| {
            let seq = link.peer.seq();
            seq != 0 && seq < peer.seq()
        });
        if stale {
            self.links.remove(&peer.id());
        }
        stale
    }

    /// Ends the link to a peer, if there is one, and tells to whom it led.
    pub(super) fn end(&mut self, peer: &NodeId) -> Option<Peer> {
        self.links.remove(peer).map(|link| link.peer)
    }

    /// Sends `message` to `to`; `open` is called if a stream has to be opened first.
    pub(super) fn send(&mut self, to: &Peer, message: &Message, open: impl FnOnce() -> Opening) {
        let mut body = Vec::new();
        message.encode(&mut body);
        let frame = DhtFrame::Message(body);
        let frame = match self.links.get(&to.id()).map(|link| link.frames.try_send(self.due(frame.clone()))) {
            Some(Ok(()) | Err(TrySendError::Full(_))) => return,
            Some(Err(TrySendError::Closed(_))) | None => frame,
        };
        let (frames, queue) = mpsc::channel(QUEUE_MAX);
        // The queue is new and empty.
        let _ = frames.try_send(self.due(frame));
        self.links.retain(|_, link| !link.frames.is_closed());
        self.links.insert(to.id(), Link { frames, peer: to.clone() });
        tokio::spawn(write_link(to.id(), open(), self.record.clone(), queue, self.events.clone()));
    }
}

fn record(local: &PeerInfo) -> Vec<u8> {
    let mut bytes = Vec::new();
    local.encode(&mut bytes);
    bytes
}

async fn write_link(
    peer: NodeId,
    opening: Opening,
    record: Arc<Vec<u8>>,
    mut queue: mpsc::Receiver<Due>,
    events: mpsc::Sender<LinkEvent>,
) {
    let alive = match timeout(OPEN_TIMEOUT, opening).await {
        Ok(Ok(Ok(stream))) => write_stream(stream, record, &mut queue).await,
        _ => false,
    };
    // Closed before the event is sent, so that the next message opens a new link.
    drop(queue);
    if !alive {
        // A driver that has stopped needs no news.
        let _ = events.send(LinkEvent::Unreachable(peer)).await;
    }
}

/// Writes until the stream idles (true) or breaks (false).
async fn write_stream(stream: Stream, record: Arc<Vec<u8>>, queue: &mut mpsc::Receiver<Due>) -> bool {
    let (mut reader, mut writer) = stream.split();
    let writing = async {
        if !written(&mut writer, &DhtFrame::Record(record.to_vec())).await {
            return false;
        }
        loop {
            let Ok(received) = timeout(IDLE, queue.recv()).await else { return true };
            let Some(mut due) = received else { return true };
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
pub(super) async fn read_link(peer: PeerId, stream: GuardedStream, events: mpsc::Sender<LinkEvent>) {
    let Some(key) = public_key(&peer) else { return };
    let (mut stream, _place) = stream.into_parts();
    let mut from: Option<Peer> = None;
    while let Ok(Some(frame)) = read_dht(&mut stream).await {
        match (frame, &from) {
            (DhtFrame::Record(bytes), _) => match PeerInfo::decode(&bytes) {
                Ok(info) if *info.public_key() == key => from = Some(Arc::new(info)),
                _ => return,
            },
            (DhtFrame::Message(bytes), Some(from)) => {
                let Ok(message) = Message::decode(&bytes) else { return };
                // Waiting here is the back-pressure: a flooding peer waits for the driver, not the other way.
                if events.send(LinkEvent::Received { from: from.clone(), message }).await.is_err() {
                    return;
                }
            }
            (DhtFrame::Message(_), None) => return,
        }
    }
}
