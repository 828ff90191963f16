//! Everything about records that one node remembers.

use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet},
};

use crate::{
    CallId, Key, OperationId, Time, WriteId,
    peer::Peer,
    records::{Held, Operation, Partners, Shelf, Watchers},
};

/// Operations in progress at one node.
pub(super) const OPERATIONS_MAX: usize = 1024;
/// Writes that may wait for the disk.
pub(super) const WRITES_MAX: usize = 4096;

/// See the module's description.
#[derive(Debug, Clone, Default)]
pub(super) struct Records {
    pub(super) shelf: Shelf,
    pub(super) partners: Partners,
    /// When records are looked through for what is no longer to be kept here.
    pub(super) tidy_at: Option<Time>,
    /// Who watches what is kept here.
    pub(super) watchers: Watchers,
    /// What this node watches.
    pub(super) watches: BTreeMap<OperationId, Watch>,
    operations: BTreeMap<u32, (Time, Box<Operation>)>,
    wakes: BTreeSet<(Time, u32)>,
    next_operation: u32,
    /// Who waits for what to be on disk.
    writes: BTreeMap<WriteId, Waiting>,
    next_write: u64,
}

/// A record that this node watches.
#[derive(Debug, Clone)]
pub(super) struct Watch {
    pub(super) address: Key,
    /// The version that the caller knows.
    pub(super) told: Option<Held>,
    /// When to ask again.
    pub(super) due: Option<Time>,
}

impl Watch {
    pub(super) fn is_due(&self, now: Time) -> bool {
        self.due.is_some_and(|due| due <= now)
    }
}

/// Who is told when a record is on disk.
#[derive(Debug, Clone)]
pub(super) enum Waiting {
    /// Somebody who has asked for it.
    Peer(Peer, CallId),
    /// An operation of this node, in this round.
    Operation(u32, u8),
}

impl Records {
    pub(super) fn operations(&self) -> usize {
        self.operations.len()
    }

    pub(super) fn add(&mut self, operation: Operation) -> u32 {
        let serial = self.next_operation;
        self.next_operation = self.next_operation.wrapping_add(1);
        self.put_back(serial, Box::new(operation));
        serial
    }

    /// Takes an operation out to work on it; it is put back, or over.
    pub(super) fn take(&mut self, serial: u32) -> Option<Box<Operation>> {
        let (wake, operation) = self.operations.remove(&serial)?;
        self.wakes.remove(&(wake, serial));
        Some(operation)
    }

    pub(super) fn put_back(&mut self, serial: u32, operation: Box<Operation>) {
        let wake = operation.again_at.map_or(operation.deadline, |at| at.min(operation.deadline));
        self.wakes.insert((wake, serial));
        self.operations.insert(serial, (wake, operation));
    }

    pub(super) fn get_mut(&mut self, serial: u32) -> Option<&mut Operation> {
        self.operations.get_mut(&serial).map(|(_, operation)| &mut **operation)
    }

    /// The operation with the caller's number.
    pub(super) fn find(&self, id: OperationId) -> Option<u32> {
        self.operations.iter().find(|(_, (_, operation))| operation.id == id).map(|(serial, _)| *serial)
    }

    /// An operation whose time has come.
    pub(super) fn pop_woken(&mut self, now: Time) -> Option<(u32, Box<Operation>)> {
        let (_, serial) = self.wakes.first().copied().filter(|(wake, _)| *wake <= now)?;
        self.take(serial).map(|operation| (serial, operation))
    }

    /// All operations; there are none afterwards.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = Box<Operation>> + use<> {
        self.wakes.clear();
        core::mem::take(&mut self.operations).into_values().map(|(_, operation)| operation)
    }

    /// When something is to be done.
    pub(super) fn next_due(&self) -> Option<Time> {
        let wake = self.wakes.first().map(|(wake, _)| *wake);
        let watch = self.watches.values().filter_map(|watch| watch.due).min();
        [wake, watch, self.partners.next_due(), self.tidy_at].into_iter().flatten().min()
    }

    /// A number for a write that is not on disk yet; none if too many are waiting.
    pub(super) fn begin_write(&mut self, waiting: Waiting) -> Option<WriteId> {
        if self.writes.len() >= WRITES_MAX {
            return None;
        }
        let id = WriteId(self.next_write);
        self.next_write += 1;
        self.writes.insert(id, waiting);
        Some(id)
    }

    /// Who waited for it.
    pub(super) fn end_write(&mut self, id: WriteId) -> Option<Waiting> {
        self.writes.remove(&id)
    }
}
