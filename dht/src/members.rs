//! Who is a member of the whole network: a list that every node of a small network keeps, so that its lookups reach
//! the right node at the first try.
//!
//! - An [`Announcement`] is a member's record with its owner's signature, so that anybody can pass it on.
//! - [`News`] say that somebody has become a member or is gone. They spread along a tree of links
//!   ([`plumtree`](crate::plumtree)).
//! - A list ([`view`]) merges them in any order. What was missed is found by comparing lists ([`comparison`]).
//! - In a network too large for that only super-peers list everybody. Who is one is drawn ([`lottery`]), but few of one
//!   network are ([`seats`]); the others list the super-peers ([`lists`]), tell them what they have to tell
//!   ([`reports`]), and ask the fastest first ([`homes`]).
//!
//! A list is a cache and never an authority: lookups contact whom it names, and find their way by fingers if that
//! does not help. What makes it right is the leaf sets: every node answers for the stretch of the ring up to its
//! nearest neighbour, announces itself, and says who has died there.

mod announcement;
pub(crate) mod announcing;
pub(crate) mod comparing;
pub(crate) mod comparison;
pub(crate) mod homes;
mod large_network;
pub(crate) mod lists;
pub(crate) mod lottery;
mod news;
mod reports;
pub(crate) mod seats;
pub(crate) mod view;

use alloc::{sync::Arc, vec::Vec};
use core::time::Duration;

use rand_core::Rng;

pub use self::{
    announcement::{Announcement, Signature},
    comparison::{ArcMembers, Digest},
    lists::Scope,
    news::{Gossip, IdPrefix, News, NewsId},
};
use self::{
    announcing::Announcing,
    comparing::Comparing,
    comparison::Comparison,
    homes::Homes,
    lists::Lists,
    lottery::{Lottery, NODES_PER_SEAT},
    reports::Reports,
    view::{Entry, Taken},
};
use crate::{
    NodeId, Time,
    allowance::Allowance,
    peer::Peer,
    plumtree::{LINKS_MAX, Link, Tree, batches},
};

/// Messages to be sent.
pub(crate) type Outgoing = Vec<(Peer, Gossip)>;

/// Between two looks after links, neighbours and comparisons. Design.
pub(crate) const TICK: Duration = Duration::from_secs(5);
/// The same for the first few: in a network that starts as a whole the neighbours of a moment ago are neighbours no
/// more, and many of them begin to keep a list only now. Then many have news at once, by which nobody can tell yet
/// which links the tree does not need. Design.
const FIRST_TICK: Duration = Duration::from_secs(1);
/// How many those are. Design: half a minute, counting that others begin later.
const FIRST_TICKS: u8 = 30;
/// A link that has been silent for so long is asked whether it is there. Design.
const LINK_SILENCE: Duration = Duration::from_secs(45);
/// Links to members chosen at random, besides those to the two neighbours. Design: with as many accepted, a node has
/// six links on average, enough for what HyParView needed to survive most of its members.
const FAR_LINKS: usize = 2;

/// What this node knows of all members, and its part in spreading the news.
#[derive(Debug, Clone)]
pub(crate) struct Members {
    pub(crate) lists: Lists,
    pub(crate) tree: Tree<News>,
    pub(crate) homes: Homes,
    reports: Reports,
    /// How much others may still report.
    heeded: Allowance,
    /// Whether the network is too large for everybody to list it.
    pub(crate) large: bool,
    /// Whether this node only listens, as a client does: others are told nothing, since nobody would believe it.
    pub(crate) listens: bool,
    /// Whether this node takes a seat as a super-peer.
    pub(crate) seat: bool,
    pub(crate) announcing: Announcing,
    pub(crate) comparing: Comparing,
    /// When this node was last told of to super-peers.
    reported: Time,
    /// Up to where this super-peer has asked the members of its stretch whether they are there.
    swept: NodeId,
    pub(crate) tick_at: Time,
    /// Looks so far, up to [`FIRST_TICKS`].
    ticks: u8,
    home_ticks: u8,
}

/// The end of time: not planned.
pub(crate) const NEVER: Time = Time::from_micros(u64::MAX);

impl Members {
    /// Empty lists, that of everybody with room for so many; this node announces itself at the moment given.
    pub(crate) fn new(capacity: usize, scope: Scope, lottery: Lottery, now: Time, announce_at: Time) -> Self {
        Self {
            lists: Lists::new(capacity, scope, lottery),
            tree: Tree::young(),
            homes: Homes::default(),
            reports: Reports::default(),
            heeded: Allowance::new(now),
            large: false,
            listens: false,
            seat: false,
            announcing: Announcing::new(announce_at),
            comparing: Comparing::new(now),
            reported: now,
            swept: NodeId::from_public_key(&[0; 32]),
            tick_at: now,
            ticks: 0,
            home_ticks: 0,
        }
    }

    /// Those of a client in a large network: it lists the super-peers, to ask them, and is itself announced to nobody.
    pub(crate) fn of_listener(capacity: usize, lottery: Lottery, now: Time) -> Self {
        Self { listens: true, large: true, ..Self::new(capacity, Scope::SuperPeers, lottery, now, NEVER) }
    }

    /// Whether everybody is listed: there has been a comparison with another such list.
    pub(crate) fn is_complete(&self) -> bool {
        self.comparing.is_complete()
    }

    /// Begins or ends listing everybody.
    pub(crate) fn set_scope(&mut self, scope: Scope, out: &mut Outgoing) {
        self.lists.set_scope(scope);
        self.comparing.start_anew();
        self.ticks = 0;
        if scope == Scope::SuperPeers {
            out.extend(self.tree.links().iter().map(|link| (link.peer.clone(), Gossip::Unlink)));
            self.tree = Tree::young();
        } else {
            self.reports.clear();
            self.homes = Homes::default();
        }
    }

    fn lists_everybody(&self) -> bool {
        self.lists.scope() == Scope::Everybody
    }

    /// How long to wait until the next look.
    pub(crate) fn next_tick(&mut self) -> Duration {
        let early = self.ticks < FIRST_TICKS;
        self.ticks += u8::from(early);
        self.tree.young = early;
        if early { FIRST_TICK } else { TICK }
    }

    /// Whether others have been told of this node.
    pub(crate) fn is_announced(&self) -> bool {
        self.announcing.has_told()
    }

    pub(crate) fn next_timeout(&self) -> Option<Time> {
        let next = self.tick_at.min(self.announcing.at()).min(self.reports.at);
        let next = self.tree.next_timeout().map_or(next, |tree| tree.min(next));
        (next != NEVER).then_some(next)
    }

    /// Announces this node if it is time. Returns whether its record has to be signed first.
    pub(crate) fn announce(&mut self, local: &Peer, now: Time) -> bool {
        if self.listens {
            self.announcing.stop();
        }
        match self.announcing.step(local, now) {
            announcing::Step::Wait => false,
            announcing::Step::Sign => true,
            announcing::Step::Tell(own) => {
                let news = News::Member(own);
                self.lists.take(&news, now, false);
                self.tell(news, now);
                false
            }
        }
    }

    /// The signature of this node's record has come.
    pub(crate) fn signed(&mut self, local: &Peer, signature: Signature, now: Time) {
        self.announcing.signed(Announcement::new(local.clone(), self.seat, signature), now);
    }

    /// Spreads news of this node's own, or has super-peers do it.
    fn tell(&mut self, news: News, now: Time) {
        if self.lists_everybody() {
            self.tree.spread(news, None, now);
        } else if !self.listens {
            self.reports.push(news, now);
        }
    }

    /// This node has found out that a member is gone.
    pub(crate) fn lost(&mut self, peer: &Peer, now: Time) {
        let id = peer.id_ref();
        self.tree.disconnect(id);
        let prefix = IdPrefix::from(id);
        let listed = self.lists.widest().get(&prefix).filter(|entry| entry.peer().id_ref() == id);
        // Who lists everybody knows which version others list.
        let seq = match listed {
            Some(entry) => entry.peer().seq(),
            None if self.lists_everybody() => return,
            None => peer.seq(),
        };
        let news = News::Gone { peer: prefix, seq };
        if self.lists.take(&news, now, false) == Taken::New || !self.lists_everybody() {
            self.tell(news, now);
        }
    }

    /// News came along a link. Returns whether they say that this node itself is gone, and adds others to `gone` of
    /// whom that is new, each with the version of its record that is gone.
    pub(crate) fn news(
        &mut self,
        local: &Peer,
        from: &Peer,
        news: Vec<News>,
        now: Time,
        gone: &mut Vec<(IdPrefix, u64)>,
        out: &mut Outgoing,
    ) -> bool {
        let mut accused = false;
        if !self.lists_everybody() {
            // It does not know that nobody listens here any more.
            out.push((from.clone(), Gossip::Unlink));
            return false;
        }
        let Self { lists, tree, .. } = self;
        // A link to somebody who is said to be gone stays: if it lives, it must hear of it.
        tree.news(from, news, now, out, |news| {
            accused |= accuses(news, local);
            let taken = lists.take(news, now, true);
            if let (News::Gone { peer, seq }, Taken::New) = (news, taken) {
                gone.push((*peer, *seq));
            }
            matches!(taken, Taken::New | Taken::Known)
        });
        self.tell_the_buried(local, out);
        accused
    }

    /// Somebody compared lists and sent what this one lacks. Returns whether that says that this node itself is gone.
    pub(crate) fn missed(
        &mut self,
        local: &Peer,
        from: &Peer,
        news: &[News],
        now: Time,
        out: &mut Outgoing,
    ) -> bool {
        let mut accused = false;
        let mut contradictions = Vec::new();
        for news in news {
            accused |= accuses(news, local);
            // Who joined is in every list that is compared. But who is said to be gone may want to contradict, and
            // hears of it only if it is spread.
            let is_gone = matches!(news, News::Gone { .. });
            // A node that lists everybody takes this from anybody: all watch over that list. One that lists only
            // super-peers takes it only from the node with which it compared lists last.
            if is_gone && !self.lists_everybody() && !self.comparing.was_with(from.id_ref()) {
                continue;
            }
            if self.lists.take(news, now, false) == Taken::New && is_gone && self.lists_everybody() {
                self.tree.spread(news.clone(), None, now);
            }
            if let (News::Member(_), (peer, seq)) = (news, news.about())
                && self.lists.widest().gone(&peer).is_some_and(|gone| gone >= seq)
            {
                contradictions.push(News::Gone { peer, seq });
            }
        }
        if !self.listens {
            batches(contradictions.iter(), |batch| out.push((from.clone(), Gossip::Missed(batch))));
        }
        self.tell_the_buried(local, out);
        accused
    }

    /// Keeps up the links: to the neighbours, which hold the tree together, and to a few others, which keep it low.
    /// Those are chosen from all members, or from the peers `known` otherwise while hardly anybody is listed: from a
    /// list of neighbours only a ring would come. Returns those that have been silent for too long.
    pub(crate) fn keep_links(
        &mut self,
        neighbours: &[Peer],
        known: &[Peer],
        local: &NodeId,
        now: Time,
        rng: &mut dyn Rng,
        out: &mut Outgoing,
    ) -> Vec<Peer> {
        if !self.lists_everybody() {
            return Vec::new();
        }
        let mut wanted: Vec<Peer> = neighbours.to_vec();
        let near = |id: &NodeId| neighbours.iter().any(|peer| peer.id_ref() == id);
        let far = self.tree.links().iter().filter(|link| link.ours && !near(link.peer.id_ref()));
        let surplus: Vec<Peer> = far.clone().skip(FAR_LINKS).map(|link| link.peer.clone()).collect();
        for _ in far.count()..FAR_LINKS {
            if self.large || self.lists.of(Scope::Everybody).len() > known.len() {
                wanted.extend(self.random_lister(rng));
            } else {
                wanted.extend(known.get(rng.next_u64() as usize % known.len().max(1)).cloned());
            }
        }
        for peer in surplus {
            self.tree.disconnect(peer.id_ref());
            out.push((peer, Gossip::Unlink));
        }
        for peer in wanted {
            let room = self.tree.links().len() < LINKS_MAX;
            if peer.id_ref() == local || !room || self.tree.link(peer.id_ref()).is_some() {
                continue;
            }
            out.push((peer.clone(), Gossip::Graft(Vec::new())));
            self.tree.connect(&peer, true, now, out);
        }
        let silent = |link: &&Link<NewsId>| now.since(link.heard) > LINK_SILENCE;
        self.tree.links().iter().filter(silent).map(|link| link.peer.clone()).collect()
    }

    /// Somebody who lists everybody: in a small network anybody, in a large one a super-peer.
    fn random_lister(&self, rng: &mut dyn Rng) -> Option<Peer> {
        let scope = if self.large { Scope::SuperPeers } else { Scope::Everybody };
        let entries = self.lists.of(scope).entries();
        if entries.is_empty() {
            return None;
        }
        let entry = &entries[(rng.next_u64() % entries.len() as u64) as usize];
        (entry.missed == 0).then(|| entry.peer().clone())
    }

    /// Begins a comparison if it is time: in a small network with a random member or else a neighbour. In a large one
    /// lists of super-peers are compared with super-peers and, every other time, with whoever is known otherwise
    /// (`stranger`), so that those who know different ones find together; super-peers compare lists of everybody every
    /// other time. Returns whom to ask.
    pub(crate) fn compare(
        &mut self,
        neighbours: &[Peer],
        stranger: Option<&Peer>,
        local: &NodeId,
        size: usize,
        now: Time,
        rng: &mut dyn Rng,
    ) -> Option<(Peer, Scope, Vec<Digest>)> {
        if !self.comparing.is_due(now) {
            return None;
        }
        self.comparing.again_after(now, self.compare_after());
        let lister = self.random_lister(rng).filter(|peer| peer.id_ref() != local);
        let (partner, scope) = if self.large {
            let stranger = stranger.filter(|_| rng.next_u64().is_multiple_of(2)).cloned();
            match (stranger, lister) {
                (None, Some(lister)) if self.lists_everybody() => (lister, Scope::Everybody),
                (Some(partner), _) | (None, Some(partner)) => (partner, Scope::SuperPeers),
                (None, None) => return None,
            }
        } else {
            let index = rng.next_u64() as usize % neighbours.len().max(1);
            let partner = lister.filter(|_| self.is_complete()).or_else(|| neighbours.get(index).cloned())?;
            (partner, Scope::Everybody)
        };
        let size = match scope {
            Scope::Everybody => size,
            Scope::SuperPeers => size / NODES_PER_SEAT as usize,
        };
        let (comparison, digests) = Comparison::new(partner.clone(), scope, self.lists.of(scope), size);
        self.comparing.begin(comparison);
        Some((partner, scope, digests))
    }

    /// A comparison has ended, well or not.
    pub(crate) fn comparison_ended(&mut self, well: bool, now: Time, rng: &mut dyn Rng) {
        self.comparing.end(well);
        if well {
            self.lists.forgive();
        }
        // Not all at the same time.
        let wait = self.compare_after() * (750 + (rng.next_u64() % 501) as u32) / 1000;
        self.comparing.again_after(now, wait);
    }

    /// Takes in records that a comparison has brought. Returns whether any of them was lacking.
    pub(crate) fn take_records(&mut self, records: &[Arc<Announcement>], now: Time) -> bool {
        let Some(scope) = self.comparing.under_way().map(|comparison| comparison.scope) else { return false };
        let lists = &mut self.lists;
        comparison::take_records(records, |news| {
            let (peer, seq) = news.about();
            let listed =
                |lists: &Lists| lists.of(scope).get(&peer).is_some_and(|entry| entry.peer().seq() == seq);
            let before = listed(lists);
            lists.take(news, now, false);
            !before && listed(lists)
        })
    }

    fn compare_after(&self) -> Duration {
        self.comparing.wait(self.large, self.listens)
    }

    /// A peer has spoken to this node.
    pub(crate) fn heard(&mut self, peer: &Peer, now: Time) {
        if let Some(link) = self.tree.link(peer.id_ref()) {
            link.heard = now;
            // It may have another address by now; at the old one it would seem to be gone.
            if peer.seq() > link.peer.seq() {
                link.peer = peer.clone();
            }
        }
        self.lists.answered(peer.id_ref());
    }

    /// A peer has left a question unanswered, or cannot be reached at all.
    pub(crate) fn unanswered(&mut self, peer: &Peer, unreachable: bool, now: Time) {
        self.lists.unanswered(peer);
        self.homes.missed(peer.id_ref());
        if let Some(link) = self.tree.link(peer.id_ref())
            && link.peer.seq() <= peer.seq()
            && (unreachable || now.since(link.heard) > LINK_SILENCE)
        {
            self.tree.disconnect(peer.id_ref());
        }
    }

    /// Listed members in the stretch of the ring between this node and the next that it knows to live.
    pub(crate) fn unaccounted(&self, local: &NodeId, next: &NodeId) -> Vec<Entry> {
        self.lists.of(Scope::Everybody).between(local, next).take(8).cloned().collect()
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.lists.memory_bytes() + self.tree.memory_bytes()
    }
}

/// Whether this says that a node is gone in the version that it is in.
fn accuses(news: &News, local: &Peer) -> bool {
    matches!(news, News::Gone { peer, seq }
        if *seq == local.seq() && *peer == IdPrefix::from(local.id_ref()))
}

#[cfg(test)]
mod tests;
