//! TCP connections that make few system calls: what a connection has to say is written together, and what has come is
//! read together.
//!
//! yamux flushes after every frame, and its data frames carry 16 KiB. Passed on as they are, each becomes a message of
//! noise's and a packet of its own, and wakes the other end. But in every round yamux first writes all the frames it
//! has and then reads, so a flush can wait for that read: nothing is held back beyond the round. Noise reads 8 KiB at a
//! time; there, a buffer reads ahead.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::io::BufReader;
use futures::{AsyncRead, AsyncWrite};
use libp2p::core::UpgradeInfo;
use libp2p::core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade};

/// Bytes read from a socket at a time. Memory is touched only as far as it is filled.
const READ_AHEAD: usize = 128 << 10;

/// A security upgrade (noise) that reads ahead.
#[derive(Clone)]
pub(super) struct ReadAhead<U>(pub(super) U);

/// A multiplexer (yamux) whose flushes wait until it reads.
#[derive(Clone)]
pub(super) struct Together<U>(pub(super) U);

impl<U: UpgradeInfo> UpgradeInfo for ReadAhead<U> {
    type Info = U::Info;
    type InfoIter = U::InfoIter;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.protocol_info()
    }
}

impl<C, U> InboundConnectionUpgrade<C> for ReadAhead<U>
where
    C: AsyncRead,
    U: InboundConnectionUpgrade<BufReader<C>>,
{
    type Output = U::Output;
    type Error = U::Error;
    type Future = U::Future;

    fn upgrade_inbound(self, socket: C, info: Self::Info) -> Self::Future {
        self.0.upgrade_inbound(BufReader::with_capacity(READ_AHEAD, socket), info)
    }
}

impl<C, U> OutboundConnectionUpgrade<C> for ReadAhead<U>
where
    C: AsyncRead,
    U: OutboundConnectionUpgrade<BufReader<C>>,
{
    type Output = U::Output;
    type Error = U::Error;
    type Future = U::Future;

    fn upgrade_outbound(self, socket: C, info: Self::Info) -> Self::Future {
        self.0.upgrade_outbound(BufReader::with_capacity(READ_AHEAD, socket), info)
    }
}

impl<U: UpgradeInfo> UpgradeInfo for Together<U> {
    type Info = U::Info;
    type InfoIter = U::InfoIter;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.protocol_info()
    }
}

impl<C, U: InboundConnectionUpgrade<FlushOnRead<C>>> InboundConnectionUpgrade<C> for Together<U> {
    type Output = U::Output;
    type Error = U::Error;
    type Future = U::Future;

    fn upgrade_inbound(self, socket: C, info: Self::Info) -> Self::Future {
        self.0.upgrade_inbound(FlushOnRead::new(socket), info)
    }
}

impl<C, U: OutboundConnectionUpgrade<FlushOnRead<C>>> OutboundConnectionUpgrade<C> for Together<U> {
    type Output = U::Output;
    type Error = U::Error;
    type Future = U::Future;

    fn upgrade_outbound(self, socket: C, info: Self::Info) -> Self::Future {
        self.0.upgrade_outbound(FlushOnRead::new(socket), info)
    }
}

/// A socket for whoever reads after each flush: only the read flushes. What lies below has to bound what it keeps
/// unflushed, as noise does (192 KiB).
pub(super) struct FlushOnRead<C> {
    socket: C,
    unflushed: bool,
}

impl<C> FlushOnRead<C> {
    fn new(socket: C) -> Self {
        // The negotiation before may have left something.
        FlushOnRead { socket, unflushed: true }
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> AsyncRead for FlushOnRead<C> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if self.unflushed {
            // If it cannot be sent yet, the socket wakes this task when it can, and the task reads again.
            if let Poll::Ready(flushed) = Pin::new(&mut self.socket).poll_flush(cx) {
                flushed?;
                self.unflushed = false;
            }
        }
        Pin::new(&mut self.socket).poll_read(cx, buffer)
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for FlushOnRead<C> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.unflushed = true;
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_close(cx)
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use futures::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// What was written, and how much of it was flushed.
    #[derive(Default)]
    struct Socket {
        written: Vec<u8>,
        flushes: Vec<usize>,
        closed: bool,
    }

    impl AsyncRead for Socket {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(0))
        }
    }

    impl AsyncWrite for Socket {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.written.extend_from_slice(bytes);
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            let written = self.written.len();
            self.flushes.push(written);
            Poll::Ready(Ok(()))
        }

        fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.closed = true;
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn frames_of_a_round_are_flushed_together_by_the_read_that_ends_it() {
        block_on(async {
            let mut socket = FlushOnRead::new(Socket::default());
            for _ in 0..3 {
                socket.write_all(b"frame").await.expect("taken");
                socket.flush().await.expect("waits");
            }
            assert!(socket.socket.flushes.is_empty());
            assert_eq!(socket.read(&mut [0; 8]).await.expect("read"), 0);
            assert_eq!(socket.socket.flushes, [15]);
            assert_eq!(socket.read(&mut [0; 8]).await.expect("read"), 0);
            assert_eq!(socket.socket.flushes, [15], "nothing was written since");
            socket.close().await.expect("closed");
            assert!(socket.socket.closed);
        });
    }
}
