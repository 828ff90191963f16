//! Handing chunks to a sink, and knowing their references later.

use crate::chunk::{ChunkRef, Pack};
use crate::piece::PieceInfo;
use crate::secret::ConvergenceSecret;
use crate::sink::ChunkSink;

/// A chunk that was submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(usize);

/// Why chunks could not be submitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SubmitError<E> {
    /// The sink failed.
    Sink(E),
    /// The sink returned fewer or more references than it was given chunks.
    WrongReferences { submitted: usize, returned: usize },
}

/// Submits chunks to a sink and keeps their references: 80 bytes for each.
#[derive(Debug)]
pub struct ChunkWriter<S> {
    sink: S,
    secret: Option<ConvergenceSecret>,
    /// By ticket; `None` until a barrier.
    references: Vec<Option<ChunkRef>>,
    /// Tickets whose references the next barrier returns, in that order.
    unsettled: Vec<Ticket>,
}

impl<S: ChunkSink> ChunkWriter<S> {
    /// Hands chunks to `sink`.
    pub fn new(sink: S) -> Self {
        Self { sink, secret: None, references: Vec::new(), unsettled: Vec::new() }
    }

    /// The same, and nodes of volumes that the sink has stored before are not submitted again. It knows them by hashes
    /// under `secret`.
    pub fn remembering(sink: S, secret: &ConvergenceSecret) -> Self {
        Self { secret: Some(secret.clone()), ..Self::new(sink) }
    }

    /// The sink, to ask it what it knows.
    pub fn sink_mut(&mut self) -> &mut S {
        &mut self.sink
    }

    /// The sink, to wait for and ask about storage.
    pub fn into_sink(self) -> S {
        self.sink
    }

    pub(crate) fn submit(&mut self, pack: Pack) -> Result<Ticket, SubmitError<S::Error>> {
        self.sink.submit(pack).map_err(SubmitError::Sink)?;
        let ticket = self.add(None);
        self.unsettled.push(ticket);
        Ok(ticket)
    }

    /// Submits a chunk that may have been stored before, as a whole and alone.
    pub(crate) fn submit_node(&mut self, node: Vec<u8>) -> Result<Ticket, SubmitError<S::Error>> {
        let Some(secret) = &self.secret else { return self.submit(node.into()) };
        // No node is longer than a chunk may be.
        let piece = PieceInfo { hash: secret.piece_hash(&node), len: node.len() as u32 };
        match self.sink.find_node(&piece).map_err(SubmitError::Sink)? {
            Some(known) => Ok(self.add(Some(known))),
            None => self.submit(Pack::of_one_piece(node, piece)),
        }
    }

    fn add(&mut self, reference: Option<ChunkRef>) -> Ticket {
        self.references.push(reference);
        Ticket(self.references.len() - 1)
    }

    /// Waits until the references of all chunks are known.
    pub(crate) fn settle(&mut self) -> Result<(), SubmitError<S::Error>> {
        let returned = self.sink.barrier().map_err(SubmitError::Sink)?;
        let open = std::mem::take(&mut self.unsettled);
        if returned.len() != open.len() {
            return Err(SubmitError::WrongReferences { submitted: open.len(), returned: returned.len() });
        }
        for (ticket, reference) in open.into_iter().zip(returned) {
            if let Some(slot) = self.references.get_mut(ticket.0) {
                *slot = Some(reference);
            }
        }
        Ok(())
    }

    /// The references of all chunks that are known by now, in the order of submission.
    pub fn references(&self) -> impl Iterator<Item = ChunkRef> + '_ {
        self.references.iter().flatten().copied()
    }

    /// The reference of a chunk, if it is known by now.
    pub(crate) fn reference(&self, ticket: Ticket) -> Option<ChunkRef> {
        self.references.get(ticket.0).copied().flatten()
    }
}
