//! Finding our own place.

use alloc::vec::Vec;
use core::time::Duration;

use super::{Dht, Phase, Turn};
use crate::{
    NodeId,
    io::Event,
    lookup::{Owner, Progress, State},
    metric::Metric,
    params::{JOIN_RETRY_MAX, JOIN_RETRY_MIN, LOOKUP_DEADLINE},
    peer::Peer,
    timers::Timer,
};

/// Most seeds kept. Design.
const SEEDS_MAX: usize = 64;
/// Longest wait for neighbours to answer before a join counts as complete. Design.
const SETTLE_MAX: Duration = Duration::from_secs(2);
/// When, after joining, our own place is looked up again: those who joined at the same moment may have been missed.
/// The last wait goes on for ever. Design.
const CHECKS: [Duration; 3] = [Duration::from_secs(5), Duration::from_secs(30), Duration::from_secs(300)];
/// Names asked for while looking for our own place; the neighbours' leaf sets tell the rest. Design.
pub(super) const JOIN_NAMES: usize = 8;
/// Names asked for when our own place is checked: those next to us on either side, and one to spare. Design.
pub(super) const CHECK_NAMES: usize = 4;
/// Neighbours on which a join waits. Design: two on each side.
const FIRST_EXCHANGES: usize = 4;

impl<M: Metric> Dht<M> {
    pub(super) fn start_joining(&mut self, turn: &mut Turn<'_>, mut seeds: Vec<Peer>) {
        seeds.retain(|seed| seed.id_ref() != self.local.id_ref() && seed.is_reachable());
        seeds.truncate(SEEDS_MAX);
        self.seeds = seeds;
        if matches!(self.phase, Phase::Joined | Phase::Settling { .. }) {
            return;
        }
        // A client cannot be a network.
        if self.seeds.is_empty() && self.leaves.is_empty() && !self.is_client() {
            self.leaves.unbind();
            self.joined(turn);
            return;
        }
        self.phase = Phase::Joining { failed: 0 };
        self.leaves.bind();
        self.try_joining(turn);
    }

    /// Looks for our own place, starting from the seeds and whoever else is known.
    pub(super) fn try_joining(&mut self, turn: &mut Turn<'_>) {
        if self.lookups.of(Owner::Join).is_some() {
            return;
        }
        let mut progress = self.look_for_self(turn, Owner::Join);
        for seed in &self.seeds {
            progress.add(&self.origin.metric, seed, State::Named, None);
        }
        for former in self.former.iter().take(SEEDS_MAX) {
            progress.add(&self.origin.metric, &former.peer, State::Named, None);
        }
        self.run_lookup(turn, progress);
    }

    fn look_for_self(&self, turn: &Turn<'_>, owner: Owner) -> Progress {
        let key = *self.origin.key();
        let half = usize::from(self.config.leaf_set) / 2;
        let need = FIRST_EXCHANGES.min(half);
        let (parallel, deadline) = (self.config.parallel.into(), turn.now + LOOKUP_DEADLINE);
        let mut progress = Progress::new(owner, key, half, need, parallel, turn.now, deadline);
        for peer in self.nearest_others(&key, self.config.reply_peers.into(), self.local.id_ref()) {
            progress.add(&self.origin.metric, &peer, State::Named, None);
        }
        progress
    }

    /// Our own place has been found, or not.
    pub(super) fn join_finished(&mut self, turn: &mut Turn<'_>, found: bool) {
        let failed = match self.phase {
            Phase::Joining { failed } => failed,
            Phase::Joined => {
                if !found || self.is_lonely() {
                    let wait = turn.around(JOIN_RETRY_MAX);
                    self.timers.set(Timer::Join, turn.now + wait);
                }
                return;
            }
            _ => return,
        };
        if !found || self.is_client() && self.knows_nobody() {
            let failed = failed.saturating_add(1);
            let wait = (JOIN_RETRY_MIN * (1 << (failed - 1).min(5))).min(JOIN_RETRY_MAX);
            let retry_in = turn.around(wait);
            self.phase = Phase::Joining { failed };
            self.timers.set(Timer::Join, turn.now + retry_in);
            turn.event(Event::JoinFailed { attempts: failed, retry_in });
            return;
        }
        self.phase = Phase::Settling { last: false };
        self.timers.set(Timer::Settle, turn.now + SETTLE_MAX);
        self.exchange_first(turn, 1);
    }

    fn exchange_first(&mut self, turn: &mut Turn<'_>, neighbours: usize) {
        let key = *self.origin.key();
        for neighbour in self.nearest_others(&key, neighbours, self.local.id_ref()) {
            self.exchange_leaves(turn, &neighbour, false);
        }
    }

    /// A join is complete when the nearest neighbour has told its leaf set, a few others what is missing there, and
    /// everybody named has been met.
    pub(super) fn finish_settling(&mut self, turn: &mut Turn<'_>) {
        let Phase::Settling { last } = self.phase else { return };
        if self.exchanges > 0 || !self.meetings.is_empty() {
            return;
        }
        if last {
            return self.joined(turn);
        }
        self.phase = Phase::Settling { last: true };
        self.exchange_first(turn, FIRST_EXCHANGES);
        if self.exchanges == 0 {
            self.joined(turn);
        }
    }

    pub(super) fn joined(&mut self, turn: &mut Turn<'_>) {
        self.timers.stop(Timer::Settle);
        self.timers.stop(Timer::Join);
        self.phase = Phase::Joined;
        self.checks = 0;
        self.plan_maintenance(turn, self.config.stabilise_after_change, CHECKS[0]);
        turn.event(Event::Joined);
        self.records_may_be_old(turn);
        self.places_may_be_old(turn.now);
    }

    /// Sets the recurring timers, each to anywhere within its first period, so that nodes started together do not act
    /// together.
    pub(super) fn plan_maintenance(&mut self, turn: &mut Turn<'_>, stabilise: Duration, check: Duration) {
        let periods = [
            (Timer::Stabilise, stabilise),
            (Timer::Probe, self.config.probe_every),
            (Timer::Check, check),
            (Timer::Refresh, self.config.refresh_step),
        ];
        for (timer, period) in periods {
            let wait = period * (1 + turn.rng.next_u64() % 1000) as u32 / 1000;
            self.timers.set(timer, turn.now + wait);
        }
    }

    pub(super) fn check_own_place(&mut self, turn: &mut Turn<'_>) {
        self.checks = self.checks.saturating_add(1);
        let wait = turn.around(CHECKS[usize::from(self.checks).min(CHECKS.len() - 1)]);
        self.timers.set(Timer::Check, turn.now + wait);
        // Whoever lies beyond the leaf set is asked: the members have told already whom they know, and a ring that has
        // split in two looks whole to each of its halves.
        let key = *self.origin.key();
        let me = self.local.id_ref();
        let strangers = self
            .nearest_others(&key, 2 * usize::from(self.config.leaf_set), me)
            .into_iter()
            .filter(|peer| self.leaves.get(&self.origin, peer.id_ref()).is_none());
        let mut progress = self.look_beyond(turn);
        let mut known = 0;
        for stranger in strangers.take(CHECK_NAMES) {
            progress.add(&self.origin.metric, &stranger, State::Named, None);
            known += 1;
        }
        if known > 0 {
            self.run_lookup(turn, progress);
        }
    }

    /// Looks for our own place where this node would not ask by itself: ends with the first that knows its
    /// neighbourhood.
    fn look_beyond(&self, turn: &Turn<'_>) -> Progress {
        let (key, deadline) = (*self.origin.key(), turn.now + LOOKUP_DEADLINE);
        Progress::new(Owner::Check, key, CHECK_NAMES, 1, 1, turn.now, deadline).until_covered(usize::MAX)
    }

    /// Looks for our own place among those that a stranger knows. They hear us and we hear them, which is all that two
    /// rings need to grow together.
    pub(super) fn meet(&mut self, turn: &mut Turn<'_>, stranger: &Peer) {
        let id = stranger.id_ref();
        let is_stranger = stranger.is_reachable() && id != self.local.id_ref() && !self.knows(id);
        if is_stranger && self.is_member() {
            let mut progress = self.look_beyond(turn);
            progress.add(&self.origin.metric, stranger, State::Named, None);
            self.run_lookup(turn, progress);
        }
    }

    /// With fewer than two neighbours the ring may have fallen apart.
    fn is_lonely(&self) -> bool {
        self.leaves.len() < 2
    }

    pub(super) fn rejoin_if_lonely(&mut self, turn: &mut Turn<'_>) {
        if self.phase == Phase::Joined
            && self.is_lonely()
            && !self.seeds.is_empty()
            && !self.timers.is_set(Timer::Join)
        {
            let wait = turn.around(JOIN_RETRY_MIN);
            self.timers.set(Timer::Join, turn.now + wait);
        }
    }

    /// Names heard during a lookup may be neighbours, or useful in a row.
    pub(super) fn consider_all(&mut self, turn: &mut Turn<'_>, peers: &[Peer]) {
        for peer in peers {
            if self.consider(turn, peer) && peer.is_reachable() && peer.id_ref() != self.local.id_ref() {
                self.table.note(&self.origin, peer);
            }
        }
    }

    /// Whether this node counts itself among the results of its lookups.
    pub(super) fn is_member(&self) -> bool {
        self.phase == Phase::Joined && !self.is_client()
    }

    /// This node's own id.
    pub(super) fn own_id(&self) -> &NodeId {
        self.local.id_ref()
    }
}
