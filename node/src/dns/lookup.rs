//! Finding what is at a place: known, looked for, or remembered, in time.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chordage_api::OpenName;
use chordage_api::name::Name;
use chordage_api::service::Attrs;
use chordage_api::types::Resolved;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;

use super::Counters;
use super::answer::{Found, STALE_TTL};
use super::cache::Cache;
use super::question::Place;
use super::services::{self, SERVICE_TTL};
use crate::names::{KeyringError, Names, NamesError, Trail};
use crate::services::{FoundService, Services};

/// How long a question waits for what is being looked for, if something is known that may be told instead.
const PATIENCE_KNOWN: Duration = Duration::from_secs(1);
/// The same if nothing is: less than the five seconds after which clients ask again.
const PATIENCE: Duration = Duration::from_secs(4);
/// How long anything is looked for, whether or not somebody still waits.
const SEARCH_WITHIN: Duration = Duration::from_secs(30);
/// How long services are told that cannot be looked for: after that, most of them are somewhere else.
const SERVICES_STALE: Duration = Duration::from_secs(60);
/// Names that are looked for at a time.
const SEARCHES_MAX: usize = 64;

/// It cannot be found out now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failed;

/// What is looked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Name(Name),
    Service(OpenName),
}

/// What was found of it.
#[derive(Clone)]
enum Known {
    /// With the way to it.
    Name(Found, Trail),
    Services(Arc<[FoundService]>),
}

/// Told what a search has found when it ends.
type Search = watch::Receiver<Option<Result<Known, Failed>>>;

/// Finds things. One search serves all who ask for the same.
pub(super) struct Lookup {
    names: Names,
    services: Services,
    counters: Arc<Counters>,
    known: Mutex<Cache<Subject, Known>>,
    under_way: Mutex<BTreeMap<Subject, Search>>,
    places: Arc<Semaphore>,
}

impl Lookup {
    pub(super) fn new(names: Names, services: Services, counters: Arc<Counters>) -> Self {
        Lookup {
            names,
            services,
            counters,
            known: Mutex::new(Cache::new()),
            under_way: Mutex::default(),
            places: Arc::new(Semaphore::new(SEARCHES_MAX)),
        }
    }

    /// What is at a place. It answers within a few seconds, whatever happens.
    pub(super) async fn find(self: &Arc<Self>, place: &Place) -> Result<Found, Failed> {
        match place {
            Place::Zone => Ok(Found::zone()),
            Place::Nowhere => Ok(Found::nothing()),
            Place::Way => Ok(Found::empty()),
            Place::Name(name) => self.find_name(name).await,
            Place::Service(name, view) => {
                let (listed, ttl) = self.find_services(name).await?;
                Ok(services::found(name, *view, &listed, ttl))
            }
        }
    }

    async fn find_name(self: &Arc<Self>, name: &Name) -> Result<Found, Failed> {
        let subject = Subject::Name(name.clone());
        if let Some((Known::Name(found, trail), ttl)) = lock(&self.known).fresh(&subject, Instant::now())
            && self.names.is_current(&trail)
        {
            return Ok(Found { ttl, ..found });
        }
        // A petname that is not known here needs no search, and leaves nothing to remember.
        if self.names.check(&name.to_string()).is_err() {
            return Ok(Found::nothing());
        }
        // Only what stood there: something may stand now where nothing did.
        let remembered = self.names.recall(name).await.ok().map(|resolved| Found::target(&resolved));
        match self.search(subject, remembered.is_some()).await {
            Ok(Known::Name(found, _)) => Ok(found),
            _ => self.rather(remembered).map(|found| Found { ttl: found.ttl.min(STALE_TTL), ..found }),
        }
    }

    /// Who offers a service, and for how many seconds that may be told.
    async fn find_services(self: &Arc<Self>, name: &OpenName) -> Result<(Arc<[FoundService]>, u32), Failed> {
        let (subject, now) = (Subject::Service(name.clone()), Instant::now());
        if let Some((Known::Services(listed), ttl)) = lock(&self.known).fresh(&subject, now) {
            return Ok((listed, ttl));
        }
        let remembered = match lock(&self.known).stale(&subject, now, SERVICES_STALE) {
            Some(Known::Services(listed)) => Some(listed),
            _ => None,
        };
        match self.search(subject, remembered.is_some()).await {
            Ok(Known::Services(listed)) => Ok((listed, SERVICE_TTL)),
            _ => self.rather(remembered).map(|listed| (listed, SERVICE_TTL)),
        }
    }

    /// What was known, where nobody knows better.
    fn rather<T>(&self, remembered: Option<T>) -> Result<T, Failed> {
        let counter = if remembered.is_some() { &self.counters.stale } else { &self.counters.failed };
        counter.fetch_add(1, Relaxed);
        remembered.ok_or(Failed)
    }

    /// Searches, or joins who does already, and waits for a while.
    async fn search(self: &Arc<Self>, subject: Subject, is_known: bool) -> Result<Known, Failed> {
        let mut search = self.join(subject).ok_or(Failed)?;
        let patience = if is_known { PATIENCE_KNOWN } else { PATIENCE };
        let told = timeout(patience, search.wait_for(Option::is_some)).await;
        told.ok().and_then(Result::ok).and_then(|told| told.clone()).unwrap_or(Err(Failed))
    }

    /// The search for something, which is begun if there is none; `None` if there are too many.
    fn join(self: &Arc<Self>, subject: Subject) -> Option<Search> {
        let mut under_way = lock(&self.under_way);
        if let Some(search) = under_way.get(&subject) {
            return Some(search.clone());
        }
        let place = self.places.clone().try_acquire_owned().ok()?;
        let (told, search) = watch::channel(None);
        under_way.insert(subject.clone(), search.clone());
        let ended = Ended { lookup: self.clone(), subject, _place: place };
        tokio::spawn(async move {
            let found = timeout(SEARCH_WITHIN, ended.lookup.ask(&ended.subject)).await;
            // Those who come later ask the cache before they begin another one.
            drop(ended);
            let _ = told.send(Some(found.unwrap_or(Err(Failed))));
        });
        Some(search)
    }

    /// Asks the network, and keeps the answer.
    async fn ask(&self, subject: &Subject) -> Result<Known, Failed> {
        let (known, ttl) = match subject {
            Subject::Name(name) => {
                let (found, trail) = self.names.resolve_with_trail(name).await;
                if let Err(error) = &found {
                    tracing::debug!(%name, %error, "DNS asked for a name that was not found");
                }
                let found = answer(&found).ok_or(Failed)?;
                let ttl = found.ttl;
                (Known::Name(found, trail), ttl)
            }
            Subject::Service(name) => {
                let mut listed = self.services.find(name, &Attrs::new(), false).await.map_err(|error| {
                    tracing::debug!(%name, %error, "DNS asked for a service that cannot be looked for");
                    Failed
                })?;
                services::sort(&mut listed);
                (Known::Services(listed.into()), SERVICE_TTL)
            }
        };
        lock(&self.known).put(subject.clone(), known.clone(), ttl, Instant::now());
        Ok(known)
    }
}

/// A search that counts as under way until this is dropped, also if it panics.
struct Ended {
    lookup: Arc<Lookup>,
    subject: Subject,
    _place: OwnedSemaphorePermit,
}

impl Drop for Ended {
    fn drop(&mut self) {
        lock(&self.lookup.under_way).remove(&self.subject);
    }
}

/// What DNS is told of a name; `None` if it cannot be said now.
fn answer(found: &Result<Resolved, NamesError>) -> Option<Found> {
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
