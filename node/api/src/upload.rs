//! The body of a put: fed by a thread that reads files or by async code, drained by the connection.
//!
//! A body counts as whole only when its writer said [`UploadWriter::finish`]. A writer that is dropped earlier, because
//! it failed or panicked, makes the request fail; the daemon then sees a cut body and stores nothing under a link.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Frame};
use tokio::sync::{Notify, mpsc};

/// Bytes per frame. Large enough that channel and syscall costs vanish beside copying.
const FRAME_BYTES: usize = 256 * 1024;
/// Frames that may wait for the connection; with their size this bounds memory at 2 MiB.
const FRAMES_WAITING_MAX: usize = 8;

enum Piece {
    Data(Bytes),
    Finished,
}

/// The producing end. On a thread of its own it is written to and finished; async code sends pieces and ends it.
pub struct UploadWriter {
    pending: BytesMut,
    pieces: mpsc::Sender<Piece>,
}

/// The consuming end, handed to [`Client::put`](super::client::Client::put).
pub struct UploadBody {
    pieces: mpsc::Receiver<Piece>,
    finished: bool,
    flow: Arc<Flow>,
}

/// What the stall watch looks at while a body is sent.
#[derive(Default)]
pub(crate) struct Flow {
    moved: Notify,
    starved: AtomicBool,
}

impl Flow {
    /// Waits until the connection takes a frame, or has taken one that nobody has waited for yet.
    pub(super) async fn moved(&self) {
        self.moved.notified().await;
    }

    /// Whether the connection waits for the producer, so that the daemon is not to blame for silence.
    pub(super) fn starved(&self) -> bool {
        self.starved.load(Ordering::Relaxed)
    }

    pub(super) fn starves(&self) {
        self.starved.store(true, Ordering::Relaxed);
    }

    pub(super) fn took_a_frame(&self) {
        self.starved.store(false, Ordering::Relaxed);
        self.moved.notify_one();
    }
}

/// The body ended before its writer said that it was whole.
#[derive(Debug, thiserror::Error)]
#[error("the data to send ended early")]
pub struct UploadCut;

/// A connected pair.
pub fn upload() -> (UploadWriter, UploadBody) {
    let (sender, receiver) = mpsc::channel(FRAMES_WAITING_MAX);
    let writer = UploadWriter { pending: BytesMut::new(), pieces: sender };
    (writer, UploadBody { pieces: receiver, finished: false, flow: Arc::default() })
}

impl UploadWriter {
    /// Marks the body as whole. Without this call the put fails.
    pub fn finish(mut self) -> io::Result<()> {
        self.send_pending()?;
        self.pieces.blocking_send(Piece::Finished).map_err(|_| connection_gone())
    }

    /// Sends `bytes` from async code, once there is room. Fails with `BrokenPipe` once the connection is gone.
    pub async fn send(&mut self, mut bytes: Bytes) -> io::Result<()> {
        while !bytes.is_empty() {
            let frame = bytes.split_to(bytes.len().min(FRAME_BYTES));
            self.pieces.send(Piece::Data(frame)).await.map_err(|_| connection_gone())?;
        }
        Ok(())
    }

    /// Marks the body as whole, from async code. Without this call the put fails.
    pub async fn end(self) -> io::Result<()> {
        self.pieces.send(Piece::Finished).await.map_err(|_| connection_gone())
    }

    /// Sends `bytes` and marks the body as whole, without blocking. Ends early once nobody takes the body any more.
    pub(crate) async fn feed(mut self, bytes: &[u8]) {
        for frame in bytes.chunks(FRAME_BYTES) {
            if self.send(Bytes::copy_from_slice(frame)).await.is_err() {
                return;
            }
        }
        // If nobody takes it, the request says why.
        let _ = self.end().await;
    }

    fn send_pending(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let frame = self.pending.split().freeze();
        self.pieces.blocking_send(Piece::Data(frame)).map_err(|_| connection_gone())
    }
}

impl io::Write for UploadWriter {
    /// Fails with `BrokenPipe` once the connection is gone.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.pending.capacity() == 0 {
            self.pending.reserve(FRAME_BYTES);
        }
        let taken = bytes.len().min(FRAME_BYTES - self.pending.len());
        self.pending.extend_from_slice(&bytes[..taken]);
        if self.pending.len() == FRAME_BYTES {
            self.send_pending()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send_pending()
    }
}

fn connection_gone() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the connection to the daemon is gone")
}

impl UploadBody {
    pub(crate) fn flow(&self) -> Arc<Flow> {
        Arc::clone(&self.flow)
    }
}

impl Body for UploadBody {
    type Data = Bytes;
    type Error = UploadCut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadCut>>> {
        if self.finished {
            return Poll::Ready(None);
        }
        self.flow.starves();
        let piece = ready!(self.pieces.poll_recv(context));
        self.flow.took_a_frame();
        match piece {
            Some(Piece::Data(bytes)) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            Some(Piece::Finished) => {
                self.finished = true;
                Poll::Ready(None)
            }
            None => Poll::Ready(Some(Err(UploadCut))),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Write;

    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn carries_every_byte_in_order() {
        let data: Vec<u8> = (0..3 * FRAME_BYTES + 17).map(|position| position as u8).collect();
        let (mut writer, body) = upload();
        let expected = data.clone();
        let producer = std::thread::spawn(move || {
            writer.write_all(&data).unwrap();
            writer.finish().unwrap();
        });
        assert_eq!(body.collect().await.unwrap().to_bytes(), expected);
        producer.join().unwrap();
    }

    #[tokio::test]
    async fn a_dropped_writer_is_not_the_end_of_the_body() {
        let (mut writer, body) = upload();
        let producer = std::thread::spawn(move || writer.write_all(b"half").and_then(|()| writer.flush()));
        assert!(body.collect().await.is_err());
        producer.join().unwrap().unwrap();
    }

    #[tokio::test]
    async fn async_code_sends_and_ends_it() {
        let data: Bytes = (0..FRAME_BYTES + 17).map(|position| position as u8).collect::<Vec<u8>>().into();
        for whole in [true, false] {
            let (mut writer, body) = upload();
            let (sent, collected) = tokio::join!(
                async {
                    writer.send(data.clone()).await?;
                    if whole { writer.end().await } else { Ok(()) }
                },
                body.collect()
            );
            sent.unwrap();
            assert_eq!(collected.map(|body| body.to_bytes()).ok(), whole.then(|| data.clone()));
        }
    }

    #[tokio::test]
    async fn a_writer_learns_that_nobody_listens() {
        let (mut writer, body) = upload();
        drop(body);
        let producer = std::thread::spawn(move || writer.write_all(&vec![0; FRAME_BYTES]));
        let error = producer.join().unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
