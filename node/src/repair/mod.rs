//! Repair, as far as it is doing: a daemon looks after the chunks of which it holds shards.
//!
//! ```text
//!  news of neighbours ─┐
//!  rounds ─▶ survey ───┼─▶ records ─▶ queue ─▶ workers ─▶ rebuild: fetch k, make what is missing, place it
//!  damage found here ──┤   (ledger)           (budget, brake)
//!  audits ─────────────┘
//! ```
//!
//! What to do is decided in [`chordage_storage::repair`]; this asks, fetches, places and keeps the time. The first
//! live holder in a chunk's rendezvous order is its leader: it surveys the chunk in every round and repairs it when
//! need be. The others look now and then, and act when those before them have not. Two that act at once do no harm:
//! a shard is named by chunk and index.

mod audit;
mod choice;
mod drain;
mod explain;
mod inherit;
mod looks;
mod news;
mod rebuild;
mod rounds;
mod setbacks;
mod short;
mod stats;
mod survey;
mod unmended;
mod worker;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chordage_api::types::{DaemonRole, HeldBackReason, HeldBackRepairs, RepairStatus};
use chordage_storage::ChunkId;
use chordage_storage::repair::{
    Brake, Holder, Job, Lane, Ledger, LedgerError, Moment, Patience, Queue, Standings, TokenBucket,
};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use self::looks::Looks;
use self::rebuild::Unrepaired;
use self::setbacks::Setbacks;
use self::stats::Stats;
use crate::clock::wall_clock as now;
use crate::coding::{Budget, Coders};
use crate::config::RepairConfig;
use crate::get::Reader;
use crate::holders::Holders;
use crate::placement::Placement;
use crate::tasks::Tasks;

/// Repairs that wait at most; the least pressing are found again by a later round.
const QUEUE_MAX: usize = 4096;
/// Repairs under way at a time. The memory that they share with transfers bounds them too.
const WORKERS: usize = 2;
/// Bytes that may be moved at once are what comes in during this time.
const BURST: Duration = Duration::from_secs(10);
/// Nodes known to be away that are remembered.
const GONE_MAX: usize = 1024;
/// The file in the data directory where records are kept.
pub(crate) const LEDGER_FILE: &str = "holders.redb";

/// The repairer of one daemon. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Repairer {
    inner: Arc<Inner>,
}

struct Inner {
    placement: Placement,
    holders: Arc<Holders>,
    coders: Coders,
    budget: Budget,
    config: RepairConfig,
    patience: Patience,
    ledger: Arc<Ledger>,
    state: Mutex<State>,
    /// Jobs were queued.
    queued: Notify,
    tasks: Tasks,
    /// Cancelled once no more shards are taken because those held are handed over.
    draining: CancellationToken,
    /// What the daemon is. Whom nobody reaches, nobody counts as a holder, and the others look after what it held.
    part: watch::Receiver<DaemonRole>,
}

struct State {
    queue: Queue,
    running: BTreeSet<ChunkId>,
    bucket: TokenBucket,
    brake: Brake,
    /// Neighbours that went, and since when they have been away.
    gone: BTreeMap<Holder, Moment>,
    /// Neighbours there are.
    neighbours: BTreeSet<Holder>,
    /// What audits have taught about others.
    standings: Standings,
    /// What is known of losses.
    looks: Looks,
    /// Repairs that failed.
    setbacks: Setbacks,
    stats: Stats,
}

impl Repairer {
    /// Starts looking after what the daemon holds, with what readers use too.
    pub(crate) fn start(
        reader: &Reader,
        config: RepairConfig,
        ledger: Arc<Ledger>,
        tasks: Tasks,
        (draining, part): (CancellationToken, watch::Receiver<DaemonRole>),
    ) -> Repairer {
        let Reader { placement, holders, coders, budget, .. } = reader;
        let now = now();
        let seconds = Duration::from_secs;
        let brake = Brake::new(
            config.brake_percent,
            seconds(config.brake_window_seconds),
            seconds(config.brake_freeze_seconds),
        );
        // Before the driver runs: nothing that it says is missed.
        let mut news = Some(placement.driver.news());
        let repairer = Repairer {
            inner: Arc::new(Inner {
                placement: placement.clone(),
                holders: holders.clone(),
                coders: coders.clone(),
                budget: budget.clone(),
                config,
                patience: config.patience(),
                ledger,
                state: Mutex::new(State {
                    queue: Queue::new(QUEUE_MAX),
                    running: BTreeSet::new(),
                    bucket: TokenBucket::new(config.bytes_per_second, BURST, now),
                    brake,
                    gone: BTreeMap::new(),
                    neighbours: BTreeSet::new(),
                    standings: Standings::default(),
                    looks: Looks::default(),
                    setbacks: Setbacks::default(),
                    stats: Stats::default(),
                }),
                queued: Notify::new(),
                tasks,
                draining,
                part,
            }),
        };
        if config.enabled {
            let Repairer { inner } = &repairer;
            inner.background("repair news", move |inner| {
                let news = news.take().unwrap_or_else(|| inner.placement.driver.news());
                news::listen(inner, news)
            });
            inner.background("repair of damage", unmended::run);
            inner.background("repair rounds", rounds::run);
            inner.background("audits", audit::run);
            for _ in 0..WORKERS {
                inner.background("repair", worker::run);
            }
        }
        repairer
    }

    /// What it has done and is doing.
    pub(crate) fn status(&self) -> RepairStatus {
        let now = now();
        let config = &self.inner.config;
        let mut state = self.inner.state();
        let level = state.bucket.level(now);
        let State { queue, running, brake, standings, setbacks, stats, .. } = &*state;
        RepairStatus {
            enabled: config.enabled && self.inner.is_member(),
            chunks: stats.last_round.chunks,
            degraded: stats.last_round.degraded,
            unreadable: stats.last_round.unreadable,
            at_risk: stats.last_round.at_risk,
            not_known_yet: stats.last_round.not_known_yet,
            homeless: stats.last_round.homeless,
            rounds: stats.rounds,
            queued: queue.len() as u64,
            queued_urgent: queue.len_of(Lane::Urgent) as u64,
            running: running.len() as u64,
            repaired_chunks: stats.repaired_chunks,
            repaired_shards: stats.repaired_shards,
            failed: stats.failed,
            held_back: held_back(setbacks),
            fetched_bytes: stats.fetched_bytes,
            sent_bytes: stats.sent_bytes,
            needed_bytes: stats.needed_bytes,
            budget_bytes_per_second: config.bytes_per_second,
            budget_level_bytes: level,
            audits_passed: stats.audits.passed,
            audits_failed: stats.audits.failed,
            audits_unanswered: stats.audits.unanswered,
            distrusted: standings.distrusted(now) as u64,
            brake_seconds_left: brake.holds(now).map(|until| until.since(now).as_secs_f64()),
        }
    }
}

impl Inner {
    fn is_member(&self) -> bool {
        *self.part.borrow() == DaemonRole::Member
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is one step, so that a thread that panicked left it whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a task until the daemon leaves.
    fn background<F: Future<Output = ()> + Send>(
        self: &Arc<Self>,
        name: &'static str,
        mut work: impl FnMut(Arc<Self>) -> F + Send + 'static,
    ) {
        let inner = self.clone();
        self.tasks.background(name, move || work(inner.clone()));
    }

    /// Queues a job that was found by looking again at what was known, unless one like it has just failed.
    fn offer_again(&self, job: Job) {
        if !self.state().setbacks.hold_back(&job.chunk, now()) {
            self.offer(job);
        }
    }

    /// A survey has found that nothing of a chunk is to be repaired now. `whole`: nothing is missing at all.
    fn settle(&self, chunk: &ChunkId, whole: bool) {
        let mut state = self.state();
        state.queue.settle(chunk);
        if whole {
            state.setbacks.forget(chunk);
        }
    }

    /// Nothing of a chunk is held here any more.
    fn forget(&self, chunk: &ChunkId) {
        let mut state = self.state();
        state.looks.forget(chunk);
        state.queue.settle(chunk);
        state.setbacks.forget(chunk);
    }

    fn offer(&self, job: Job) {
        let mut state = self.state();
        if !state.running.contains(&job.chunk) {
            state.queue.offer(job);
            drop(state);
            self.queued.notify_waiters();
        }
    }

    /// Asks the ledger on a thread of its own. `None` if that failed, which the log then says.
    async fn ledger<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Ledger) -> Result<T, LedgerError> + Send + 'static,
    ) -> Option<T> {
        let ledger = self.ledger.clone();
        match tokio::task::spawn_blocking(move || ask(&ledger)).await {
            Ok(Ok(value)) => Some(value),
            Ok(Err(error)) => {
                tracing::error!(%error, "repair cannot go on");
                None
            }
            // The runtime ends, or the database panicked and has said so.
            Err(_) => None,
        }
    }
}

/// The repairs that could not be done, as the API says it.
fn held_back(setbacks: &Setbacks) -> Vec<HeldBackRepairs> {
    let part = |(why, chunks)| {
        let why = match why {
            Unrepaired::NobodyToAsk => HeldBackReason::NobodyToAsk,
            Unrepaired::TooFewShards => HeldBackReason::TooFewShards,
            Unrepaired::NoPlace => HeldBackReason::NoPlace,
            Unrepaired::Inconsistent => HeldBackReason::Inconsistent,
            // Neither is noted.
            Unrepaired::NotNeeded | Unrepaired::Interrupted => HeldBackReason::Other,
        };
        HeldBackRepairs { why, chunks }
    };
    setbacks.by_reason().into_iter().map(part).collect()
}
