//! Storing: read, cut, pack, seal, code, place, acknowledge, and only then a link.

mod asking;
mod ingest;
mod place;
mod planned;
mod recall;
mod record;
mod sink;
mod unchanged;
mod usual;
mod waits;

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use chordage_api::operation::OperationId;
use chordage_api::types::{PutReport, PutStatus};
use chordage_storage::catalog::Catalog;
use chordage_storage::{ChunkId, ConvergenceSecret, EncodeParams, Fingerprint, Redundancy, Written};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::ingest::{Ingested, ingest};
pub(crate) use self::place::Placed;
pub(crate) use self::planned::Planned;
use self::recall::Recall;
use self::record::Recorder;
pub(crate) use self::sink::NetworkSink;
pub(crate) use self::usual::Usual;
pub(crate) use self::waits::Waits;
use crate::archive::Quoted;
use crate::coding::{Budget, Coders};
use crate::driver::FindError;
use crate::get::GetError;
use crate::leases::{KeepError, KeptBefore, Leases, Promise, Promised};
use crate::shards::Refusal;
use crate::twin::Twin;

/// How long a put waits for a daemon that has just started to be part of its network.
const JOIN_PATIENCE: Duration = Duration::from_secs(10);

/// What the bytes of a put are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectFormat {
    /// One file's content.
    File,
    /// A tar archive of a tree.
    Tar,
}

/// How to store.
#[derive(Clone, Debug, Default)]
pub struct PutRequest {
    /// By default what the size of the network calls for.
    pub redundancy: Option<Redundancy>,
    /// Accept fewer holders when the network has too few.
    pub allow_degraded: bool,
    /// Use nothing that was put before: cut, pack and code everything. Holders still keep what they have.
    pub reread: bool,
    /// For a single file: as what to catalog it.
    pub fingerprint: Option<Fingerprint>,
    /// For a single file: the body is empty, because the file of this fingerprint is stored.
    pub unchanged: bool,
    /// For so long from now nobody can drop it, not even this daemon.
    pub retain_seconds: u32,
    /// Under which it is listed among what this daemon keeps; nobody else is told.
    pub name: Option<String>,
}

/// Why a put failed. There is no link; chunks that were stored are found again by the next attempt.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    /// The daemon is not part of a network.
    #[error("the daemon has not joined its network")]
    NotJoined,
    /// Another daemon with the same key has this one's place in the network.
    #[error("{0}")]
    Twin(String),
    /// Another daemon with the same key runs beside this one, which may be why.
    #[error("{error}. {twin}")]
    BesideTwin {
        /// What failed.
        error: Box<PutError>,
        /// What is true of the other.
        twin: String,
    },
    /// Fewer live nodes than shards. Nothing was stored.
    #[error("{asked} needs {} live nodes, and the network has {nodes}", asked.n())]
    TooFewNodes {
        /// What was asked for.
        asked: Redundancy,
        /// Live nodes, this one included.
        nodes: usize,
        /// What could be done.
        possible: Redundancy,
    },
    /// A chunk did not reach enough holders.
    #[error("only {acks} of {n} holders acknowledged a chunk, {needed} are needed{}", why(.refusal))]
    NotDurable {
        /// Durable acknowledgements.
        acks: u8,
        /// Acknowledgements that count as durable.
        needed: u8,
        /// Shards of the chunk.
        n: u8,
        /// What a holder gave as its reason, if one did.
        refusal: Option<Refusal>,
    },
    /// The overlay did not find the holders.
    #[error("no holders could be found: {0}")]
    Find(#[from] FindError),
    /// The input could not be read to its end.
    #[error("the input broke off: {0}")]
    Input(std::io::Error),
    /// The input is not a valid archive of a tree.
    #[error("{0}")]
    Archive(String),
    /// The input cannot be represented (a file or tree beyond the limits).
    #[error("{0}")]
    Limit(String),
    /// A file that was said to be stored is not any more, or not as well as it should be.
    #[error("{}is no longer known here as stored; its content is needed", shown(.0))]
    Forgotten(Vec<u8>),
    /// What this daemon keeps could not be written down: the object will end by itself.
    #[error(
        "what this daemon keeps cannot be written down ({0}): the object is not kept, and its holders free it"
    )]
    NotKept(std::io::Error),
    /// What is stored already, and is to be changed, cannot be read.
    #[error("what is there already cannot be read: {0}")]
    Read(#[from] GetError),
    /// The put was cancelled or the daemon is shutting down.
    #[error("the put was interrupted")]
    Interrupted,
}

impl PutError {
    /// The same, if it may be the doing of another daemon with this one's key, of which it tells.
    pub(crate) fn beside(self, twin: Option<&Twin>) -> PutError {
        match (twin, self) {
            (
                Some(twin),
                error @ (PutError::TooFewNodes { .. } | PutError::NotDurable { .. } | PutError::Find(_)),
            ) => PutError::BesideTwin { error: Box::new(error), twin: twin.message() },
            (_, error) => error,
        }
    }
}

fn shown(path: &[u8]) -> String {
    if path.is_empty() { "the file ".to_owned() } else { format!("{} ", Quoted(path)) }
}

fn why(refusal: &Option<Refusal>) -> String {
    refusal.map(|refusal| format!(" (one refused: {refusal})")).unwrap_or_default()
}

/// What stores objects.
#[derive(Clone)]
pub(crate) struct Putter {
    pub(crate) leases: Arc<Leases>,
    pub(crate) coders: Coders,
    pub(crate) budget: Budget,
    /// What was put from here before; `None` if it cannot be opened, and then nothing is known.
    pub(crate) catalog: Option<Arc<Catalog>>,
    /// Files that a put will say are unchanged.
    pub(crate) planned: Arc<Planned>,
    /// For whom puts wait.
    pub(crate) waits: Arc<Waits>,
    /// The redundancy that puts got by default.
    pub(crate) usual: Arc<Usual>,
}

impl Putter {
    /// The same, which names this operation to those it asks.
    pub(crate) fn of(&self, operation: OperationId) -> Arc<Self> {
        Arc::new(Putter { leases: self.leases.of(operation), ..self.clone() })
    }

    /// What a put gets by default in a network of so many `nodes`, and for whom puts wait.
    pub(crate) fn status(&self, nodes: u64) -> PutStatus {
        let default = Redundancy::for_network(usize::try_from(nodes).unwrap_or(usize::MAX));
        PutStatus { puts_wait_for: self.waits.long(), default_redundancy: default.to_string() }
    }
}

/// Redundancy to use, and whether it is less than what was wanted.
fn choose(request: &PutRequest, nodes: usize, exact: bool) -> Result<(Redundancy, bool), PutError> {
    let wanted = request.redundancy.unwrap_or_else(|| Redundancy::for_network(nodes));
    // An estimate is no reason to refuse; then the holders decide.
    if !exact || usize::from(wanted.n()) <= nodes {
        return Ok((wanted, false));
    }
    let possible = match u8::try_from(nodes).ok().and_then(|n| Redundancy::new(wanted.k(), n).ok()) {
        Some(fewer) => fewer,
        None => Redundancy::for_network(nodes),
    };
    if request.allow_degraded {
        Ok((possible, true))
    } else {
        Err(PutError::TooFewNodes { asked: wanted, nodes, possible })
    }
}

/// How a put stores.
struct Choice {
    redundancy: Redundancy,
    /// It is less than what was wanted.
    degraded: bool,
    /// Nobody else is there to hold anything.
    alone: bool,
}

/// How a put would store now.
async fn redundancy(putter: &Putter, request: &PutRequest) -> Result<Choice, PutError> {
    let joined = putter.leases.placement.driver.joined_unless_problem(JOIN_PATIENCE).await;
    if let Some(twin) = putter.leases.placement.driver.cut_off_by() {
        return Err(PutError::Twin(twin.message()));
    }
    if !joined {
        return Err(PutError::NotJoined);
    }
    let status = putter.leases.placement.driver.status().await.ok_or(PutError::Interrupted)?;
    let size = status.size;
    let (redundancy, degraded) = choose(request, size.nodes.round() as usize, size.exact)?;
    let alone = !status.client && size.exact && size.nodes.round() <= 1.0;
    Ok(Choice { redundancy, degraded, alone })
}

/// For each of at most [`FILES_MAX`](chordage_api::FILES_MAX) files whether a put like `request` needs its content.
pub(crate) async fn unchanged(
    putter: &Arc<Putter>,
    fingerprints: Vec<Fingerprint>,
    request: PutRequest,
) -> Result<Vec<bool>, PutError> {
    let Choice { redundancy, .. } = redundancy(putter, &request).await?;
    Ok(unchanged::unchanged(putter, redundancy, fingerprints).await)
}

/// Claims what was stored before, and writes down that the object is kept.
async fn keep(putter: &Putter, promise: &Promise, object: Promised) -> Result<Option<KeptBefore>, PutError> {
    promise.fulfil(&putter.leases, object).await.map_err(|error| {
        tracing::debug!(%error, "a put relied on what is not there");
        match error {
            KeepError::Missing { .. } | KeepError::NobodyToAsk => PutError::Forgotten(Vec::new()),
            KeepError::Book(error) => PutError::NotKept(error),
        }
    })
}

/// What something that was written consists of.
pub(crate) struct Work<T> {
    /// As what it is kept.
    pub(crate) root: ChunkId,
    /// Bytes of content.
    pub(crate) bytes: u64,
    pub(crate) sink: NetworkSink,
    pub(crate) result: T,
}

/// What was stored, and is kept.
pub(crate) struct Stored<T> {
    pub(crate) result: T,
    pub(crate) placed: Placed,
    pub(crate) kept_before: Option<KeptBefore>,
    pub(crate) redundancy: Redundancy,
    /// It is less than what was wanted.
    pub(crate) degraded: bool,
    /// Nobody else is there to hold anything.
    pub(crate) alone: bool,
    /// What puts got by default before, if that was more.
    pub(crate) before: Option<Redundancy>,
    pub(crate) seconds: f64,
}

/// Stores what `work` writes, which runs on a thread of its own, under keys that come from `secret`. Dropping the
/// future ends it.
pub(crate) async fn store<T: Send + 'static>(
    putter: Arc<Putter>,
    secret: ConvergenceSecret,
    request: PutRequest,
    work: impl FnOnce(NetworkSink) -> Result<Work<T>, PutError> + Send + 'static,
) -> Result<Stored<T>, PutError> {
    let choice = redundancy(&putter, &request).await?;
    let promise = Arc::new(putter.leases.keeping.promise(request.retain_seconds));
    let held = promise.clone();
    let storing = store_chosen(putter.clone(), promise, secret, request, choice, work);
    tokio::select! {
        stored = storing => stored,
        never = held.hold(&putter.leases) => match never {},
    }
}

/// Stores, under redundancy that was chosen and that may be degraded.
async fn store_chosen<T: Send + 'static>(
    putter: Arc<Putter>,
    promise: Arc<Promise>,
    secret: ConvergenceSecret,
    request: PutRequest,
    Choice { redundancy, degraded, alone }: Choice,
    work: impl FnOnce(NetworkSink) -> Result<Work<T>, PutError> + Send + 'static,
) -> Result<Stored<T>, PutError> {
    let started = Instant::now();
    let cancelled = CancellationToken::new();
    let _cancel_on_drop = cancelled.clone().drop_guard();
    let (recorder, recorded) = Recorder::start(putter.catalog.clone(), redundancy);
    let sink = NetworkSink::new(
        putter.clone(),
        EncodeParams::new(redundancy, secret),
        request.allow_degraded,
        promise.clone(),
        (!request.reread).then(|| Recall::new(putter.clone(), redundancy)),
        recorder,
        cancelled,
    );
    let worked = tokio::task::spawn_blocking(move || work(sink)).await;
    let Work { root, bytes, sink, result } = worked.map_err(|_| PutError::Interrupted)??;
    let placed = sink.into_placements().wait().await?;
    let kept = Promised { root, bytes, stored_bytes: placed.stored_bytes, put: true, name: request.name };
    let kept_before = keep(&putter, &promise, kept).await?;
    // So that the next put knows of this one.
    let _ = recorded.await;
    let before = match request.redundancy {
        Some(_) => None,
        None => {
            let usual = putter.usual.clone();
            tokio::task::spawn_blocking(move || usual.chosen(redundancy)).await.ok().flatten()
        }
    };
    let seconds = started.elapsed().as_secs_f64();
    Ok(Stored { result, placed, kept_before, redundancy, degraded, alone, before, seconds })
}

/// Runs one put. Dropping the future ends it.
pub(crate) async fn put(
    putter: Arc<Putter>,
    secret: ConvergenceSecret,
    body: Box<dyn Read + Send>,
    format: ObjectFormat,
    request: PutRequest,
) -> Result<PutReport, PutError> {
    let (asked, key) = (request.clone(), secret.clone());
    let work = move |sink| {
        let Ingested { written, unchanged_files, unchanged_bytes } =
            ingest(sink, &key, body, format, &asked)?;
        let Written { link, summary, reused_bytes, sink, .. } = written;
        let result = (link, summary, reused_bytes, unchanged_files, unchanged_bytes);
        Ok(Work { root: link.id(), bytes: summary.bytes, sink, result })
    };
    let stored = store(putter, secret, request, work).await?;
    let (link, summary, reused_bytes, unchanged_files, unchanged_bytes) = stored.result;
    let Stored { placed, kept_before, redundancy, degraded, alone, before, seconds, .. } = stored;
    Ok(PutReport {
        link: link.to_string(),
        verify_link: link.to_verify().to_string(),
        bytes: summary.bytes,
        stored_bytes: placed.stored_bytes,
        sent_bytes: placed.sent_bytes,
        reused_bytes,
        chunks: placed.chunks,
        new_chunks: placed.new_chunks,
        files: summary.files,
        unchanged_files,
        unchanged_bytes,
        k: redundancy.k(),
        n: redundancy.n(),
        acks_min: placed.acks_min,
        degraded: degraded || placed.acks_min < redundancy.write_quorum(),
        less_than_before: before.map(|before| before.to_string()),
        only_here: alone,
        kept_since: kept_before.as_ref().map(|kept| kept.since.0 / 1000),
        kept_as: kept_before.map(|kept| kept.names).unwrap_or_default(),
        seconds,
    })
}
