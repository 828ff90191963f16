//! What this daemon keeps in the network, as the rest of it sees that.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chordage_dht::NodeId;
use chordage_storage::lease::{Claim, Keeps, Kept, KeptMap, KeptState, MapStep};
use chordage_storage::repair::Moment;
use chordage_storage::{ChunkId, Writer};
use tokio::sync::Notify;

use super::Promise;
use super::forgetting::REMEMBERED;
use crate::clock::wall_clock;
use crate::config::LeaseConfig;

/// Objects that are listed at a time.
const PAGE: usize = 1000;
/// Chunks of an object that are listed at a time.
pub(crate) const CHUNKS_LISTED: usize = 4096;

/// Why an object was not given up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ForgetError {
    /// It is not in the book.
    #[error("this daemon does not keep the object")]
    NotKept,
    /// Holders would not let go of it.
    #[error("the object is retained for {seconds} s more")]
    Retained {
        /// For so long.
        seconds: u64,
    },
    /// The book cannot be read or written.
    #[error("the book of what is kept failed: {0}")]
    Book(std::io::Error),
}

/// Numbers that are reserved on the disk at a time: one for each shard that is sent, so that reserving is rare.
const SAID_RESERVED: u64 = 1 << 20;

/// Numbers that are skipped at a time at most, because a holder says that they were used: those of 65,536 starts.
const SAID_SKIPPED_MAX: u64 = 1 << 36;

/// The numbers of what this daemon says to holders. See [`said`](Keeping::said).
struct Said {
    next: u64,
    /// The first one that is not reserved.
    end: u64,
}

impl Said {
    /// Goes on with numbers that are reserved on the disk. Without them the order within this run still holds; the next
    /// run may count lower, and what it drops may count for nothing, which is the safe side.
    fn reserve(&mut self, book: &Keeps) {
        match book.reserve_said(self.next, SAID_RESERVED) {
            Ok(first) => {
                self.next = self.next.max(first);
                self.end = first.saturating_add(SAID_RESERVED);
            }
            Err(error) => tracing::warn!(%error, "numbers for what is said to holders cannot be reserved"),
        }
    }
}

/// Figures for the status.
#[derive(Default)]
pub(super) struct Counters {
    pub(super) unreadable_chunks: AtomicU64,
    /// Seconds since 1970; 0: never.
    pub(super) renewed_at: AtomicU64,
}

/// See the module's description. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Keeping {
    inner: Arc<Inner>,
}

struct Inner {
    book: Arc<Keeps>,
    writer: Writer,
    config: LeaseConfig,
    /// How many puts under way rely on each chunk.
    promised: Mutex<BTreeMap<ChunkId, u32>>,
    said: Mutex<Said>,
    counters: Counters,
    to_forget: Notify,
    /// Something is kept whose holders could not all be asked to keep it for a whole lease.
    to_confirm: Notify,
}

impl Keeping {
    /// Keeps in the name of `local` what `book` says.
    pub(crate) fn new(book: Keeps, local: NodeId, config: LeaseConfig) -> Self {
        // Earlier versions numbered by the clock alone: a book of theirs goes on from there.
        let next = wall_clock().0;
        let mut said = Said { next, end: next };
        said.reserve(&book);
        let inner = Inner {
            book: Arc::new(book),
            writer: Writer(*local.as_bytes()),
            config,
            promised: Mutex::default(),
            said: Mutex::new(said),
            counters: Counters::default(),
            to_forget: Notify::new(),
            to_confirm: Notify::new(),
        };
        Keeping { inner: Arc::new(inner) }
    }

    /// As whom this daemon claims.
    pub(crate) fn writer(&self) -> Writer {
        self.inner.writer
    }

    pub(super) fn config(&self) -> &LeaseConfig {
        &self.inner.config
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.inner.counters
    }

    pub(super) fn to_forget(&self) -> &Notify {
        &self.inner.to_forget
    }

    pub(super) fn to_confirm(&self) -> &Notify {
        &self.inner.to_confirm
    }

    /// A claim of this daemon on what it keeps, for a whole lease.
    pub(super) fn claim(&self, retain_seconds: u32) -> Claim {
        Claim { writer: self.inner.writer, lease_seconds: self.inner.config.lease_seconds, retain_seconds }
    }

    /// A claim of this daemon on what it may keep: it ends soon if that is never finished.
    pub(super) fn claim_until_finished(&self) -> Claim {
        let lease_seconds = self.inner.config.unfinished();
        Claim { writer: self.inner.writer, lease_seconds, retain_seconds: 0 }
    }

    /// The number of what is said to holders next. A later call has a higher one, and so has a later run of the daemon,
    /// whatever its clock shows: the numbers are counted on the disk.
    pub(crate) fn said(&self) -> u64 {
        let mut said = self.inner.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.next >= said.end {
            said.reserve(&self.inner.book);
        }
        let number = said.next;
        said.next = number.saturating_add(1);
        number
    }

    /// A holder has heard `heard` of this daemon: what is said from now on has higher numbers, also after a restart. A
    /// book that was lost, or an older copy, does not know of all numbers that were used. A holder that makes one up
    /// skips some millions of years of numbers at the most.
    pub(super) async fn raise_said(&self, heard: u64) -> std::io::Result<()> {
        let next = self.inner.said.lock().unwrap_or_else(PoisonError::into_inner).next;
        let at_least = heard.saturating_add(1);
        if at_least <= next || at_least > next.saturating_add(SAID_SKIPPED_MAX) {
            return Ok(());
        }
        self.book(move |book| book.raise_said(at_least)).await?;
        let mut said = self.inner.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.reserve(&self.inner.book);
        Ok(())
    }

    /// Begins to keep something: see [`Promise`].
    pub(crate) fn promise(&self, retain_seconds: u32) -> Promise {
        Promise::new(self.clone(), retain_seconds)
    }

    fn promised(&self) -> MutexGuard<'_, BTreeMap<ChunkId, u32>> {
        // Each change is one step, so that a thread that panicked left it whole.
        self.inner.promised.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn rely_on(&self, chunk: ChunkId) {
        *self.promised().entry(chunk).or_default() += 1;
    }

    pub(super) fn rely_no_more<'a>(&self, chunks: impl Iterator<Item = &'a ChunkId>) {
        let mut promised = self.promised();
        for chunk in chunks {
            if let Some(count) = promised.get_mut(chunk) {
                *count -= 1;
                if *count == 0 {
                    promised.remove(chunk);
                }
            }
        }
    }

    /// Which of the chunks somebody relies on who is not in the book yet.
    pub(super) fn relied_on(&self, chunks: impl Iterator<Item = ChunkId>) -> Vec<ChunkId> {
        let promised = self.promised();
        chunks.filter(|chunk| promised.contains_key(chunk)).collect()
    }

    /// Asks the book, on a thread of its own.
    pub(super) async fn book<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Keeps) -> std::io::Result<T> + Send + 'static,
    ) -> std::io::Result<T> {
        let book = self.inner.book.clone();
        let asked = tokio::task::spawn_blocking(move || ask(&book)).await;
        asked.unwrap_or_else(|_| Err(std::io::Error::other("the daemon ends")))
    }

    /// One object, if it is kept or being forgotten.
    pub(crate) async fn get(&self, root: ChunkId) -> std::io::Result<Option<Kept>> {
        let kept = self.book(move |book| book.get(root)).await?;
        Ok(kept.filter(|kept| kept.state != KeptState::Forgotten))
    }

    /// Whether an object was forgotten, or is being forgotten: how long ago its holders had been told, if they have
    /// been.
    pub(crate) async fn forgotten(&self, root: ChunkId) -> std::io::Result<Option<Option<Duration>>> {
        let kept = self.book(move |book| book.get(root)).await?;
        Ok(kept.and_then(|kept| match kept.state {
            KeptState::Kept => None,
            KeptState::Forgetting => Some(None),
            KeptState::Forgotten => {
                let left = kept.until.unwrap_or_else(wall_clock).since(wall_clock());
                Some(Some(REMEMBERED.saturating_sub(left)))
            }
        }))
    }

    /// At most [`CHUNKS_LISTED`] chunks behind `after` of an object in the book, with how many shards they have.
    pub(crate) async fn chunks_of(
        &self,
        root: ChunkId,
        after: Option<ChunkId>,
    ) -> std::io::Result<Vec<(ChunkId, u8)>> {
        let listed = self.book(move |book| book.chunks_of(root, after, CHUNKS_LISTED)).await?;
        Ok(listed.into_iter().map(|part| (part.chunk, part.n)).collect())
    }

    /// At most `most` objects behind `after`, in the order of their addresses.
    pub(crate) async fn list(&self, after: Option<ChunkId>, most: usize) -> std::io::Result<Vec<Kept>> {
        self.book(move |book| book.list(after, most.min(PAGE))).await
    }

    /// The names under which each object was put.
    pub(crate) async fn names(&self, roots: Vec<ChunkId>) -> std::io::Result<Vec<Vec<String>>> {
        self.book(move |book| roots.into_iter().map(|root| book.names(root)).collect()).await
    }

    /// As what the map of a volume is kept; `None` if it is not.
    pub(crate) async fn map_of(&self, volume: [u8; 32]) -> std::io::Result<Option<KeptMap>> {
        self.book(move |book| book.map_of(volume)).await
    }

    /// Goes from one state of a map to another: see [`Keeps::step`]. The map is shown under `name`.
    pub(crate) async fn step(&self, step: MapStep, name: Option<String>) -> std::io::Result<bool> {
        let object = step.to.object;
        let stepped = move |book: &Keeps| {
            let done = book.step(&step)?;
            if let Some(name) = name.filter(|_| done) {
                book.name(object, &name, wall_clock())?;
            }
            Ok((done, book.get(object)?.is_some_and(|kept| !kept.confirmed)))
        };
        let (done, is_unconfirmed) = self.book(stepped).await?;
        if is_unconfirmed {
            self.inner.to_confirm.notify_one();
        }
        Ok(done)
    }

    /// Stops keeping an object. Its chunks are dropped in the background, as far as nothing else needs them.
    pub(crate) async fn forget(&self, root: ChunkId) -> Result<Kept, ForgetError> {
        let kept = self.get(root).await.map_err(ForgetError::Book)?.ok_or(ForgetError::NotKept)?;
        let left = kept.retained_until.since(wall_clock());
        if kept.state == KeptState::Kept && !left.is_zero() {
            return Err(ForgetError::Retained { seconds: left.as_millis().div_ceil(1000) as u64 });
        }
        let begun = self.book(move |book| book.begin_forgetting(root)).await.map_err(ForgetError::Book)?;
        self.inner.to_forget.notify_one();
        begun.ok_or(ForgetError::NotKept)
    }

    /// How many objects are kept, and how many chunks they have.
    pub(crate) async fn totals(&self) -> std::io::Result<(u64, u64)> {
        self.book(|book| {
            let (mut objects, mut chunks, mut after) = (0, 0, None);
            loop {
                let page = book.list(after, PAGE)?;
                let Some(last) = page.last() else { return Ok((objects, chunks)) };
                after = Some(last.root);
                for kept in page.iter().filter(|kept| kept.state == KeptState::Kept) {
                    objects += 1;
                    chunks += kept.chunks;
                }
            }
        })
        .await
    }

    /// When the holders of an object were asked last to keep it, and until when they do if they do not hear of this
    /// daemon again, in seconds since 1970.
    pub(crate) fn renewed(&self, kept: &Kept) -> (u64, u64) {
        let since = kept.since.0 / 1000;
        if !kept.confirmed {
            return (since, since + u64::from(self.config().unfinished()));
        }
        let renewed = since.max(self.counters().renewed_at.load(Ordering::Relaxed));
        (renewed, renewed + u64::from(self.config().lease_seconds))
    }

    /// Whether what others do not renew ends here.
    pub(crate) fn expires(&self) -> bool {
        self.config().expire
    }

    /// Of the chunks renewed last, those of which nobody showed a shard.
    pub(crate) fn unrenewed(&self) -> u64 {
        self.counters().unreadable_chunks.load(Ordering::Relaxed)
    }

    /// The end of a retention that begins now.
    pub(super) fn retained_until(retain_seconds: u32) -> Moment {
        match retain_seconds {
            0 => Moment(0),
            seconds => wall_clock().after(Duration::from_secs(seconds.into())),
        }
    }
}
