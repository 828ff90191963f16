//! Keeping the list of all members, in networks small enough for it.

use alloc::{boxed::Box, sync::Arc, vec::Vec};

use super::{Dht, Turn};
use crate::{
    NodeId, Time,
    calls::Purpose,
    io::{Member, Output},
    members::{
        Announcement, ArcMembers, Digest, Gossip, IdPrefix, Members, News, Signature, TICK,
        comparison::{self, Next},
        tree::{Outgoing, batches},
    },
    message::{Message, Notice, Request, Response},
    metric::Metric,
    params::QUARANTINE_FROM,
    peer::Peer,
};

/// Questions that a listed member leaves unanswered before its neighbour declares it gone. Design.
const MISSES_MAX: u8 = 2;

impl<M: Metric> Dht<M> {
    /// Begins or ends keeping the list, as the size of the network demands. Called now and then.
    pub(super) fn review_membership(&mut self, turn: &mut Turn<'_>) {
        let most = f64::from(self.config.members);
        let size = self.network_size().nodes;
        match &self.members {
            None if self.is_member() && size <= most => {
                let wait = if size > QUARANTINE_FROM { self.config.quarantine } else { TICK / 5 };
                // Room for as many more as an estimate may be wrong by.
                let capacity = self.config.members as usize * 3 / 2;
                self.members = Some(Box::new(Members::new(capacity, turn.now, turn.now + wait)));
            }
            // Beyond what an estimate may be wrong by, so that nobody begins and ends all the time.
            Some(_) if !self.is_member() || size > most * 1.4 => self.members = None,
            _ => {}
        }
    }

    /// Does what is due.
    pub(super) fn run_membership(&mut self, turn: &mut Turn<'_>) {
        let Some(members) = &mut self.members else { return };
        if members.next_timeout().is_none_or(|next| next > turn.now) {
            return;
        }
        if members.announce(&self.local, turn.now) {
            turn.out.push(Output::Sign(self.local.clone()));
        }
        let mut out = Outgoing::new();
        members.tree.run(turn.now, &mut out);
        send_all(turn, out);
        let due = self.members.as_ref().is_some_and(|members| members.tick_at <= turn.now);
        if due {
            self.tick_membership(turn);
        }
    }

    fn tick_membership(&mut self, turn: &mut Turn<'_>) {
        self.review_membership(turn);
        let size = self.network_size().nodes as usize;
        let neighbours: Vec<Peer> =
            self.leaves.adjacent(&self.metric).map(|leaf| leaf.peer.clone()).collect();
        let known: Vec<Peer> = self.leaves.as_slice().iter().map(|leaf| leaf.peer.clone()).collect();
        let local = self.local.clone();
        let Some(members) = &mut self.members else { return };
        members.tick_at = turn.now + turn.around(members.next_tick());
        members.view.forget_gone(turn.now.seconds());
        let mut out = Outgoing::new();
        let silent = members.keep_links(&neighbours, &known, local.id_ref(), turn.now, turn.rng, &mut out);
        let question = members.compare(&neighbours, local.id_ref(), size, turn.now, turn.rng);
        send_all(turn, out);
        for peer in silent {
            self.ask(turn, &peer, Request::Ping, Purpose::Link);
        }
        if let Some((partner, digests)) = question {
            self.ask(turn, &partner, Request::Compare { digests }, Purpose::Compare);
        }
        self.account_for_stretch(turn);
    }

    /// This node answers for the ring from itself up to its next neighbour: whoever is listed there and is none is
    /// asked, and declared gone if it does not answer.
    fn account_for_stretch(&mut self, turn: &mut Turn<'_>) {
        let me = self.local.id_ref().key();
        let Some(next) = self.leaves.watched(me) else { return };
        let next = self.leaves.as_slice()[next].peer.id();
        let Some(members) = &self.members else { return };
        for entry in members.unaccounted(self.local.id_ref(), &next) {
            let peer = entry.peer();
            if entry.missed >= MISSES_MAX || self.gone.ignores_name(peer, turn.now) {
                if let Some(members) = &mut self.members {
                    members.lost(peer.id_ref(), turn.now);
                }
            } else {
                self.consider(turn, peer);
            }
        }
    }

    /// A neighbour has been dropped because it is gone. The one that watched it tells everybody.
    pub(super) fn neighbour_gone(&mut self, turn: &Turn<'_>, id: &NodeId, watched: bool) {
        if let Some(members) = &mut self.members {
            members.tree.disconnect(id);
            if watched {
                members.lost(id, turn.now);
            }
        }
    }

    pub(super) fn gossip(&mut self, turn: &mut Turn<'_>, from: &Peer, gossip: Gossip) {
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
        }
        send_all(turn, out);
        // Whoever has it in its tables sees for itself. That an earlier life of a peer has ended says nothing about this one.
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
        if !self.members.as_ref().is_some_and(|members| members.is_announced()) {
            return;
        }
        let addrs = self.local.addrs().to_vec();
        if let Ok(local) = self.local.with_addresses(addrs, self.local.seq() + 1) {
            self.local = Arc::new(local);
        }
        if let Some(members) = &mut self.members {
            members.announce_at = Time::ZERO;
        }
    }

    /// A neighbour has come back that is said to be gone, as after a partition: it is told, so that it contradicts.
    pub(super) fn tell_that_it_was_gone(&self, turn: &mut Turn<'_>, peer: &Peer) {
        let prefix = IdPrefix::from(peer.id_ref());
        let gone = self.members.as_ref().and_then(|members| members.view.gone(&prefix));
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

    pub(super) fn compare_asked(&self, digests: &[Digest]) -> Response {
        let found = self.members.as_ref().and_then(|members| comparison::differences(&members.view, digests));
        let (arcs, more) = found.unwrap_or_default();
        Response::Differences { kept: self.members.is_some(), arcs, more }
    }

    pub(super) fn records_asked(&self, wanted: &[IdPrefix]) -> Response {
        let records = self.members.as_ref().map(|members| comparison::records(&members.view, wanted));
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
        let Some(comparison) = &mut members.comparison else { return };
        if !kept {
            members.comparison_ended(false, turn.now, turn.rng);
            return;
        }
        let lacking = comparison.differences(&members.view, arcs, more);
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
        let changed = comparison::take_records(&mut members.view, records, turn.now);
        if let Some(comparison) = &mut members.comparison {
            comparison.received(changed);
            self.compare_on(turn, from);
        }
    }

    fn compare_on(&mut self, turn: &mut Turn<'_>, from: &Peer) {
        let Some(members) = &mut self.members else { return };
        let Some(comparison) = members.comparison.as_mut().filter(|c| c.partner.id_ref() == from.id_ref())
        else {
            return;
        };
        match comparison.next(&members.view) {
            Next::Records(wanted) => {
                self.ask(turn, from, Request::Records { wanted }, Purpose::Compare);
            }
            Next::Compare(digests) => self.ask(turn, from, Request::Compare { digests }, Purpose::Compare),
            Next::Done => members.comparison_ended(true, turn.now, turn.rng),
        }
    }

    /// The other did not answer.
    pub(super) fn comparison_failed(&mut self, turn: &mut Turn<'_>) {
        if let Some(members) = &mut self.members {
            members.comparison_ended(false, turn.now, turn.rng);
        }
    }

    /// The members listed here, sorted by id: all of the network once [`Dht::knows_members`]. None in a network too
    /// large for that.
    pub fn members(&self) -> Vec<Member> {
        let me = self.local.id_ref().key();
        let Some(members) = &self.members else { return Vec::new() };
        let member = |entry: &crate::members::view::Entry| {
            let leaf = self.leaves.get(&self.metric, me, entry.peer().id_ref());
            Member {
                peer: entry.peer().clone(),
                since: Time::from_micros(u64::from(entry.since) * 1_000_000),
                missed: leaf.map_or(entry.missed, |leaf| leaf.missed),
            }
        };
        members.view.entries().iter().map(member).collect()
    }

    /// Whether this node keeps the list of all members, and has compared it with another's.
    pub fn knows_members(&self) -> bool {
        self.members.as_ref().is_some_and(|members| members.is_complete())
    }

    /// Whether a member with this id is listed.
    pub fn lists(&self, id: &NodeId) -> bool {
        self.members.as_ref().is_some_and(|members| {
            members.view.get(&id.into()).is_some_and(|entry| entry.peer().id_ref() == id)
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

fn send_all(turn: &mut Turn<'_>, out: Outgoing) {
    for (to, gossip) in out {
        turn.send(&to, Message::Notice(Notice::Gossip(gossip)));
    }
}
