//! Finding what is at a place: known, looked for, or remembered, in time.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chordage_api::name::Name;
use chordage_api::types::Resolved;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;

use super::Counters;
use super::answer::{Found, STALE_TTL};
use super::cache::Cache;
use super::question::Place;
use crate::names::{KeyringError, Names, NamesError, Trail};

/// How long a question waits for what is being looked for, if something is known that may be told instead.
const PATIENCE_KNOWN: Duration = Duration::from_secs(1);
/// The same if nothing is: less than the five seconds after which clients ask again.
const PATIENCE: Duration = Duration::from_secs(4);
/// How long anything is looked for, whether or not somebody still waits.
const SEARCH_WITHIN: Duration = Duration::from_secs(30);
/// Names that are looked for at a time.
const SEARCHES_MAX: usize = 64;

/// It cannot be found out now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failed;

type Answer = Result<Found, Failed>;

/// Finds things. One search serves all who ask for the same.
pub(super) struct Lookup {
    names: Names,
    counters: Arc<Counters>,
    known: Mutex<Cache<Name, Trail>>,
    under_way: Mutex<BTreeMap<Name, watch::Receiver<Option<Answer>>>>,
    places: Arc<Semaphore>,
}

impl Lookup {
    pub(super) fn new(names: Names, counters: Arc<Counters>) -> Self {
        Lookup {
            names,
            counters,
            known: Mutex::new(Cache::new()),
            under_way: Mutex::default(),
            places: Arc::new(Semaphore::new(SEARCHES_MAX)),
        }
    }

    /// What is at a place. It answers within a few seconds, whatever happens.
    pub(super) async fn find(self: &Arc<Self>, place: &Place) -> Answer {
        match place {
            Place::Zone => Ok(Found::zone()),
            Place::Nowhere => Ok(Found::nothing()),
            Place::Name(name) => self.find_name(name).await,
        }
    }

    async fn find_name(self: &Arc<Self>, name: &Name) -> Answer {
        let current = |trail: &Trail| self.names.is_current(trail);
        if let Some(found) = lock(&self.known).get(name, Instant::now(), current) {
            return Ok(found);
        }
        // A petname that is not known here needs no search, and leaves nothing to remember.
        if self.names.check(&name.to_string()).is_err() {
            return Ok(Found::nothing());
        }
        let search = self.join_search(name);
        // Only what stood there: something may stand now where nothing did.
        let remembered = self.names.recall(name).await.ok().map(|resolved| Found::target(&resolved));
        let patience = if remembered.is_some() { PATIENCE_KNOWN } else { PATIENCE };
        let found = match search {
            Some(mut search) => timeout(patience, outcome(&mut search)).await.unwrap_or(Err(Failed)),
            None => Err(Failed),
        };
        match (found, remembered) {
            (Ok(found), _) => Ok(found),
            (Err(Failed), Some(found)) => {
                self.counters.stale.fetch_add(1, Relaxed);
                Ok(Found { ttl: found.ttl.min(STALE_TTL), ..found })
            }
            (Err(Failed), None) => {
                self.counters.failed.fetch_add(1, Relaxed);
                Err(Failed)
            }
        }
    }

    /// The search for a name, which is begun if there is none; `None` if there are too many.
    fn join_search(self: &Arc<Self>, name: &Name) -> Option<watch::Receiver<Option<Answer>>> {
        let mut under_way = lock(&self.under_way);
        if let Some(search) = under_way.get(name) {
            return Some(search.clone());
        }
        let place = self.places.clone().try_acquire_owned().ok()?;
        let (told, search) = watch::channel(None);
        under_way.insert(name.clone(), search.clone());
        let ended = Ended { lookup: self.clone(), name: name.clone(), _place: place };
        tokio::spawn(async move {
            let answer = ended.lookup.search(&ended.name).await;
            // Those who come later ask the cache before they begin another one.
            drop(ended);
            let _ = told.send(Some(answer));
        });
        Some(search)
    }

    async fn search(&self, name: &Name) -> Answer {
        let (found, trail) =
            timeout(SEARCH_WITHIN, self.names.resolve_with_trail(name)).await.map_err(|_| Failed)?;
        if let Err(error) = &found {
            tracing::debug!(%name, %error, "DNS asked for a name that was not found");
        }
        let found = is_answer(&found).ok_or(Failed)?;
        lock(&self.known).put(name.clone(), &found, trail, Instant::now());
        Ok(found)
    }
}

/// A search that counts as under way until this is dropped, also if it panics.
struct Ended {
    lookup: Arc<Lookup>,
    name: Name,
    _place: OwnedSemaphorePermit,
}

impl Drop for Ended {
    fn drop(&mut self) {
        lock(&self.lookup.under_way).remove(&self.name);
    }
}

async fn outcome(search: &mut watch::Receiver<Option<Answer>>) -> Answer {
    let told = search.wait_for(Option::is_some).await;
    told.ok().and_then(|told| told.clone()).unwrap_or(Err(Failed))
}

/// What DNS is told of a name; `None` if it cannot be said now.
fn is_answer(found: &Result<Resolved, NamesError>) -> Option<Found> {
    match found {
        Ok(resolved) => Some(Found::target(resolved)),
        // Whoever hears that there is no such place takes it that there is nothing below it either (RFC 8020).
        Err(NamesError::NoSuchPath { below: true, .. }) => Some(Found::empty()),
        Err(
            NamesError::NoSuchName(_)
            | NamesError::NoSuchPath { .. }
            | NamesError::Expired { .. }
            | NamesError::BadName(_)
            | NamesError::Keyring(KeyringError::Unknown(_)),
        ) => Some(Found::nothing()),
        Err(_) => None,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whoever panicked while holding it left whole entries behind.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
