//! Finding out who is dead.
//!
//! Neighbours are probed one by one, and the next id upwards every time, so that every node is watched closely by one
//! other. What becomes of one that misses a probe stands in [`suspicion`](crate::leaf_set::suspicion).

use alloc::vec::Vec;
use core::time::Duration;

use super::{Dht, Turn};
use crate::{
    NodeId,
    calls::Purpose,
    io::DownReason,
    leaf_set::{Leaf, suspicion::Suspicion},
    message::{Message, Notice, Request},
    metric::{Metric, Shape},
    peer::Peer,
    timers::Timer,
};

/// Questions left unanswered in a row before a row drops its entry. Design.
const ENTRY_MISSES_MAX: u8 = 2;
/// A peer that spoke within this time is not probed at once because another thinks it is down. Design.
const FRESH: Duration = Duration::from_millis(500);
/// How many neighbours a round looks at to find one that has been silent. Design.
const LOOK_AHEAD: usize = 4;
/// How many others are asked to reach a suspect. SWIM's k. Design.
const HELPERS: usize = 3;
impl<M: Metric> Dht<M> {
    pub(super) fn probe_next(&mut self, turn: &mut Turn<'_>) {
        let period = turn.around(self.config.probe_every * self.patience());
        self.timers.set(Timer::Probe, turn.now + period);
        let Some(watched) = self.leaves.watched(self.origin.key()) else { return };
        // Who has just spoken need not be asked whether it lives.
        let silent = |leaf: &Leaf, enough: Duration| turn.now.since(leaf.heard) >= enough;
        let leaves = self.leaves.as_slice();
        let mut ask: Vec<NodeId> = Vec::new();
        if silent(&leaves[watched], self.config.probe_every / 2) {
            ask.push(leaves[watched].peer.id());
        }
        let turn_index = usize::from(self.probe_turn);
        let next = (turn_index..turn_index + LOOK_AHEAD.min(leaves.len()))
            .map(|index| index % leaves.len())
            .find(|index| *index != watched && silent(&leaves[*index], self.config.stabilise_every));
        ask.extend(next.map(|index| leaves[index].peer.id()));
        self.probe_turn = ((next.unwrap_or(turn_index) + 1) % leaves.len()) as u8;
        for id in ask {
            self.probe(turn, &id);
        }
    }

    /// Probes a neighbour, unless a probe is under way.
    pub(super) fn probe(&mut self, turn: &mut Turn<'_>, id: &NodeId) {
        let Some(leaf) = self.leaves.get_mut(&self.origin, id) else { return };
        if !leaf.suspicion.start_probe() {
            return;
        }
        let peer = leaf.peer.clone();
        self.ask(turn, &peer, Request::Ping, Purpose::Probe);
    }

    /// A peer left a question of ours unanswered, or the transport could not reach it.
    pub(super) fn missed(&mut self, turn: &mut Turn<'_>, peer: &Peer, refused: bool) {
        if let Some(entry) = self.table.get_mut(&self.origin, peer.id_ref()) {
            entry.missed = entry.missed.saturating_add(1);
            if entry.missed >= ENTRY_MISSES_MAX {
                self.table.remove(&self.origin, peer.id_ref());
            }
        }
        let Some(leaf) = self.leaves.get_mut(&self.origin, peer.id_ref()) else { return };
        let first = leaf.suspicion.misses(turn.now, refused);
        let announced = leaf.suspicion.is_announced();
        if self.drop_if_dead(turn, peer.id_ref()) {
            return;
        }
        // If another node has announced the death, that node has asked helpers already.
        if first && !refused && !announced && !self.is_client() {
            self.ask_helpers(turn, peer.id_ref());
        }
        // Once more at once, in case a message was lost, and from then on in steps. Also when the transport has just
        // lost its connection: the suspicion may be that connection's fault, and the probe goes by another.
        if first || refused {
            self.probe(turn, peer.id_ref());
        }
        self.timers.set_no_later(
            Timer::Suspects,
            turn.now + Suspicion::between_probes(self.config.suspicion, announced),
        );
    }

    /// A peer of the rows did not answer when it seemed to have become a neighbour. Only its own record is held against
    /// it: others may have given a wrong address for it.
    pub(super) fn entry_missed(&mut self, peer: &Peer) {
        let Some(entry) = self.table.get_mut(&self.origin, peer.id_ref()) else { return };
        if entry.peer == *peer {
            entry.missed = entry.missed.saturating_add(1);
            if entry.missed >= ENTRY_MISSES_MAX {
                self.table.remove(&self.origin, peer.id_ref());
            }
        }
    }

    /// Asks others, chosen at random, to reach a suspect.
    fn ask_helpers(&mut self, turn: &mut Turn<'_>, suspect: &NodeId) {
        let count = self.leaves.len();
        let start = (turn.rng.next_u64() % count as u64) as usize;
        // A stride through the leaf set, so that helpers are not each other's neighbours.
        let stride = (count / HELPERS).max(1);
        for step in 0..HELPERS.min(count) {
            let leaf = &self.leaves.as_slice()[(start + step * stride) % count];
            if leaf.peer.id_ref() != suspect && leaf.suspicion.missed() == 0 {
                let helper = leaf.peer.clone();
                self.ask(turn, &helper, Request::Reach { peer: *suspect }, Purpose::ReachThrough(*suspect));
            }
        }
    }

    /// A helper has tried. If it got through, the fault may be ours or the link's: a peer that only we cannot reach is
    /// kept for longer, and not named to others meanwhile.
    pub(super) fn told_reach(&mut self, suspect: &NodeId, reached: bool) {
        let Some(leaf) = self.leaves.get_mut(&self.origin, suspect) else {
            return;
        };
        if leaf.suspicion.was_tried(reached) && reached {
            self.timing.health.doubtful();
        }
    }

    /// Somebody has lost a peer. We look for ourselves; if we miss it too, that counts.
    pub(super) fn told_down(&mut self, turn: &mut Turn<'_>, id: &NodeId) {
        if let Some(leaf) = self.leaves.get_mut(&self.origin, id) {
            leaf.suspicion.is_said_to_be_down();
            self.doubt(turn, id);
        }
    }

    /// Everybody is told that a peer of the rows is gone. It is named to nobody until it has spoken, and dropped if it
    /// leaves one more question unanswered.
    pub(super) fn told_entry_down(&mut self, turn: &mut Turn<'_>, peer: &Peer) {
        if let Some(entry) = self.table.get_mut(&self.origin, peer.id_ref()) {
            entry.missed = entry.missed.max(ENTRY_MISSES_MAX - 1);
            self.ask(turn, peer, Request::Ping, Purpose::Row);
        }
    }

    /// Somebody else thinks a neighbour is gone. It is probed, at once or, if it has just spoken, a little later.
    pub(super) fn doubt(&mut self, turn: &mut Turn<'_>, id: &NodeId) {
        let Some(leaf) = self.leaves.get_mut(&self.origin, id) else { return };
        if turn.now.since(leaf.heard) < FRESH {
            leaf.suspicion.probe_soon();
            self.timers.set_no_later(Timer::Suspects, turn.now + FRESH);
        } else {
            self.probe(turn, id);
        }
    }

    /// Probes suspects again. Those whose time is up are dropped when they miss this probe too, not before: they may
    /// have come back since the last one.
    pub(super) fn probe_suspects(&mut self, turn: &mut Turn<'_>) {
        let (mut suspects, mut waiting, mut announced) = (Vec::new(), false, false);
        for leaf in self.leaves.iter_mut() {
            if leaf.suspicion.take_probe() {
                suspects.push(leaf.peer.id());
                waiting |= leaf.suspicion.is_suspected();
                announced |= leaf.suspicion.is_announced();
            }
        }
        if waiting {
            self.timers
                .set(Timer::Suspects, turn.now + Suspicion::between_probes(self.config.suspicion, announced));
        }
        for suspect in suspects {
            self.probe(turn, &suspect);
        }
    }

    fn drop_if_dead(&mut self, turn: &mut Turn<'_>, id: &NodeId) -> bool {
        let me = self.origin.key();
        let Some(leaf) = self.leaves.get(&self.origin, id) else { return true };
        let whole = self.config.suspicion;
        if !leaf.suspicion.is_fatal(turn.now, whole, self.timing.health.stretch(whole)) {
            return false;
        }
        let peer = leaf.peer.clone();
        // The nearest survivor to notice spreads the word; if all did, everybody would hear it forty times. Under XOR
        // those who know a node are not always those it knows, so whoever has not heard it from several others passes
        // it on.
        let watched = self.leaves.watched(me).map(|index| self.leaves.as_slice()[index].peer.id());
        let announce = match self.origin.shape() {
            Shape::Circle => {
                !leaf.suspicion.is_announced()
                    && (watched == Some(*id)
                        || self.leaves.adjacent(self.origin.shape()).any(|leaf| leaf.peer.id_ref() == id))
            }
            Shape::Tree => !leaf.suspicion.has_spread(),
        };
        self.gone.lost(&peer, turn.now);
        self.remember_former(turn, peer);
        self.drop_peer(turn, id, DownReason::Failed);
        if announce && !self.is_client() {
            for leaf in self.leaves.as_slice() {
                turn.send(&leaf.peer, Message::Notice(Notice::Down(*id)));
            }
            // The next one up is watched from now on; it may have died in the same moment.
            if let Some(next) = self.leaves.watched(self.origin.key()) {
                let next = self.leaves.as_slice()[next].peer.clone();
                self.probe(turn, next.id_ref());
            }
        }
        true
    }
}

#[cfg(test)]
mod tests;
