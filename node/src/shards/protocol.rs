//! What daemons say to each other about shards.

use bytes::Bytes;
use chordage_api::operation::OperationId;
use chordage_storage::lease::{Claim, Rejected};
use chordage_storage::{ChunkId, ShardSet};
use serde::{Deserialize, Serialize};

use crate::store::Mine;

/// Chunks whose records one `Records` may ask for.
pub(crate) const RECORDS_MAX: usize = 128;

/// A request with the number its answer will carry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Call {
    pub(crate) id: u32,
    /// For what a client asked of its daemon this is done: logs name it. Nothing else depends on it.
    pub(crate) operation: Option<OperationId>,
    pub(crate) request: Request,
}

/// The same up to version [`UNNAMED`] of the protocol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UnnamedCall {
    pub(crate) id: u32,
    pub(crate) request: Request,
}

/// The newest version of the protocol in which calls name no operation.
pub(crate) const UNNAMED: u8 = 2;

impl From<UnnamedCall> for Call {
    fn from(UnnamedCall { id, request }: UnnamedCall) -> Self {
        Call { id, operation: None, request }
    }
}

impl From<Call> for UnnamedCall {
    fn from(Call { id, request, .. }: Call) -> Self {
        UnnamedCall { id, request }
    }
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Keep this shard for those who claim it. Payload: descriptor, then shard. `said`: when the sender said so, by a
    /// count of its own. What it says of other writers is hearsay.
    Put { chunk: ChunkId, index: u8, descriptor_len: u32, said: u64, claims: Vec<Claim> },
    /// Send one shard of the chunk, other than those in `skip` (a bit per index).
    Fetch { chunk: ChunkId, skip: ShardSet },
    /// Which shards of these chunks are held?
    Has { chunks: Vec<ChunkId> },
    /// What is written down about these chunks?
    Records { chunks: Vec<ChunkId> },
    /// Prove that this shard is held, by this leaf of it.
    Prove { chunk: ChunkId, index: u8, leaf: u32 },
    /// Keep what is held of these chunks (at most [`CHUNKS_MAX`](crate::store::CHUNKS_MAX)) for the sender. The answer
    /// is that to `Has`, of what is kept.
    Claim { lease_seconds: u32, retain_seconds: u32, said: u64, chunks: Vec<ChunkId> },
    /// The sender does not need these chunks any more, unless it has claimed them after `said`.
    Drop { said: u64, chunks: Vec<ChunkId> },
    /// Who claims this chunk, for how much longer?
    Claims { chunk: ChunkId },
    /// What is kept for the sender, behind this chunk?
    Mine { after: Option<ChunkId> },
}

impl Request {
    /// What it is, in a word for logs.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Request::Put { .. } => "put",
            Request::Fetch { .. } => "fetch",
            Request::Has { .. } => "has",
            Request::Records { .. } => "records",
            Request::Prove { .. } => "prove",
            Request::Claim { .. } => "claim",
            Request::Drop { .. } => "drop",
            Request::Claims { .. } => "claims",
            Request::Mine { .. } => "mine",
        }
    }

    /// The first chunk that it is about.
    pub(crate) fn chunk(&self) -> Option<ChunkId> {
        match self {
            Request::Put { chunk, .. }
            | Request::Fetch { chunk, .. }
            | Request::Prove { chunk, .. }
            | Request::Claims { chunk } => Some(*chunk),
            Request::Has { chunks }
            | Request::Records { chunks }
            | Request::Claim { chunks, .. }
            | Request::Drop { chunks, .. } => chunks.first().copied(),
            Request::Mine { after } => *after,
        }
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) id: u32,
    pub(crate) reply: Reply,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// The shard is durable here. `already`: it was before.
    Stored { already: bool },
    /// The shard was not kept.
    Refused(Refusal),
    /// Here it is. Payload: descriptor, then shard.
    Shard { index: u8, descriptor_len: u32 },
    /// No shard (other than the skipped ones) of that chunk is held.
    NotHeld,
    /// One was held but is damaged; it will not be handed out.
    Damaged,
    /// For each chunk of a `Has`, in order: the shards held.
    Held(Vec<ShardSet>),
    /// The holder could not read its disk.
    Failed,
    /// For each chunk of a `Records`, in order: the length of its record, 0 for none. Payload: the records. `now`: what
    /// the holder's clock shows, in milliseconds since 1970.
    Records { now: u64, lengths: Vec<u32> },
    /// Payload: the proof asked for.
    Proof,
    /// Claims were dropped, or stay until their retention ends.
    Dropped { dropped: u32, retained: u32 },
    /// The claims on a chunk, with what is left of them.
    Claims(Vec<Claim>),
    /// At most [`CHUNKS_MAX`](crate::store::CHUNKS_MAX) chunks that are kept for who asked, in order, and where to go
    /// on if there are more.
    Mine { kept: Vec<Mine>, next: Option<ChunkId> },
}

impl Reply {
    /// What it is, in a word for logs.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Reply::Stored { .. } => "stored",
            Reply::Refused(_) => "refused",
            Reply::Shard { .. } => "shard",
            Reply::NotHeld => "not held",
            Reply::Damaged => "damaged",
            Reply::Held(_) => "held",
            Reply::Failed => "failed",
            Reply::Records { .. } => "records",
            Reply::Proof => "proof",
            Reply::Dropped { .. } => "dropped",
            Reply::Claims(_) => "claims",
            Reply::Mine { .. } => "mine",
        }
    }
}

/// Why a holder did not keep a shard. A closed list, so that a writer knows whether to ask again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// Quota or disk are used up.
    #[error("it is full")]
    Full,
    /// The shard does not match its descriptor, or the descriptor its address.
    #[error("it found the shard to be invalid")]
    Invalid,
    /// Its disk failed.
    #[error("its disk failed")]
    Disk,
    /// It is leaving.
    #[error("it is leaving")]
    Leaving,
    /// It is a client and holds nothing.
    #[error("it is a client, which holds nothing")]
    Client,
    /// It does not grant a claim that long.
    #[error(transparent)]
    Claim(#[from] Rejected),
    /// As many writers as may claim the chunk do so already.
    #[error("it has no place for another writer's claim on a chunk")]
    Crowded,
}

/// Splits a payload into descriptor and shard; `None` if the length lies.
pub(crate) fn split_payload(mut payload: Bytes, descriptor_len: u32) -> Option<(Bytes, Bytes)> {
    let len = usize::try_from(descriptor_len).ok().filter(|len| *len <= payload.len())?;
    let descriptor = payload.split_to(len);
    Some((descriptor, payload))
}

/// Cuts a payload into pieces of so many bytes; `None` if it does not have that many.
pub(crate) fn split_records(mut payload: Bytes, lengths: &[u32]) -> Option<Vec<Bytes>> {
    let cut = |length: &u32| {
        let length = usize::try_from(*length).ok().filter(|length| *length <= payload.len())?;
        Some(payload.split_to(length))
    };
    lengths.iter().map(cut).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_that_name_no_operation_are_what_they_were() {
        let request = Request::Fetch { chunk: ChunkId([7; 32]), skip: [1u8].into_iter().collect() };
        let named = Call { id: 300, operation: Some(OperationId::random()), request: request.clone() };
        let old = postcard::to_allocvec(&UnnamedCall::from(named.clone())).expect("small");
        // Version 2: the number of the call, that of the request, and what is asked.
        assert_eq!(old[..3], [0xac, 0x02, 1]);
        assert_eq!(old[3..35], [7; 32]);
        let read: UnnamedCall = postcard::from_bytes(&old).expect("valid");
        assert_eq!(Call::from(read), Call { id: 300, operation: None, request });
        let new = postcard::to_allocvec(&named).expect("small");
        assert_eq!(new.len(), old.len() + 17);
        assert_eq!(postcard::from_bytes::<Call>(&new), Ok(named));
    }

    #[test]
    fn sets_hold_what_was_put_in_and_ignore_impossible_indices() {
        let set: ShardSet = [0u8, 5, 127, 200].into_iter().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 5, 127]);
        assert!(!set.contains(200));
    }

    #[test]
    fn lying_lengths_of_records_are_noticed() {
        let payload = Bytes::from_static(b"abcde");
        assert_eq!(split_records(payload.clone(), &[2, 0, 3]).map(|records| records.len()), Some(3));
        assert_eq!(split_records(payload.clone(), &[2, 4]), None);
        assert_eq!(split_records(payload, &[u32::MAX]), None);
    }

    #[test]
    fn a_lying_descriptor_length_is_noticed() {
        assert_eq!(split_payload(Bytes::from_static(b"abc"), 4), None);
        let (descriptor, shard) = split_payload(Bytes::from_static(b"abc"), 1).expect("fits");
        assert_eq!((descriptor.as_ref(), shard.as_ref()), (b"a".as_ref(), b"bc".as_ref()));
    }
}
