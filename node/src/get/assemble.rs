//! Bytes in order out of chunks that are fetched ahead of the reader.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use chordage_storage::{ChunkRef, Extent};
use futures::stream::{self, Stream, StreamExt, TryStreamExt};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::GetError;
use super::chunks::Chunks;
use super::fetch::Hurry;

/// Chunks that are fetched ahead of the reader.
pub(super) const READ_AHEAD: usize = 5;
/// Pieces shorter than this are copied together: each piece on its own would wake the reader.
const SHORT: usize = 16 << 10;
/// Pieces that were copied together are handed on when they have so many bytes.
const TOGETHER: usize = 128 << 10;
/// Parts that one step of the read-ahead holds.
const STEP_PARTS_MAX: usize = 8192;
/// Parts that a walk hands over at a time, and how many times it may do so before somebody reads.
const BATCH: usize = 256;
const BATCHES_AHEAD: usize = 8;

/// What a stream is made of.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    /// These bytes.
    Bytes(Bytes),
    /// Bytes out of a chunk.
    Extent(Extent),
    /// The walk cannot go on.
    Failed(GetError),
}

/// A step of reading: parts that need one chunk at most.
#[derive(Default)]
struct Step {
    chunk: Option<ChunkRef>,
    pieces: Vec<Piece>,
    failed: Option<GetError>,
}

enum Piece {
    Bytes(Bytes),
    Slice(Range<usize>),
}

/// Where a walk through a manifest leaves the parts it meets.
pub(crate) struct Parts {
    batch: Vec<Part>,
    sender: mpsc::Sender<Vec<Part>>,
}

/// Nobody reads any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unread;

impl Parts {
    /// The next part.
    pub(crate) fn push(&mut self, part: Part) -> Result<(), Unread> {
        self.batch.push(part);
        if self.batch.len() >= BATCH { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Unread> {
        self.sender.blocking_send(std::mem::take(&mut self.batch)).map_err(|_| Unread)
    }
}

impl Chunks {
    /// The bytes of the parts that `walk` leaves, in order, verified. It runs on a thread of its own, because a
    /// manifest may name more parts than there is memory for. The first chunk is fetched alone, as fast as possible;
    /// once it is there, chunks are fetched ahead. Parts of one chunk that follow each other fetch it once.
    pub(crate) fn assemble<W>(
        self: &Arc<Self>,
        walk: W,
    ) -> impl Stream<Item = Result<Bytes, GetError>> + Send + use<W>
    where
        W: FnOnce(&mut Parts) -> Result<(), Unread> + Send + 'static,
    {
        let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
        tokio::task::spawn_blocking(move || {
            let mut parts = Parts { batch: Vec::new(), sender };
            walk(&mut parts).and_then(|()| parts.flush())
        });
        let parts = stream::unfold(receiver, |mut receiver| async {
            let batch = receiver.recv().await?;
            Some((stream::iter(batch), receiver))
        });
        let mut steps = Box::pin(steps(parts.flatten()).fuse());
        let chunks = self.clone();
        // Each step is a task of its own: when the reader stands still, what is being fetched comes to its end, gives
        // back the memory that all transfers share, and waits as a part of this reader's window.
        let fetched = move |step: Step, hurry| {
            let chunks = chunks.clone();
            let task = tokio::spawn(async move { chunks.run(step, hurry).await });
            let task = AbortOnDropHandle::new(task);
            async move { task.await.unwrap_or(Err(GetError::Interrupted)) }
        };
        let first = async move {
            let first = steps.next().await;
            let first = stream::iter(first).then({
                let fetched = fetched.clone();
                move |step| fetched(step, Hurry::Now)
            });
            first.chain(steps.map(move |step| fetched(step, Hurry::Ahead)).buffered(READ_AHEAD))
        };
        stream::once(first).flatten().map_ok(|pieces| stream::iter(pieces.into_iter().map(Ok))).try_flatten()
    }

    async fn run(&self, step: Step, hurry: Hurry) -> Result<Vec<Bytes>, GetError> {
        let plain = match &step.chunk {
            Some(chunk) => self.chunk(chunk, hurry).await?,
            None => Bytes::new(),
        };
        if let Some(error) = step.failed {
            return Err(error);
        }
        Ok(join(step.pieces.into_iter().map(|piece| match piece {
            Piece::Bytes(bytes) => bytes,
            Piece::Slice(range) => plain.slice(range),
        })))
    }
}

/// Groups parts; a group is closed by a part of another chunk.
fn steps(parts: impl Stream<Item = Part> + Send + 'static) -> impl Stream<Item = Step> + Send + 'static {
    let start = (Box::pin(parts.fuse()), Step::default());
    stream::unfold(start, |(mut parts, mut step)| async move {
        if step.failed.is_some() {
            return Some((step, (parts, Step::default())));
        }
        loop {
            match parts.next().await {
                None if step.pieces.is_empty() => return None,
                // What came before it is handed out first.
                Some(Part::Failed(error)) => {
                    let failed = Step { failed: Some(error), ..Step::default() };
                    if step.pieces.is_empty() {
                        return Some((failed, (parts, Step::default())));
                    }
                    return Some((step, (parts, failed)));
                }
                None => return Some((step, (parts, Step::default()))),
                Some(Part::Bytes(bytes)) => step.pieces.push(Piece::Bytes(bytes)),
                Some(Part::Extent(Extent { chunk, offset, len })) => {
                    let slice = Piece::Slice(offset as usize..offset as usize + len as usize);
                    if step.chunk.is_some_and(|open| open.id != chunk.id) {
                        let next = Step { chunk: Some(chunk), pieces: vec![slice], failed: None };
                        return Some((step, (parts, next)));
                    }
                    step.chunk = Some(chunk);
                    step.pieces.push(slice);
                }
            }
            if step.pieces.len() >= STEP_PARTS_MAX {
                return Some((step, (parts, Step::default())));
            }
        }
    })
}

/// Copies short pieces together and leaves long ones as they are.
fn join(pieces: impl Iterator<Item = Bytes>) -> Vec<Bytes> {
    let mut joined = Vec::new();
    let mut open = BytesMut::new();
    for piece in pieces {
        if piece.len() >= SHORT {
            joined.extend(Some(open.split().freeze()).filter(|bytes| !bytes.is_empty()));
            joined.push(piece);
            continue;
        }
        open.extend_from_slice(&piece);
        if open.len() >= TOGETHER {
            joined.push(open.split().freeze());
        }
    }
    joined.extend(Some(open.freeze()).filter(|bytes| !bytes.is_empty()));
    joined
}

#[cfg(test)]
mod tests {
    use chordage_storage::Redundancy;
    use futures::executor::block_on;

    use super::*;

    fn chunk(name: u8) -> ChunkRef {
        let mut bytes = [name; ChunkRef::ENCODED_LEN];
        bytes[64..].copy_from_slice(&[0, 0, 1, 0, 4, 6]);
        ChunkRef::decode(&bytes).expect("possible")
    }

    fn extent(name: u8, offset: u32, len: u32) -> Part {
        Part::Extent(Extent { chunk: chunk(name), offset, len })
    }

    #[test]
    fn parts_of_one_chunk_are_one_step_with_what_stands_between_them() {
        assert_eq!(chunk(1).redundancy, Redundancy::new(4, 6).ok());
        let text = |text: &'static str| Part::Bytes(Bytes::from_static(text.as_bytes()));
        let parts = vec![
            text("head"),
            extent(1, 0, 10),
            text("pad"),
            extent(1, 10, 5),
            extent(2, 0, 7),
            text("end"),
            extent(1, 0, 1),
        ];
        let found: Vec<_> = block_on(steps(stream::iter(parts)).collect());
        let shape: Vec<_> =
            found.iter().map(|step: &Step| (step.chunk.map(|c| c.id), step.pieces.len())).collect();
        let id = |name| Some(chunk(name).id);
        assert_eq!(shape, [(id(1), 4), (id(2), 2), (id(1), 1)]);
        assert!(block_on(steps(stream::iter([])).collect::<Vec<_>>()).is_empty());
    }

    #[test]
    fn short_pieces_are_joined_and_no_byte_moves() {
        let lens = [1, 500, 20_000, 3, 0, 16_383, 16_384, 40_000, 9];
        let pieces: Vec<Bytes> = (1u8..).zip(lens).map(|(fill, len)| vec![fill; len].into()).collect();
        let joined = join(pieces.clone().into_iter());
        assert!(joined.concat() == pieces.concat());
        assert_eq!(
            joined.iter().map(Bytes::len).collect::<Vec<_>>(),
            [501, 20_000, 16_386, 16_384, 40_000, 9]
        );
    }
}
