//! Taking a seat as a super-peer, and knowing those who have.

use alloc::vec::Vec;
use core::time::Duration;

use super::{Dht, Turn};
use crate::{
    NodeId, Time, Willingness,
    io::SuperPeer,
    members::{Scope, lottery::Lottery},
    metric::Metric,
    peer::Peer,
};

/// A node that was away for so long may have missed what the others agreed on meanwhile. Design: less than it takes
/// them to give it up.
pub(super) const SLEPT: Duration = Duration::from_secs(5);

impl<M: Metric> Dht<M> {
    /// Says what time it is: seconds since 1970 at [`Time::ZERO`]. The lottery for the seats of super-peers goes by it.
    /// To be said before the node joins, and again after a sleep that [`Time`] leaves out.
    pub fn set_unix_time(&mut self, at_zero: u64) {
        self.slept |= at_zero.abs_diff(self.lottery.unix_at_zero) > SLEPT.as_secs();
        self.lottery = Lottery { unix_at_zero: at_zero };
        if let Some(members) = &mut self.members {
            members.lists.seats.set_lottery(self.lottery);
        }
    }

    /// Takes a seat, or gives it up. Nobody decides it for a node: others only check that it has been drawn.
    pub(super) fn review_seat(&mut self, turn: &mut Turn<'_>, size: f64) {
        let most = f64::from(self.config.members);
        let (lottery, willing) = (self.lottery, self.config.superpeer != Willingness::Never);
        let id = self.local.id();
        let Some(members) = &mut self.members else { return };
        // Who doubts its own health (it misses answers that others get) is no help to others.
        let fit = willing && members.is_announced() && !self.timing.health.is_poor();
        // Others would not list it if there is a better ticket in its subnet, or enough better ones at its provider.
        let drawn = lottery.draws(&id, turn.now) && members.lists.seats.has_seat_for(&self.local, turn.now);
        let seat = match members.seat {
            false => fit && size > most && drawn,
            // Held until the end of its epoch, and while an estimate may be wrong.
            true => willing && size > most * 0.7 && drawn,
        };
        if seat != members.seat {
            members.seat = seat;
            self.announce_anew();
        }
    }

    /// One of the peers in the tables, at random.
    pub(super) fn somebody_known(&self, turn: &mut Turn<'_>) -> Option<Peer> {
        let (leaves, entries) = (self.leaves.as_slice(), self.table.as_slice());
        let count = (leaves.len() + entries.len()).max(1) as u64;
        let index = (turn.rng.next_u64() % count) as usize;
        let leaf = leaves.get(index).map(|leaf| leaf.peer.clone());
        leaf.or_else(|| entries.get(index - leaves.len()).map(|entry| entry.peer.clone()))
    }

    /// A super-peer that was asked whether it is there has answered.
    pub(super) fn home_answered(&mut self, turn: &Turn<'_>, peer: &Peer, rtt: Duration) {
        if let Some(members) = &mut self.members {
            members.homes.answered(peer, rtt, turn.now);
        }
    }

    /// The super-peers known here, sorted by id; none in a network that everybody lists.
    pub fn super_peers(&self, now: Time) -> Vec<SuperPeer> {
        let Some(members) = &self.members else { return Vec::new() };
        let known = |entry: &crate::members::view::Entry| {
            let id = entry.peer().id_ref();
            let home = members.homes.as_slice().iter().find(|home| home.peer.id_ref() == id);
            SuperPeer {
                peer: entry.peer().clone(),
                since: Time::from_micros(u64::from(entry.since) * 1_000_000),
                seat_ends_in: Duration::from_secs(self.lottery.epoch_ends_in(id, now)),
                missed: entry.missed,
                rtt: home.and_then(|home| home.rtt.smoothed()).or_else(|| self.rtt_of(id).smoothed()),
                score: home.map(|home| home.score()),
            }
        };
        members.lists.of(Scope::SuperPeers).entries().iter().map(known).collect()
    }

    /// Whether the lottery gives a node with this id a seat, by a clock that may be a little wrong. The node has the
    /// seat only if there is no better ticket in its subnet and there are not enough better ones at its provider.
    pub fn draws_seat(&self, id: &NodeId, now: Time) -> bool {
        self.lottery.holds_seat(id, now)
    }

    /// Whether this node has a seat as a super-peer.
    pub fn is_super_peer(&self) -> bool {
        self.members.as_ref().is_some_and(|members| members.seat)
    }
}
