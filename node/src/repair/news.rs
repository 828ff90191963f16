//! What repair hears without asking: neighbours that come and go.

use std::sync::Arc;

use chordage_dht::{DownReason, Event, NodeId};
use chordage_storage::repair::Holder;
use tokio::sync::broadcast;

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
                state.setbacks.try_all_again();
            }
            Ok(Event::NeighbourDown { peer, why }) => {
                let (who, now) = (short(&peer), now());
                let mut state = inner.state();
                let neighbours = state.neighbours.len();
                state.neighbours.remove(&who);
                state.setbacks.try_all_again();
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

fn short(id: &NodeId) -> Holder {
    let mut short = [0; 8];
    short.copy_from_slice(&id.as_bytes()[..8]);
    Holder(short)
}
