//! Watching a name: what it stands for now, and again whenever that changes, also where a record on the way to it does.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use chordage_api::types::{Resolved, Voucher};
use chordage_dht::{Consistency, Held, Key};
use futures::future::select_all;
use tokio::sync::{mpsc, watch};

use super::resolve::Way;
use super::{Names, NamesError, record_of};
use crate::clock::wall_time;

/// News that may wait for a watcher; while they do, nothing more is looked for.
const WAITING_MAX: usize = 4;
/// Before a name that could not be resolved is tried again, if no record on the way changes before.
const AGAIN: Duration = Duration::from_secs(30);

impl Names {
    /// What a name stands for, now and whenever it changes, or why it stands for nothing. It ends when the receiver is
    /// dropped, or when the daemon stops.
    pub(crate) fn watch(&self, name: String) -> mpsc::Receiver<Result<Resolved, NamesError>> {
        let (news, receiver) = mpsc::channel(WAITING_MAX);
        let names = self.clone();
        tokio::spawn(async move {
            let gone = news.clone();
            tokio::select! {
                () = names.follow(&name, news) => {}
                () = gone.closed() => {}
            }
        });
        receiver
    }

    async fn follow(&self, name: &str, news: mpsc::Sender<Result<Resolved, NamesError>>) {
        let mut told: Option<Result<(String, u64), String>> = None;
        let mut watched: BTreeMap<Key, watch::Receiver<Option<Held>>> = BTreeMap::new();
        loop {
            let mut asked = Vec::new();
            let found = self.walk(name, Way::Ask(Consistency::Quorum), &mut asked).await;
            if matches!(found, Err(NamesError::Stopped | NamesError::BadName(_))) {
                let _ = news.send(found).await;
                return;
            }
            let on_the_way: Vec<Key> = asked.iter().map(|key| record_of(*key).address()).collect();
            watched.retain(|address, _| on_the_way.contains(address));
            for address in on_the_way {
                if let std::collections::btree_map::Entry::Vacant(place) = watched.entry(address) {
                    let Some(receiver) = self.driver.watch(address).await else { return };
                    place.insert(receiver);
                }
            }
            let wait = found.as_ref().map_or(AGAIN, again);
            let now = match &found {
                Ok(found) => Ok((found.target.clone(), found.seq)),
                Err(error) => Err(error.to_string()),
            };
            if told.as_ref() != Some(&now) {
                told = Some(now);
                if news.send(found).await.is_err() {
                    return;
                }
            }
            tokio::select! {
                is_there = any_changed(&mut watched) => {
                    if !is_there {
                        return;
                    }
                }
                // What has ended stands for nothing, although nobody has changed it.
                () = tokio::time::sleep(wait) => {}
            }
        }
    }
}

/// Waits until one of them has changed; whether the driver is still there to tell. Of none nothing is ever told.
async fn any_changed(watched: &mut BTreeMap<Key, watch::Receiver<Option<Held>>>) -> bool {
    if watched.is_empty() {
        return std::future::pending().await;
    }
    let changes = watched.values_mut().map(|receiver| Box::pin(receiver.changed()));
    select_all(changes).await.0.is_ok()
}

/// How long what was found may be believed if no record on the way changes. DNS tells nobody of changes: what it said
/// has to be asked for again.
fn again(found: &Resolved) -> Duration {
    let ends = until(found.valid_until);
    if found.steps.iter().any(|step| step.voucher == Voucher::Dns) {
        ends.min(Duration::from_secs(found.ttl_seconds.into()).max(AGAIN))
    } else {
        ends
    }
}

/// How long until that second since 1970. A day at most: clocks are set.
fn until(second: u64) -> Duration {
    let now = wall_time().duration_since(UNIX_EPOCH).unwrap_or_default();
    Duration::from_secs(second)
        .saturating_sub(now)
        .clamp(Duration::from_secs(1), Duration::from_secs(24 * 3600))
}
