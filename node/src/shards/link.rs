//! One held-open shard stream to one peer: many calls in flight, answers in any order.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::Stream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::protocol::{Answer, Call, Reply, Request};
use super::traffic::TrafficCounters;
use crate::wire::frame::{ShardFrame, read_shard, write_shard};

/// A link without calls closes after this.
const IDLE: Duration = Duration::from_secs(60);

type Waiters = Arc<Mutex<BTreeMap<u32, oneshot::Sender<(Reply, Bytes)>>>>;

/// A call on its way to the writer.
pub(super) struct Outgoing {
    pub(super) request: Request,
    pub(super) payload: Vec<Bytes>,
    pub(super) reply: oneshot::Sender<(Reply, Bytes)>,
}

/// Serves calls over `stream` until it breaks or idles. Calls that were waiting then see their channel close.
pub(super) async fn run(stream: Stream, mut calls: mpsc::Receiver<Outgoing>, traffic: Arc<TrafficCounters>) {
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
            while let Some(Outgoing { request, payload, reply }) = next {
                if !reply.is_closed() {
                    next_id = next_id.wrapping_add(1);
                    lock(&waiters).insert(next_id, reply);
                    traffic.sent(&payload);
                    let frame = ShardFrame { head: Call { id: next_id, request }, payload };
                    if write_shard(&mut writer, &frame).await.is_err() {
                        return;
                    }
                }
                next = calls.try_recv().ok();
            }
            // Flushing only when the queue is empty is what makes pipelining pay.
            if writer.flush().await.is_err() {
                return;
            }
            lock(&waiters).retain(|_, waiter| !waiter.is_closed());
        }
        let _ = writer.close().await;
    };
    // Reading and writing go on side by side: two peers that only write would fill both windows and stop.
    tokio::select! {
        () = reading => {}
        () = writing => {}
    }
}

fn lock(waiters: &Waiters) -> std::sync::MutexGuard<'_, BTreeMap<u32, oneshot::Sender<(Reply, Bytes)>>> {
    // No code panics while holding the lock, and a map of waiters is valid at every point.
    waiters.lock().unwrap_or_else(PoisonError::into_inner)
}
