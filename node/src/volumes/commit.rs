//! Changing the map of a volume: read the head, change what it leads to, store that, and publish the next head; if
//! another writer was faster, the same again on top of what that one has made of it.
//!
//! Changes that come while one is being stored are stored together after it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chordage_api::types::PublishState;
use chordage_dht::{Consistency, Found, Goal, Held, OperationError, Outcome, Record};
use chordage_storage::volume::MapRoot;
use tokio::sync::oneshot;

use super::book::KnownVolume;
use super::view::View;
use super::{Volumes, VolumesError, head};
use crate::get::GetError;

/// How long reading or changing the head may take.
const HEAD_WITHIN: Duration = Duration::from_secs(15);
/// How often a change is tried on top of what others have made meanwhile.
const ATTEMPTS: usize = 12;
/// Requests whose changes are stored together at most …
const TOGETHER_MAX: usize = 256;
/// … and keys that they change, if there are several: so many take some megabytes until they are stored.
const KEYS_TOGETHER_MAX: usize = 8_000;

/// What was stored.
#[derive(Clone, Copy, Debug)]
pub(super) struct Committed {
    pub(super) seq: u64,
    pub(super) state: PublishState,
}

type Action = Box<dyn FnMut(&mut View<'_>) -> Result<(), VolumesError> + Send>;

/// A change that waits for its turn.
pub(super) struct Pending {
    action: Action,
    /// About how many keys it changes.
    keys: usize,
    done: oneshot::Sender<Result<Committed, VolumesError>>,
}

/// The changes of one volume.
#[derive(Default)]
pub(super) struct Queue {
    pending: Mutex<Vec<Pending>>,
    /// Of whoever changes the volume, or what is kept of it.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Queue {
    /// As long as this is held, nobody changes the volume from here, or what is kept of its map.
    pub(super) async fn turn(&self) -> tokio::sync::OwnedMutexGuard<()> {
        self.turn.clone().lock_owned().await
    }

    fn push(&self, pending: Pending) {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).push(pending);
    }

    /// Waits until a change is stored. If nobody else is at it, `work` is given it, together with all others that wait.
    async fn store<Work>(
        self: Arc<Self>,
        (action, keys): (Action, usize),
        work: impl Fn(Vec<Pending>) -> Work + Send + 'static,
    ) -> Result<Committed, VolumesError>
    where
        Work: Future<Output = ()> + Send,
    {
        let (done, mut answer) = oneshot::channel();
        self.push(Pending { action, keys, done });
        tokio::select! {
            biased;
            outcome = &mut answer => return outcome.unwrap_or(Err(VolumesError::Stopped)),
            turn = self.turn.clone().lock_owned() => {
                let queue = self.clone();
                // Others wait for it as well: it goes on if this request ends, and until nobody is left, since whoever
                // has put a change here may not be there any more to take it.
                tokio::spawn(async move {
                    loop {
                        let batch = queue.take();
                        if batch.is_empty() {
                            break;
                        }
                        work(batch).await;
                    }
                    drop(turn);
                });
            }
        }
        answer.await.unwrap_or(Err(VolumesError::Stopped))
    }

    /// Those that are stored next.
    fn take(&self) -> Vec<Pending> {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let most = pending.len().min(TOGETHER_MAX);
        let mut keys = 0usize;
        let fit = pending.iter().take(most).take_while(|pending| {
            keys = keys.saturating_add(pending.keys);
            keys <= KEYS_TOGETHER_MAX
        });
        let some = fit.count().max(most.min(1));
        pending.drain(..some).collect()
    }
}

/// What the next head stands on.
struct Base {
    held: Option<Held>,
    /// It was read from a majority, rather than remembered.
    fresh: bool,
}

impl Base {
    /// Nothing is known: it is read first.
    const UNREAD: Base = Base { held: None, fresh: false };
}

/// What the driver's call of the decision leaves for whoever waits for the outcome.
type Left = Arc<Mutex<Option<Result<Arc<Record>, VolumesError>>>>;

/// What came of publishing a head.
enum Published {
    Stored(Held),
    /// Fewer than a majority have said that they keep it.
    Unknown(u64),
    /// Another head is held.
    Overtaken(Option<Held>),
}

impl Volumes {
    /// Makes a change of few keys, which may be tried several times.
    pub(super) async fn commit<T: Send + 'static>(
        &self,
        volume: &KnownVolume,
        change: impl FnMut(&mut View<'_>) -> Result<T, VolumesError> + Send + 'static,
    ) -> Result<(T, Committed), VolumesError> {
        self.commit_keys(volume, 1, change).await
    }

    /// The same for a change of about so many keys.
    pub(super) async fn commit_keys<T: Send + 'static>(
        &self,
        volume: &KnownVolume,
        keys: usize,
        mut change: impl FnMut(&mut View<'_>) -> Result<T, VolumesError> + Send + 'static,
    ) -> Result<(T, Committed), VolumesError> {
        if volume.keys.pair().is_none() {
            return Err(VolumesError::ReadOnly);
        }
        let result = Arc::new(Mutex::new(None));
        let left = result.clone();
        let action: Action = Box::new(move |view: &mut View<'_>| {
            let made = change(view)?;
            *left.lock().unwrap_or_else(PoisonError::into_inner) = Some(made);
            Ok(())
        });
        let (volumes, volume) = (self.clone(), volume.clone());
        let queue = self.queue(volume.keys.id());
        let work = move |batch| {
            let (volumes, volume) = (volumes.clone(), volume.clone());
            async move { volumes.commit_together(&volume, batch).await }
        };
        let committed = queue.store((action, keys), work).await?;
        let made = result.lock().unwrap_or_else(PoisonError::into_inner).take();
        Ok((made.ok_or(VolumesError::Stopped)?, committed))
    }

    async fn commit_together(&self, volume: &KnownVolume, batch: Vec<Pending>) {
        let (batch, outcome) = self.try_together(volume, batch).await;
        for Pending { done, .. } in batch {
            // Whoever does not wait any more does not want to know.
            let _ = done.send(outcome.clone());
        }
    }

    /// Stores the changes of a batch; those that fail by themselves are told at once, the others come back with what
    /// came of all.
    async fn try_together(
        &self,
        volume: &KnownVolume,
        mut batch: Vec<Pending>,
    ) -> (Vec<Pending>, Result<Committed, VolumesError>) {
        let begun = Instant::now();
        let mut base = Base { held: self.book().seen(volume.keys.id()), fresh: false };
        for _ in 0..ATTEMPTS {
            if base.held.is_none() && !base.fresh {
                base = match self.read_base(volume).await {
                    Ok(base) => base,
                    Err(error) => return (batch, Err(error)),
                };
            }
            let root = match self.root_of(volume, base.held.as_ref()) {
                Ok(root) => root,
                Err(error) => return (batch, Err(error)),
            };
            let (back, failures, changes) = match self.run(root, batch).await {
                Ok(ran) => ran,
                Err(error) => return (Vec::new(), Err(error)),
            };
            batch = back;
            if (!failures.is_empty() || changes.is_empty()) && !base.fresh {
                // What is remembered may be old, and the reason why something fails or there is nothing to do.
                base = Base::UNREAD;
                continue;
            }
            batch = tell(batch, failures);
            let seq = base.held.as_ref().map_or(0, |held| held.record.seq());
            if changes.is_empty() {
                return (batch, Ok(Committed { seq, state: PublishState::Stored }));
            }
            let stored = match self.store_map(volume, root, changes).await {
                Ok(stored) => stored,
                // The nodes of an old state may be gone.
                Err(VolumesError::Read(GetError::Unavailable { .. } | GetError::Forgotten { .. }))
                    if !base.fresh =>
                {
                    base = Base::UNREAD;
                    continue;
                }
                // It is stored again, and kept then.
                Err(VolumesError::Freed) => continue,
                Err(error) => return (batch, Err(error)),
            };
            if Some(stored.root) == root {
                self.map_is_not(volume, stored, None).await;
                if base.fresh {
                    return (batch, Ok(Committed { seq, state: PublishState::Stored }));
                }
                // It changes nothing in what is remembered, and may do so in the newest state.
                base = Base::UNREAD;
                continue;
            }
            match self.publish(volume, &base, &stored.root).await {
                Ok(Published::Stored(held)) => {
                    let seq = held.record.seq();
                    self.map_is(volume, stored).await;
                    tracing::debug!(volume = %volume.keys.id(), seq, seconds = begun.elapsed().as_secs_f64(), "changed");
                    return (batch, Ok(Committed { seq, state: PublishState::Stored }));
                }
                Ok(Published::Unknown(seq)) => {
                    return (batch, Ok(Committed { seq, state: PublishState::Unknown }));
                }
                Ok(Published::Overtaken(held)) => {
                    self.map_is_not(volume, stored, held.as_ref()).await;
                    base = Base { held, fresh: true };
                }
                Err(error) => {
                    self.map_is_not(volume, stored, base.held.as_ref()).await;
                    return (batch, Err(error));
                }
            }
        }
        (batch, Err(VolumesError::Overtaken))
    }

    /// Makes the changes of a batch one after the other; says which of them fail, and the changes of the others.
    async fn run(
        &self,
        root: Option<MapRoot>,
        mut batch: Vec<Pending>,
    ) -> Result<(Vec<Pending>, Vec<(usize, VolumesError)>, super::Changes), VolumesError> {
        let mut source = self.source();
        let ran = tokio::task::spawn_blocking(move || {
            let mut view = View::new(root, &mut source);
            let failures = make_all(&mut view, &mut batch);
            let changes = view.into_changes();
            (batch, failures, changes)
        });
        ran.await.map_err(|_| VolumesError::Stopped)
    }

    /// Where the map begins that a head names.
    pub(super) fn root_of(
        &self,
        volume: &KnownVolume,
        held: Option<&Held>,
    ) -> Result<Option<MapRoot>, VolumesError> {
        held.map(|held| head::open(&volume.keys, held).ok_or(VolumesError::NotUnderstood)).transpose()
    }

    async fn read_base(&self, volume: &KnownVolume) -> Result<Base, VolumesError> {
        Ok(Base { held: self.read_head(volume).await?, fresh: true })
    }

    /// The newest head that a majority has; `None`: the volume was never written to.
    pub(super) async fn read_head(&self, volume: &KnownVolume) -> Result<Option<Held>, VolumesError> {
        let id = volume.keys.id();
        let address = volume.keys.head_record().address();
        let goal = Goal::Read(Consistency::Quorum);
        let outcome = self.driver().operate(address, goal, HEAD_WITHIN, None).await;
        let Found { held, .. } = match outcome.ok_or(VolumesError::Stopped)? {
            Ok(Outcome::Found(found) | Outcome::Unchanged(found)) => found,
            Ok(Outcome::Stored(_)) => return Err(VolumesError::Stopped),
            Err(error) => return Err(VolumesError::Head(error)),
        };
        self.book().newest(id, held)
    }

    /// Publishes a head after `held` that names the same map, unless another one is held by now.
    pub(super) async fn publish_same(
        &self,
        volume: &KnownVolume,
        held: Held,
        root: &MapRoot,
    ) -> Result<(), VolumesError> {
        let base = Base { held: Some(held), fresh: true };
        self.publish(volume, &base, root).await.map(drop)
    }

    async fn publish(
        &self,
        volume: &KnownVolume,
        base: &Base,
        root: &MapRoot,
    ) -> Result<Published, VolumesError> {
        let id = volume.keys.id();
        let expected = base.held.clone();
        let seen = self.book().seen(id).map_or(0, |held| held.record.seq());
        let left = Left::default();
        let (keys, network, root, out) = (volume.keys.clone(), self.network(), *root, left.clone());
        let decision = Box::new(move |current: Option<&Held>| {
            let next = may_follow(current, expected.as_ref())
                .then(|| head::next(&keys, network, current, seen, &root))?;
            let record = next.as_ref().ok().cloned();
            *out.lock().unwrap_or_else(PoisonError::into_inner) = Some(next);
            record
        });
        let address = volume.keys.head_record().address();
        let outcome = self.driver().operate(address, Goal::Update, HEAD_WITHIN, Some(decision)).await;
        let decided = left.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (outcome.ok_or(VolumesError::Stopped)?, decided) {
            (_, Some(Err(error))) => Err(error),
            (Ok(Outcome::Stored(stored)), _) => {
                let (book, held) = (self.book_handle(), stored.held.clone());
                let remembered = tokio::task::spawn_blocking(move || book.remember(id, &held, true)).await;
                remembered.map_err(|_| VolumesError::Stopped)??;
                Ok(Published::Stored(stored.held))
            }
            (Ok(Outcome::Unchanged(found) | Outcome::Found(found)), _) => {
                Ok(Published::Overtaken(self.book().newest(id, found.held)?))
            }
            (Err(OperationError::Unknown { .. }), Some(Ok(record))) => Ok(Published::Unknown(record.seq())),
            (Err(error), _) => Err(VolumesError::Head(error)),
        }
    }
}

/// Makes changes one after the other; says which of them fail. Nothing is left of those.
fn make_all(view: &mut View<'_>, batch: &mut [Pending]) -> Vec<(usize, VolumesError)> {
    let mut failures = Vec::new();
    for (index, pending) in batch.iter_mut().enumerate() {
        let before = view.mark();
        if let Err(error) = (pending.action)(view) {
            view.restore(before);
            failures.push((index, error));
        }
    }
    failures
}

/// Whether a change that was made on top of `base` may follow the head that is held.
fn may_follow(current: Option<&Held>, base: Option<&Held>) -> bool {
    // If those who keep it have lost it, the one that is known here still is the newest.
    current.is_none_or(|held| base.is_some_and(|base| base.record.hash() == held.record.hash()))
}

/// Tells those whose change failed; the others come back.
fn tell(batch: Vec<Pending>, failures: Vec<(usize, VolumesError)>) -> Vec<Pending> {
    let mut failures = failures.into_iter().peekable();
    let mut rest = Vec::with_capacity(batch.len());
    for (index, pending) in batch.into_iter().enumerate() {
        match failures.next_if(|(failed, _)| *failed == index) {
            Some((_, error)) => drop(pending.done.send(Err(error))),
            None => rest.push(pending),
        }
    }
    rest
}

#[cfg(test)]
mod tests;
