//! The records that one node keeps, and what it has promised about them.

use alloc::collections::{BTreeMap, BTreeSet};
use core::time::Duration;

use super::{Ballot, Held, Refusal, Write, digest, subnets::Subnets};
use crate::{Key, Time};

/// Bytes of records that a node keeps at most, about.
pub(super) const BYTES_MAX: usize = 64 << 20;
/// What a record takes beside its encoding. Design.
const OVERHEAD_BYTES: usize = 256;
/// Records of one owner that a node keeps at most. Design: an eighth of all.
const PER_OWNER: usize = 16_384;
/// Records that a node keeps at most.
pub(super) const RECORDS_MAX: usize = 8 * PER_OWNER;
/// How much higher than what is held a number may be.
const SEQ_JUMP_MAX: u64 = 1 << 20;
/// How high the first number may be: an owner that is the last to remember its record may go on counting.
const SEQ_FIRST_MAX: u64 = 1 << 40;
/// How long a promise holds: longer than any operation takes.
pub(crate) const PROMISE: Duration = Duration::from_secs(60);
/// Promises that are remembered at most.
const PROMISES_MAX: usize = 4096;
/// How long a record that has ended is kept, seconds, so that an older version which ends later is not taken for the
/// newest.
const EXPIRED_KEPT: u64 = 7 * 24 * 3600;

/// See the module's description.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shelf {
    held: BTreeMap<Key, Kept>,
    bytes: usize,
    owners: BTreeMap<[u8; 32], u32>,
    subnets: Subnets,
    promises: BTreeMap<Key, (Ballot, Time)>,
    promises_end: BTreeSet<(Time, Key)>,
}

#[derive(Debug, Clone)]
struct Kept {
    held: Held,
    tag: u32,
    /// The subnet that brought it; 0 if there is no limit for it.
    subnet: u32,
}

/// What became of a record that was to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It is new, and to be written to disk.
    New,
    /// It is what is held.
    Same,
    /// Something newer is held.
    Older(Held),
}

impl Shelf {
    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn get(&self, address: &Key) -> Option<&Held> {
        self.held.get(address).map(|kept| &kept.held)
    }

    /// A record with the subnet that brought it.
    pub(crate) fn brought(&self, address: &Key) -> Option<(Held, u32)> {
        self.held.get(address).map(|kept| (kept.held.clone(), kept.subnet))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Key, &Held)> {
        self.held.iter().map(|(address, kept)| (address, &kept.held))
    }

    /// The same with the tags of what is held.
    pub(crate) fn iter_tagged(&self) -> impl Iterator<Item = (&Key, &Held, u32)> {
        self.held.iter().map(|(address, kept)| (address, &kept.held, kept.tag))
    }

    /// The record whose address begins with these eight bytes; of several, the one with the lowest address.
    pub(crate) fn with_prefix(&self, prefix: u64) -> Option<&Held> {
        let first = Key::from_limbs([prefix, 0, 0, 0]);
        let (address, kept) = self.held.range(first..).next()?;
        (digest::prefix(address) == prefix).then_some(&kept.held)
    }

    /// The highest ballot that is promised for an address.
    pub(crate) fn promised(&self, address: &Key, now: Time) -> Ballot {
        let promise = self.promises.get(address).filter(|(_, until)| *until > now);
        promise.map_or(Ballot::default(), |(ballot, _)| *ballot)
    }

    /// Promises to take nothing of a lower ballot, unless a higher one has been promised or accepted. Returns the
    /// highest promised.
    pub(crate) fn promise(&mut self, address: &Key, ballot: Ballot, now: Time) -> Ballot {
        while let Some((until, ended)) = self.promises_end.first().copied()
            && (until <= now || self.promises.len() >= PROMISES_MAX && !self.promises.contains_key(address))
        {
            // Of too many the oldest is forgotten: then its attempt has to prepare again.
            self.promises_end.remove(&(until, ended));
            self.promises.remove(&ended);
        }
        let accepted = self.get(address).map_or(Ballot::default(), |held| held.ballot);
        let highest = self.promised(address, now).max(accepted);
        if ballot <= highest {
            return highest;
        }
        let until = now + PROMISE;
        if let Some((_, before)) = self.promises.insert(*address, (ballot, until)) {
            self.promises_end.remove(&(before, *address));
        }
        self.promises_end.insert((until, *address));
        ballot
    }

    /// Takes a record in, if it may be. `subnet`: that of the node that brings it; 0 if there is no limit for it.
    pub(crate) fn take(
        &mut self,
        new: &Held,
        write: Write,
        subnet: u32,
        now: Time,
        unix_seconds: u64,
    ) -> Result<Taken, Refusal> {
        let address = new.record.address();
        let held = self.get(address);
        if let Some(held) = held {
            if held.record.hash() == new.record.hash() && held.ballot >= new.ballot {
                return Ok(Taken::Same);
            }
            if !new.replaces(Some(held)) {
                return Ok(Taken::Older(held.clone()));
            }
        }
        if let Write::Accept(ballot) = write {
            // Only who has promised knows that no later attempt has been promised: a node that has forgotten says so.
            if self.promised(address, now) != ballot {
                return Err(Refusal::NotPromised);
            }
            if new.record.is_expired(unix_seconds) {
                return Err(Refusal::Expired);
            }
            let most = held.map_or(SEQ_FIRST_MAX, |held| held.record.seq() + SEQ_JUMP_MAX);
            if new.record.seq() > most {
                return Err(Refusal::Jump);
            }
        } else if self.promised(address, now) > new.ballot {
            // Nor may others bring what is older than a promise: a reader would believe what the attempt, which has not
            // seen it here, is about to replace.
            return Err(Refusal::NotPromised);
        }
        self.find_room(new, subnet)?;
        self.put(new.clone(), subnet);
        Ok(Taken::New)
    }

    /// Takes in what was on disk, with the subnet that brought it. What does not fit is left out.
    pub(crate) fn load(&mut self, held: Held, subnet: u32) {
        let newer = held.replaces(self.get(held.record.address()));
        if newer && self.find_room(&held, subnet).is_ok() {
            self.put(held, subnet);
        }
    }

    /// Holds again what was held before a version that has come to nothing. It is on disk and others may count on it,
    /// so that it is not left out for want of room, even where another record has taken its room meanwhile.
    pub(crate) fn put_back(&mut self, held: Held, subnet: u32) {
        self.put(held, subnet);
    }

    fn find_room(&self, new: &Held, subnet: u32) -> Result<(), Refusal> {
        let kept = self.held.get(new.record.address());
        let before = kept.map(|kept| &kept.held);
        let bytes = self.bytes - before.map_or(0, size) + size(new);
        if bytes > BYTES_MAX || (before.is_none() && self.held.len() >= RECORDS_MAX) {
            return Err(Refusal::Full);
        }
        let of_owner = self.owners.get(new.record.statement().name.owner());
        if before.is_none() && of_owner.is_some_and(|count| *count as usize >= PER_OWNER) {
            return Err(Refusal::OwnerFull);
        }
        let instead = kept.filter(|kept| kept.subnet == subnet).map(|kept| size(&kept.held));
        self.subnets.has_room(subnet, size(new), instead)
    }

    fn put(&mut self, new: Held, subnet: u32) {
        self.remove(&new.record.address().clone());
        self.bytes += size(&new);
        self.subnets.add(subnet, size(&new));
        *self.owners.entry(*new.record.statement().name.owner()).or_default() += 1;
        let tag = digest::tag_of(&new);
        self.held.insert(*new.record.address(), Kept { held: new, tag, subnet });
    }

    /// Forgets a record. Returns whether there was one.
    pub(crate) fn remove(&mut self, address: &Key) -> bool {
        let Some(Kept { held, subnet, .. }) = self.held.remove(address) else { return false };
        self.bytes -= size(&held);
        self.subnets.remove(subnet, size(&held));
        let owner = held.record.statement().name.owner();
        if let Some(count) = self.owners.get_mut(owner) {
            *count -= 1;
            if *count == 0 {
                self.owners.remove(owner);
            }
        }
        true
    }

    /// The records that ended so long ago that nobody can take an older version for the newest any more.
    pub(crate) fn long_expired(&self, unix_seconds: u64) -> alloc::vec::Vec<Key> {
        let since = unix_seconds.saturating_sub(EXPIRED_KEPT);
        self.iter().filter(|(_, held)| held.record.is_expired(since)).map(|(address, _)| *address).collect()
    }
}

fn size(held: &Held) -> usize {
    held.record.encoded_len() + OVERHEAD_BYTES
}

#[cfg(test)]
mod tests;
