//! The gate of a network, between the handshake of the transport and everything else.
//!
//! Whoever dials shows its papers in one frame; only if these are in order does the other side show its own, and only
//! then does the swarm hear of the connection. So somebody without papers learns that the daemon it dialled exists, and
//! nothing more: no address, no member, no name of a protocol. Nothing else is read before, and what is read is bounded
//! in bytes and in time, whatever the other side does. In open networks that ask for work on ids, keys are looked at,
//! and those that have it pass without a word; networks that are nothing but a name have no gate.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::poll_fn;
use futures::{AsyncRead, AsyncReadExt, AsyncWriteExt, Future};
use libp2p::PeerId;
use libp2p::core::Endpoint;
use libp2p::core::muxing::{StreamMuxerBox, StreamMuxerExt, SubstreamBox};
use tokio::time::timeout;

/// The longest frame: a certificate with that of its issuer is a few hundred bytes.
pub(crate) const FRAME_MAX: usize = 16 << 10;
/// How long both sides together may take.
const TIME: Duration = Duration::from_secs(8);
/// How long an answer that lets nobody in may take to arrive, before the connection is closed.
const LINGER: Duration = Duration::from_secs(1);
/// With this begins who negotiates a protocol at once, because it knows of no gate.
const NEGOTIATION: &[u8; 4] = b"\x13/mu";
/// The answer to it: there is no such protocol here. It makes the other side say that this is another network.
const NO_SUCH_PROTOCOL: &[u8] = b"\x13/multistream/1.0.0\n\x03na\n";

/// Whoever shows and judges papers.
pub(crate) trait Doorkeeper: Send + Sync {
    /// What becomes of a connection, if the key of the peer alone decides that; no papers are shown then.
    /// `was_dialled`: the peer, from here.
    fn at_sight(&self, _peer: &PeerId, _was_dialled: bool) -> Option<Result<(), Refusal>> {
        None
    }

    /// What is shown to a peer that was dialled.
    fn papers(&self, to: &PeerId) -> Vec<u8>;

    /// What becomes of a peer that dialled and showed these papers.
    fn judge(&self, from: &PeerId, papers: &[u8]) -> Verdict;

    /// Whether a peer that was dialled and answered this is let in.
    fn judge_answer(&self, from: &PeerId, answer: &[u8]) -> Result<(), Refusal>;
}

/// What becomes of somebody who knocked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// What is answered, at most [`FRAME_MAX`] bytes.
    pub(crate) answer: Vec<u8>,
    /// Whether the connection stays.
    pub(crate) enters: bool,
}

/// Why there is no connection, as it is shown to whoever wanted one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Refusal(pub(crate) String);

/// See the module's description. Without a doorkeeper everybody passes, at once.
#[derive(Clone, Default)]
pub(crate) struct Gate(Option<Arc<dyn Doorkeeper>>);

impl Gate {
    /// A gate with somebody at it.
    pub(crate) fn kept_by(keeper: Arc<dyn Doorkeeper>) -> Gate {
        Gate(Some(keeper))
    }

    /// Lets a new connection pass, or ends it with an error.
    pub(super) async fn pass(
        self,
        (peer, mut muxer): (PeerId, StreamMuxerBox),
        endpoint: Endpoint,
    ) -> io::Result<(PeerId, StreamMuxerBox)> {
        let Some(keeper) = self.0 else { return Ok((peer, muxer)) };
        if let Some(seen) = keeper.at_sight(&peer, endpoint.is_dialer()) {
            return seen.map(|()| (peer, muxer)).map_err(io::Error::other);
        }
        let judged = async {
            match endpoint {
                Endpoint::Dialer => knock(&*keeper, &peer, &mut muxer).await,
                Endpoint::Listener => answer(&*keeper, &peer, &mut muxer).await,
            }
        };
        timeout(TIME, judged).await.map_err(|_| refused("the daemon did not show its papers in time"))??;
        Ok((peer, muxer))
    }
}

fn refused(why: &str) -> io::Error {
    io::Error::other(Refusal(why.to_owned()))
}

async fn knock(keeper: &dyn Doorkeeper, peer: &PeerId, muxer: &mut StreamMuxerBox) -> io::Result<()> {
    let mut stream = opened(muxer, Endpoint::Dialer).await?;
    let talk = async {
        write_frame(&mut stream, &keeper.papers(peer)).await?;
        read_frame(&mut stream).await
    };
    match while_driving(muxer, talk).await? {
        Frame::Papers(answer) => keeper.judge_answer(peer, &answer).map_err(io::Error::other),
        Frame::Negotiation => Err(refused("a daemon answered that does not know what it was asked for")),
    }
}

async fn answer(keeper: &dyn Doorkeeper, peer: &PeerId, muxer: &mut StreamMuxerBox) -> io::Result<()> {
    let mut stream = opened(muxer, Endpoint::Listener).await?;
    let verdict = match while_driving(muxer, read_frame(&mut stream)).await? {
        Frame::Papers(papers) => Some(keeper.judge(peer, &papers)),
        Frame::Negotiation => None,
    };
    let enters = verdict.as_ref().is_some_and(|verdict| verdict.enters);
    let talk = async {
        match verdict {
            Some(verdict) => write_frame(&mut stream, &verdict.answer).await,
            None => {
                stream.write_all(NO_SUCH_PROTOCOL).await?;
                stream.close().await
            }
        }
    };
    while_driving(muxer, talk).await?;
    if enters {
        return Ok(());
    }
    // Whoever is told that it may not enter closes the connection.
    let closed = while_driving(muxer, std::future::pending::<io::Result<()>>());
    let _ = timeout(LINGER, closed).await;
    Err(refused("somebody without papers was not let in"))
}

/// The stream on which papers are shown, the first of the connection.
async fn opened(muxer: &mut StreamMuxerBox, endpoint: Endpoint) -> io::Result<SubstreamBox> {
    poll_fn(|cx| {
        let stream = match endpoint {
            Endpoint::Dialer => muxer.poll_outbound_unpin(cx),
            Endpoint::Listener => muxer.poll_inbound_unpin(cx),
        };
        if stream.is_ready() {
            return stream;
        }
        drive(muxer, cx)
    })
    .await
}

/// Lets a connection move. Returns once it has ended.
fn drive<T>(muxer: &mut StreamMuxerBox, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
    match muxer.poll_unpin(cx) {
        Poll::Ready(Ok(_)) => {
            // An address of the other side has changed, and there may be more to do.
            cx.waker().wake_by_ref();
            Poll::Pending
        }
        Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        Poll::Pending => Poll::Pending,
    }
}

/// Nothing moves on a connection that is not polled, and an end of it is an end of what is done on it.
async fn while_driving<T>(
    muxer: &mut StreamMuxerBox,
    work: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    let mut work = std::pin::pin!(work);
    poll_fn(|cx| {
        if let Poll::Ready(done) = work.as_mut().poll(cx) {
            return Poll::Ready(done);
        }
        match drive(muxer, cx) {
            // What it read may be what the work waits for.
            Poll::Pending => work.as_mut().poll(cx),
            ended => ended,
        }
    })
    .await
}

enum Frame {
    Papers(Vec<u8>),
    /// The other side began to negotiate a protocol.
    Negotiation,
}

/// One frame: the length in four bytes, the first one the highest, and the content.
async fn read_frame(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Frame> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).await?;
    if &length == NEGOTIATION {
        return Ok(Frame::Negotiation);
    }
    let length = u32::from_be_bytes(length) as usize;
    if length > FRAME_MAX {
        return Err(refused("the other side shows papers that are too long"));
    }
    let mut papers = vec![0; length];
    stream.read_exact(&mut papers).await?;
    Ok(Frame::Papers(papers))
}

/// Writes one frame, the only one of this side.
async fn write_frame(stream: &mut SubstreamBox, content: &[u8]) -> io::Result<()> {
    debug_assert!(content.len() <= FRAME_MAX, "papers of {} bytes", content.len());
    let mut frame = Vec::with_capacity(4 + content.len());
    frame.extend_from_slice(&(content.len() as u32).to_be_bytes());
    frame.extend_from_slice(content);
    stream.write_all(&frame).await?;
    stream.close().await
}

#[cfg(test)]
mod tests;
