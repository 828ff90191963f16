//! Finding out who is dead.
//!
//! Neighbours are probed one by one, and the next id upwards every time, so that every node is watched closely by one
//! other. One that misses a probe is suspected: it is asked again and others are asked to reach it (SWIM, Das et al.
//! 2002). It is dropped when it has missed at least two of our own probes and either the transport refuses it or the
//! suspicion has lasted: twice the configured time, once if another node cannot reach it either, and a sixth if another has
//! been through all this and announced the death (after Lifeguard, Dadgar et al. 2017).

use alloc::vec::Vec;
use core::time::Duration;

use super::{Dht, Turn};
use crate::{
    NodeId,
    calls::Purpose,
    io::DownReason,
    leaf_set::Leaf,
    message::{Message, Notice, Request},
    metric::{Metric, Shape},
    peer::Peer,
    timers::Timer,
};

/// Own probes that must be missed before a neighbour is dropped that others have announced or the transport refuses.
/// Design.
const MISSES_MIN: u8 = 2;
/// The same for the first to notice, whatever helpers say. Design: with 2 % of messages lost, four are missed in a row
/// once in 400,000 times.
const MISSES_FIRST: u8 = 4;
/// Questions left unanswered in a row before a row drops its entry. Design.
const ENTRY_MISSES_MAX: u8 = 2;
/// A peer that spoke within this time is not probed at once because another thinks it is down. Design.
const FRESH: Duration = Duration::from_millis(500);
/// How many neighbours a round looks at to find one that has been silent. Design.
const LOOK_AHEAD: usize = 4;
/// Parts of the configured suspicion that are waited, and probes apart, when another has announced the death. Design.
const ANNOUNCED_PARTS: u32 = 6;
/// Probes of a suspect within the configured suspicion while nobody has announced its death. Design.
const PROBES: u32 = 3;
/// How many others are asked to reach a suspect. SWIM's k. Design.
const HELPERS: usize = 3;
/// Under XOR, a death heard from so many others is not news any more. Design.
const HEARD_ENOUGH: u8 = 4;

impl<M: Metric> Dht<M> {
    pub(super) fn probe_next(&mut self, turn: &mut Turn<'_>) {
        let period = turn.around(self.config.probe_every * self.patience());
        self.timers.set(Timer::Probe, turn.now + period);
        let Some(watched) = self.leaves.watched(self.local.id_ref().key()) else { return };
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
        let Some(leaf) = self.leaves.get_mut(&self.metric, self.local.id_ref().key(), id) else { return };
        if leaf.probing {
            return;
        }
        leaf.probing = true;
        let peer = leaf.peer.clone();
        self.ask(turn, &peer, Request::Ping, Purpose::Probe);
    }

    /// A peer left a question of ours unanswered, or the transport could not reach it.
    pub(super) fn missed(&mut self, turn: &mut Turn<'_>, peer: &Peer, refused: bool) {
        let me = self.local.id_ref().key();
        if let Some(entry) = self.table.get_mut(&self.metric, me, peer.id_ref()) {
            entry.missed = entry.missed.saturating_add(1);
            if entry.missed >= ENTRY_MISSES_MAX {
                self.table.remove(&self.metric, me, peer.id_ref());
            }
        }
        let Some(leaf) = self.leaves.get_mut(&self.metric, me, peer.id_ref()) else { return };
        leaf.missed = leaf.missed.saturating_add(1);
        leaf.refused = leaf.refused.saturating_add(u8::from(refused));
        let first = leaf.suspect(turn.now);
        let announced = leaf.announced;
        if self.drop_if_dead(turn, peer.id_ref()) {
            return;
        }
        // Where another has announced it already, it has asked.
        if first && !refused && !announced && !self.is_client() {
            self.ask_helpers(turn, peer.id_ref());
        }
        // Once more at once, in case a message was lost, and from then on in steps. Also when the transport has just lost its
        // connection: the suspicion may be that connection's fault, and the probe goes by another.
        if first || refused {
            self.probe(turn, peer.id_ref());
        }
        self.timers.set_no_later(Timer::Suspects, turn.now + self.suspicion_step(announced));
    }

    /// A peer of the rows did not answer when it seemed to have become a neighbour. Only its own record is held against
    /// it: others may have given a wrong address for it.
    pub(super) fn entry_missed(&mut self, peer: &Peer) {
        let me = self.local.id_ref().key();
        let Some(entry) = self.table.get_mut(&self.metric, me, peer.id_ref()) else { return };
        if entry.peer == *peer {
            entry.missed = entry.missed.saturating_add(1);
            if entry.missed >= ENTRY_MISSES_MAX {
                self.table.remove(&self.metric, me, peer.id_ref());
            }
        }
    }

    fn suspicion_step(&self, announced: bool) -> Duration {
        self.config.suspicion / if announced { ANNOUNCED_PARTS } else { PROBES }
    }

    /// Asks others, chosen at random, to reach a suspect.
    fn ask_helpers(&mut self, turn: &mut Turn<'_>, suspect: &NodeId) {
        let count = self.leaves.len();
        let start = (turn.rng.next_u64() % count as u64) as usize;
        // A stride through the leaf set, so that helpers are not each other's neighbours.
        let stride = (count / HELPERS).max(1);
        for step in 0..HELPERS.min(count) {
            let leaf = &self.leaves.as_slice()[(start + step * stride) % count];
            if leaf.peer.id_ref() != suspect && leaf.missed == 0 {
                let helper = leaf.peer.clone();
                self.ask(turn, &helper, Request::Reach { peer: *suspect }, Purpose::ReachThrough(*suspect));
            }
        }
    }

    /// A helper has tried. If it got through, the fault may be ours or the link's: a peer that only we cannot reach is
    /// kept for longer, and not named to others meanwhile.
    pub(super) fn told_reach(&mut self, suspect: &NodeId, reached: bool) {
        let Some(leaf) = self.leaves.get_mut(&self.metric, self.local.id_ref().key(), suspect) else {
            return;
        };
        if leaf.suspect_since().is_none() {
            return;
        }
        if reached {
            leaf.vouchers = leaf.vouchers.saturating_add(1);
            self.health.doubtful();
        } else {
            leaf.confirmations = leaf.confirmations.saturating_add(1);
        }
    }

    /// Somebody has lost a peer. We look for ourselves; if we miss it too, that counts.
    pub(super) fn told_down(&mut self, turn: &mut Turn<'_>, id: &NodeId) {
        if let Some(leaf) = self.leaves.get_mut(&self.metric, self.local.id_ref().key(), id) {
            leaf.confirmations = leaf.confirmations.saturating_add(1);
            leaf.announced = true;
            self.doubt(turn, id);
        }
    }

    /// Everybody is told that a peer of the rows is gone. It is named to nobody until it has spoken, and dropped if it
    /// leaves one more question unanswered.
    pub(super) fn told_entry_down(&mut self, turn: &mut Turn<'_>, peer: &Peer) {
        let me = self.local.id_ref().key();
        if let Some(entry) = self.table.get_mut(&self.metric, me, peer.id_ref()) {
            entry.missed = entry.missed.max(ENTRY_MISSES_MAX - 1);
            self.ask(turn, peer, Request::Ping, Purpose::Row);
        }
    }

    /// Somebody else thinks a neighbour is gone. It is probed, at once or, if it has just spoken, a little later.
    pub(super) fn doubt(&mut self, turn: &mut Turn<'_>, id: &NodeId) {
        let Some(leaf) = self.leaves.get_mut(&self.metric, self.local.id_ref().key(), id) else { return };
        if turn.now.since(leaf.heard) < FRESH {
            leaf.doubted = true;
            self.timers.set_no_later(Timer::Suspects, turn.now + FRESH);
        } else {
            self.probe(turn, id);
        }
    }

    /// Probes suspects again. Those whose time is up are dropped when they miss this probe too, not before: they may have
    /// come back since the last one.
    pub(super) fn probe_suspects(&mut self, turn: &mut Turn<'_>) {
        let (mut suspects, mut waiting, mut announced) = (Vec::new(), false, false);
        for leaf in self.leaves.iter_mut() {
            if leaf.suspect_since().is_some() || leaf.doubted {
                suspects.push(leaf.peer.id());
                waiting |= leaf.suspect_since().is_some();
                announced |= leaf.announced;
                leaf.doubted = false;
            }
        }
        if waiting {
            self.timers.set(Timer::Suspects, turn.now + self.suspicion_step(announced));
        }
        for suspect in suspects {
            self.probe(turn, &suspect);
        }
    }

    fn drop_if_dead(&mut self, turn: &mut Turn<'_>, id: &NodeId) -> bool {
        let me = self.local.id_ref().key();
        let Some(leaf) = self.leaves.get(&self.metric, me, id) else { return true };
        let Some(since) = leaf.suspect_since() else { return false };
        let suspicion = self.health.stretch(self.config.suspicion);
        // Never less than the whole for the first to notice, however many agree: a process that is stopped for a few
        // seconds is reached by nobody, and lives.
        let patience = match leaf {
            leaf if leaf.vouchers > 0 => self.config.suspicion * 3,
            leaf if leaf.announced => suspicion / ANNOUNCED_PARTS,
            leaf if leaf.confirmations > 0 => suspicion,
            _ => suspicion * 2,
        };
        let enough = if leaf.announced { MISSES_MIN } else { MISSES_FIRST };
        let dead = leaf.refused >= MISSES_MIN || leaf.missed >= enough && turn.now.since(since) >= patience;
        if !dead {
            return false;
        }
        let peer = leaf.peer.clone();
        // The nearest survivor to notice spreads the word; if all did, everybody would hear it forty times. Under XOR those who
        // know a node are not always those it knows, so whoever has not heard it from several others passes it on.
        let watched = self.leaves.watched(me).map(|index| self.leaves.as_slice()[index].peer.id());
        let announce = match self.metric.shape() {
            Shape::Circle => {
                !leaf.announced
                    && (watched == Some(*id)
                        || self.leaves.adjacent(&self.metric).any(|leaf| leaf.peer.id_ref() == id))
            }
            Shape::Tree => leaf.confirmations < HEARD_ENOUGH,
        };
        self.gone.lost(&peer, turn.now);
        self.remember_former(turn, peer);
        self.drop_peer(turn, id, DownReason::Failed);
        if announce && !self.is_client() {
            for leaf in self.leaves.as_slice() {
                turn.send(&leaf.peer, Message::Notice(Notice::Down(*id)));
            }
            // The next one up is watched from now on; it may have died in the same moment.
            if let Some(next) = self.leaves.watched(self.local.id_ref().key()) {
                let next = self.leaves.as_slice()[next].peer.clone();
                self.probe(turn, next.id_ref());
            }
        }
        true
    }
}

#[cfg(test)]
mod tests;
