//! Lines of the log that follow an operation of a client through all daemons: each names it, and
//! `chordage_node::operations=debug` in the filter of the log of every daemon shows them. What is secret (links, names
//! of files, bytes) is in none of them.

use std::fmt::{Debug, Display};
use std::time::{Duration, Instant};

use chordage_api::operation::OperationId;
use chordage_dht::NodeId;
use chordage_storage::ChunkId;
use tracing::debug;

/// What the filter of a log calls these lines.
const TARGET: &str = "chordage_node::operations";

/// Something that a client asked for here, until it is done or let go.
pub(crate) struct Followed {
    operation: OperationId,
    asked: &'static str,
    began: Instant,
}

/// A client asks for something here.
pub(crate) fn begins(operation: OperationId, asked: &'static str) -> Followed {
    debug!(target: TARGET, %operation, asked, "a client's operation begins");
    Followed { operation, asked, began: Instant::now() }
}

/// What a client asked for fails; `problem` is what kind of failure it is told.
pub(crate) fn failed(operation: OperationId, problem: impl Debug) {
    debug!(target: TARGET, %operation, ?problem, "a client's operation fails");
}

impl Drop for Followed {
    fn drop(&mut self) {
        let Followed { operation, asked, .. } = self;
        let milliseconds = milliseconds(self.began.elapsed());
        debug!(target: TARGET, %operation, asked, milliseconds, "a client's operation ends");
    }
}

/// Another daemon was asked for its sake.
pub(crate) fn asked(
    operation: OperationId,
    peer: NodeId,
    request: &'static str,
    chunk: Option<ChunkId>,
    answer: Result<&'static str, &dyn Display>,
    took: Duration,
) {
    let (chunk, milliseconds) = (chunk.map(tracing::field::display), milliseconds(took));
    match answer {
        Ok(answer) => {
            debug!(target: TARGET, %operation, %peer, request, chunk, answer, milliseconds, "a holder was asked");
        }
        Err(error) => {
            debug!(target: TARGET, %operation, %peer, request, chunk, %error, milliseconds, "a holder did not answer");
        }
    }
}

/// Another daemon asked this one for its sake.
pub(crate) fn answered(
    operation: OperationId,
    peer: NodeId,
    request: &'static str,
    chunk: Option<ChunkId>,
    answer: &'static str,
) {
    let chunk = chunk.map(tracing::field::display);
    debug!(target: TARGET, %operation, %peer, request, chunk, answer, "another daemon was answered");
}

fn milliseconds(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}
