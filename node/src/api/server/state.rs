//! What all requests share.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::super::types::Problem;
use super::operations::Operations;
use crate::handle::NodeHandle;

/// Puts at a time. Each has a thread and a part of the memory budget.
const PUTS_MAX: usize = 8;
/// Reads at a time: manifests, contents, archives, listings.
const READS_MAX: usize = 32;

pub(super) struct Shared {
    pub(super) handle: NodeHandle,
    pub(super) operations: Operations,
    puts: Arc<Semaphore>,
    reads: Arc<Semaphore>,
    stopping: CancellationToken,
}

impl Shared {
    pub(super) fn new(handle: NodeHandle) -> Self {
        Shared {
            handle,
            operations: Operations::default(),
            puts: Arc::new(Semaphore::new(PUTS_MAX)),
            reads: Arc::new(Semaphore::new(READS_MAX)),
            stopping: CancellationToken::new(),
        }
    }

    /// The right to run a put, until it is dropped.
    pub(super) fn put_slot(&self) -> Result<OwnedSemaphorePermit, Problem> {
        Arc::clone(&self.puts).try_acquire_owned().map_err(|_| Problem::busy("puts", PUTS_MAX))
    }

    /// The right to read an object, until it is dropped.
    pub(super) fn read_slot(&self) -> Result<OwnedSemaphorePermit, Problem> {
        Arc::clone(&self.reads).try_acquire_owned().map_err(|_| Problem::busy("reads", READS_MAX))
    }

    /// Ends every request under way.
    pub(super) fn cut_off(&self) {
        self.stopping.cancel();
    }

    /// Ready when requests are to end.
    pub(super) fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }
}
