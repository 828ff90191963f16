//! A download that a thread reads.

use std::io::{self, Read};

use bytes::Bytes;
use chordage_api::client::Download;
use tokio::sync::mpsc;

use crate::error::CliError;
use crate::exit::ExitStatus;

/// Pieces that wait for the disk.
const PIECES_WAITING_MAX: usize = 8;

enum Piece {
    Data(Bytes),
    End,
}

/// The download as a thread reads it. When it breaks off, reading fails.
pub(crate) struct Pieces {
    receiver: mpsc::Receiver<Piece>,
    current: Bytes,
    ended: bool,
}

/// Moves a download to a consumer that runs on a thread, and waits for both, so that nobody writes any more when the
/// caller goes on. `until` ends it early, with its error. Returns how the download ended, and what the consumer says;
/// when the download failed, the consumer only knows that its input broke off.
pub(crate) async fn consume<T, E, F>(
    mut download: Download,
    moved: impl Fn(u64),
    until: impl Future<Output = CliError>,
    consume: F,
) -> (Result<(), CliError>, Result<Result<T, E>, CliError>)
where
    T: Send + 'static,
    E: Send + 'static,
    F: FnOnce(Pieces) -> Result<T, E> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(PIECES_WAITING_MAX);
    let pieces = Pieces { receiver, current: Bytes::new(), ended: false };
    let consumer = tokio::task::spawn_blocking(move || consume(pieces));
    let feeding = async {
        while let Some(bytes) = download.chunk().await? {
            moved(bytes.len() as u64);
            if sender.send(Piece::Data(bytes)).await.is_err() {
                // The consumer has failed, and says why.
                return Ok(());
            }
        }
        let _ = sender.send(Piece::End).await;
        Ok::<(), CliError>(())
    };
    let fed = tokio::select! {
        fed = feeding => fed,
        error = until => Err(error),
    };
    drop(sender);
    let consumed = consumer.await.map_err(|error| CliError::new(ExitStatus::Internal, "internal", error));
    (fed, consumed)
}

impl Pieces {
    /// The next one; `None` once all have come.
    pub(crate) fn next(&mut self) -> io::Result<Option<Bytes>> {
        if self.ended {
            return Ok(None);
        }
        match self.receiver.blocking_recv() {
            Some(Piece::Data(bytes)) => Ok(Some(bytes)),
            Some(Piece::End) => {
                self.ended = true;
                Ok(None)
            }
            None => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the download broke off")),
        }
    }
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.next()? {
                Some(bytes) => self.current = bytes,
                None => return Ok(0),
            }
        }
        let length = self.current.len().min(buffer.len());
        buffer[..length].copy_from_slice(&self.current.split_to(length));
        Ok(length)
    }
}
