//! Peers we have lost, tried again from time to time.
//!
//! When a network splits, each side drops the other and closes its own ring; nothing in either ring points across any
//! more. Every node therefore keeps the neighbours it lost and pings one now and then. When one answers, the two
//! exchange leaf sets, everybody named is met, and the exchange runs along both rings until they are one (after
//! Shafaat, Ghodsi and Haridi, "Dealing with network partitions in structured overlay networks", 2009).
//!
//! A node that has lost as many as it has left was probably cut off itself: it tries them one after the other without a
//! pause, and once one answers it believes whom that one names, since none of them was ever dead.

use alloc::vec::Vec;
use core::time::Duration;

use super::{Dht, Turn};
use crate::{
    NodeId, Time,
    calls::Purpose,
    message::Request,
    metric::Metric,
    params::{CUT_OFF_WITHIN, FORMER_ALONE, FORMER_EVERY, FORMER_KEPT, FORMER_SOON},
    peer::Peer,
    timers::Timer,
};

/// A peer we lost, and when, in seconds.
#[derive(Debug, Clone)]
pub(super) struct Former {
    pub(super) peer: Peer,
    lost: u32,
}

impl<M: Metric> Dht<M> {
    pub(super) fn remember_former(&mut self, turn: &mut Turn<'_>, peer: Peer) {
        if self.config.former == 0 {
            return;
        }
        self.former.retain(|former| former.peer.id_ref() != peer.id_ref());
        if self.former.len() >= usize::from(self.config.former) {
            self.former.pop_front();
        }
        self.former.push_back(Former { peer, lost: turn.now.seconds() });
        let wait = self.former_wait(turn);
        self.timers.set_no_later(Timer::Former, turn.now + wait);
    }

    /// How long until the next is tried. A node that has been alone for long does not go on as if it were back at any
    /// moment.
    fn former_wait(&self, turn: &mut Turn<'_>) -> Duration {
        turn.around(match self.is_cut_off(turn.now, None) {
            true if self.lost_since(turn.now, CUT_OFF_WITHIN).is_empty() => FORMER_ALONE,
            true => FORMER_SOON,
            false => FORMER_EVERY,
        })
    }

    /// Whether it is probably this node that was lost, and not all those that it has lost: nobody is left, or not more
    /// than were lost lately. Whoever is just `back` counts as lost.
    fn is_cut_off(&self, now: Time, back: Option<&NodeId>) -> bool {
        let is_there = |id: &NodeId| back != Some(id) && self.leaves.get(&self.origin, id).is_some();
        let lost = self.lost_since(now, CUT_OFF_WITHIN);
        let lost = lost.iter().filter(|peer| !is_there(peer.id_ref())).count();
        let left = self.leaves.as_slice().iter().filter(|leaf| is_there(leaf.peer.id_ref())).count();
        left == 0 || lost >= left
    }

    /// Those that were lost within so long.
    pub(super) fn lost_since(&self, now: Time, within: Duration) -> Vec<Peer> {
        let late =
            |former: &&Former| u64::from(now.seconds().saturating_sub(former.lost)) <= within.as_secs();
        self.former.iter().filter(late).map(|former| former.peer.clone()).collect()
    }

    /// All of them.
    pub(super) fn all_former(&self) -> Vec<Peer> {
        self.former.iter().map(|former| former.peer.clone()).collect()
    }

    /// Pings the one that has waited longest.
    pub(super) fn try_former(&mut self, turn: &mut Turn<'_>) {
        while let Some(former) = self.former.pop_front() {
            let id = former.peer.id_ref();
            let back =
                self.leaves.get(&self.origin, id).is_some() || self.table.get(&self.origin, id).is_some();
            let too_old = u64::from(turn.now.seconds().saturating_sub(former.lost)) > FORMER_KEPT.as_secs();
            if back || too_old {
                continue;
            }
            let peer = former.peer.clone();
            self.former.push_back(former);
            self.ask(turn, &peer, Request::Ping, Purpose::Revive);
            let wait = self.former_wait(turn);
            self.timers.set(Timer::Former, turn.now + wait);
            return;
        }
    }

    /// One has answered: perhaps a whole part of the network is back.
    pub(super) fn former_is_back(&mut self, turn: &mut Turn<'_>, peer: &Peer) {
        let was_cut_off = self.is_cut_off(turn.now, Some(peer.id_ref()));
        self.former.retain(|former| former.peer.id_ref() != peer.id_ref());
        if was_cut_off {
            for former in &self.former {
                self.gone.believe_names_of(former.peer.id_ref());
            }
        }
        self.exchange_leaves(turn, peer, false);
        if !self.former.is_empty() {
            self.timers.set_no_later(Timer::Former, turn.now + FORMER_SOON);
        }
    }
}

#[cfg(test)]
mod tests;
