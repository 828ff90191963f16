//! A connection that ends when the other side takes nothing any more.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// Since when the other side has taken nothing, as others may ask meanwhile.
#[derive(Clone, Debug, Default)]
pub(crate) struct Standing(Arc<Mutex<Option<Instant>>>);

impl Standing {
    /// Whether something has waited for so long to be taken.
    pub(crate) fn for_at_least(&self, time: Duration) -> bool {
        let since = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        since.is_some_and(|since| since.elapsed() >= time)
    }

    fn set(&self, since: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }
}

/// `S`, whose writes fail when nothing has been taken for so long.
pub(crate) struct Patient<S> {
    io: S,
    patience: Duration,
    /// Runs while something waits to be taken.
    ends: Option<Pin<Box<Sleep>>>,
    standing: Standing,
}

impl<S> Patient<S> {
    pub(crate) fn new(io: S, patience: Duration) -> Self {
        Patient { io, patience, ends: None, standing: Standing::default() }
    }

    pub(crate) fn standing(&self) -> Standing {
        self.standing.clone()
    }

    fn watch<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            if self.ends.take().is_some() {
                self.standing.set(None);
            }
            return written;
        }
        let (patience, standing) = (self.patience, &self.standing);
        let ends = self.ends.get_or_insert_with(|| {
            standing.set(Some(Instant::now()));
            Box::pin(sleep(patience))
        });
        ready!(ends.as_mut().poll(cx));
        // Whoever asks once more is told the same.
        ends.as_mut().reset(Instant::now());
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.watch(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, bytes);
        self.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.watch(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.io).poll_shutdown(cx);
        self.watch(cx, shut)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn somebody_who_takes_nothing_is_left() {
        let (near, _far) = duplex(16);
        let mut near = Patient::new(near, Duration::from_millis(20));
        let error = near.write_all(&[0; 17]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn whatever_is_taken_begins_the_wait_anew() {
        let (near, mut far) = duplex(16);
        let mut near = Patient::new(near, Duration::from_secs(3600));
        near.write_all(&[7; 16]).await.unwrap();
        assert!(near.write_all(&[7; 16]).now_or_never().is_none());
        assert!(near.ends.is_some() && near.standing().for_at_least(Duration::ZERO));
        assert!(!near.standing().for_at_least(Duration::from_secs(3600)));
        far.read_exact(&mut [0; 16]).await.unwrap();
        near.write_all(&[7; 16]).await.unwrap();
        assert!(near.ends.is_none() && !near.standing().for_at_least(Duration::ZERO));
    }
}
