//! Peers we have lost, tried again from time to time.
//!
//! When a network splits, each side drops the other and closes its own ring; nothing in either ring points across any
//! more. Every node therefore keeps the neighbours it lost and pings one now and then. When one answers, the two
//! exchange leaf sets, everybody named is met, and the exchange runs along both rings until they are one (after
//! Shafaat, Ghodsi and Haridi, "Dealing with network partitions in structured overlay networks", 2009).

use alloc::vec::Vec;
use core::time::Duration;

use super::{Dht, Turn};
use crate::{
    Time,
    calls::Purpose,
    message::Request,
    metric::Metric,
    params::{FORMER_EVERY, FORMER_KEPT, FORMER_SOON},
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
        let wait = turn.around(FORMER_EVERY);
        if !self.timers.is_set(Timer::Former) {
            self.timers.set(Timer::Former, turn.now + wait);
        }
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
        let me = self.local.id_ref().key();
        while let Some(former) = self.former.pop_front() {
            let id = former.peer.id_ref();
            let back = self.leaves.get(&self.metric, me, id).is_some()
                || self.table.get(&self.metric, me, id).is_some();
            let too_old = u64::from(turn.now.seconds().saturating_sub(former.lost)) > FORMER_KEPT.as_secs();
            if back || too_old {
                continue;
            }
            let peer = former.peer.clone();
            self.former.push_back(former);
            self.ask(turn, &peer, Request::Ping, Purpose::Revive);
            let wait = turn.around(FORMER_EVERY);
            self.timers.set(Timer::Former, turn.now + wait);
            return;
        }
    }

    /// One has answered: perhaps a whole part of the network is back.
    pub(super) fn former_is_back(&mut self, turn: &mut Turn<'_>, peer: &Peer) {
        self.former.retain(|former| former.peer.id_ref() != peer.id_ref());
        self.exchange_leaves(turn, peer, false);
        if !self.former.is_empty() {
            self.timers.set_no_later(Timer::Former, turn.now + FORMER_SOON);
        }
    }
}
