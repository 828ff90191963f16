//! A shard on its way to a holder.

use bytes::Bytes;
use chordage_storage::ChunkId;

use super::Asked;

/// A shard to be kept, and for whom. Cheap to clone; nothing in it is verified.
#[derive(Clone, Debug)]
pub(crate) struct Parcel {
    pub(crate) chunk: ChunkId,
    pub(crate) index: u8,
    pub(crate) descriptor: Bytes,
    pub(crate) payload: Bytes,
    pub(crate) asked: Asked,
}
