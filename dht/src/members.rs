//! Who is a member of the whole network: a list that every node of a small network keeps, so that its lookups reach
//! the right node at the first try.
//!
//! - An [`Announcement`] is a member's record with its owner's signature, so that anybody can pass it on.
//! - [`News`] say that somebody has become a member or is gone. They spread along a tree of links ([`tree`]).
//! - The list ([`view`]) merges them in any order. What was missed is found by comparing lists ([`comparison`]).
//!
//! The list is a cache and never an authority: lookups contact whom it names, and find their way by fingers if that
//! does not help. What makes it right is the leaf sets: every node answers for the stretch of the ring up to its
//! nearest neighbour, announces itself, and says who has died there.

mod announcement;
pub(crate) mod comparison;
mod news;
pub(crate) mod tree;
pub(crate) mod view;

use alloc::{sync::Arc, vec::Vec};
use core::time::Duration;

use rand_core::Rng;

pub use self::{
    announcement::{Announcement, Signature},
    comparison::{ArcMembers, Digest},
    news::{Gossip, IdPrefix, News, NewsId},
};
use self::{
    comparison::Comparison,
    tree::{LINKS_MAX, Outgoing, Tree, batches},
    view::{Entry, Taken, View},
};
use crate::{NodeId, Time, peer::Peer};

/// Between two looks after links, neighbours and comparisons. Design.
pub(crate) const TICK: Duration = Duration::from_secs(5);
/// The same for the first few: in a network that starts as a whole the neighbours of a moment ago are neighbours no
/// more, and many of them begin to keep a list only now. Then many have news at once, by which nobody can tell yet which
/// links the tree does not need. Design.
const FIRST_TICK: Duration = Duration::from_secs(1);
/// How many those are. Design: half a minute, counting that others begin later.
const FIRST_TICKS: u8 = 30;
/// Until the next comparison: soon at first, because the one it was made with may have been new here too. The last
/// wait goes on for ever; what spreading misses is rare, and lookups survive it. Design.
const COMPARE_AFTER: [Duration; 4] =
    [Duration::from_secs(2), Duration::from_secs(15), Duration::from_secs(60), Duration::from_secs(300)];
/// Between two announcements of one's own. Design: longer than others ignore a second one, so that none is lost.
const ANNOUNCE_EVERY: Duration = Duration::from_secs(15);
/// A link that has been silent for so long is asked whether it is there. Design.
const LINK_SILENCE: Duration = Duration::from_secs(45);
/// Links to members chosen at random, besides those to the two neighbours. Design: with as many accepted, a node has
/// six links on average, enough for what HyParView needed to survive most of its members.
const FAR_LINKS: usize = 2;

/// What this node knows of all members, and its part in spreading the news.
#[derive(Debug, Clone)]
pub(crate) struct Members {
    pub(crate) view: View,
    pub(crate) tree: Tree,
    /// This node's own record, signed.
    own: Option<Arc<Announcement>>,
    /// The version of the record that a signature was asked for.
    asked: Option<u64>,
    /// When it is to be announced.
    pub(crate) announce_at: Time,
    announced: Option<Time>,
    pub(crate) comparison: Option<Comparison>,
    compare_at: Time,
    /// Comparisons that went well.
    compared: u8,
    pub(crate) tick_at: Time,
    /// Looks so far, up to [`FIRST_TICKS`].
    ticks: u8,
}

/// The end of time: not planned.
pub(crate) const NEVER: Time = Time::from_micros(u64::MAX);

impl Members {
    /// An empty list of at most so many members; this node announces itself at the moment given.
    pub(crate) fn new(capacity: usize, now: Time, announce_at: Time) -> Self {
        Self {
            view: View::new(capacity),
            tree: Tree::young(),
            own: None,
            asked: None,
            announce_at,
            announced: None,
            comparison: None,
            compare_at: now,
            compared: 0,
            tick_at: now,
            ticks: 0,
        }
    }

    /// Whether it has been compared with somebody else's at least once.
    pub(crate) fn is_complete(&self) -> bool {
        self.compared > 0
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
        self.announced.is_some()
    }

    pub(crate) fn next_timeout(&self) -> Option<Time> {
        let next = self.tick_at.min(self.announce_at);
        let next = self.tree.next_timeout().map_or(next, |tree| tree.min(next));
        (next != NEVER).then_some(next)
    }

    /// Announces this node if it is time. Returns whether its record has to be signed first.
    pub(crate) fn announce(&mut self, local: &Peer, now: Time) -> bool {
        if self.announce_at > now {
            return false;
        }
        let earliest = self.announced.map_or(now, |last| last + ANNOUNCE_EVERY);
        if earliest > now {
            self.announce_at = earliest;
            return false;
        }
        let signed = self.own.as_ref().filter(|own| own.record().seq() == local.seq());
        let Some(own) = signed.cloned() else {
            // It is announced as soon as the signature is there.
            self.announce_at = NEVER;
            return self.asked.replace(local.seq()) != Some(local.seq());
        };
        self.announce_at = NEVER;
        self.announced = Some(now);
        let news = News::Member(own);
        self.view.take(&news, now, false);
        self.tree.spread(news, None, now);
        false
    }

    /// The signature of this node's record has come.
    pub(crate) fn signed(&mut self, local: &Peer, signature: Signature, now: Time) {
        self.own = Some(Announcement::new(local.clone(), signature));
        self.announce_at = self.announce_at.min(now);
    }

    /// This node's record has changed.
    pub(crate) fn record_changed(&mut self, now: Time) {
        // Whoever is not announced yet will be with the new record.
        if self.announced.is_some() || self.asked.is_some() {
            self.announce_at = self.announce_at.min(now);
        }
    }

    /// This node has found out that a member is gone.
    pub(crate) fn lost(&mut self, id: &NodeId, now: Time) {
        self.tree.disconnect(id);
        let prefix = IdPrefix::from(id);
        let Some(entry) = self.view.get(&prefix).filter(|entry| entry.peer().id_ref() == id) else { return };
        let news = News::Gone { peer: prefix, seq: entry.peer().seq() };
        if self.view.take(&news, now, false) == Taken::New {
            self.tree.spread(news, None, now);
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
        let Self { view, tree, .. } = self;
        // A link to somebody who is said to be gone stays: if it lives, it must hear of it.
        tree.news(from, news, now, out, |news| {
            accused |= accuses(news, local);
            let taken = view.take(news, now, true);
            if let (News::Gone { peer, seq }, Taken::New) = (news, taken) {
                gone.push((*peer, *seq));
            }
            taken
        });
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
            if self.view.take(news, now, false) == Taken::New && matches!(news, News::Gone { .. }) {
                self.tree.spread(news.clone(), None, now);
            }
            if let (News::Member(_), (peer, seq)) = (news, news.about())
                && self.view.gone(&peer).is_some_and(|gone| gone >= seq)
            {
                contradictions.push(News::Gone { peer, seq });
            }
        }
        batches(contradictions.iter(), |batch| out.push((from.clone(), Gossip::Missed(batch))));
        accused
    }

    /// Keeps up the links: to the neighbours, which hold the tree together, and to a few others, which keep it low. Those
    /// are chosen from all members, or from the peers `known` otherwise while hardly anybody is listed: from a list of
    /// neighbours only a ring would come. Returns those that have been silent for too long.
    pub(crate) fn keep_links(
        &mut self,
        neighbours: &[Peer],
        known: &[Peer],
        local: &NodeId,
        now: Time,
        rng: &mut dyn Rng,
        out: &mut Outgoing,
    ) -> Vec<Peer> {
        let mut wanted: Vec<Peer> = neighbours.to_vec();
        let near = |id: &NodeId| neighbours.iter().any(|peer| peer.id_ref() == id);
        let far = self.tree.links().iter().filter(|link| link.ours && !near(link.peer.id_ref()));
        let surplus: Vec<Peer> = far.clone().skip(FAR_LINKS).map(|link| link.peer.clone()).collect();
        for _ in far.count()..FAR_LINKS {
            if self.view.len() > known.len() {
                wanted.extend(self.random_member(rng));
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
        let silent = |link: &&tree::Link| now.since(link.heard) > LINK_SILENCE;
        self.tree.links().iter().filter(silent).map(|link| link.peer.clone()).collect()
    }

    fn random_member(&self, rng: &mut dyn Rng) -> Option<Peer> {
        let count = self.view.len();
        if count == 0 {
            return None;
        }
        let entry = &self.view.entries()[(rng.next_u64() % count as u64) as usize];
        (entry.missed == 0).then(|| entry.peer().clone())
    }

    /// Begins a comparison if it is time, with a random member or else a neighbour. Returns whom to send which digests.
    pub(crate) fn compare(
        &mut self,
        neighbours: &[Peer],
        local: &NodeId,
        size: usize,
        now: Time,
        rng: &mut dyn Rng,
    ) -> Option<(Peer, Vec<Digest>)> {
        if self.comparison.is_some() || self.compare_at > now {
            return None;
        }
        self.compare_at = now + self.compare_after();
        let random = self.random_member(rng).filter(|peer| self.is_complete() && peer.id_ref() != local);
        let neighbour = || {
            let index = rng.next_u64() as usize % neighbours.len().max(1);
            neighbours.get(index).cloned()
        };
        let partner = random.or_else(neighbour)?;
        let (comparison, digests) = Comparison::new(partner.clone(), &self.view, size);
        self.comparison = Some(comparison);
        Some((partner, digests))
    }

    /// A comparison has ended, well or not.
    pub(crate) fn comparison_ended(&mut self, well: bool, now: Time, rng: &mut dyn Rng) {
        self.comparison = None;
        if well {
            self.view.forgive();
        }
        self.compared = self.compared.saturating_add(well.into());
        // Not all at the same time.
        self.compare_at = now + self.compare_after() * (750 + (rng.next_u64() % 501) as u32) / 1000;
    }

    fn compare_after(&self) -> Duration {
        COMPARE_AFTER[usize::from(self.compared).min(COMPARE_AFTER.len() - 1)]
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
        self.view.answered(peer.id_ref());
    }

    /// A peer has left a question unanswered, or cannot be reached at all.
    pub(crate) fn unanswered(&mut self, peer: &Peer, unreachable: bool, now: Time) {
        self.view.unanswered(peer);
        if let Some(link) = self.tree.link(peer.id_ref())
            && link.peer.seq() <= peer.seq()
            && (unreachable || now.since(link.heard) > LINK_SILENCE)
        {
            self.tree.disconnect(peer.id_ref());
        }
    }

    /// Listed members in the stretch of the ring between this node and the next that it knows to live.
    pub(crate) fn unaccounted(&self, local: &NodeId, next: &NodeId) -> Vec<Entry> {
        self.view.between(local, next).take(8).cloned().collect()
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.view.memory_bytes() + self.tree.memory_bytes()
    }
}

/// Whether this says that a node is gone in the version that it is in.
fn accuses(news: &News, local: &Peer) -> bool {
    matches!(news, News::Gone { peer, seq }
        if *seq == local.seq() && *peer == IdPrefix::from(local.id_ref()))
}

#[cfg(test)]
mod tests;
