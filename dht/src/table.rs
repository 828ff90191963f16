//! The rows of the routing table: a bounded number of peers for every scale of distance.
//!
//! All rows live in one vector, sorted by offset from our own id, in which each row is one stretch. An entry takes 24
//! bytes, because a simulation keeps hundreds of millions of them.

use alloc::vec::Vec;
use core::ops::Range;

use crate::{
    Key, NodeId, Time,
    metric::Metric,
    nearest::Placed,
    params::{ROW_SITE_MAX, ROW_SUBNET_MAX, TABLE_SUBNET_MAX},
    peer::{Grouping, NetGroup, Peer},
    rtt::Rtt,
};

/// A peer we have spoken with.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) peer: Peer,
    /// Seconds since the start of time when we first met it.
    pub(crate) met: u32,
    /// Seconds since the start of time when it last spoke to us.
    pub(crate) heard: u32,
    pub(crate) rtt: Rtt,
    rank: u16,
    /// Own questions it has left unanswered in a row.
    pub(crate) missed: u8,
    /// Few bits of its subnet's tag, so that most others need not be looked up; 0 if nobody has looked.
    subnet_hint: u8,
}

impl Entry {
    fn new(peer: &Peer, now: Time, rtt: Rtt, rank: u16, subnet_hint: u8) -> Self {
        let seconds = now.seconds();
        Self { peer: peer.clone(), met: seconds, heard: seconds, rtt, rank, missed: 0, subnet_hint }
    }

    /// The peer has sent a newer record of itself, with other addresses perhaps.
    pub(crate) fn replace_record(&mut self, peer: &Peer) {
        self.peer = peer.clone();
        self.subnet_hint = 0;
    }
}

/// Eight bits of a subnet's tag, never 0.
fn hint_of(subnet: u32) -> u8 {
    // Knuth's multiplicative hash: the upper bits depend on all of the tag's.
    ((subnet.wrapping_mul(0x9e37_79b1) >> 24) as u8).max(1)
}

impl Placed for Entry {
    fn peer(&self) -> &Peer {
        &self.peer
    }
}

/// When a row was last refreshed.
#[derive(Debug, Clone, Copy)]
struct Refreshed {
    rank: u16,
    tries: u16,
    at: u32,
}

#[derive(Debug, Clone)]
pub(crate) struct Table {
    entries: Vec<Entry>,
    /// Names heard from others, by row: the reserve from which rows are filled and improved.
    reserve: Vec<(u16, Peer)>,
    refreshed: Vec<Refreshed>,
    digit_bits: u8,
    active: u8,
    reserve_per_row: u8,
    grouping: Option<Grouping>,
}

/// How many of the oldest entries of a row are never replaced while they live: old nodes tend to stay (Maymounkov and
/// Mazières 2002), and an attacker who floods a row cannot push them out. Design.
const OLDEST_KEPT: usize = 2;

impl Table {
    pub(crate) fn new(digit_bits: u8, active: u8, reserve_per_row: u8) -> Self {
        Self {
            entries: Vec::new(),
            reserve: Vec::new(),
            refreshed: Vec::new(),
            digit_bits,
            active,
            reserve_per_row,
            grouping: None,
        }
    }

    /// The subnet of a peer; 0 if there is no limit for it.
    pub(crate) fn subnet_of(&self, peer: &Peer) -> u32 {
        self.grouping.map_or(0, |grouping| grouping(peer).subnet)
    }

    pub(crate) fn set_grouping(&mut self, grouping: Grouping) {
        self.grouping = Some(grouping);
    }

    /// Whether one more of this group is allowed in this row, and in the table.
    fn is_diverse(&self, row: Range<usize>, group: NetGroup) -> bool {
        let Some(grouping) = self.grouping else { return true };
        let hint = hint_of(group.subnet);
        let of_subnet = |entries: &[Entry]| {
            let may_be = entries.iter().filter(|entry| entry.subnet_hint == hint || entry.subnet_hint == 0);
            may_be.filter(|entry| grouping(&entry.peer).subnet == group.subnet).count()
        };
        let of_site = |entries: &[Entry]| {
            entries.iter().filter(|entry| grouping(&entry.peer).site == group.site).count()
        };
        let row = &self.entries[row];
        (group.subnet == 0
            || (of_subnet(row) < ROW_SUBNET_MAX && of_subnet(&self.entries) < TABLE_SUBNET_MAX))
            && (group.site == 0 || of_site(row) < ROW_SITE_MAX)
    }

    pub(crate) fn as_slice(&self) -> &[Entry] {
        &self.entries
    }

    pub(crate) fn rank<M: Metric>(&self, metric: &M, me: &Key, id: &NodeId) -> Option<u16> {
        let bits = self.digit_bits.into();
        metric.row(me, id.key(), bits).map(|row| row.rank(bits))
    }

    /// The stretch of a row.
    pub(crate) fn row(&self, rank: u16) -> Range<usize> {
        let start = self.entries.partition_point(|entry| entry.rank < rank);
        let length = self.entries[start..].iter().take_while(|entry| entry.rank == rank).count();
        start..start + length
    }

    pub(crate) fn is_full(&self, row: &Range<usize>) -> bool {
        row.len() >= usize::from(self.active)
    }

    fn find<M: Metric>(&self, metric: &M, me: &Key, id: &NodeId) -> Option<usize> {
        let row = self.row(self.rank(metric, me, id)?);
        let start = row.start;
        self.entries[row].iter().position(|entry| entry.peer.id_ref() == id).map(|index| start + index)
    }

    pub(crate) fn get<M: Metric>(&self, metric: &M, me: &Key, id: &NodeId) -> Option<&Entry> {
        self.find(metric, me, id).map(|index| &self.entries[index])
    }

    pub(crate) fn get_mut<M: Metric>(&mut self, metric: &M, me: &Key, id: &NodeId) -> Option<&mut Entry> {
        self.find(metric, me, id).map(|index| &mut self.entries[index])
    }

    /// Offers a peer that has just spoken to us. It is taken if its row has room, or if it is clearly better than the
    /// worst one there.
    pub(crate) fn offer<M: Metric>(&mut self, metric: &M, me: &Key, peer: &Peer, now: Time, rtt: Rtt) {
        let Some(rank) = self.rank(metric, me, peer.id_ref()) else { return };
        let mut row = self.row(rank);
        let mut loser = None;
        if self.is_full(&row) {
            loser = if metric.first_in_row() {
                let offset = metric.offset(me, peer.id_ref().key());
                let last = row.end - 1;
                (offset < metric.offset(me, self.entries[last].peer.id_ref().key())).then_some(last)
            } else {
                self.loser(row.clone(), rtt)
            };
            if loser.is_none() {
                return;
            }
        }
        let group = self.grouping.map(|grouping| grouping(peer));
        // Last, because it looks at the whole table.
        if group.is_some_and(|group| !self.is_diverse(row.clone(), group)) {
            return;
        }
        if let Some(loser) = loser {
            self.entries.remove(loser);
            row.end -= 1;
        }
        let offset = metric.offset(me, peer.id_ref().key());
        let place = self.entries[row.clone()]
            .partition_point(|entry| metric.offset(me, entry.peer.id_ref().key()) < offset);
        if self.entries.len() == self.entries.capacity() {
            self.entries.reserve_exact(16);
        }
        let hint = group.map_or(0, |group| hint_of(group.subnet));
        let entry = Entry::new(peer, now, rtt, rank, hint);
        self.entries.insert(row.start + place, entry);
    }

    /// Puts a peer behind all others, if that is its place and its row has room. A large table is filled much faster in
    /// this way than by offers. Returns whether it has been put there.
    pub(crate) fn append<M: Metric>(
        &mut self,
        metric: &M,
        me: &Key,
        peer: &Peer,
        now: Time,
        rtt: Rtt,
    ) -> bool {
        let Some(rank) = self.rank(metric, me, peer.id_ref()) else { return false };
        if let Some(last) = self.entries.last() {
            let offset = |peer: &Peer| metric.offset(me, peer.id_ref().key());
            let in_row = self.entries.iter().rev().take_while(|entry| entry.rank == rank).count();
            if offset(&last.peer) >= offset(peer)
                || in_row >= usize::from(self.active)
                || self.grouping.is_some()
            {
                return false;
            }
        }
        self.entries.push(Entry::new(peer, now, rtt, rank, 0));
        true
    }

    /// Which entry of a full row has to make room for a newcomer with this round-trip time, if any.
    ///
    /// Every entry gets a score from its rank among all: half by round-trip time, three tenths by age, two tenths by
    /// how recently it spoke; the worst one goes if the newcomer's score is better by 15 %. Design.
    fn loser(&self, row: Range<usize>, newcomer: Rtt) -> Option<usize> {
        let start = row.start;
        let entries = &self.entries[row];
        if let Some(failing) = entries.iter().position(|entry| entry.missed > 0) {
            return Some(start + failing);
        }
        newcomer.smoothed()?;
        let count = entries.len();
        let score = |entry: &Entry| {
            let faster = entries.iter().filter(|other| other.rtt.rank() < entry.rtt.rank()).count()
                + usize::from(newcomer.rank() < entry.rtt.rank());
            let older = entries.iter().filter(|other| other.met < entry.met).count();
            // The newcomer has just spoken, so it is fresher than anybody.
            let fresher = 1 + entries.iter().filter(|other| other.heard > entry.heard).count();
            5 * faster + 3 * older + 2 * fresher
        };
        let is_old =
            |entry: &Entry| entries.iter().filter(|other| other.met < entry.met).count() < OLDEST_KEPT;
        let (worst, worst_score) = entries
            .iter()
            .enumerate()
            .filter(|(_, entry)| !is_old(entry))
            .map(|(index, entry)| (index, score(entry)))
            .max_by_key(|(_, score)| *score)?;
        let newcomer_score =
            5 * entries.iter().filter(|other| other.rtt.rank() < newcomer.rank()).count() + 3 * count;
        (newcomer_score * 115 <= worst_score * 100).then_some(start + worst)
    }

    pub(crate) fn remove<M: Metric>(&mut self, metric: &M, me: &Key, id: &NodeId) -> Option<Entry> {
        let index = self.find(metric, me, id)?;
        Some(self.entries.remove(index))
    }

    /// Every row that has entries: its rank and its stretch.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (u16, &[Entry])> {
        self.entries.chunk_by(|a, b| a.rank == b.rank).map(|row| (row[0].rank, row))
    }

    fn reserve_of(&self, rank: u16) -> Range<usize> {
        let start = self.reserve.partition_point(|(other, _)| *other < rank);
        let length = self.reserve[start..].iter().take_while(|(other, _)| *other == rank).count();
        start..start + length
    }

    pub(crate) fn reserve_len(&self) -> usize {
        self.reserve.len()
    }

    pub(crate) fn reserved_in(&self, rank: u16) -> usize {
        self.reserve_of(rank).len()
    }

    /// Remembers a name heard from others, if its row's reserve has room and it is not there already.
    pub(crate) fn note<M: Metric>(&mut self, metric: &M, me: &Key, peer: &Peer) {
        if self.reserve_per_row == 0 {
            return;
        }
        let Some(rank) = self.rank(metric, me, peer.id_ref()) else { return };
        let reserve = self.reserve_of(rank);
        if reserve.len() >= usize::from(self.reserve_per_row)
            || self.reserve[reserve.clone()].iter().any(|(_, other)| other.id_ref() == peer.id_ref())
            || self.entries[self.row(rank)].iter().any(|entry| entry.peer.id_ref() == peer.id_ref())
        {
            return;
        }
        self.reserve.insert(reserve.end, (rank, peer.clone()));
    }

    /// Takes one name out of a row's reserve; `random` chooses.
    pub(crate) fn take_reserve(&mut self, rank: u16, random: u64) -> Option<Peer> {
        let reserve = self.reserve_of(rank);
        if reserve.is_empty() {
            return None;
        }
        Some(self.reserve.remove(reserve.start + (random % reserve.len() as u64) as usize).1)
    }

    /// How long ago a row was refreshed, in seconds, and how often in a row; none if never.
    pub(crate) fn refreshed(&self, rank: u16, now: Time) -> Option<(u32, u16)> {
        let entry = self.refreshed.iter().find(|entry| entry.rank == rank)?;
        Some((now.seconds().saturating_sub(entry.at), entry.tries))
    }

    pub(crate) fn set_refreshed(&mut self, rank: u16, now: Time, tries: u16) {
        let entry = Refreshed { rank, tries, at: now.seconds() };
        match self.refreshed.iter_mut().find(|entry| entry.rank == rank) {
            Some(known) => *known = entry,
            None => self.refreshed.push(entry),
        }
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>()
            + self.reserve.capacity() * size_of::<(u16, Peer)>()
            + self.refreshed.capacity() * size_of::<Refreshed>()
    }

    pub(crate) fn digit_bits(&self) -> u32 {
        self.digit_bits.into()
    }

    pub(crate) fn reserve(&mut self, count: usize) {
        self.entries.reserve_exact(count);
    }

    /// Gives back memory that growing has left over.
    pub(crate) fn shrink(&mut self) {
        self.entries.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests;
