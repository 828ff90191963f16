//! Keeping the list of all members, in networks small enough for it, or as a super-peer; and that of super-peers.

use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::time::Duration;

use super::{Dht, Phase, Turn};
use crate::{
    NodeId, Time, Willingness,
    calls::Purpose,
    io::{Member, Output},
    members::{
        Announcement, ArcMembers, Digest, Gossip, IdPrefix, Members, News, Outgoing, Scope, Signature, TICK,
        comparison::{self, Next},
    },
    message::{Message, Notice, Request, Response},
    metric::Metric,
    params::{MEMBERS_MAX, QUARANTINE_FROM},
    peer::Peer,
    plumtree::batches,
};

/// Who was lost within this time may have been lost at the same moment. Design.
const LATELY: Duration = Duration::from_secs(60);
/// Questions that a listed member leaves unanswered before its neighbour declares it gone. Design.
const MISSES_MAX: u8 = 2;

impl<M: Metric> Dht<M> {
    /// Begins or ends keeping lists, and listing everybody, as the size of the network demands. Called now and then.
    pub(super) fn review_membership(&mut self, turn: &mut Turn<'_>) {
        let most = f64::from(self.config.members);
        let size = self.network_size().nodes;
        if self.members.as_ref().is_some_and(|members| members.listens != self.is_client()) {
            self.members = None;
        }
        if self.is_client() {
            return self.review_listening(turn, size);
        }
        if !self.is_member() || self.config.members == 0 {
            self.members = None;
            return;
        }
        let (lottery, grouping) = (self.lottery, self.table.grouping());
        let members = self.members.get_or_insert_with(|| {
            let wait = if size > QUARANTINE_FROM { self.config.quarantine } else { TICK / 5 };
            let scope = if size <= most { Scope::Everybody } else { Scope::SuperPeers };
            // Room for as many more as an estimate may be wrong by; super-peers list all there are.
            let capacity = if self.config.superpeer == Willingness::Never {
                self.config.members as usize * 3 / 2
            } else {
                MEMBERS_MAX as usize
            };
            let mut members = Members::new(capacity, scope, lottery, turn.now, turn.now + wait);
            grouping.into_iter().for_each(|grouping| members.lists.seats.set_grouping(grouping));
            Box::new(members)
        });
        members.large = size > most;
        self.review_seat(turn, size);
        let Some(members) = &mut self.members else { return };
        let keeps = members.seat || self.config.superpeer == Willingness::Prefer;
        let scope = match members.lists.scope() {
            Scope::SuperPeers if size <= most || keeps => Scope::Everybody,
            // Beyond what an estimate may be wrong by, so that nobody begins and ends all the time.
            Scope::Everybody if size > most * 1.4 && !keeps => Scope::SuperPeers,
            same => same,
        };
        if scope != members.lists.scope() {
            let mut out = Outgoing::new();
            members.set_scope(scope, &mut out);
            send_all(turn, out);
        }
    }

    /// Begins or ends listing the super-peers, as a client in a large network does.
    fn review_listening(&mut self, turn: &Turn<'_>, size: f64) {
        // Listening ends at 0.7 times the size at which it begins, so that a wrong estimate does not switch it on and
        // off.
        let least = f64::from(self.config.members) * if self.members.is_some() { 0.7 } else { 1.0 };
        if self.phase != Phase::Joined || self.config.members == 0 || size <= least {
            self.members = None;
        } else if self.members.is_none() {
            let mut members = Members::of_listener(MEMBERS_MAX as usize, self.lottery, turn.now);
            let grouping = self.table.grouping();
            grouping.into_iter().for_each(|grouping| members.lists.seats.set_grouping(grouping));
            self.members = Some(Box::new(members));
        }
    }

    /// Does what is due.
    pub(super) fn run_membership(&mut self, turn: &mut Turn<'_>) {
        let Some(members) = &mut self.members else { return };
        if members.next_timeout().is_none_or(|next| next > turn.now) {
            return;
        }
        if members.announce(&self.local, turn.now) {
            turn.out.push(Output::Sign { record: self.local.clone(), seat: members.seat });
        }
        let mut out = Outgoing::new();
        members.tree.run(turn.now, &mut out);
        members.report(&self.local, turn.now, &mut out);
        send_all(turn, out);
        let due = self.members.as_ref().is_some_and(|members| members.tick_at <= turn.now);
        if due {
            self.tick_membership(turn);
        }
    }

    fn tick_membership(&mut self, turn: &mut Turn<'_>) {
        self.review_membership(turn);
        let size = self.network_size().nodes as usize;
        let (neighbours, known) = self.those_to_link();
        let stranger = self.somebody_known(turn);
        let local = self.local.clone();
        let Some(members) = &mut self.members else { return };
        members.tick_at = turn.now + turn.around(members.next_tick());
        members.lists.tidy(turn.now);
        members.remind(turn.now);
        let mut out = Outgoing::new();
        let mut ask = members.keep_links(&neighbours, &known, local.id_ref(), turn.now, turn.rng, &mut out);
        ask.extend(members.sweep(&local, turn.now));
        let homes = members.homes_to_ask(turn.now, turn.rng);
        let question =
            members.compare(&neighbours, stranger.as_ref(), local.id_ref(), size, turn.now, turn.rng);
        send_all(turn, out);
        for peer in ask {
            self.ask(turn, &peer, Request::Ping, Purpose::Link);
        }
        for peer in homes {
            self.ask(turn, &peer, Request::Ping, Purpose::Home);
        }
        if let Some((partner, scope, digests)) = question {
            self.ask(turn, &partner, Request::Compare { scope, digests }, Purpose::Compare);
        }
        self.account_for_stretch(turn);
    }

    /// Those whose links hold the tree together, and those to choose others from: neighbours on the ring, in a large
    /// network on that of the super-peers.
    fn those_to_link(&self) -> (Vec<Peer>, Vec<Peer>) {
        match &self.members {
            Some(members) if members.large => {
                (members.lists.super_peers_around(self.local.id_ref()), Vec::new())
            }
            _ => (
                self.leaves.adjacent(self.origin.shape()).map(|leaf| leaf.peer.clone()).collect(),
                self.leaves.as_slice().iter().map(|leaf| leaf.peer.clone()).collect(),
            ),
        }
    }

    /// This node answers for the ring from itself up to its next neighbour. Whoever is listed in between is no
    /// neighbour of this node and may be gone: it is asked, and declared gone if it does not answer.
    fn account_for_stretch(&mut self, turn: &mut Turn<'_>) {
        let me = self.origin.key();
        let Some(next) = self.leaves.watched(me) else { return };
        let next = self.leaves.as_slice()[next].peer.id();
        let Some(members) = &self.members else { return };
        if members.lists.scope() == Scope::SuperPeers {
            return;
        }
        for entry in members.unaccounted(self.local.id_ref(), &next) {
            let peer = entry.peer();
            if entry.missed >= MISSES_MAX || self.gone.ignores_name(peer, turn.now) {
                if let Some(members) = &mut self.members {
                    members.lost(peer, turn.now);
                }
            } else if self.consider(turn, peer) {
                // Under XOR it need be no neighbour of this node's; it is asked all the same.
                self.ask(turn, peer, Request::Ping, Purpose::Link);
            }
        }
    }

    /// A neighbour has been dropped because it is gone. The one that watched it tells everybody.
    pub(super) fn neighbour_gone(&mut self, turn: &Turn<'_>, peer: &Peer, watched: bool) {
        if let Some(members) = &mut self.members {
            members.tree.disconnect(peer.id_ref());
            if watched {
                members.lost(peer, turn.now);
            }
        }
    }

    /// A node that died together with the node watching it may have been dropped here while another still seemed to be
    /// its watcher. Now this node answers for its place.
    pub(super) fn account_for_lost(&mut self, turn: &Turn<'_>) {
        let me = self.local.id_ref();
        let Some(next) = self.leaves.watched(me.key()) else { return };
        let next = *self.leaves.as_slice()[next].peer.id_ref();
        let lost = self.lost_since(turn.now, LATELY);
        if let Some(members) = &mut self.members {
            for peer in lost.iter().filter(|peer| is_between(me, peer.id_ref(), &next)) {
                members.lost(peer, turn.now);
            }
        }
    }

    pub(super) fn gossip(&mut self, turn: &mut Turn<'_>, from: &Peer, gossip: Gossip) {
        let gossip = self.without_barred(gossip);
        self.show_later_record(turn, from, &gossip);
        let Some(members) = &mut self.members else {
            // It does not know that nobody listens here.
            if matches!(gossip, Gossip::News(_) | Gossip::Graft(_)) {
                turn.send(from, Message::Notice(Notice::Gossip(Gossip::Unlink)));
            }
            return;
        };
        let (now, mut out) = (turn.now, Outgoing::new());
        let (mut accused, mut gone) = (false, Vec::new());
        match gossip {
            Gossip::News(news) => {
                accused = members.news(&self.local, from, news, now, &mut gone, &mut out);
            }
            Gossip::Have(names) => members.tree.have(from.id_ref(), &names, now),
            Gossip::Graft(_) if members.lists.scope() == Scope::SuperPeers => {
                out.push((from.clone(), Gossip::Unlink));
            }
            Gossip::Graft(names) => {
                members.tree.graft(from, &names, now, &mut out);
            }
            Gossip::Prune => members.tree.prune(from.id_ref()),
            Gossip::Unlink => {
                members.tree.disconnect(from.id_ref());
            }
            Gossip::Missed(news) => {
                accused = members.missed(&self.local, from, &news, now, &mut out);
            }
            Gossip::Report(news) => accused = members.reported(&self.local, &news, now, &mut out),
        }
        send_all(turn, out);
        // Whoever has it in its tables sees for itself. That an earlier life of a peer has ended says nothing about
        // this one.
        let is_gone = |peer: &&Peer| {
            let prefix = IdPrefix::from(peer.id_ref());
            gone.iter().any(|(gone, seq)| *gone == prefix && peer.seq() <= *seq)
        };
        let leaves = self.leaves.as_slice().iter().map(|leaf| &leaf.peer);
        let doubtful: Vec<NodeId> = leaves.filter(is_gone).map(|peer| peer.id()).collect();
        let entries = self.table.as_slice().iter().map(|entry| &entry.peer);
        let doubtful_entries: Vec<Peer> = entries.filter(is_gone).cloned().collect();
        for id in &doubtful {
            self.told_down(turn, id);
        }
        for peer in doubtful_entries.iter().filter(|peer| !doubtful.contains(peer.id_ref())) {
            self.told_entry_down(turn, peer);
        }
        if accused {
            self.contradict();
        }
    }

    /// Somebody says that this node is gone: it says that it is not, with a newer record (an incarnation, as in SWIM).
    fn contradict(&mut self) {
        // Whoever is not listed yet cannot have gone.
        if self.members.as_ref().is_some_and(|members| members.is_announced()) {
            self.announce_anew();
        }
    }

    /// A neighbour has come back that is said to be gone, as after a partition: it is told, so that it contradicts.
    pub(super) fn tell_that_it_was_gone(&self, turn: &mut Turn<'_>, peer: &Peer) {
        let prefix = IdPrefix::from(peer.id_ref());
        if self.show_record_above(turn, peer, peer.seq()) {
            return;
        }
        let gone = self.members.as_ref().and_then(|members| members.lists.widest().gone(&prefix));
        if gone.is_some_and(|seq| seq >= peer.seq()) {
            let news = alloc::vec![News::Gone { peer: prefix, seq: peer.seq() }];
            turn.send(peer, Message::Notice(Notice::Gossip(Gossip::Missed(news))));
        }
    }

    pub(super) fn signed(&mut self, turn: &mut Turn<'_>, seq: u64, signature: Signature) {
        if seq == self.local.seq()
            && let Some(members) = &mut self.members
        {
            members.signed(&self.local, signature, turn.now);
        }
    }

    pub(super) fn compare_asked(&self, scope: Scope, digests: &[Digest]) -> Response {
        let kept =
            |members: &&Members| scope == Scope::SuperPeers || members.lists.scope() == Scope::Everybody;
        let members = self.members.as_deref().filter(kept);
        let found = members.and_then(|members| comparison::differences(members.lists.of(scope), digests));
        let (arcs, more) = found.unwrap_or_default();
        Response::Differences { kept: members.is_some(), arcs, more }
    }

    pub(super) fn records_asked(&self, wanted: &[IdPrefix]) -> Response {
        let records = self
            .members
            .as_ref()
            .map(|members| comparison::records(|prefix| members.lists.get(prefix), wanted));
        Response::Records { records: records.unwrap_or_default() }
    }

    pub(super) fn compared(
        &mut self,
        turn: &mut Turn<'_>,
        from: &Peer,
        kept: bool,
        arcs: &[ArcMembers],
        more: bool,
    ) {
        let Some(members) = &mut self.members else { return };
        let Some(comparison) = members.comparing.under_way_mut() else { return };
        if !kept {
            members.comparison_ended(false, turn.now, turn.rng);
            return;
        }
        let mut lacking = comparison.differences(members.lists.of(comparison.scope), arcs, more);
        if members.listens {
            lacking.clear();
        }
        // What the other says is compared before what it lacks is said.
        batches(lacking.iter(), |batch| {
            turn.send(from, Message::Notice(Notice::Gossip(Gossip::Missed(batch))));
        });
        self.compare_on(turn, from);
    }

    pub(super) fn records_received(
        &mut self,
        turn: &mut Turn<'_>,
        from: &Peer,
        records: &[Arc<Announcement>],
    ) {
        let Some(members) = &mut self.members else { return };
        let gone = &self.gone;
        let named = |record: &&Arc<Announcement>| !gone.bars(record.record().id_ref());
        let records: Vec<Arc<Announcement>> = records.iter().filter(named).cloned().collect();
        let changed = members.take_records(&records, turn.now);
        if let Some(comparison) = members.comparing.under_way_mut() {
            comparison.received(changed);
            self.compare_on(turn, from);
        }
    }

    fn compare_on(&mut self, turn: &mut Turn<'_>, from: &Peer) {
        let Some(members) = &mut self.members else { return };
        let Some(comparison) =
            members.comparing.under_way_mut().filter(|c| c.partner.id_ref() == from.id_ref())
        else {
            return;
        };
        let scope = comparison.scope;
        match comparison.next(members.lists.of(scope)) {
            Next::Records(wanted) => {
                self.ask(turn, from, Request::Records { wanted }, Purpose::Compare);
            }
            Next::Compare(digests) => {
                self.ask(turn, from, Request::Compare { scope, digests }, Purpose::Compare);
            }
            Next::Done => members.comparison_ended(true, turn.now, turn.rng),
        }
    }

    /// The other did not answer.
    pub(super) fn comparison_failed(&mut self, turn: &mut Turn<'_>) {
        if let Some(members) = &mut self.members {
            members.comparison_ended(false, turn.now, turn.rng);
        }
    }

    /// The members listed here, sorted by id: all of the network once [`Dht::knows_members`]. In a network too large
    /// for everybody to list it, only super-peers list any.
    pub fn members(&self) -> Vec<Member> {
        let Some(members) = &self.members else { return Vec::new() };
        let member = |entry: &crate::members::view::Entry| {
            let leaf = self.leaves.get(&self.origin, entry.peer().id_ref());
            Member {
                peer: entry.peer().clone(),
                since: Time::from_micros(u64::from(entry.since) * 1_000_000),
                missed: leaf.map_or(entry.missed, |leaf| leaf.suspicion.missed()),
            }
        };
        members.lists.of(Scope::Everybody).entries().iter().map(member).collect()
    }

    /// Whether this node keeps the list of all members, and has compared it with another's.
    pub fn knows_members(&self) -> bool {
        self.members.as_ref().is_some_and(|members| members.is_complete())
    }

    /// Whether a member with this id is listed.
    pub fn lists(&self, id: &NodeId) -> bool {
        self.members.as_ref().is_some_and(|members| {
            members
                .lists
                .of(Scope::Everybody)
                .get(&id.into())
                .is_some_and(|entry| entry.peer().id_ref() == id)
        })
    }

    pub(super) fn membership_timeout(&self) -> Option<Time> {
        self.members.as_ref().and_then(|members| members.next_timeout())
    }

    /// A peer has left a question unanswered, or cannot be reached at all.
    pub(super) fn membership_unanswered(&mut self, turn: &Turn<'_>, peer: &Peer, unreachable: bool) {
        if let Some(members) = &mut self.members {
            members.unanswered(peer, unreachable, turn.now);
        }
    }
}

/// Whether an id lies between two others, going up from the first.
fn is_between(low: &NodeId, id: &NodeId, high: &NodeId) -> bool {
    if low < high { low < id && id < high } else { low < id || id < high }
}

fn send_all(turn: &mut Turn<'_>, out: Outgoing) {
    for (to, gossip) in out {
        turn.send(&to, Message::Notice(Notice::Gossip(gossip)));
    }
}
