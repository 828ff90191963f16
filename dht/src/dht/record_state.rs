//! Everything about records that one node remembers.

use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet},
};

use super::record_writes::{Brought, Writes};
use crate::{
    Key, OperationId, Time,
    records::{Held, Operation, Partners, Shelf, Watchers},
};

/// Operations in progress at one node.
pub(super) const OPERATIONS_MAX: usize = 1024;
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
    /// Records on their way to the disk.
    pub(super) writes: Writes,
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

    /// Takes a version back that is not on disk, unless another has taken its place: what was held `before` is held
    /// again.
    pub(super) fn take_back(&mut self, held: &Held, before: Option<Brought>) {
        let address = held.record.address();
        if self.shelf.get(address) == Some(held) {
            match before {
                Some((held, subnet)) => self.shelf.put_back(held, subnet),
                None => _ = self.shelf.remove(address),
            }
        }
    }
}
