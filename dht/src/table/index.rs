//! Where the rows of a table begin, and what is known of each beside its entries.
//!
//! A row is looked for with every message. The entries themselves take a few kilobytes, so finding one of them by
//! halves waits for memory at every step; these arrays take a few hundred bytes.

use alloc::vec::Vec;
use core::ops::Range;

use crate::Time;

#[derive(Debug, Clone, Copy)]
struct Start {
    rank: u16,
    at: u16,
}

/// Where each row that has entries begins, in the order of ranks.
#[derive(Debug, Clone, Default)]
pub(super) struct Starts(Vec<Start>);

/// Most entries whose places can be told.
pub(super) const ENTRIES_MAX: usize = u16::MAX as usize;

impl Starts {
    fn place(&self, rank: u16) -> usize {
        self.0.partition_point(|start| start.rank < rank)
    }

    fn begins(&self, place: usize, entries: usize) -> usize {
        self.0.get(place).map_or(entries, |start| start.at.into())
    }

    /// The stretch of a row in a table of so many entries. One without entries is where they would be.
    pub(super) fn row(&self, rank: u16, entries: usize) -> Range<usize> {
        self.stretch(self.place(rank), rank, entries)
    }

    /// The same, for somebody who goes from row to row: `near` is where the last one was found.
    pub(super) fn row_near(&self, rank: u16, entries: usize, near: &mut usize) -> Range<usize> {
        *near = step_to(&self.0, *near, |start| start.rank < rank);
        self.stretch(*near, rank, entries)
    }

    fn stretch(&self, place: usize, rank: u16, entries: usize) -> Range<usize> {
        let is_there = self.0.get(place).is_some_and(|start| start.rank == rank);
        self.begins(place, entries)..self.begins(place + usize::from(is_there), entries)
    }

    /// An entry has been put into a row, anywhere in it; `at` is where the row begins.
    pub(super) fn added(&mut self, rank: u16, at: usize) {
        let place = self.place(rank);
        if self.0.get(place).is_none_or(|start| start.rank != rank) {
            self.0.insert(place, Start { rank, at: at as u16 });
        }
        self.0[place + 1..].iter_mut().for_each(|start| start.at += 1);
    }

    /// An entry has been taken out of a row; so many are left in it.
    pub(super) fn removed(&mut self, rank: u16, left: usize) {
        let place = self.place(rank);
        self.0[place + 1..].iter_mut().for_each(|start| start.at -= 1);
        if left == 0 {
            self.0.remove(place);
        }
    }

    /// Every row that has entries, in a table of so many: its rank and its stretch.
    pub(super) fn rows(&self, entries: usize) -> impl Iterator<Item = (u16, Range<usize>)> {
        let stretch = move |place: usize| self.begins(place, entries)..self.begins(place + 1, entries);
        self.0.iter().enumerate().map(move |(place, start)| (start.rank, stretch(place)))
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.0.capacity() * size_of::<Start>()
    }

    pub(super) fn shrink(&mut self) {
        self.0.shrink_to_fit();
    }
}

/// Where what comes before ends, found from a place that is not far from it.
fn step_to<T>(sorted: &[T], near: usize, comes_before: impl Fn(&T) -> bool) -> usize {
    let mut place = near.min(sorted.len());
    while place > 0 && !comes_before(&sorted[place - 1]) {
        place -= 1;
    }
    while sorted.get(place).is_some_and(&comes_before) {
        place += 1;
    }
    place
}

#[derive(Debug, Clone, Copy)]
struct State {
    rank: u16,
    /// How often it has been refreshed in a row; 0 if never.
    tries: u8,
    /// Names in its reserve.
    reserved: u8,
    /// When it was last refreshed, seconds.
    at: u32,
}

impl State {
    fn refreshed(&self, now: Time) -> Option<(u32, u8)> {
        (self.tries > 0).then(|| (now.seconds().saturating_sub(self.at), self.tries))
    }
}

/// What is known of the rows that have been refreshed or have a reserve, in the order of ranks.
#[derive(Debug, Clone, Default)]
pub(super) struct States(Vec<State>);

impl States {
    fn place(&self, rank: u16) -> usize {
        self.0.partition_point(|state| state.rank < rank)
    }

    fn get(&self, rank: u16) -> Option<&State> {
        self.0.get(self.place(rank)).filter(|state| state.rank == rank)
    }

    fn get_mut(&mut self, rank: u16) -> &mut State {
        let place = self.place(rank);
        if self.0.get(place).is_none_or(|state| state.rank != rank) {
            self.0.insert(place, State { rank, tries: 0, reserved: 0, at: 0 });
        }
        &mut self.0[place]
    }

    /// How many names a row has in its reserve, and what [`States::refreshed`] tells, for somebody who goes from row to
    /// row: `near` is where the last one was found.
    pub(super) fn get_near(&self, rank: u16, now: Time, near: &mut usize) -> (usize, Option<(u32, u8)>) {
        *near = step_to(&self.0, *near, |state| state.rank < rank);
        match self.0.get(*near).filter(|state| state.rank == rank) {
            Some(state) => (state.reserved.into(), state.refreshed(now)),
            None => (0, None),
        }
    }

    /// How many names a row has in its reserve.
    pub(super) fn reserved(&self, rank: u16) -> usize {
        self.get(rank).map_or(0, |state| state.reserved.into())
    }

    /// The stretch of a row's reserve among those of all rows.
    pub(super) fn reserve(&self, rank: u16) -> Range<usize> {
        let place = self.place(rank);
        let start = self.0[..place].iter().map(|state| usize::from(state.reserved)).sum();
        start..start + self.reserved(rank)
    }

    pub(super) fn reserve_grew(&mut self, rank: u16) {
        self.get_mut(rank).reserved += 1;
    }

    pub(super) fn reserve_shrank(&mut self, rank: u16) {
        self.get_mut(rank).reserved -= 1;
    }

    /// How long ago a row was refreshed, in seconds, and how often in a row; none if never.
    pub(super) fn refreshed(&self, rank: u16, now: Time) -> Option<(u32, u8)> {
        self.get(rank).and_then(|state| state.refreshed(now))
    }

    pub(super) fn set_refreshed(&mut self, rank: u16, now: Time, tries: u8) {
        let state = self.get_mut(rank);
        state.tries = tries;
        state.at = now.seconds();
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.0.capacity() * size_of::<State>()
    }
}
