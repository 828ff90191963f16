//! Filling the rows of the table, and keeping them fresh.
//!
//! Rows fill by themselves from whoever speaks to us; this looks after those that do not. One small step a second:
//! names from a row's reserve are met, which fills the row or finds a nearer peer for it (proximity neighbour selection,
//! Gummadi et al. 2003), or the peer nearest to a random key of a row that lacks entries or news is asked for others
//! there.
//!
//! Names that turn out to be dead say that sessions are short; then the steps become longer, up to eight times. An entry
//! is worth less there, and a table that is filled as fast as it decays costs more than the lookups it shortens.

use alloc::vec::Vec;
use core::time::Duration;

use super::{Dht, Turn};
use crate::{
    Distance, Key,
    calls::Purpose,
    message::Request,
    metric::{Direction, Metric, Row, Shape},
    timers::Timer,
};

/// Between two steps while nothing needs doing. Design.
const IDLE_STEP: Duration = Duration::from_secs(30);
/// How often a row that stays short of entries is looked up before it is left alone for a full period. Design.
const TRIES_MAX: u16 = 3;
/// Between two such tries, seconds. Design.
const TRY_AGAIN: u32 = 20;
/// Names met in one step, if the row has room for them. Design.
const MEET_MAX: usize = 3;
/// Names asked for, one and a half full rows. Design.
const ROW_NAMES: u8 = 12;
/// Length of a step in sixteenths of the configured one, while names are alive. Design.
pub(super) const WAIT_MIN: u8 = 16;
/// The same while most of them are dead. Design.
const WAIT_MAX: u8 = 128;

impl<M: Metric> Dht<M> {
    pub(super) fn refresh(&mut self, turn: &mut Turn<'_>) {
        let busy = self.leaves.is_full() && !self.metric.first_in_row() && self.refresh_one_row(turn);
        let step = self.config.refresh_step * u32::from(self.row_wait) / u32::from(WAIT_MIN);
        let wait = if busy { step } else { IDLE_STEP.max(step) };
        let wait = turn.around(wait);
        self.timers.set(Timer::Refresh, turn.now + wait);
    }

    /// A name was alive.
    pub(super) fn row_went_well(&mut self) {
        self.row_wait = (self.row_wait - self.row_wait / 8).max(WAIT_MIN);
    }

    /// A name was dead.
    pub(super) fn row_went_badly(&mut self) {
        self.row_wait = self.row_wait.saturating_mul(2).min(WAIT_MAX);
    }

    /// Returns whether there was something to do.
    fn refresh_one_row(&mut self, turn: &mut Turn<'_>) -> bool {
        let mut rows = Vec::new();
        self.for_each_distant_row(|row| rows.push(row));
        let start = (turn.rng.next_u64() % rows.len().max(1) as u64) as usize;
        let in_turn = rows[start..].iter().chain(&rows[..start]);
        let mut wanting = in_turn.filter_map(|row| {
            let rank = row.rank(self.table.digit_bits());
            let full = self.table.is_full(&self.table.row(rank));
            let due = match self.table.refreshed(rank, turn.now) {
                None => true,
                Some((age, tries)) => {
                    u64::from(age) >= self.config.refresh_every.as_secs()
                        || (!full && tries < TRIES_MAX && age >= TRY_AGAIN)
                }
            };
            (due || self.table.reserved_in(rank) > 0).then_some((*row, rank, full, due))
        });
        // The first row from a random one on that wants something; a short one if there is any. To find somebody nearer
        // for a full row can wait: while rows are short, lookups take more hops. Not where all members are listed.
        let Some(mut choice) = wanting.next() else { return false };
        if choice.2 && self.members.is_none() {
            choice = wanting.find(|(_, _, full, _)| !full).unwrap_or(choice);
        }
        let (row, rank, full, due) = choice;
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
            self.ask_about_row(turn, row);
        }
        true
    }

    fn meet_reserve(&mut self, turn: &mut Turn<'_>, rank: u16) {
        let Some(peer) = self.table.take_reserve(rank, turn.rng.next_u64()) else { return };
        let known = self.table.get(&self.metric, self.local.id_ref().key(), peer.id_ref()).is_some();
        if !known && !self.gone.ignores_name(&peer, turn.now) && !self.meeting.contains(peer.id_ref()) {
            self.meeting.push(peer.id());
            self.ask(turn, &peer, Request::Ping, Purpose::Meet);
        }
    }

    /// Asks the peer nearest to a random key of the row whom it knows there. If that peer is far from the row, it names
    /// nearer ones, and the next try gets farther.
    fn ask_about_row(&mut self, turn: &mut Turn<'_>, row: Row) {
        let mut random = [0; 32];
        turn.rng.fill_bytes(&mut random);
        let me = self.local.id_ref().key();
        let key = self.metric.key_in_row(me, row, &Key::from_bytes(random), self.table.digit_bits());
        if let Some(peer) = self.nearest_others(&key, 1, self.local.id_ref()).pop() {
            self.ask(turn, &peer, Request::Closest { key, count: ROW_NAMES }, Purpose::Row);
        }
    }

    /// Every row that begins beyond the leaf set: nearer ones are seen by the leaf set whole.
    fn for_each_distant_row(&self, mut visit: impl FnMut(Row)) {
        let bits = self.table.digit_bits();
        let me = self.local.id_ref().key();
        let leaves = self.leaves.as_slice();
        let reach = |index: usize| self.metric.offset(me, leaves[index].peer.id_ref().key());
        let mut side = |direction: Direction, span: Distance, distance_bits: u32| {
            let top = (distance_bits - 1) / bits;
            'levels: for level in (0..=top).rev() {
                for digit in (1..1u8 << bits).rev() {
                    let row = Row { direction, level: level as u8, digit };
                    let start = Distance::shifted(digit, level * bits);
                    if start.bits() > distance_bits {
                        continue;
                    }
                    if start <= span {
                        break 'levels;
                    }
                    visit(row);
                }
            }
        };
        match self.metric.shape() {
            Shape::Circle => {
                let half = leaves.len() / 2;
                side(Direction::Clockwise, reach(half - 1), 255);
                side(Direction::Counterclockwise, Distance::ZERO.wrapping_sub(reach(half)), 255);
            }
            Shape::Tree => side(Direction::Both, reach(leaves.len() - 1), 256),
        }
    }
}
