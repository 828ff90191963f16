//! Records on their way to the disk. Until one is there it does not count: whoever wants to know whether it is stored
//! waits, whoever reads without preparing a change is told what was there before, and one that the disk does not take
//! is taken back.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

use crate::{CallId, Key, WriteId, peer::Peer, records::Held};

/// Records that may be on their way to the disk, and those who wait for one of them, at most. Design.
const WRITES_MAX: usize = 4096;
const WAITING_MAX: usize = 2 * WRITES_MAX;

/// Who is told when a record is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Waiting {
    /// Somebody who has asked for it.
    Peer(Peer, CallId),
    /// An operation of this node, in this round.
    Operation(u32, u8),
}

/// A record, and the subnet that brought it.
pub(super) type Brought = (Held, u32);

#[derive(Debug, Clone)]
struct UnderWay {
    held: Held,
    /// What was held before, if anything was.
    before: Option<Brought>,
    waiting: Vec<Waiting>,
}

/// See the module's description.
#[derive(Debug, Clone, Default)]
pub(super) struct Writes {
    next: u64,
    under_way: BTreeMap<WriteId, UnderWay>,
    /// The same by address: of one record several versions may be on their way.
    by_address: BTreeSet<(Key, WriteId)>,
    waiting: usize,
}

/// A write that is over.
#[derive(Debug)]
pub(super) struct Ended {
    /// What was to be written.
    pub(super) held: Held,
    /// What was held before.
    pub(super) before: Option<Brought>,
    /// Who waits for it.
    pub(super) waiting: Vec<Waiting>,
}

impl Writes {
    /// Whether one more record can be on its way.
    pub(super) fn has_room(&self) -> bool {
        self.under_way.len() < WRITES_MAX && self.waiting < WAITING_MAX
    }

    /// A record is given to the disk, in place of what was held before. Returns the number under which the disk
    /// answers.
    pub(super) fn begin(
        &mut self,
        held: &Held,
        before: Option<Brought>,
        waiting: Option<Waiting>,
    ) -> WriteId {
        let id = WriteId(self.next);
        self.next += 1;
        self.waiting += usize::from(waiting.is_some());
        self.by_address.insert((*held.record.address(), id));
        let waiting = waiting.into_iter().collect();
        self.under_way.insert(id, UnderWay { held: held.clone(), before, waiting });
        id
    }

    /// The writes of a record that are under way, in their order.
    fn of(&self, address: &Key) -> impl DoubleEndedIterator<Item = WriteId> {
        let all = (*address, WriteId(0))..=(*address, WriteId(u64::MAX));
        self.by_address.range(all).map(|(_, id)| *id)
    }

    /// Has somebody wait for the last version of a record that is on its way. Returns whether there is one. Whoever
    /// asks again waits once; beyond the bound nobody is remembered, and asks again.
    pub(super) fn wait(&mut self, address: &Key, waiting: &Waiting) -> bool {
        let Some(id) = self.of(address).next_back() else { return false };
        if let Some(write) = self.under_way.get_mut(&id)
            && !write.waiting.contains(waiting)
            && self.waiting < WAITING_MAX
        {
            write.waiting.push(waiting.clone());
            self.waiting += 1;
        }
        true
    }

    /// What is on disk of a record of which a newer version is on its way; none if there is no such version.
    pub(super) fn on_disk(&self, address: &Key) -> Option<Option<&Held>> {
        let first = self.under_way.get(&self.of(address).next()?)?;
        Some(first.before.as_ref().map(|(held, _)| held))
    }

    /// The disk has answered. A later version that was to replace one which the disk has not `kept` replaces what was
    /// there before that.
    pub(super) fn end(&mut self, id: WriteId, kept: bool) -> Option<Ended> {
        let UnderWay { held, before, waiting } = self.under_way.remove(&id)?;
        let address = *held.record.address();
        self.by_address.remove(&(address, id));
        self.waiting -= waiting.len();
        if !kept {
            let next = self.of(&address).find(|next| *next > id);
            if let Some(next) = next.and_then(|next| self.under_way.get_mut(&next)) {
                next.before.clone_from(&before);
            }
        }
        Some(Ended { held, before, waiting })
    }
}

#[cfg(test)]
mod tests;
