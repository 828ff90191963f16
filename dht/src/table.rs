//! The rows of the routing table: a bounded number of peers for every scale of distance.
//!
//! All rows live in one vector, sorted by offset from our own id, in which each row is one stretch; where each begins
//! is in the [`index`]. An entry takes 24 bytes, because a simulation keeps hundreds of millions of them.

use alloc::vec::Vec;
use core::ops::Range;

use self::index::{ENTRIES_MAX, Starts, States};
use crate::{
    Distance, Key, NodeId, Time,
    metric::Metric,
    nearest::{self, Placed},
    origin::Origin,
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
    /// The last bits of its id, so that most others need not be looked up.
    tag: u16,
    /// Own questions it has left unanswered in a row.
    pub(crate) missed: u8,
    /// Few bits of its subnet's tag, so that most others need not be looked up; 0 if nobody has looked.
    subnet_hint: u8,
}

impl Entry {
    fn new(peer: &Peer, now: Time, rtt: Rtt, subnet_hint: u8) -> Self {
        let seconds = now.seconds();
        let tag = tag_of(peer.id_ref()) as u16;
        Self { peer: peer.clone(), met: seconds, heard: seconds, rtt, tag, missed: 0, subnet_hint }
    }

    fn is(&self, id: &NodeId) -> bool {
        self.tag == tag_of(id) as u16 && self.peer.id_ref() == id
    }

    /// The peer has sent a newer record of itself, with other addresses perhaps.
    pub(crate) fn replace_record(&mut self, peer: &Peer) {
        self.peer = peer.clone();
        self.subnet_hint = 0;
    }
}

/// The last bits of an id: the first ones are the same for all of a row.
fn tag_of(id: &NodeId) -> u32 {
    let [.., a, b, c, d] = *id.as_bytes();
    u32::from_be_bytes([a, b, c, d])
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

/// A name heard from others.
#[derive(Debug, Clone)]
struct Reserved {
    tag: u32,
    peer: Peer,
}

/// Where somebody who goes from row to row has found the last one.
#[derive(Debug, Default)]
pub(crate) struct Near {
    start: usize,
    state: usize,
}

/// How a row stands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RowState {
    pub(crate) full: bool,
    /// Names in its reserve.
    pub(crate) reserved: usize,
    /// As [`Table::refreshed`] tells.
    pub(crate) refreshed: Option<(u32, u8)>,
}

#[derive(Debug, Clone)]
pub(crate) struct Table {
    entries: Vec<Entry>,
    starts: Starts,
    /// Names heard from others, by row: the reserve from which rows are filled and improved.
    reserve: Vec<Reserved>,
    states: States,
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
            starts: Starts::default(),
            reserve: Vec::new(),
            states: States::default(),
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

    /// How peers' subnets are found, if they have any here.
    pub(crate) fn grouping(&self) -> Option<Grouping> {
        self.grouping
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

    pub(crate) fn rank<M: Metric>(&self, origin: &Origin<M>, id: &NodeId) -> Option<u16> {
        let bits = self.digit_bits.into();
        origin.row(id.key(), bits).map(|row| row.rank(bits))
    }

    /// Calls `visit` with the entries, nearest to `key` first, until it returns false.
    pub(crate) fn walk<'a, M: Metric>(
        &'a self,
        origin: &Origin<M>,
        key: &Key,
        visit: &mut impl FnMut(Distance, &'a Entry) -> bool,
    ) {
        let before = || {
            let bits = self.digit_bits.into();
            let Some(row) = origin.row(key, bits).map(|row| self.row(row.rank(bits))) else { return 0 };
            row.start + self.place_in(origin, &row, origin.offset(key))
        };
        nearest::walk_from(origin, &self.entries, before, key, visit);
    }

    /// How many entries of a row come before this offset.
    fn place_in<M: Metric>(&self, origin: &Origin<M>, row: &Range<usize>, offset: Distance) -> usize {
        self.entries[row.clone()].partition_point(|entry| origin.offset_of(&entry.peer) < offset)
    }

    /// The stretch of a row.
    pub(crate) fn row(&self, rank: u16) -> Range<usize> {
        self.starts.row(rank, self.entries.len())
    }

    /// How a row stands, for somebody who goes from row to row.
    pub(crate) fn look(&self, rank: u16, now: Time, near: &mut Near) -> RowState {
        let row = self.starts.row_near(rank, self.entries.len(), &mut near.start);
        let (reserved, refreshed) = self.states.get_near(rank, now, &mut near.state);
        RowState { full: self.is_full(&row), reserved, refreshed }
    }

    pub(crate) fn is_full(&self, row: &Range<usize>) -> bool {
        row.len() >= usize::from(self.active) || self.entries.len() >= ENTRIES_MAX
    }

    fn find<M: Metric>(&self, origin: &Origin<M>, id: &NodeId) -> Option<usize> {
        self.rank(origin, id).and_then(|rank| self.find_in(&self.row(rank), id))
    }

    fn find_in(&self, row: &Range<usize>, id: &NodeId) -> Option<usize> {
        self.entries[row.clone()].iter().position(|entry| entry.is(id)).map(|index| row.start + index)
    }

    pub(crate) fn get<M: Metric>(&self, origin: &Origin<M>, id: &NodeId) -> Option<&Entry> {
        self.find(origin, id).map(|index| &self.entries[index])
    }

    pub(crate) fn get_mut<M: Metric>(&mut self, origin: &Origin<M>, id: &NodeId) -> Option<&mut Entry> {
        self.find(origin, id).map(|index| &mut self.entries[index])
    }

    /// Offers a peer that has just spoken to us. It is taken if its row has room, or if it is clearly better than the
    /// worst one there.
    pub(crate) fn offer<M: Metric>(&mut self, origin: &Origin<M>, peer: &Peer, now: Time, rtt: Rtt) {
        let Some(rank) = self.rank(origin, peer.id_ref()) else { return };
        let mut row = self.row(rank);
        let mut loser = None;
        if self.is_full(&row) {
            loser = if origin.metric.first_in_row() {
                let offset = origin.offset_of(peer);
                let last = row.end - 1;
                (offset < origin.offset_of(&self.entries[last].peer)).then_some(last)
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
            self.starts.removed(rank, row.len());
        }
        let place = self.place_in(origin, &row, origin.offset_of(peer));
        if self.entries.len() == self.entries.capacity() {
            self.entries.reserve_exact(16);
        }
        let hint = group.map_or(0, |group| hint_of(group.subnet));
        self.entries.insert(row.start + place, Entry::new(peer, now, rtt, hint));
        self.starts.added(rank, row.start);
    }

    /// Puts a peer behind all others, if that is its place and its row has room. A large table is filled much faster in
    /// this way than by offers. Returns whether it has been put there.
    pub(crate) fn append<M: Metric>(&mut self, origin: &Origin<M>, peer: &Peer, now: Time, rtt: Rtt) -> bool {
        let Some(rank) = self.rank(origin, peer.id_ref()) else { return false };
        let row = self.row(rank);
        if let Some(last) = self.entries.last() {
            let offset = |peer: &Peer| origin.offset_of(peer);
            if offset(&last.peer) >= offset(peer) || self.is_full(&row) || self.grouping.is_some() {
                return false;
            }
        }
        self.entries.push(Entry::new(peer, now, rtt, 0));
        self.starts.added(rank, row.start);
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

    pub(crate) fn remove<M: Metric>(&mut self, origin: &Origin<M>, id: &NodeId) -> Option<Entry> {
        let rank = self.rank(origin, id)?;
        let row = self.row(rank);
        let index = self.find_in(&row, id)?;
        self.starts.removed(rank, row.len() - 1);
        Some(self.entries.remove(index))
    }

    /// Every row that has entries: its rank and its stretch.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (u16, &[Entry])> {
        self.starts.rows(self.entries.len()).map(|(rank, row)| (rank, &self.entries[row]))
    }

    pub(crate) fn reserve_len(&self) -> usize {
        self.reserve.len()
    }

    pub(crate) fn reserved_in(&self, rank: u16) -> usize {
        self.states.reserved(rank)
    }

    /// Remembers a name heard from others, if its row's reserve has room and it is not there already.
    pub(crate) fn note<M: Metric>(&mut self, origin: &Origin<M>, peer: &Peer) {
        if self.reserve_per_row == 0 {
            return;
        }
        let Some(rank) = self.rank(origin, peer.id_ref()) else { return };
        if self.reserved_in(rank) >= usize::from(self.reserve_per_row)
            || self.find_in(&self.row(rank), peer.id_ref()).is_some()
        {
            return;
        }
        let (reserve, tag) = (self.states.reserve(rank), tag_of(peer.id_ref()));
        let same = |other: &Reserved| other.tag == tag && other.peer.id_ref() == peer.id_ref();
        if !self.reserve[reserve.clone()].iter().any(same) {
            self.reserve.insert(reserve.end, Reserved { tag, peer: peer.clone() });
            self.states.reserve_grew(rank);
        }
    }

    /// Takes one name out of a row's reserve; `random` chooses.
    pub(crate) fn take_reserve(&mut self, rank: u16, random: u64) -> Option<Peer> {
        let reserve = self.states.reserve(rank);
        if reserve.is_empty() {
            return None;
        }
        self.states.reserve_shrank(rank);
        Some(self.reserve.remove(reserve.start + (random % reserve.len() as u64) as usize).peer)
    }

    /// How long ago a row was refreshed, in seconds, and how often in succession; none if never.
    pub(crate) fn refreshed(&self, rank: u16, now: Time) -> Option<(u32, u8)> {
        self.states.refreshed(rank, now)
    }

    pub(crate) fn set_refreshed(&mut self, rank: u16, now: Time, tries: u8) {
        self.states.set_refreshed(rank, now, tries);
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>()
            + self.reserve.capacity() * size_of::<Reserved>()
            + self.starts.memory_bytes()
            + self.states.memory_bytes()
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
        self.starts.shrink();
    }
}

mod index;
#[cfg(test)]
mod tests;
