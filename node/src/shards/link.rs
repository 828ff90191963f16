//! One held-open shard stream to one peer: many calls in flight, answers in any order.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use chordage_api::operation::OperationId;
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::protocol::{Answer, Call, Reply, Request, UNNAMED, UnnamedCall};
use super::traffic::TrafficCounters;
use crate::wire::frame::{ShardFrame, read_shard, write_shard};

/// A link without calls closes after this.
const IDLE: Duration = Duration::from_secs(60);

/// A peer that does not take a frame for so long loses its stream, and what waits to be sent to it is let go. Whoever
/// called it has given up long before.
pub(super) const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

type Waiters = Arc<Mutex<BTreeMap<u32, oneshot::Sender<(Reply, Bytes)>>>>;

/// A call on its way to the writer.
pub(super) struct Outgoing {
    pub(super) operation: Option<OperationId>,
    pub(super) request: Request,
    pub(super) payload: Vec<Bytes>,
    pub(super) reply: oneshot::Sender<(Reply, Bytes)>,
}

/// Serves calls over `stream`, in this version of the protocol, until it breaks, idles, or has taken nothing for
/// `patience`. Calls that were waiting then see their channel close.
pub(super) async fn run<S: AsyncRead + AsyncWrite>(
    stream: S,
    version: u8,
    mut calls: mpsc::Receiver<Outgoing>,
    traffic: Arc<TrafficCounters>,
    patience: Duration,
) {
    let waiters = Waiters::default();
    let (mut reader, mut writer) = stream.split();
    let reading = {
        let (waiters, traffic) = (waiters.clone(), traffic.clone());
        async move {
            while let Ok(Some((Answer { id, reply }, payload))) = read_shard(&mut reader).await {
                traffic.received(payload.len());
                // An answer nobody waits for (any more) is dropped.
                if let Some(waiter) = lock(&waiters).remove(&id) {
                    let _ = waiter.send((reply, payload));
                }
            }
        }
    };
    let writing = async {
        let mut next_id = 0u32;
        loop {
            let outgoing = match timeout(IDLE, calls.recv()).await {
                Ok(Some(outgoing)) => outgoing,
                Ok(None) => break,
                Err(_) if lock(&waiters).is_empty() => break,
                Err(_) => continue,
            };
            let mut next = Some(outgoing);
            while let Some(Outgoing { operation, request, payload, reply }) = next {
                if !reply.is_closed() {
                    next_id = next_id.wrapping_add(1);
                    lock(&waiters).insert(next_id, reply);
                    traffic.sent(&payload);
                    let call = Call { id: next_id, operation, request };
                    let writing = write_call(&mut writer, version, call, payload);
                    if !matches!(timeout(patience, writing).await, Ok(Ok(()))) {
                        return;
                    }
                }
                next = calls.try_recv().ok();
            }
            // Flushing only when the queue is empty is what makes pipelining pay.
            if !matches!(timeout(patience, writer.flush()).await, Ok(Ok(()))) {
                return;
            }
            lock(&waiters).retain(|_, waiter| !waiter.is_closed());
        }
        let _ = timeout(patience, writer.close()).await;
    };
    // Reading and writing go on side by side: two peers that only write would fill both windows and stop.
    tokio::select! {
        () = reading => {}
        () = writing => {}
    }
}

/// Writes one call as this version has it.
pub(super) async fn write_call<W: AsyncWrite + Unpin>(
    writer: &mut W,
    version: u8,
    call: Call,
    payload: Vec<Bytes>,
) -> io::Result<()> {
    if version <= UNNAMED {
        write_shard(writer, &ShardFrame { head: UnnamedCall::from(call), payload }).await
    } else {
        write_shard(writer, &ShardFrame { head: call, payload }).await
    }
}

fn lock(waiters: &Waiters) -> std::sync::MutexGuard<'_, BTreeMap<u32, oneshot::Sender<(Reply, Bytes)>>> {
    // No code panics while holding the lock, and a map of waiters is valid at every point.
    waiters.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use super::*;
    use crate::wire::SHARD_VERSIONS;

    /// A peer that stands still.
    struct Still;

    impl AsyncRead for Still {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
            Poll::Pending
        }
    }

    impl AsyncWrite for Still {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Pending
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    #[tokio::test]
    async fn a_peer_that_takes_nothing_loses_its_link_and_every_call_hears_of_it() {
        let (calls, queue) = mpsc::channel(2);
        let mut answers = Vec::new();
        for _ in 0..2 {
            let (reply, answer) = oneshot::channel();
            let request = Request::Has { chunks: Vec::new() };
            calls.try_send(Outgoing { operation: None, request, payload: Vec::new(), reply }).expect("room");
            answers.push(answer);
        }
        run(Still, SHARD_VERSIONS[0], queue, Arc::default(), Duration::from_millis(20)).await;
        assert!(calls.is_closed());
        for answer in answers {
            assert!(answer.await.is_err());
        }
    }
}
