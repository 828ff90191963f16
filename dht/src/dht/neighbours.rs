//! Keeping the leaf set right: everybody who speaks to us is considered, hearsay is checked first, and the neighbours'
//! leaf sets are taken in again and again.
//!
//! The rules follow Zave's corrections of Chord ("Reasoning about identifier spaces: how to make Chord correct", 2017):
//! a neighbour is adopted only after it has spoken to us itself, only peers that we failed to reach ourselves are
//! dropped, and nothing live is replaced by something farther away.

use alloc::vec::Vec;
use core::time::Duration;

use super::{Dht, Phase, Turn};
use crate::{
    Distance, NodeId,
    calls::Purpose,
    io::{DownReason, Event},
    leaf_set::Leaf,
    message::Request,
    metric::{Metric, Shape},
    peer::Peer,
    rtt::Rtt,
    timers::Timer,
};

/// Most peers met at the same time. Design: one and a half full leaf sets.
const MEETINGS_MAX: usize = 64;

impl<M: Metric> Dht<M> {
    /// A peer has spoken to us: it is alive, and may belong into the tables.
    pub(super) fn heard(&mut self, turn: &mut Turn<'_>, peer: &Peer, rtt: Option<Duration>) {
        if let Some(rtt) = rtt {
            self.network_rtt.sample(rtt);
        }
        if !peer.is_reachable() || self.gone.ignores_words(peer, turn.now) {
            return;
        }
        self.gone.back(peer.id_ref());
        let me = self.local.id_ref().key();
        let mut measured = Rtt::default();
        if let Some(rtt) = rtt {
            measured.sample(rtt);
        }

        match self.table.get_mut(&self.metric, me, peer.id_ref()) {
            Some(entry) => {
                entry.missed = 0;
                entry.heard = turn.now.seconds();
                if let Some(rtt) = rtt {
                    entry.rtt.sample(rtt);
                }
                if peer.seq() > entry.peer.seq() {
                    entry.peer = peer.clone();
                }
            }
            None => self.table.offer(&self.metric, me, peer, turn.now, measured),
        }

        if let Some(leaf) = self.leaves.get_mut(&self.metric, me, peer.id_ref()) {
            leaf.alive(turn.now);
            if let Some(rtt) = rtt {
                leaf.rtt.sample(rtt);
            }
            if peer.seq() > leaf.peer.seq() {
                leaf.peer = peer.clone();
                turn.event(Event::NeighbourUp(peer.clone()));
            }
        } else if self.leaves.wants(&self.metric, me, peer.id_ref()) {
            let displaced = self.leaves.insert(&self.metric, me, Leaf::new(peer.clone(), turn.now, measured));
            turn.event(Event::NeighbourUp(peer.clone()));
            if let Some(displaced) = displaced {
                turn.event(Event::NeighbourDown { peer: displaced.peer.id(), why: DownReason::Displaced });
            }
            self.leaves_changed(turn);
        }
    }

    /// Somebody told us of a peer. If it would be a neighbour, or has a newer record than the one we know, we ask it
    /// ourselves. Returns whether there is nothing left to find out about it.
    pub(super) fn consider(&mut self, turn: &mut Turn<'_>, peer: &Peer) -> bool {
        let id = peer.id_ref();
        if id == self.local.id_ref() || !peer.is_reachable() {
            return true;
        }
        let me = self.local.id_ref().key();
        let wanted = match self.leaves.get(&self.metric, me, id) {
            Some(leaf) => peer.seq() > leaf.peer.seq(),
            None => self.leaves.wants(&self.metric, me, id),
        };
        if !wanted {
            return true;
        }
        if !self.gone.ignores_name(peer, turn.now)
            && self.meeting.len() < MEETINGS_MAX
            && !self.meeting.contains(id)
        {
            self.meeting.push(*id);
            self.ask(turn, peer, Request::Ping, Purpose::Meet);
        }
        false
    }

    pub(super) fn leaves_received(&mut self, turn: &mut Turn<'_>, from: &Peer, digest: u32, peers: &[Peer]) {
        let mut complete = true;
        for peer in peers.iter().take(crate::params::MESSAGE_PEERS_MAX) {
            complete &= self.consider(turn, peer);
        }
        complete &= !self.doubt_missing(turn, from, peers);
        // Only when every name has been dealt with may the neighbour answer "unchanged" next time.
        if let Some(leaf) = self.leaves.get_mut(&self.metric, self.local.id_ref().key(), from.id_ref()) {
            leaf.digest = if complete { digest } else { 0 };
        }
        self.heard_beyond(complete);
        if !complete && self.phase == Phase::Joined {
            self.timers.set_no_later(Timer::Stabilise, turn.now + self.config.stabilise_every / 4);
        }
    }

    /// A neighbour of ours that is not in a leaf set whose span it lies in may be dead: we look for ourselves. Returns
    /// whether there is one.
    fn doubt_missing(&mut self, turn: &mut Turn<'_>, from: &Peer, peers: &[Peer]) -> bool {
        let at = from.id_ref().key();
        let side = |id: &NodeId| {
            let near_side = self.metric.shape() == Shape::Tree || !self.metric.offset(at, id.key()).bit(255);
            usize::from(near_side)
        };
        let distance = |id: &NodeId| {
            let offset = self.metric.offset(at, id.key());
            if side(id) == 1 { offset } else { Distance::ZERO.wrapping_sub(offset) }
        };
        let mut span = [Distance::ZERO; 2];
        for peer in peers {
            let reach = &mut span[side(peer.id_ref())];
            *reach = distance(peer.id_ref()).max(*reach);
        }
        let missing = |leaf: &&Leaf| {
            let id = leaf.peer.id_ref();
            id != from.id_ref()
                && distance(id) < span[side(id)]
                && !peers.iter().any(|peer| peer.id_ref() == id)
        };
        let doubtful: Vec<NodeId> =
            self.leaves.as_slice().iter().filter(missing).map(|l| l.peer.id()).collect();
        for id in &doubtful {
            self.doubt(turn, id);
        }
        !doubtful.is_empty()
    }

    /// A neighbour has told its leaf set. If nothing of it is left to find out, free seats are taken by the right ones.
    pub(super) fn heard_beyond(&mut self, complete: bool) {
        self.thin &= !(complete && self.meeting.is_empty());
    }

    fn leaves_changed(&mut self, turn: &mut Turn<'_>) {
        if self.phase == Phase::Joined {
            self.timers.set_no_later(Timer::Stabilise, turn.now + self.config.stabilise_after_change);
        }
    }

    /// Exchanges leaf sets with the nearest neighbours and with the outermost, who know what lies beyond.
    pub(super) fn stabilise(&mut self, turn: &mut Turn<'_>) {
        let period = turn.around(self.config.stabilise_every);
        self.timers.set(Timer::Stabilise, turn.now + period);
        let mut partners: Vec<Peer> =
            self.leaves.adjacent(&self.metric).map(|leaf| leaf.peer.clone()).collect();
        partners.extend(self.leaves.outermost(&self.metric).map(|leaf| leaf.peer.clone()));
        // One more at random: it heals what the nearest cannot, a ring wound twice around or a view split in two.
        if !self.leaves.is_empty() {
            let index = (turn.rng.next_u64() % self.leaves.len() as u64) as usize;
            partners.push(self.leaves.as_slice()[index].peer.clone());
        }
        // Rows may hold peers that have become neighbours because nearer ones went.
        let key = *self.local.id_ref().key();
        for peer in self.nearest_others(&key, self.config.leaf_set.into(), self.local.id_ref()) {
            self.consider(turn, &peer);
        }
        partners.sort_unstable_by(|a, b| a.id_ref().cmp(b.id_ref()));
        partners.dedup_by(|a, b| a.id_ref() == b.id_ref());
        for partner in partners {
            self.exchange_leaves(turn, &partner);
        }
    }

    pub(super) fn exchange_leaves(&mut self, turn: &mut Turn<'_>, with: &Peer) {
        let known = self.leaves.get(&self.metric, self.local.id_ref().key(), with.id_ref());
        let known = known.map_or(0, |leaf| leaf.digest);
        self.exchanges += 1;
        self.ask(turn, with, Request::Leaves { known }, Purpose::Leaves);
    }

    /// Takes a peer out of all tables. Returns whether it was a neighbour.
    pub(super) fn drop_peer(&mut self, turn: &mut Turn<'_>, id: &NodeId, why: DownReason) -> bool {
        let me = self.local.id_ref().key();
        self.table.remove(&self.metric, me, id);
        let was_full = self.leaves.is_full();
        if self.leaves.remove(&self.metric, me, id).is_none() {
            return false;
        }
        self.thin |= was_full;
        turn.event(Event::NeighbourDown { peer: *id, why });
        self.leaves_changed(turn);
        self.rejoin_if_lonely(turn);
        true
    }
}
