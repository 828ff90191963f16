//! Keeping the leaf set right: everybody who speaks to us is considered, hearsay is checked first, and the neighbours'
//! leaf sets are taken in again and again.
//!
//! The rules follow Zave's corrections of Chord ("Reasoning about identifier spaces: how to make Chord correct", 2017):
//! a neighbour is adopted only after it has spoken to us itself, only peers that we failed to reach ourselves are
//! dropped, and nothing live is replaced by something farther away.

use alloc::vec::Vec;
use core::time::Duration;

use super::{Dht, Phase, Turn, meetings::Meetings};
use crate::{
    Distance, NodeId,
    calls::Purpose,
    io::{DownReason, Event},
    leaf_set::{Leaf, LeafSet},
    message::{Reach, Request},
    metric::{Metric, Shape},
    params::MESSAGE_PEERS_MAX,
    peer::Peer,
    rtt::Rtt,
    short_ids::ShortIds,
    timers::Timer,
};

impl<M: Metric> Dht<M> {
    /// A peer has spoken to us: it is alive, and may belong into the tables.
    pub(super) fn heard(&mut self, turn: &mut Turn<'_>, peer: &Peer, rtt: Option<Duration>) {
        if let Some(rtt) = rtt {
            self.timing.network.sample(rtt);
        }
        if !peer.is_reachable() {
            return self.heard_client(turn, peer);
        }
        if self.gone.ignores_words(peer, turn.now) {
            return;
        }
        if let Some(members) = &mut self.members {
            members.heard(peer, turn.now);
        }
        self.gone.back(peer.id_ref());
        let mut measured = Rtt::default();
        if let Some(rtt) = rtt {
            measured.sample(rtt);
        }

        match self.table.get_mut(&self.origin, peer.id_ref()) {
            Some(entry) => {
                entry.missed = 0;
                entry.heard = turn.now.seconds();
                if let Some(rtt) = rtt {
                    entry.rtt.sample(rtt);
                }
                if peer.seq() > entry.peer.seq() {
                    entry.replace_record(peer);
                }
            }
            None => self.table.offer(&self.origin, peer, turn.now, measured),
        }

        if let Some(leaf) = self.leaves.get_mut(&self.origin, peer.id_ref()) {
            leaf.alive(turn.now);
            if let Some(rtt) = rtt {
                leaf.rtt.sample(rtt);
            }
            if peer.seq() > leaf.peer.seq() {
                leaf.peer = peer.clone();
                turn.event(Event::NeighbourUp(peer.clone()));
            }
        } else if self.leaves.wants(&self.origin, peer.id_ref()) {
            let displaced = self.leaves.insert(&self.origin, Leaf::new(peer.clone(), turn.now, measured));
            turn.event(Event::NeighbourUp(peer.clone()));
            if let Some(displaced) = displaced {
                turn.event(Event::NeighbourDown { peer: displaced.peer.id(), why: DownReason::Displaced });
            }
            self.leaves_changed(turn);
            self.tell_that_it_was_gone(turn, peer);
        }
    }

    /// Somebody told us of a peer. If it would be a neighbour, or has a newer record than the one we know, we ask it
    /// ourselves. Returns whether there is nothing left to find out about it.
    pub(super) fn consider(&mut self, turn: &mut Turn<'_>, peer: &Peer) -> bool {
        let id = peer.id_ref();
        if id == self.local.id_ref() || !peer.is_reachable() {
            return true;
        }
        let wanted = match self.leaves.get(&self.origin, id) {
            Some(leaf) => peer.seq() > leaf.peer.seq(),
            None => self.would_sit(id),
        };
        // Who is still looking for its place would meet half of the network on the way.
        if !wanted || matches!(self.phase, Phase::Joining { .. }) {
            return true;
        }
        if !self.gone.ignores_name(peer, turn.now) && self.meetings.admit(id) {
            self.meetings.begin(*id);
            self.ask(turn, peer, Request::Ping, Purpose::Meet);
        }
        false
    }

    /// Whether a peer would be a neighbour even if everybody who is being met becomes one. A node that has not joined
    /// yet meets more peers than that: its rows want them too.
    fn would_sit(&self, id: &NodeId) -> bool {
        self.leaves.wants(&self.origin, id)
            && (self.phase != Phase::Joined
                || self.leaves.has_seat(&self.origin, id, self.meetings.as_slice()))
    }

    /// The leaf set of a neighbour that has told us which of those we `have` are in it, and named the other `peers`.
    pub(super) fn their_leaves(&self, have: Option<&ShortIds>, shared: u64, peers: &[Peer]) -> Vec<NodeId> {
        let is_shared = |leaf: &&Leaf| {
            let position = have.and_then(|have| have.position(leaf.peer.id_ref()));
            position.is_some_and(|position| shared >> position.min(63) & 1 == 1)
        };
        let shared = self.leaves.as_slice().iter().filter(is_shared).map(|leaf| leaf.peer.id());
        shared.chain(peers.iter().map(|peer| peer.id())).take(MESSAGE_PEERS_MAX).collect()
    }

    /// A neighbour has told its leaf set, of which `peers` are new to us, and how far that is everybody.
    pub(super) fn leaves_received(
        &mut self,
        turn: &mut Turn<'_>,
        from: &Peer,
        digest: u32,
        reach: [Reach; 2],
        theirs: &[NodeId],
        peers: &[Peer],
    ) {
        let me = *self.origin.key();
        let mut peers: Vec<&Peer> = peers.iter().take(MESSAGE_PEERS_MAX).collect();
        // The nearest first: they take the free seats.
        peers.sort_unstable_by(|a, b| self.origin.metric.closer(&me, a.id_ref(), b.id_ref()));
        let mut complete = true;
        for peer in &peers {
            complete &= self.consider(turn, peer);
        }
        let agree = !self.doubt_missing(turn, from, theirs);
        // Only when every name has been dealt with may the neighbour answer "unchanged" next time.
        if let Some(leaf) = self.leaves.get_mut(&self.origin, from.id_ref()) {
            leaf.digest = if complete && agree { digest } else { 0 };
        }
        let reach = reach.map(Reach::distance);
        if let Some(told) = self.leaves.told(&self.origin, from.id_ref(), reach, theirs) {
            self.meetings.is_told(told);
        }
        let is_passed_over = |meetings: &Meetings, peer: &Peer| {
            let id = peer.id_ref();
            id != self.local.id_ref()
                && self.leaves.wants(&self.origin, id)
                && !meetings.contains(id)
                && !self.gone.ignores_name(peer, turn.now)
        };
        for peer in peers {
            if self.meetings.has_been_told() && is_passed_over(&self.meetings, peer) {
                self.meetings.shorten(|told| LeafSet::end_before(told, &self.origin, peer.id_ref()));
            }
        }
        self.all_met();
        if !(complete && agree) && self.phase == Phase::Joined {
            let wait =
                self.pace.wait(self.config.stabilise_after_change).max(self.config.stabilise_every / 4);
            self.timers.set_no_later(Timer::Stabilise, turn.now + wait);
        }
    }

    /// When nobody is left to be met who might be a neighbour, what neighbours have told is true of our own leaf set.
    pub(super) fn all_met(&mut self) {
        if let Some(told) = self.meetings.take_told(|id| self.leaves.wants(&self.origin, id)) {
            self.leaves.extend(&self.origin, told);
        }
    }

    /// A neighbour of ours may be dead if the leaf set of `from` spans its place and does not hold it: we look for
    /// ourselves. Returns whether there is such a neighbour.
    fn doubt_missing(&mut self, turn: &mut Turn<'_>, from: &Peer, theirs: &[NodeId]) -> bool {
        let at = from.id_ref().key();
        let side = |id: &NodeId| {
            let near_side =
                self.origin.shape() == Shape::Tree || !self.origin.metric.offset(at, id.key()).bit(255);
            usize::from(near_side)
        };
        let distance = |id: &NodeId| {
            let offset = self.origin.metric.offset(at, id.key());
            if side(id) == 1 { offset } else { Distance::ZERO.wrapping_sub(offset) }
        };
        let mut span = [Distance::ZERO; 2];
        for id in theirs {
            let reach = &mut span[side(id)];
            *reach = distance(id).max(*reach);
        }
        let missing = |leaf: &&Leaf| {
            let id = leaf.peer.id_ref();
            id != from.id_ref() && distance(id) < span[side(id)] && !theirs.contains(id)
        };
        let doubtful: Vec<NodeId> =
            self.leaves.as_slice().iter().filter(missing).map(|l| l.peer.id()).collect();
        for id in &doubtful {
            self.doubt(turn, id);
        }
        !doubtful.is_empty()
    }

    fn leaves_changed(&mut self, turn: &mut Turn<'_>) {
        self.changed = turn.now;
        self.record_partners_changed(turn);
        if self.phase == Phase::Joined {
            let wait = self.pace.wait(self.config.stabilise_after_change);
            self.timers.set_no_later(Timer::Stabilise, turn.now + wait);
        }
    }

    /// Exchanges leaf sets: from time to time with the nearest neighbours and with the outermost, who know what lies
    /// beyond; after a change with those who can tell more about it. Always with one more at random: it heals what the
    /// nearest cannot, a ring wound twice around or a view split in two.
    pub(super) fn stabilise(&mut self, turn: &mut Turn<'_>) {
        self.review_membership(turn);
        let period = turn.around(self.config.stabilise_every * self.patience());
        self.timers.set(Timer::Stabilise, turn.now + period);
        let whole = self.pace.is_due(turn.now, self.config.stabilise_every * 3 / 4);
        self.pace.round(turn.now, self.config.stabilise_every / 2);
        let mut partners: Vec<Peer> = Vec::new();
        if whole || !self.leaves.is_full() {
            partners.extend(self.leaves.adjacent(self.origin.shape()).map(|leaf| leaf.peer.clone()));
        }
        if whole || self.leaves.is_bound() {
            partners.extend(self.leaves.outermost(self.origin.shape()).map(|leaf| leaf.peer.clone()));
        }
        if !self.leaves.is_empty() {
            let index = (turn.rng.next_u64() % self.leaves.len() as u64) as usize;
            partners.push(self.leaves.as_slice()[index].peer.clone());
        }
        self.promote(turn);
        partners.sort_unstable_by(|a, b| a.id_ref().cmp(b.id_ref()));
        partners.dedup_by(|a, b| a.id_ref() == b.id_ref());
        for partner in partners {
            self.exchange_leaves(turn, &partner, false);
        }
    }

    /// Rows may hold peers that have become neighbours because nearer ones went.
    fn promote(&mut self, turn: &mut Turn<'_>) {
        let key = *self.origin.key();
        for peer in self.nearest_others(&key, self.config.leaf_set.into(), self.local.id_ref()) {
            self.consider(turn, &peer);
        }
    }

    /// Asks a peer for its leaf set. If the peer probably knows somebody we do not, the question says whom we know, so
    /// that it need not name them. If it has told us everything and our own leaf set has not changed lately, the
    /// question only asks whether its leaf set is still the same.
    pub(super) fn exchange_leaves(&mut self, turn: &mut Turn<'_>, with: &Peer, changed: bool) {
        let known = self.leaves.get(&self.origin, with.id_ref());
        // While we do not know everybody near us we want to hear how far it does.
        let known = known.filter(|_| !self.leaves.is_bound()).map_or(0, |leaf| leaf.digest);
        let recently = turn.now.since(self.changed) < 2 * self.config.stabilise_every;
        let have = (changed || recently || known == 0).then(|| {
            let ids = self.leaves.as_slice().iter().map(|leaf| leaf.peer.id_ref());
            ShortIds::of(ids, turn.rng.next_u64())
        });
        self.exchanges += 1;
        self.ask(turn, with, Request::Leaves { known, have }, Purpose::Leaves);
    }

    /// Takes a peer out of all tables. Returns whether it was a neighbour.
    pub(super) fn drop_peer(&mut self, turn: &mut Turn<'_>, id: &NodeId, why: DownReason) -> bool {
        let me = self.origin.key();
        self.table.remove(&self.origin, id);
        let watched =
            self.leaves.watched(me).is_some_and(|index| self.leaves.as_slice()[index].peer.id() == *id);
        let Some(leaf) = self.leaves.remove(&self.origin, id) else { return false };
        self.neighbour_gone(turn, &leaf.peer, watched);
        if watched {
            self.account_for_lost(turn);
        }
        turn.event(Event::NeighbourDown { peer: *id, why });
        self.leaves_changed(turn);
        self.promote(turn);
        self.rejoin_if_lonely(turn);
        true
    }
}
