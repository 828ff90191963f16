//! Bodies between HTTP and the daemon, both ways through short queues, so that a slow side slows the other down.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_util::task::AbortOnDropHandle;

use super::super::operation::OperationId;
use super::super::types::Problem;
use super::state::Shared;

/// Pieces that wait between the two sides. HTTP hands over at most a few hundred KiB at a time.
const PIECES_WAITING_MAX: usize = 4;
/// How long a body may stand still before its slot is given to others. Long, because the other end may be a person who
/// paused a player, or a dump that thinks before it writes.
const STANDSTILL_MAX: Duration = Duration::from_secs(600);
/// How long a body that nobody needs any more is read on, so that the client sees our answer rather than a broken pipe.
const DISCARD_MAX: Duration = Duration::from_secs(2);

enum Piece {
    Data(Bytes),
    End,
}

/// The body of a request as a blocking reader. A body that was cut ends in an error, never in a short read.
pub(super) struct BodyReader {
    pieces: mpsc::Receiver<Piece>,
    current: Bytes,
    ended: bool,
}

impl Read for BodyReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() && !self.ended {
            match self.pieces.blocking_recv() {
                Some(Piece::Data(bytes)) => self.current = bytes,
                Some(Piece::End) => self.ended = true,
                None => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the body was cut short")),
            }
        }
        let length = self.current.len().min(buffer.len());
        buffer[..length].copy_from_slice(&self.current.split_to(length));
        Ok(length)
    }
}

/// The async end of a [`BodyReader`].
pub(super) struct BodyPump {
    body: Body,
    pieces: mpsc::Sender<Piece>,
}

/// Splits a body into a reader for a thread and a pump that has to be run meanwhile.
pub(super) fn reader(body: Body) -> (BodyReader, BodyPump) {
    let (sender, receiver) = mpsc::channel(PIECES_WAITING_MAX);
    (BodyReader { pieces: receiver, current: Bytes::new(), ended: false }, BodyPump { body, pieces: sender })
}

impl BodyPump {
    /// Moves the body to the reader. Returns what is left of it when the reader wants no more.
    pub(super) async fn run(self) -> Option<Body> {
        let mut data = self.body.into_data_stream();
        loop {
            let piece = match tokio::time::timeout(STANDSTILL_MAX, data.next()).await {
                Ok(Some(Ok(bytes))) => Piece::Data(bytes),
                Ok(None) => {
                    let _ = self.pieces.send(Piece::End).await;
                    return None;
                }
                // Dropping the sender makes the reader fail.
                Ok(Some(Err(_))) | Err(_) => return None,
            };
            if self.pieces.send(piece).await.is_err() {
                return Some(Body::from_stream(data));
            }
        }
    }
}

/// Reads on for a moment.
pub(super) async fn discard(body: Body) {
    let mut data = body.into_data_stream();
    let reading = async { while matches!(data.next().await, Some(Ok(_))) {} };
    let _ = tokio::time::timeout(DISCARD_MAX, reading).await;
}

/// The error that makes the server cut the connection.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Cut(String);

/// A body for an answer, out of `source`. When that fails, the reason is remembered under `operation` and the connection is
/// cut. The slot is given back when the body ends, stands still for too long, or the client goes away.
pub(super) fn answer<S>(
    shared: Arc<Shared>,
    operation: OperationId,
    slot: OwnedSemaphorePermit,
    source: S,
) -> Body
where
    S: Stream<Item = Result<Bytes, Problem>> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(PIECES_WAITING_MAX);
    let task = tokio::spawn(async move {
        let _slot = slot;
        let mut source = std::pin::pin!(source);
        loop {
            let item = tokio::select! {
                item = source.next() => item,
                () = shared.stopping().cancelled() => Some(Err(Problem::shutting_down())),
            };
            let sending = match item {
                None => {
                    let _ = sender.send(Ok(None)).await;
                    return;
                }
                Some(Ok(bytes)) => sender.send(Ok(Some(bytes))),
                Some(Err(problem)) => {
                    let cut = Cut(problem.message.clone());
                    // Before the connection is cut, because the client asks at once.
                    shared.operations.remember(operation, problem);
                    sender.send(Err(cut))
                }
            };
            if !matches!(tokio::time::timeout(STANDSTILL_MAX, sending).await, Ok(Ok(()))) {
                return;
            }
        }
    });
    let task = AbortOnDropHandle::new(task);
    Body::from_stream(stream::unfold((receiver, Some(task)), |(mut receiver, task)| async move {
        task.as_ref()?;
        let item = match receiver.recv().await {
            Some(Ok(Some(bytes))) => return Some((Ok(bytes), (receiver, task))),
            Some(Ok(None)) => return None,
            Some(Err(cut)) => cut,
            None => Cut("the body stood still for too long".to_owned()),
        };
        Some((Err(item), (receiver, None)))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_cut_body_is_an_error_and_a_whole_one_is_not() {
        for (pieces, whole) in [
            (vec![Ok(Bytes::from_static(b"ab")), Ok(Bytes::from_static(b"c"))], true),
            (vec![Ok(Bytes::from_static(b"ab")), Err(io::Error::other("gone"))], false),
        ] {
            let (mut reader, pump) = reader(Body::from_stream(stream::iter(pieces)));
            let reading = tokio::task::spawn_blocking(move || {
                let mut text = Vec::new();
                reader.read_to_end(&mut text).map(|_| text)
            });
            assert!(pump.run().await.is_none());
            match reading.await.unwrap() {
                Ok(text) => assert!(whole && text == b"abc"),
                Err(error) => assert!(!whole && error.kind() == io::ErrorKind::UnexpectedEof),
            }
        }
    }

    #[tokio::test]
    async fn what_the_reader_does_not_want_comes_back() {
        let pieces = (0..100).map(|_| Ok::<_, io::Error>(Bytes::from_static(b"x")));
        let (reader, pump) = reader(Body::from_stream(stream::iter(pieces)));
        drop(reader);
        assert!(pump.run().await.is_some());
    }
}
