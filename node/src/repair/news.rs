//! What repair hears without asking: neighbours that come and go, and damage found on this disk.

use std::sync::Arc;

use chordage_dht::{DownReason, Event, NodeId};
use chordage_storage::ShardKey;
use chordage_storage::repair::{Holder, Job, Lane};
use tokio::sync::{Mutex, broadcast, mpsc};

use super::{GONE_MAX, Inner, now};

/// Notes who went and who came. A goodbye is no promise to stay away: who says it counts like one that fell silent,
/// and only its clock starts at once.
pub(super) async fn listen(inner: Arc<Inner>, mut news: broadcast::Receiver<Event>) {
    loop {
        match news.recv().await {
            Ok(Event::NeighbourUp(peer)) => {
                let who = short(&peer.id());
                let mut state = inner.state();
                state.gone.remove(&who);
                state.neighbours.insert(who);
            }
            Ok(Event::NeighbourDown { peer, why }) => {
                let (who, now) = (short(&peer), now());
                let mut state = inner.state();
                let neighbours = state.neighbours.len();
                state.neighbours.remove(&who);
                if why == DownReason::Displaced {
                    continue;
                }
                if state.gone.len() >= GONE_MAX {
                    // Its holders know it from their surveys by now.
                    let oldest = state.gone.iter().min_by_key(|(_, since)| **since).map(|(who, _)| *who);
                    oldest.map(|oldest| state.gone.remove(&oldest));
                }
                state.gone.insert(who, now);
                if why == DownReason::Failed {
                    state.brake.vanished(now, neighbours);
                    if state.brake.holds(now).is_some() {
                        tracing::warn!("many neighbours vanished at once: only urgent repairs for a while");
                    }
                }
            }
            Ok(_) => {}
            // What was missed shows in the next survey.
            Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}

/// Queues the repair of shards that were found damaged here. The node that lost them is the natural one to make them
/// again, and it does not wait for others to be lost too: a damaged disk gives no warning.
pub(super) async fn take_damage(inner: Arc<Inner>, damage: Arc<Mutex<mpsc::Receiver<ShardKey>>>) {
    let mut damage = damage.lock().await;
    while let Some(ShardKey { chunk, index }) = damage.recv().await {
        inner.offer(Job {
            chunk,
            lane: Lane::Normal,
            margin: 0,
            not_before: now(),
            bytes: 0,
            damaged: 1u128.checked_shl(index.into()).unwrap_or(0),
        });
    }
}

fn short(id: &NodeId) -> Holder {
    let mut short = [0; 8];
    short.copy_from_slice(&id.as_bytes()[..8]);
    Holder(short)
}
