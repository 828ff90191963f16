//! What all requests share.

use chordage_api::types::Problem;
use tokio_util::sync::CancellationToken;

use super::metrics::Histogram;
use super::operations::Operations;
use super::slots::{Patience, Slot, Slots};
use crate::handle::NodeHandle;

/// Puts at a time. Each has a thread and a part of the memory budget.
const PUTS_MAX: usize = 8;
/// Reads at a time: manifests, contents, archives, listings.
const READS_MAX: usize = 32;
/// Reads beyond those, for answers that are there at once: however many bodies stand still, a stat is served.
const SMALL_READS_MAX: usize = 16;

/// Names and services that are watched and topics that are listened to at a time. Each has a connection of its own.
const WATCHES_MAX: usize = 64;
/// Names that are read or published at a time, with what is done with services and topics.
const NAMES_MAX: usize = 128;

/// The right to read an object.
pub(super) enum ReadSlot {
    /// Whatever the length of the answer.
    Body(Slot),
    /// All others are taken: only if the answer is short.
    Small(Slot),
}

pub(super) struct Shared {
    pub(super) handle: NodeHandle,
    pub(super) operations: Operations,
    puts: Slots,
    reads: Slots,
    small_reads: Slots,
    names: Slots,
    watches: Slots,
    stopping: CancellationToken,
}

impl Shared {
    pub(super) fn new(handle: NodeHandle) -> Self {
        Shared {
            handle,
            operations: Operations::default(),
            puts: Slots::new("puts", PUTS_MAX, Patience::USUAL),
            reads: Slots::new("reads", READS_MAX, Patience::USUAL),
            small_reads: Slots::new("small reads", SMALL_READS_MAX, Patience::USUAL),
            names: Slots::new("operations on names, services and topics", NAMES_MAX, Patience::USUAL),
            watches: Slots::new("watches and subscriptions", WATCHES_MAX, Patience::USUAL),
            stopping: CancellationToken::new(),
        }
    }

    /// How long requests took, by what they were for.
    pub(super) fn held(&self) -> Vec<(&'static str, Histogram)> {
        let kinds = [
            ("put", &self.puts),
            ("read", &self.reads),
            ("small_read", &self.small_reads),
            ("name", &self.names),
        ];
        kinds.into_iter().map(|(kind, slots)| (kind, slots.held().clone())).collect()
    }

    /// The right to run a put, until it is dropped.
    pub(super) fn put_slot(&self) -> Result<Slot, Problem> {
        self.puts.take()
    }

    /// The right to do something with a name, service or topic, until it is dropped.
    pub(super) fn name_slot(&self) -> Result<Slot, Problem> {
        self.names.take()
    }

    /// The right to watch a name or service or to listen to a topic, until it is dropped.
    pub(super) fn watch_slot(&self) -> Result<Slot, Problem> {
        self.watches.take()
    }

    /// The right to read an object, until it is dropped.
    pub(super) fn read_slot(&self) -> Result<ReadSlot, Problem> {
        if let Some(slot) = self.reads.free() {
            return Ok(ReadSlot::Body(slot));
        }
        self.small_reads
            .free()
            .map_or_else(|| self.reads.take().map(ReadSlot::Body), |slot| Ok(ReadSlot::Small(slot)))
    }

    /// The right to send a body of any length.
    pub(super) fn body_slot(&self) -> Result<Slot, Problem> {
        self.reads.take()
    }

    /// Ends every request under way.
    pub(super) fn cut_off(&self) {
        self.stopping.cancel();
    }

    /// Ready when the daemon begins to leave: what has no end of its own ends then, so that nobody waits for it.
    pub(super) fn leaving(&self) -> &CancellationToken {
        &self.handle.inner.leaving
    }

    /// Ready when requests are to end.
    pub(super) fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }
}
