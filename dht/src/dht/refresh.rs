//! Filling the rows of the table, and keeping them fresh.
//!
//! Rows fill by themselves from whoever speaks to us; this looks after those that do not. One small step a second:
//! names from a row's reserve are met, which fills the row or finds a nearer peer for it (proximity neighbour
//! selection, Gummadi et al. 2003), or the peer nearest to a random key of a row that lacks entries or news is asked
//! for others there.
//!
//! Names that turn out to be dead say that sessions are short; then the steps become longer, up to eight times. An
//! entry is worth less there, and a table that is filled as fast as it decays costs more than the lookups it shortens.

use core::{ops::Range, time::Duration};

use super::{Dht, Turn};
use crate::{
    Distance, Key,
    calls::Purpose,
    message::Request,
    metric::{Direction, Metric, Row, Shape},
    table::{Near, RowState},
    timers::Timer,
};

/// Between two steps while nothing needs doing. Design.
const IDLE_STEP: Duration = Duration::from_secs(30);
/// How often a row that stays short of entries is looked up before it is left alone for a full period. Design.
const TRIES_MAX: u8 = 3;
/// Between two such tries, seconds. Design.
const TRY_AGAIN: u32 = 20;
/// Names met in one step, if the row has room for them. Design.
const MEET_MAX: usize = 3;
/// Names asked for, one and a half full rows. Design.
const ROW_NAMES: u8 = 12;
impl<M: Metric> Dht<M> {
    pub(super) fn refresh(&mut self, turn: &mut Turn<'_>) {
        let busy = self.leaves.is_full() && !self.origin.metric.first_in_row() && self.refresh_one_row(turn);
        let step = self.row_pace.wait(self.config.refresh_step);
        let wait = if busy { step } else { IDLE_STEP.max(step) };
        let wait = turn.around(wait);
        self.timers.set(Timer::Refresh, turn.now + wait);
    }

    /// Returns whether there was something to do.
    fn refresh_one_row(&mut self, turn: &mut Turn<'_>) -> bool {
        let rows = self.distant_rows();
        let start = (turn.rng.next_u64() % rows.len().max(1) as u64) as usize;
        let in_turn = (start..rows.len()).chain(0..start);
        let (mut near, now) = (Near::default(), turn.now);
        let mut wanting = in_turn.filter_map(|index| {
            let rank = rows.rank(index);
            let RowState { full, reserved, refreshed } = self.table.look(rank, now, &mut near);
            let due = match refreshed {
                None => true,
                Some((age, tries)) => {
                    u64::from(age) >= self.config.refresh_every.as_secs()
                        || (!full && tries < TRIES_MAX && age >= TRY_AGAIN)
                }
            };
            (due || reserved > 0).then_some((rank, full, due))
        });
        // The first row, counted from a random one, that wants something; a short one if there is any. Finding somebody
        // nearer for a full row can wait: while rows are short, lookups take more hops. Not where this node keeps a
        // list of members or of super-peers, which makes lookups short.
        let Some(mut choice) = wanting.next() else { return false };
        if choice.1 && self.members.is_none() {
            choice = wanting.find(|(_, full, _)| !full).unwrap_or(choice);
        }
        let (rank, full, due) = choice;
        // A short row is filled from the reserve first, a full one refreshed first.
        if !(full && due) && self.table.reserved_in(rank) > 0 {
            let free = usize::from(self.config.row_active).saturating_sub(self.table.row(rank).len());
            for _ in 0..free.clamp(1, MEET_MAX) {
                self.meet_reserve(turn, rank);
            }
            return true;
        }
        if due {
            let tries = match self.table.refreshed(rank, turn.now) {
                Some((age, tries)) if u64::from(age) < self.config.refresh_every.as_secs() => tries + 1,
                _ => 1,
            };
            self.table.set_refreshed(rank, turn.now, tries);
            let two_sided = self.origin.shape() == Shape::Circle;
            self.ask_about_row(turn, Row::from_rank(rank, self.table.digit_bits(), two_sided));
        }
        true
    }

    fn meet_reserve(&mut self, turn: &mut Turn<'_>, rank: u16) {
        let Some(peer) = self.table.take_reserve(rank, turn.rng.next_u64()) else { return };
        let known = self.table.get(&self.origin, peer.id_ref()).is_some();
        if !known && !self.gone.ignores_name(&peer, turn.now) && !self.meetings.contains(peer.id_ref()) {
            self.meetings.begin(peer.id());
            self.ask(turn, &peer, Request::Ping, Purpose::Meet);
        }
    }

    /// Asks the peer nearest to a random key of the row whom it knows there. If that peer is far from the row, it names
    /// nearer ones, and the next try gets farther.
    fn ask_about_row(&mut self, turn: &mut Turn<'_>, row: Row) {
        let mut random = [0; 32];
        turn.rng.fill_bytes(&mut random);
        let me = self.origin.key();
        let key = self.origin.metric.key_in_row(me, row, &Key::from_bytes(random), self.table.digit_bits());
        if let Some(peer) = self.nearest_others(&key, 1, self.local.id_ref()).pop() {
            self.ask(turn, &peer, Request::Closest { key, count: ROW_NAMES }, Purpose::Row);
        }
    }

    /// Every row that begins beyond the leaf set: nearer ones are seen by the leaf set whole.
    fn distant_rows(&self) -> DistantRows {
        let bits = self.table.digit_bits();
        let leaves = self.leaves.as_slice();
        let reach = |index: usize| self.origin.offset_of(&leaves[index].peer);
        match self.origin.shape() {
            Shape::Circle => {
                let half = leaves.len() / 2;
                let other_side = Distance::ZERO.wrapping_sub(reach(half));
                let sides = [reach(half - 1), other_side];
                DistantRows(sides.map(|span| beyond(span, 255, bits)))
            }
            Shape::Tree => DistantRows([beyond(reach(leaves.len() - 1), 256, bits), 0..0]),
        }
    }
}

/// The rows of one side of a node that begin beyond a distance, where the farthest distance has so many bits: their
/// ranks, counted outwards.
fn beyond(span: Distance, distance_bits: u32, digit_bits: u32) -> Range<u16> {
    let last = Row::outermost(distance_bits, digit_bits).rank(digit_bits);
    // A row begins at its leading digit, so it begins beyond a distance if it comes after that distance's own row.
    let first = Row::of(Direction::Both, span, digit_bits).map_or(0, |row| row.rank(digit_bits) + 1);
    first..last + 1
}

/// Rows in the order in which they are gone through: those of the clockwise side from the farthest on, then those of
/// the other.
#[derive(Debug, Clone)]
struct DistantRows([Range<u16>; 2]);

impl DistantRows {
    fn len(&self) -> usize {
        self.0.iter().map(ExactSizeIterator::len).sum()
    }

    /// The rank of one of them.
    fn rank(&self, index: usize) -> u16 {
        let [first, second] = &self.0;
        match index.checked_sub(first.len()) {
            None => first.end - 1 - index as u16,
            // Ranks of the other side count down.
            Some(index) => u16::MAX - (second.end - 1 - index as u16),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The rows beyond a distance are those whose first distance is beyond it, the farthest first.
        #[test]
        fn distant_rows_begin_beyond_the_leaf_set(
            digit_bits in 1u32..=4,
            distance_bits in 255u32..=256,
            limbs in any::<[u64; 4]>(),
            kept in 0u32..=256,
        ) {
            let span = Distance(limbs).low_bits(kept.min(distance_bits));
            let mut naive = Vec::new();
            for bit in 0..distance_bits {
                for digit in 1..1u8 << digit_bits {
                    let start = Distance::shifted(digit, bit);
                    let whole = bit + digit.ilog2() < distance_bits;
                    if bit % digit_bits == 0 && whole && start > span {
                        naive.push(Row::of(Direction::Both, start, digit_bits).map(|row| row.rank(digit_bits)));
                    }
                }
            }
            naive.reverse();
            let rows = DistantRows([beyond(span, distance_bits, digit_bits), 0..0]);
            let found: Vec<Option<u16>> = (0..rows.len()).map(|index| Some(rows.rank(index))).collect();
            prop_assert_eq!(&found, &naive);
            let other_side = DistantRows([0..0, beyond(span, distance_bits, digit_bits)]);
            let mirrored: Vec<Option<u16>> = naive.iter().map(|rank| rank.map(|rank| u16::MAX - rank)).collect();
            let found: Vec<Option<u16>> = (0..other_side.len()).map(|index| Some(other_side.rank(index))).collect();
            prop_assert_eq!(found, mirrored);
        }
    }

    #[test]
    fn both_sides_follow_each_other() {
        let rows = DistantRows([5..8, 2..4]);
        let ranks: Vec<u16> = (0..rows.len()).map(|index| rows.rank(index)).collect();
        assert_eq!(ranks, [7, 6, 5, u16::MAX - 3, u16::MAX - 2]);
    }
}
