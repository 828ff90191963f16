//! The rows of the routing table: a bounded number of peers for every scale of distance.
//!
//! All rows live in one vector, sorted by offset from our own id, in which each row is one stretch. An entry takes 24
//! bytes, because a simulation keeps hundreds of millions of them.

use alloc::vec::Vec;
use core::ops::Range;

use crate::{Key, NodeId, Time, metric::Metric, nearest::Placed, peer::Peer, rtt::Rtt};

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
}

impl Placed for Entry {
    fn peer(&self) -> &Peer {
        &self.peer
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Table {
    entries: Vec<Entry>,
    digit_bits: u8,
    active: u8,
}

impl Table {
    pub(crate) fn new(digit_bits: u8, active: u8) -> Self {
        Self { entries: Vec::new(), digit_bits, active }
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

    /// Offers a peer that has just spoken to us. It is taken if its row has room, or if the metric wants the first of
    /// a row and this one comes before those that are there.
    pub(crate) fn offer<M: Metric>(&mut self, metric: &M, me: &Key, peer: &Peer, now: Time, rtt: Rtt) {
        let Some(rank) = self.rank(metric, me, peer.id_ref()) else { return };
        let row = self.row(rank);
        if row.len() >= usize::from(self.active) && !metric.first_in_row() {
            return;
        }
        let offset = metric.offset(me, peer.id_ref().key());
        let place = row.start
            + self.entries[row.clone()]
                .partition_point(|entry| metric.offset(me, entry.peer.id_ref().key()) < offset);
        if row.len() >= usize::from(self.active) {
            if place == row.end {
                return;
            }
            self.entries.remove(row.end - 1);
        }
        if self.entries.len() == self.entries.capacity() {
            self.entries.reserve_exact(16);
        }
        let seconds = now.seconds();
        let entry = Entry { peer: peer.clone(), met: seconds, heard: seconds, rtt, rank, missed: 0 };
        self.entries.insert(place, entry);
    }

    pub(crate) fn remove<M: Metric>(&mut self, metric: &M, me: &Key, id: &NodeId) -> Option<Entry> {
        let index = self.find(metric, me, id)?;
        Some(self.entries.remove(index))
    }

    /// Every row that has entries: its rank and its stretch.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (u16, &[Entry])> {
        self.entries.chunk_by(|a, b| a.rank == b.rank).map(|row| (row[0].rank, row))
    }
}
