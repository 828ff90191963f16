//! Answering other daemons: what they give us to keep, what they ask for.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chordage_api::types::DaemonRole;
use chordage_dht::NodeId;
use chordage_storage::lease::Claim;
use chordage_storage::repair::Ledger;
use chordage_storage::{ChunkId, ShardKey, ShardSet, Writer};
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::intake::{Held, Intake, PeerIntake};
use super::link::WRITE_TIMEOUT;
use super::protocol::{
    Answer, Call, RECORDS_MAX, Refusal, Reply, Request, UNNAMED, UnnamedCall, split_payload,
};
use super::traffic::TrafficCounters;
use crate::clock::wall_clock;
use crate::following;
use crate::store::{Asked, CHUNKS_MAX, Parcel, Store, StoreError};
use crate::wire::GuardedStream;
use crate::wire::frame::{ShardFrame, read_shard_head, read_shard_lengths, read_shard_payload, write_shard};

/// Requests of one stream that are worked on at a time; the stream is not read further meanwhile.
const CONCURRENT_MAX: usize = 16;
/// A request that has begun to come must be there after so long: until then it holds memory that others wait for.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// What the answer to a put takes, and that to a fetch beside the shard.
const SHORT_ANSWER: usize = 256;

/// Serves shard streams from the local store. Cheap to clone.
#[derive(Clone)]
pub(crate) struct ShardServer {
    store: Store,
    leaving: CancellationToken,
    traffic: Arc<TrafficCounters>,
    intake: Intake,
    ledger: Option<Arc<Ledger>>,
    draining: CancellationToken,
    /// What the daemon is, if that may change.
    part: Option<watch::Receiver<DaemonRole>>,
    #[cfg(test)]
    lie: Option<super::lies::Lie>,
}

impl ShardServer {
    /// `leaving`: once cancelled, new shards are refused while held ones are still served.
    pub(crate) fn new(store: Store, leaving: CancellationToken, traffic: Arc<TrafficCounters>) -> Self {
        ShardServer {
            store,
            leaving,
            traffic,
            intake: Intake::default(),
            ledger: None,
            draining: CancellationToken::new(),
            part: None,
            #[cfg(test)]
            lie: None,
        }
    }

    /// From now on whoever asks for a shard is told this lie.
    #[cfg(test)]
    pub(crate) fn lying(self, lie: super::lies::Lie) -> Self {
        ShardServer { lie: Some(lie), ..self }
    }

    /// Tells others, too, what is written down about chunks. `draining`: once cancelled, new shards are refused.
    pub(crate) fn with_repair(self, ledger: Arc<Ledger>, draining: CancellationToken) -> Self {
        ShardServer { ledger: Some(ledger), draining, ..self }
    }

    /// As long as the daemon is a client it takes no shards.
    pub(crate) fn with_part(self, part: watch::Receiver<DaemonRole>) -> Self {
        ShardServer { part: Some(part), ..self }
    }

    fn is_client(&self) -> bool {
        self.part.as_ref().is_some_and(|part| *part.borrow() == DaemonRole::Client)
    }

    /// Serves one stream until the peer closes it or misbehaves. `peer` is who has proven its key on this connection:
    /// in its own name it may claim and drop.
    pub(crate) async fn serve(self, peer: NodeId, stream: GuardedStream) {
        let version = stream.version;
        let (stream, _place) = stream.into_parts();
        self.serve_on(peer, stream, version).await;
    }

    async fn serve_on<S: AsyncRead + AsyncWrite>(self, peer: NodeId, stream: S, version: u8) {
        let by = Writer(*peer.as_bytes());
        let intake = Arc::new(self.intake.of(peer));
        let (mut reader, mut writer) = stream.split();
        let (answers, mut outbox) = mpsc::channel::<(ShardFrame<Answer>, Held)>(CONCURRENT_MAX);
        let places = Arc::new(Semaphore::new(CONCURRENT_MAX));
        let traffic = self.traffic.clone();
        let reading = async move {
            while let Ok(place) = places.clone().acquire_owned().await {
                let Some((call, payload, held)) = received(&mut reader, version, &intake).await else {
                    break;
                };
                let Call { id, operation, request } = call;
                self.traffic.received(payload.len());
                let (server, answers, intake) = (self.clone(), answers.clone(), intake.clone());
                tokio::spawn(async move {
                    let with_shard = matches!(request, Request::Put { .. } | Request::Fetch { .. });
                    // An answer may take more memory than its question, until it is written.
                    let mut held = match request {
                        Request::Fetch { .. } => {
                            drop(held);
                            intake.unread_shard().await
                        }
                        Request::Records { .. } | Request::Mine { .. } => {
                            drop(held);
                            intake.list().await
                        }
                        _ => held,
                    };
                    let (word, chunk) = (request.word(), request.chunk());
                    let (reply, payload) = server.answer(by, request, payload).await;
                    if let Some(operation) = operation {
                        following::answered(operation, peer, word, chunk, reply.word());
                    }
                    if with_shard {
                        held.shrink_to(SHORT_ANSWER + payload.iter().map(Bytes::len).sum::<usize>());
                    }
                    #[cfg(test)]
                    let Some((reply, payload)) = super::lies::told(server.lie, reply, payload) else {
                        return;
                    };
                    // The stream may be gone: then nobody waits for the answer.
                    let _ = answers.send((ShardFrame { head: Answer { id, reply }, payload }, held)).await;
                    drop(place);
                });
            }
        };
        let writing = async move {
            while let Some(frame) = outbox.recv().await {
                let mut next = Some(frame);
                while let Some((frame, _held)) = next {
                    traffic.sent(&frame.payload);
                    match timeout(WRITE_TIMEOUT, write_shard(&mut writer, &frame)).await {
                        Ok(Ok(())) => {}
                        _ => return,
                    }
                    next = outbox.try_recv().ok();
                }
                if !matches!(timeout(WRITE_TIMEOUT, writer.flush()).await, Ok(Ok(()))) {
                    return;
                }
            }
        };
        tokio::pin!(reading, writing);
        tokio::select! {
            // The peer has said all it wanted: finish what is being worked on, then close.
            () = &mut reading => writing.await,
            () = &mut writing => {}
        }
    }

    async fn answer(&self, by: Writer, request: Request, payload: Bytes) -> (Reply, Vec<Bytes>) {
        match request {
            Request::Put { .. } if self.leaving.is_cancelled() || self.draining.is_cancelled() => {
                (Reply::Refused(Refusal::Leaving), Vec::new())
            }
            Request::Put { .. } if self.is_client() => (Reply::Refused(Refusal::Client), Vec::new()),
            Request::Put { chunk, index, descriptor_len, said, claims } => {
                let asked = Asked { said, claims };
                let reply = match split_payload(payload, descriptor_len) {
                    Some((descriptor, payload)) if !asked.is_too_long() => {
                        self.put(by, Parcel { chunk, index, descriptor, payload, asked }).await
                    }
                    _ => Err(Refusal::Invalid),
                };
                (reply.map_or_else(Reply::Refused, |already| Reply::Stored { already }), Vec::new())
            }
            Request::Claim { lease_seconds, retain_seconds, said, mut chunks } => {
                let claim = Claim { writer: by, lease_seconds, retain_seconds };
                if let Err(rejected) = self.store.limits().check(&claim) {
                    return (Reply::Refused(rejected.into()), Vec::new());
                }
                chunks.truncate(CHUNKS_MAX);
                let claimed = self.store.claim(claim, said, chunks).await;
                (claimed.map_or(Reply::Failed, Reply::Held), Vec::new())
            }
            Request::Drop { said, mut chunks } => {
                chunks.truncate(CHUNKS_MAX);
                let reply = match self.store.drop_claims(by, said, chunks).await {
                    Ok(done) => Reply::Dropped { dropped: done.dropped, retained: done.retained },
                    Err(_) => Reply::Failed,
                };
                (reply, Vec::new())
            }
            Request::Claims { chunk } => {
                let claims = self.store.claims(chunk).await;
                (claims.map_or(Reply::Failed, |claims| Reply::Claims(claims.unwrap_or_default())), Vec::new())
            }
            Request::Mine { after } => {
                let kept = self.store.kept_for(by, after).await;
                (kept.map_or(Reply::Failed, |(kept, next)| Reply::Mine { kept, next }), Vec::new())
            }
            Request::Fetch { chunk, skip } => match self.store.get(chunk, skip).await {
                Ok(Some(shard)) => match u32::try_from(shard.descriptor.len()) {
                    Ok(descriptor_len) => (
                        Reply::Shard { index: shard.index, descriptor_len },
                        vec![shard.descriptor, shard.payload],
                    ),
                    Err(_) => (Reply::Failed, Vec::new()),
                },
                Ok(None) => (Reply::NotHeld, Vec::new()),
                Err(StoreError::Damaged) => (Reply::Damaged, Vec::new()),
                Err(_) => (Reply::Failed, Vec::new()),
            },
            Request::Records { chunks } => self.records(chunks).await,
            Request::Prove { chunk, index, leaf } => {
                match self.store.prove(ShardKey { chunk, index }, leaf).await {
                    Ok(Some(proof)) => (Reply::Proof, vec![proof]),
                    Ok(None) => (Reply::NotHeld, Vec::new()),
                    Err(StoreError::Damaged) => (Reply::Damaged, Vec::new()),
                    Err(_) => (Reply::Failed, Vec::new()),
                }
            }
            Request::Has { mut chunks } => {
                let asked = chunks.len();
                chunks.truncate(CHUNKS_MAX);
                match self.store.has(chunks).await {
                    Ok(mut held) => {
                        held.resize(asked.min(CHUNKS_MAX), ShardSet::default());
                        (Reply::Held(held), Vec::new())
                    }
                    Err(_) => (Reply::Failed, Vec::new()),
                }
            }
        }
    }

    async fn put(&self, by: Writer, parcel: Parcel) -> Result<bool, Refusal> {
        parcel.asked.check(by, self.store.limits())?;
        Ok(self.store.put(by, parcel).await?)
    }

    async fn records(&self, mut chunks: Vec<ChunkId>) -> (Reply, Vec<Bytes>) {
        chunks.truncate(RECORDS_MAX);
        let Some(ledger) = self.ledger.clone() else { return (Reply::Failed, Vec::new()) };
        let read = move || {
            let encoded = |chunk| ledger.get(chunk).map(|record| record.map(|record| record.encode()));
            chunks.iter().map(encoded).collect::<Result<Vec<_>, _>>()
        };
        let Ok(Ok(records)) = tokio::task::spawn_blocking(read).await else {
            return (Reply::Failed, Vec::new());
        };
        // A record is a few hundred bytes.
        let length = |record: &Option<Vec<u8>>| record.as_ref().map_or(0, |bytes| bytes.len() as u32);
        let lengths = records.iter().map(length).collect();
        let payload = records.into_iter().flatten().map(Bytes::from).collect();
        (Reply::Records { now: wall_clock().0, lengths }, payload)
    }
}

/// The next request, with its payload and the memory that it takes. `None` once there are no more, or the peer breaks
/// the rules: only a put has a payload.
async fn received<R: AsyncRead + Unpin>(
    reader: &mut R,
    version: u8,
    intake: &PeerIntake,
) -> Option<(Call, Bytes, Held)> {
    let lengths = read_shard_lengths(reader).await.ok()??;
    let small = intake.head(lengths.head()).await;
    let head = async {
        if version <= UNNAMED {
            read_shard_head::<_, UnnamedCall>(reader, lengths).await.map(Call::from)
        } else {
            read_shard_head(reader, lengths).await
        }
    };
    let call = timeout(READ_TIMEOUT, head).await.ok()?.ok()?;
    match &call.request {
        Request::Put { .. } => {
            // What waits for the memory of shards takes none of what others need.
            drop(small);
            let held = intake.shard(lengths.head() + lengths.payload()).await;
            let payload = timeout(READ_TIMEOUT, read_shard_payload(reader, lengths)).await;
            Some((call, payload.ok()?.ok()?, held))
        }
        // Nobody asks for more, and more would take memory while it waits for that of the answer.
        Request::Records { chunks } if chunks.len() > RECORDS_MAX => None,
        _ if lengths.payload() > 0 => None,
        _ => Some((call, Bytes::new(), small)),
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full => Refusal::Full,
            StoreError::Invalid => Refusal::Invalid,
            StoreError::Crowded => Refusal::Crowded,
            StoreError::Disk | StoreError::Damaged => Refusal::Disk,
        }
    }
}

#[cfg(test)]
mod tests;
