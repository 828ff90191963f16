//! Where packs go, and what is known there of earlier ones.

use crate::catalog::{KnownChunk, KnownPiece, PieceInfo};
use crate::chunk::{ChunkRef, Pack};
use crate::ids::Fingerprint;
use crate::pack::Place;

/// Where packs go to become chunks. An implementation may encode and send them on other threads; the writer never
/// looks at a chunk again.
pub trait ChunkSink {
    /// Why it can take no more.
    type Error;

    /// Takes the plaintext of the next chunk. It may wait, which is how a slow network slows down the reading of
    /// files.
    fn submit(&mut self, pack: Pack) -> Result<(), Self::Error>;

    /// Waits until every submitted chunk is encoded, and returns the references of all those since the last
    /// call, in the order of submission. Whether they are stored already is between the sink and its owner.
    fn barrier(&mut self) -> Result<Vec<ChunkRef>, Self::Error>;

    /// Where a piece was put before. Sinks without a memory know nothing.
    fn find_piece(&mut self, _piece: &PieceInfo) -> Option<KnownPiece> {
        None
    }

    /// Whether a chunk from before is still stored as well as this object wants to be.
    fn is_stored(&mut self, _chunk: &KnownChunk) -> Result<bool, Self::Error> {
        Ok(false)
    }

    /// The object uses a piece from before.
    fn use_piece(&mut self, _piece: &PieceInfo, _known: &KnownPiece) {}

    /// The object uses a chunk from before, under this number of its table. Called once for each.
    fn refer(&mut self, _chunk: &KnownChunk, _number: u32) {}

    /// Where a node of a volume was put before, as a chunk of its own, if it is still stored; then the volume uses it.
    fn find_node(&mut self, _node: &PieceInfo) -> Result<Option<ChunkRef>, Self::Error> {
        Ok(None)
    }

    /// A file is complete, and lies there. Chunks it lies in may not be stored yet.
    fn file_written(&mut self, _fingerprint: Fingerprint, _places: &[Place]) {}
}
