//! Bodies between HTTP and the daemon, both ways through short queues, so that a slow side slows the other down.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use chordage_api::operation::OperationId;
use chordage_api::types::Problem;
use futures::stream::{self, Stream, StreamExt};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::problem;
use super::slots::{Slot, StoodStill};
use super::state::Shared;

/// Pieces that wait between the two sides. HTTP hands over at most a few hundred KiB at a time.
const PIECES_WAITING_MAX: usize = 4;
/// The longest piece of an answer that is handed over at once: with longer ones, whoever takes a little now and then
/// would seem to stand still.
const PIECE_MAX: usize = 256 << 10;
/// How long a body that nobody needs any more is read on, so that the client sees our answer rather than a broken pipe.
const DISCARD_MAX: Duration = Duration::from_secs(2);

enum Piece {
    Data(Bytes),
    End,
    StoodStill(StoodStill),
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
                Some(Piece::StoodStill(error)) => return Err(io::Error::new(io::ErrorKind::TimedOut, error)),
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
    /// Moves the body to the reader, as long as it does not stand still for too long. Returns what is left of it when
    /// the reader wants no more.
    pub(super) async fn run(self, slot: &Slot) -> Option<Body> {
        let mut data = self.body.into_data_stream();
        loop {
            let piece = match slot.wait(data.next()).await {
                Ok(Some(Ok(bytes))) => Piece::Data(bytes),
                Ok(None) => {
                    let _ = self.pieces.send(Piece::End).await;
                    return None;
                }
                // Dropping the sender makes the reader fail.
                Ok(Some(Err(_))) => return None,
                Err(error) => {
                    let _ = self.pieces.send(Piece::StoodStill(error)).await;
                    return None;
                }
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

/// A body for an answer, out of `source`. When that fails, the reason is remembered under `operation` and the
/// connection is cut. The slot is given back when the body ends, stands still for too long, or the client goes away.
pub(super) fn answer<S>(shared: Arc<Shared>, operation: OperationId, slot: Slot, source: S) -> Body
where
    S: Stream<Item = Result<Bytes, Problem>> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(PIECES_WAITING_MAX);
    let task = tokio::spawn(async move {
        let mut source = std::pin::pin!(source);
        let mut rest = Bytes::new();
        loop {
            let item = tokio::select! {
                () = shared.stopping().cancelled() => Some(Err(problem::shutting_down())),
                item = next_piece(&mut rest, source.as_mut()) => item,
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
            if !matches!(slot.wait(sending).await, Ok(Ok(()))) {
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
            None => Cut(StoodStill.to_string()),
        };
        Some((Err(item), (receiver, None)))
    }))
}

/// What comes next out of `source`, of which `rest` is left.
async fn next_piece<S, E>(rest: &mut Bytes, mut source: S) -> Option<Result<Bytes, E>>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
{
    if rest.is_empty() {
        match source.next().await? {
            Ok(bytes) => *rest = bytes,
            Err(error) => return Some(Err(error)),
        }
    }
    Some(Ok(rest.split_to(rest.len().min(PIECE_MAX))))
}

#[cfg(test)]
mod tests {
    use super::super::slots::{Patience, Slots};
    use super::*;

    const NEVER: Duration = Duration::from_secs(3600);

    fn slot(ends: Duration) -> Slot {
        Slots::new("bodies", 1, Patience { yields: ends, ends }).free().unwrap()
    }

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
            assert!(pump.run(&slot(NEVER)).await.is_none());
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
        assert!(pump.run(&slot(NEVER)).await.is_some());
    }

    #[tokio::test]
    async fn a_body_from_which_nothing_comes_is_ended_and_says_why() {
        let begun = stream::iter([Ok::<_, io::Error>(Bytes::from_static(b"ab"))]).chain(stream::pending());
        let (mut reader, pump) = reader(Body::from_stream(begun));
        assert!(pump.run(&slot(Duration::from_millis(20))).await.is_none());
        let reading = tokio::task::spawn_blocking(move || reader.read_to_end(&mut Vec::new()));
        assert_eq!(reading.await.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn long_pieces_are_handed_over_in_short_ones() {
        let whole: Bytes = vec![3; PIECE_MAX + 5].into();
        let mut source = stream::iter([Ok(whole), Err("gone")]);
        let (mut rest, mut lens) = (Bytes::new(), Vec::new());
        while let Some(Ok(piece)) = next_piece(&mut rest, &mut source).await {
            lens.push(piece.len());
        }
        assert_eq!(lens, [PIECE_MAX, 5]);
        assert!(next_piece(&mut rest, &mut source).await.is_none());
    }
}
