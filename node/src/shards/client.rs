//! Asking other daemons for shards, and giving them shards to keep.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use chordage_api::operation::OperationId;
use chordage_dht::{NodeId, Peer};
use chordage_storage::lease::{Claim, Dropped, MAX_WRITERS};
use chordage_storage::repair::Moment;
use chordage_storage::{ChunkId, ShardKey, ShardSet};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{Instant, sleep};

use super::link::{self, Outgoing};
use super::protocol::{RECORDS_MAX, Refusal, Reply, Request, split_payload, split_records};
use super::traffic::TrafficCounters;
use crate::awake;
use crate::driver::DriverHandle;
use crate::following;
use crate::store::{Asked, CHUNKS_MAX, Mine, Parcel};
use crate::wire::{CLOSING, OpenError, Spoken};

/// Calls of a kind in flight to one peer; further ones wait for a place until their deadline.
const IN_FLIGHT_MAX: usize = 32;
/// How long opening a stream may take, dialling included.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// The same to a peer whose connection has just broken: either another way leads to it at once, or it is gone.
const REOPEN_TIMEOUT: Duration = Duration::from_secs(2);

/// Why a call brought no answer. For a put: the shard may or may not be stored there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CallError {
    /// No stream could be opened.
    #[error("it cannot be reached")]
    Unreachable,
    /// The stream broke before the answer came.
    #[error("the connection broke")]
    Broken,
    /// The deadline passed.
    #[error("it did not answer in time")]
    TimedOut,
    /// The answer does not fit the question.
    #[error("it gave an answer that does not fit the question")]
    Nonsense,
}

/// A shard as a holder sent it: not yet verified.
#[derive(Clone, Debug)]
pub(crate) struct ReceivedShard {
    pub(crate) index: u8,
    pub(crate) descriptor: Bytes,
    pub(crate) payload: Bytes,
}

/// What a holder had to say about a fetch.
#[derive(Clone, Debug)]
pub(crate) enum Fetched {
    /// It sent a shard.
    Shard(ReceivedShard),
    /// It has none.
    NotHeld,
    /// It had one, damaged.
    Damaged,
}

/// Calls other daemons. Cheap to clone.
#[derive(Clone)]
pub(crate) struct ShardClient {
    driver: DriverHandle,
    links: Arc<Mutex<BTreeMap<(NodeId, Lane), PeerLink>>>,
    traffic: Arc<TrafficCounters>,
    /// What it calls for.
    operation: Option<OperationId>,
}

/// Shards have a stream of their own, so that a small request does not stand behind one that the peer has no room for
/// yet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Lane {
    Small,
    Shards,
}

impl Lane {
    fn of(request: &Request) -> Lane {
        match request {
            Request::Put { .. } | Request::Fetch { .. } => Lane::Shards,
            _ => Lane::Small,
        }
    }
}

#[derive(Clone)]
struct PeerLink {
    calls: mpsc::Sender<Outgoing>,
    places: Arc<Semaphore>,
}

impl ShardClient {
    pub(crate) fn new(driver: DriverHandle, traffic: Arc<TrafficCounters>) -> Self {
        ShardClient { driver, links: Arc::default(), traffic, operation: None }
    }

    /// The same, which names this operation to those it calls.
    pub(crate) fn of(&self, operation: OperationId) -> Self {
        ShardClient { operation: Some(operation), ..self.clone() }
    }

    /// Gives `peer` a shard to keep, for those who want it. `Ok(Ok(already))` means it is durable there.
    pub(crate) async fn put(
        &self,
        peer: &Peer,
        parcel: Parcel,
        deadline: Instant,
    ) -> Result<Result<bool, Refusal>, CallError> {
        let Parcel { chunk, index, descriptor, payload, asked: Asked { said, claims } } = parcel;
        let descriptor_len = u32::try_from(descriptor.len()).map_err(|_| CallError::Nonsense)?;
        let request = Request::Put { chunk, index, descriptor_len, said, claims };
        match self.call_twice(peer, request, vec![descriptor, payload], deadline).await? {
            (Reply::Stored { already }, _) => Ok(Ok(already)),
            (Reply::Refused(refusal), _) => Ok(Err(refusal)),
            _ => Err(CallError::Nonsense),
        }
    }

    /// Asks `peer` for one shard of `chunk` that is not in `skip`.
    pub(crate) async fn fetch(
        &self,
        peer: &Peer,
        chunk: ChunkId,
        skip: ShardSet,
        deadline: Instant,
    ) -> Result<Fetched, CallError> {
        match self.call_twice(peer, Request::Fetch { chunk, skip }, Vec::new(), deadline).await? {
            (Reply::Shard { index, descriptor_len }, payload) => {
                let (descriptor, payload) =
                    split_payload(payload, descriptor_len).ok_or(CallError::Nonsense)?;
                Ok(Fetched::Shard(ReceivedShard { index, descriptor, payload }))
            }
            (Reply::NotHeld, _) => Ok(Fetched::NotHeld),
            (Reply::Damaged | Reply::Failed, _) => Ok(Fetched::Damaged),
            _ => Err(CallError::Nonsense),
        }
    }

    /// Asks `peer` which shards of `chunks` (at most [`CHUNKS_MAX`]) it holds; one set per chunk, in order.
    pub(crate) async fn has(
        &self,
        peer: &Peer,
        chunks: &[ChunkId],
        deadline: Instant,
    ) -> Result<Vec<ShardSet>, CallError> {
        debug_assert!(chunks.len() <= CHUNKS_MAX);
        match self.call(peer, Request::Has { chunks: chunks.to_vec() }, Vec::new(), deadline).await? {
            (Reply::Held(sets), _) if sets.len() == chunks.len() => Ok(sets),
            _ => Err(CallError::Nonsense),
        }
    }

    /// Asks `peer` to keep what it holds of `chunks` (at most [`CHUNKS_MAX`]) for this daemon; the shards that it keeps
    /// of each, in order.
    pub(crate) async fn claim(
        &self,
        peer: &Peer,
        claim: Claim,
        said: u64,
        chunks: &[ChunkId],
        deadline: Instant,
    ) -> Result<Result<Vec<ShardSet>, Refusal>, CallError> {
        debug_assert!(chunks.len() <= CHUNKS_MAX);
        let Claim { lease_seconds, retain_seconds, .. } = claim;
        let request = Request::Claim { lease_seconds, retain_seconds, said, chunks: chunks.to_vec() };
        match self.call(peer, request, Vec::new(), deadline).await? {
            (Reply::Held(sets), _) if sets.len() == chunks.len() => Ok(Ok(sets)),
            (Reply::Refused(refusal), _) => Ok(Err(refusal)),
            _ => Err(CallError::Nonsense),
        }
    }

    /// Tells `peer` that this daemon does not need `chunks` (at most [`CHUNKS_MAX`]) any more.
    pub(crate) async fn drop_claims(
        &self,
        peer: &Peer,
        said: u64,
        chunks: &[ChunkId],
        deadline: Instant,
    ) -> Result<Dropped, CallError> {
        debug_assert!(chunks.len() <= CHUNKS_MAX);
        match self.call(peer, Request::Drop { said, chunks: chunks.to_vec() }, Vec::new(), deadline).await? {
            (Reply::Dropped { dropped, retained }, _) => {
                Ok(Dropped { dropped, retained, ..Dropped::default() })
            }
            _ => Err(CallError::Nonsense),
        }
    }

    /// Asks `peer` who claims `chunk`.
    pub(crate) async fn claims(
        &self,
        peer: &Peer,
        chunk: ChunkId,
        deadline: Instant,
    ) -> Result<Vec<Claim>, CallError> {
        match self.call(peer, Request::Claims { chunk }, Vec::new(), deadline).await? {
            (Reply::Claims(mut claims), _) => {
                claims.truncate(MAX_WRITERS);
                Ok(claims)
            }
            _ => Err(CallError::Nonsense),
        }
    }

    /// Asks `peer` what it keeps for this daemon, behind `after`; and where to go on.
    pub(crate) async fn mine(
        &self,
        peer: &Peer,
        after: Option<ChunkId>,
        deadline: Instant,
    ) -> Result<(Vec<Mine>, Option<ChunkId>), CallError> {
        match self.call(peer, Request::Mine { after }, Vec::new(), deadline).await? {
            // Who does not go on would be asked for ever.
            (Reply::Mine { kept, next }, _)
                if kept.len() <= CHUNKS_MAX && (next.is_none() || next > after) =>
            {
                Ok((kept, next))
            }
            _ => Err(CallError::Nonsense),
        }
    }

    /// Asks `peer` what it has written down about `chunks` (at most [`RECORDS_MAX`]): one encoded record per chunk, in
    /// order, empty where there is none, and what its clock shows.
    pub(crate) async fn records(
        &self,
        peer: &Peer,
        chunks: &[ChunkId],
        deadline: Instant,
    ) -> Result<(Moment, Vec<Bytes>), CallError> {
        debug_assert!(chunks.len() <= RECORDS_MAX);
        match self.call(peer, Request::Records { chunks: chunks.to_vec() }, Vec::new(), deadline).await? {
            (Reply::Records { now, lengths }, payload) if lengths.len() == chunks.len() => {
                let records = split_records(payload, &lengths).ok_or(CallError::Nonsense)?;
                Ok((Moment(now), records))
            }
            _ => Err(CallError::Nonsense),
        }
    }

    /// Asks `peer` to prove by one leaf that it holds a shard. `None`: it says that it does not, or that it is damaged.
    pub(crate) async fn prove(
        &self,
        peer: &Peer,
        shard: ShardKey,
        leaf: u32,
        deadline: Instant,
    ) -> Result<Option<Bytes>, CallError> {
        let ShardKey { chunk, index } = shard;
        match self.call(peer, Request::Prove { chunk, index, leaf }, Vec::new(), deadline).await? {
            (Reply::Proof, proof) => Ok(Some(proof)),
            (Reply::NotHeld | Reply::Damaged, _) => Ok(None),
            _ => Err(CallError::Nonsense),
        }
    }

    /// Calls again when the connection breaks: it may have been one that let nothing through any more, and then another
    /// way leads to the peer. Only for requests that do no harm twice.
    async fn call_twice(
        &self,
        peer: &Peer,
        request: Request,
        payload: Vec<Bytes>,
        deadline: Instant,
    ) -> Result<(Reply, Bytes), CallError> {
        let lane = Lane::of(&request);
        let link = self.link(peer, lane, OPEN_TIMEOUT);
        match self.exchange(peer, &link, request.clone(), payload.clone(), deadline).await {
            Err(CallError::Broken) => {
                self.forget(peer, lane, &link);
                self.exchange(peer, &self.link(peer, lane, REOPEN_TIMEOUT), request, payload, deadline).await
            }
            outcome => outcome,
        }
    }

    async fn call(
        &self,
        peer: &Peer,
        request: Request,
        payload: Vec<Bytes>,
        deadline: Instant,
    ) -> Result<(Reply, Bytes), CallError> {
        let link = self.link(peer, Lane::of(&request), OPEN_TIMEOUT);
        self.exchange(peer, &link, request, payload, deadline).await
    }

    async fn exchange(
        &self,
        peer: &Peer,
        link: &PeerLink,
        request: Request,
        payload: Vec<Bytes>,
        deadline: Instant,
    ) -> Result<(Reply, Bytes), CallError> {
        let Some(operation) = self.operation else {
            return exchange(link, None, request, payload, deadline).await;
        };
        let (began, word, chunk) = (Instant::now(), request.word(), request.chunk());
        let outcome = exchange(link, Some(operation), request, payload, deadline).await;
        let answer = outcome.as_ref().map(|(reply, _)| reply.word()).map_err(|error| error as &dyn Display);
        following::asked(operation, peer.id(), word, chunk, answer, began.elapsed());
        outcome
    }

    /// The link to `peer` for requests of this kind, opened in the background if there is none.
    fn link(&self, peer: &Peer, lane: Lane, open_within: Duration) -> PeerLink {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(link) = links.get(&(peer.id(), lane))
            && !link.calls.is_closed()
        {
            return link.clone();
        }
        links.retain(|_, link| !link.calls.is_closed());
        let (calls, queue) = mpsc::channel(IN_FLIGHT_MAX);
        let link = PeerLink { calls, places: Arc::new(Semaphore::new(IN_FLIGHT_MAX)) };
        links.insert((peer.id(), lane), link.clone());
        let (driver, peer, traffic) = (self.driver.clone(), peer.clone(), self.traffic.clone());
        tokio::spawn(async move {
            let open = async {
                match driver.open_shard_stream(peer.clone()).await {
                    // It was asked for on a connection that broke just then.
                    Err(OpenError::Closed) => {
                        sleep(CLOSING).await;
                        driver.open_shard_stream(peer).await
                    }
                    outcome => outcome,
                }
            };
            // Dropping the queue on failure tells every waiting call at once.
            if let Ok(Ok(Spoken { stream, version })) = awake::timeout(open_within, open).await {
                link::run(stream, version, queue, traffic, link::WRITE_TIMEOUT).await;
            }
        });
        link
    }

    /// `broken` is the link to `peer` no longer, also if that is still about to be noticed.
    fn forget(&self, peer: &Peer, lane: Lane, broken: &PeerLink) {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (peer.id(), lane);
        if links.get(&key).is_some_and(|link| link.calls.same_channel(&broken.calls)) {
            links.remove(&key);
        }
    }
}

async fn exchange(
    link: &PeerLink,
    operation: Option<OperationId>,
    request: Request,
    payload: Vec<Bytes>,
    deadline: Instant,
) -> Result<(Reply, Bytes), CallError> {
    let exchange = async {
        let _place = link.places.acquire().await.map_err(|_| CallError::Broken)?;
        let (reply, answer) = oneshot::channel();
        let outgoing = Outgoing { operation, request, payload, reply };
        link.calls.send(outgoing).await.map_err(|_| CallError::Unreachable)?;
        answer.await.map_err(|_| CallError::Broken)
    };
    awake::timeout_at(deadline, exchange).await.unwrap_or(Err(CallError::TimedOut))
}
