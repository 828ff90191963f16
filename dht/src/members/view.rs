//! The list of all members: their signed records sorted by id, and a digest of every arc of the ring, so that two
//! lists are compared without being sent.
//!
//! Of two things said about one member the one with the higher `seq` counts, and of two with the same `seq` the one
//! that says that it is gone. It does not matter how often news arrive, and hardly in which order: that somebody is
//! gone is ignored while that version of its record is not listed, and a comparison makes up for it. Who is gone is
//! remembered for an hour, because somebody who missed it may still name the old record.

use alloc::{boxed::Box, collections::BTreeMap, sync::Arc, vec::Vec};
use core::time::Duration;

use super::{Announcement, Digest, IdPrefix, News};
use crate::{NodeId, Time, nearest::Placed, peer::Peer, plumtree::FRESH};

/// Arcs of the ring that have a digest, and the bits of an id that say which it is in.
pub(crate) const ARCS: usize = 1 << ARC_BITS;
const ARC_BITS: u32 = 10;
/// How long a member that is gone is remembered. Design: far longer than any list goes without being compared.
const REMEMBERED: Duration = Duration::from_secs(3600);
/// Most members that are gone and remembered. Design.
const GONE_MAX: usize = 16_384;
/// A member's record is replaced by gossip no more often than this: whoever floods the network with versions of its own
/// record is heard once in a while. A comparison brings the last version all the same. Design.
const RECORD_EVERY: Duration = Duration::from_secs(10);

/// One member.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) announcement: Arc<Announcement>,
    /// When this version of its record came, seconds.
    pub(crate) since: u32,
    /// Questions of ours that it left unanswered, in a row.
    pub(crate) missed: u8,
}

impl Entry {
    pub(crate) fn peer(&self) -> &Peer {
        self.announcement.record()
    }
}

impl Placed for Entry {
    fn peer(&self) -> &Peer {
        self.announcement.record()
    }
}

/// What became of a piece of news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It changed the list.
    New,
    /// The list has said so for a short while: others may not have heard it yet.
    Known,
    /// Long known, out of date, or about nobody: no news.
    Old,
    /// There is no room for it, or it came too soon after the last one about the same member.
    Refused,
}

#[derive(Debug, Clone)]
pub(crate) struct View {
    /// Sorted by id.
    entries: Vec<Entry>,
    /// For every arc the exclusive or of the hashes of its members and their versions.
    arcs: Box<[u64; ARCS]>,
    gone: BTreeMap<IdPrefix, Grave>,
    capacity: usize,
}

#[derive(Debug, Clone)]
struct Grave {
    /// The record that is gone. If its owner comes back with an older one, this shows it how far it had counted.
    last: Arc<Announcement>,
    since: u32,
}

impl Grave {
    fn seq(&self) -> u64 {
        self.last.record().seq()
    }
}

fn arc_of(prefix: &IdPrefix) -> usize {
    (u64::from_be_bytes(prefix.0) >> (64 - ARC_BITS)) as usize
}

/// What is known since then is either worth passing on or not.
fn known(since: u32, now: u32) -> Taken {
    if u64::from(now.saturating_sub(since)) < FRESH.as_secs() { Taken::Known } else { Taken::Old }
}

fn hash(peer: &NodeId, seq: u64) -> u64 {
    let mut hashed = [0; 40];
    hashed[..32].copy_from_slice(peer.as_bytes());
    hashed[32..].copy_from_slice(&seq.to_be_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&blake3::hash(&hashed).as_bytes()[..8]);
    u64::from_be_bytes(first)
}

impl View {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { entries: Vec::new(), arcs: Box::new([0; ARCS]), gone: BTreeMap::new(), capacity }
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Where the member is, or where it would be.
    fn search(&self, prefix: &IdPrefix) -> Result<usize, usize> {
        self.entries.binary_search_by(|entry| IdPrefix::from(entry.peer().id_ref()).cmp(prefix))
    }

    pub(crate) fn get(&self, prefix: &IdPrefix) -> Option<&Entry> {
        self.search(prefix).ok().map(|index| &self.entries[index])
    }

    /// The version of a member's record that is gone, if it is remembered.
    pub(crate) fn gone(&self, prefix: &IdPrefix) -> Option<u64> {
        self.gone.get(prefix).map(Grave::seq)
    }

    /// The latest record of a member that is known: of one that is listed, or is remembered as gone.
    pub(crate) fn latest(&self, prefix: &IdPrefix) -> Option<&Arc<Announcement>> {
        let listed = self.get(prefix).map(|entry| &entry.announcement);
        listed.or_else(|| self.gone.get(prefix).map(|grave| &grave.last))
    }

    /// Takes in a piece of news. `hurried`: it came by gossip, so that its author's pace matters.
    pub(crate) fn take(&mut self, news: &News, now: Time, hurried: bool) -> Taken {
        match news {
            News::Member(announcement) => self.take_member(announcement, now.seconds(), hurried),
            News::Gone { peer, seq } => self.take_gone(peer, *seq, now.seconds()),
        }
    }

    fn take_member(&mut self, announcement: &Arc<Announcement>, now: u32, hurried: bool) -> Taken {
        let record = announcement.record();
        let prefix = IdPrefix::from(record.id_ref());
        if !record.is_reachable() || self.gone.get(&prefix).is_some_and(|grave| grave.seq() >= record.seq()) {
            return Taken::Old;
        }
        let entry = Entry { announcement: announcement.clone(), since: now, missed: 0 };
        match self.search(&prefix) {
            Ok(index) => {
                let old = &self.entries[index];
                // Two ids that agree in eight bytes do not happen; who has made some is not listed.
                if old.peer().id_ref() != record.id_ref() || old.peer().seq() > record.seq() {
                    return Taken::Old;
                }
                if old.peer().seq() == record.seq() {
                    return known(old.since, now);
                }
                if hurried && u64::from(now.saturating_sub(old.since)) < RECORD_EVERY.as_secs() {
                    return Taken::Refused;
                }
                let before = hash(record.id_ref(), old.peer().seq());
                self.arcs[arc_of(&prefix)] ^= before ^ hash(record.id_ref(), record.seq());
                self.entries[index] = entry;
            }
            Err(_) if self.entries.len() >= self.capacity => return Taken::Refused,
            Err(index) => {
                self.arcs[arc_of(&prefix)] ^= hash(record.id_ref(), record.seq());
                self.entries.insert(index, entry);
            }
        }
        self.gone.remove(&prefix);
        Taken::New
    }

    fn take_gone(&mut self, prefix: &IdPrefix, seq: u64, now: u32) -> Taken {
        match self.gone.get(prefix) {
            Some(grave) if grave.seq() == seq => return known(grave.since, now),
            Some(_) => return Taken::Old,
            None => {}
        }
        // Only the very version that is listed can be gone: nobody can bury what is still to come, nor make the
        // network gossip about members that never were.
        let Ok(index) = self.search(prefix) else { return Taken::Old };
        if self.entries[index].peer().seq() != seq {
            return Taken::Old;
        }
        let last = self.remove(index).announcement;
        self.bury(prefix, last, now);
        Taken::New
    }

    fn bury(&mut self, prefix: &IdPrefix, last: Arc<Announcement>, now: u32) {
        if self.gone.len() >= GONE_MAX {
            self.forget_gone(now);
        }
        if self.gone.len() < GONE_MAX {
            self.gone.insert(*prefix, Grave { last, since: now });
        }
    }

    /// A newer version of a member's record says that it does not belong here any more.
    pub(crate) fn replaced(&mut self, prefix: &IdPrefix, seq: u64, now: Time) {
        if let Ok(index) = self.search(prefix)
            && self.entries[index].peer().seq() < seq
        {
            let old = self.remove(index);
            // Others who have not heard it may still name the old version.
            self.bury(prefix, old.announcement, now.seconds());
        }
    }

    /// Takes out all that do not belong here any more, whoever names them.
    pub(crate) fn keep(&mut self, belongs: impl Fn(&Entry) -> bool) {
        for index in (0..self.entries.len()).rev() {
            if !belongs(&self.entries[index]) {
                self.remove(index);
            }
        }
    }

    /// Takes one out that does not belong here any more, whoever names it.
    pub(crate) fn take_out(&mut self, prefix: &IdPrefix) {
        if let Ok(index) = self.search(prefix) {
            self.remove(index);
        }
    }

    fn remove(&mut self, index: usize) -> Entry {
        let entry = self.entries.remove(index);
        let id = entry.peer().id_ref();
        self.arcs[arc_of(&id.into())] ^= hash(id, entry.peer().seq());
        entry
    }

    /// Forgets those that have been gone for an hour.
    pub(crate) fn forget_gone(&mut self, now: u32) {
        self.gone.retain(|_, grave| u64::from(now.saturating_sub(grave.since)) < REMEMBERED.as_secs());
    }

    /// A member has spoken to us.
    pub(crate) fn answered(&mut self, id: &NodeId) {
        if let Ok(index) = self.search(&id.into()) {
            self.entries[index].missed = 0;
        }
    }

    /// A member did not answer a question of ours that was asked by this record.
    pub(crate) fn unanswered(&mut self, peer: &Peer) {
        if let Ok(index) = self.search(&peer.id_ref().into())
            && self.entries[index].peer().seq() <= peer.seq()
        {
            self.entries[index].missed = self.entries[index].missed.saturating_add(1);
        }
    }

    /// Gives those that did not answer another chance: it may have been the way to them.
    pub(crate) fn forgive(&mut self) {
        for entry in &mut self.entries {
            entry.missed = 0;
        }
    }

    /// How many arcs a list of this length is compared by: some eight members each.
    pub(crate) fn arcs_for(members: usize) -> usize {
        (members / 8).next_power_of_two().clamp(1, ARCS)
    }

    /// The digests of so many arcs, a power of two.
    pub(crate) fn digests(&self, count: usize) -> Vec<Digest> {
        let sum = |arcs: &[u64]| Digest(arcs.iter().fold(0, |sum, digest| sum ^ digest).to_be_bytes());
        self.arcs.chunks(ARCS / count).map(sum).collect()
    }

    /// The members in one of so many arcs.
    pub(crate) fn in_arc(&self, arc: usize, count: usize) -> &[Entry] {
        let shift = 64 - count.trailing_zeros();
        let at = |entry: &Entry| {
            let top = u64::from_be_bytes(IdPrefix::from(entry.peer().id_ref()).0);
            if shift == 64 { 0 } else { (top >> shift) as usize }
        };
        let start = self.entries.partition_point(|entry| at(entry) < arc);
        let end = self.entries.partition_point(|entry| at(entry) <= arc);
        &self.entries[start..end]
    }

    /// Members whose ids lie strictly between two others, going up.
    pub(crate) fn between<'a>(&'a self, low: &NodeId, high: &NodeId) -> impl Iterator<Item = &'a Entry> {
        let start = self.entries.partition_point(|entry| entry.peer().id_ref() <= low);
        let end = self.entries.partition_point(|entry| entry.peer().id_ref() < high);
        let (first, second) = if start <= end && low < high {
            (&self.entries[start..end], &self.entries[..0])
        } else {
            // Around the end of the ring.
            (&self.entries[start..], &self.entries[..end])
        };
        first.iter().chain(second)
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>()
            + size_of::<[u64; ARCS]>()
            + self.gone.len() * size_of::<(IdPrefix, Grave)>()
    }
}

#[cfg(test)]
mod tests;
