//! Spreading news: each to everybody, nearly once.
//!
//! Plumtree (Leitão, Pereira and Rodrigues, "Epidemic broadcast trees", 2007). Every node has a few links. Along those
//! of the tree news are sent at once; along the others only their names are, a little later. Whoever hears of a name
//! and does not get the news asks for it, and by that the link becomes part of the tree; a link that brings what has
//! come before stops being one. So a tree grows by itself, and where a message is lost or a node dies it is mended by
//! the names. News of a short while share a message: an idle network sends nothing.

use alloc::{
    collections::{BTreeMap, VecDeque},
    vec::Vec,
};
use core::time::Duration;

use super::{
    Gossip, News, NewsId,
    view::{FRESH, Taken},
};
use crate::{NodeId, Time, peer::Peer};

/// How long news wait for others to share a message with. Design: nine such waits are the depth of a tree of 10^4.
const FLUSH: Duration = Duration::from_millis(500);
/// The same for names. They only mend. Design.
const OFFER: Duration = Duration::from_secs(1);
/// How long a piece of news that others have may take to come by itself before it is asked for. Design.
const OVERDUE: Duration = Duration::from_secs(1);
/// How often it is asked for. Design.
const TRIES_MAX: u8 = 4;
/// Most links. Design: twice what a node has on average.
pub(crate) const LINKS_MAX: usize = 12;
/// News remembered, to tell repeated ones and to send those that are asked for. Design.
const RECENT_MAX: usize = 2048;
/// Names of news that others have and this node lacks. Design.
const MISSING_MAX: usize = 2048;
/// Bytes of news in one message. Design: half of what a message may have.
pub(crate) const BATCH_BYTES: usize = 8 * 1024;
/// Names in one message. Design.
const NAMES_MAX: usize = 1024;
/// News that a link may bring per second, and at once. Design: a hundred times what a network of ten thousand needs,
/// and a tenth of it dying in one moment.
const PACE: (u32, u32) = (50, 2000);

/// A peer that news are exchanged with.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub(crate) peer: Peer,
    /// Whether it belongs to the tree.
    pub(crate) eager: bool,
    /// Whether this node has opened it.
    pub(crate) ours: bool,
    /// When it was last heard of.
    pub(crate) heard: Time,
    /// Names of news that it has not been sent, to be offered.
    owed: Vec<NewsId>,
    allowance: Allowance,
}

/// How much somebody may still tell (a token bucket).
#[derive(Debug, Clone)]
pub(crate) struct Allowance {
    left: u32,
    refilled: Time,
}

#[derive(Debug, Clone)]
struct Recent {
    news: News,
    at: Time,
}

#[derive(Debug, Clone)]
struct Missing {
    ask_at: Time,
    /// Links that have it, the next to ask last.
    sources: Vec<NodeId>,
    /// How often it may still be asked for.
    tries: u8,
}

/// News on their way, and who has them already.
#[derive(Debug, Clone)]
struct Waiting {
    news: News,
    id: NewsId,
    from: Option<NodeId>,
}

#[derive(Debug, Clone)]
pub(crate) struct Tree {
    links: Vec<Link>,
    fresh: Vec<Waiting>,
    recent: BTreeMap<NewsId, Recent>,
    order: VecDeque<NewsId>,
    missing: BTreeMap<NewsId, Missing>,
    flush_at: Time,
    offer_at: Time,
    /// While links have not had the time to show which of them are needed, none is taken out of the tree.
    pub(crate) young: bool,
}

const NEVER: Time = Time::from_micros(u64::MAX);

/// Messages to be sent.
pub(crate) type Outgoing = Vec<(Peer, Gossip)>;

impl Default for Tree {
    fn default() -> Self {
        Self {
            links: Vec::new(),
            fresh: Vec::new(),
            recent: BTreeMap::new(),
            order: VecDeque::new(),
            missing: BTreeMap::new(),
            flush_at: NEVER,
            offer_at: NEVER,
            young: false,
        }
    }
}

impl Tree {
    /// One whose links have yet to show which of them are needed.
    pub(crate) fn young() -> Self {
        Self { young: true, ..Self::default() }
    }

    pub(crate) fn links(&self) -> &[Link] {
        &self.links
    }

    pub(crate) fn link(&mut self, id: &NodeId) -> Option<&mut Link> {
        self.links.iter_mut().find(|link| link.peer.id_ref() == id)
    }

    /// Makes a peer a link of the tree. Returns whether there was room. To a new link the names of recent news are
    /// offered: perhaps it is new because the way they were to go has broken.
    pub(crate) fn connect(&mut self, peer: &Peer, ours: bool, now: Time, out: &mut Outgoing) -> bool {
        if let Some(link) = self.link(peer.id_ref()) {
            link.eager = true;
            link.ours |= ours;
            return true;
        }
        if self.links.len() >= LINKS_MAX {
            return false;
        }
        let is_recent = |name: &&NewsId| self.recent.get(name).is_some_and(|r| now.since(r.at) <= FRESH);
        let names: Vec<NewsId> = self.order.iter().rev().take(NAMES_MAX).filter(is_recent).copied().collect();
        if !names.is_empty() {
            out.push((peer.clone(), Gossip::Have(names)));
        }
        self.links.push(Link {
            peer: peer.clone(),
            eager: true,
            ours,
            heard: now,
            owed: Vec::new(),
            allowance: Allowance::new(now),
        });
        true
    }

    /// Ends a link.
    pub(crate) fn disconnect(&mut self, id: &NodeId) -> bool {
        let before = self.links.len();
        self.links.retain(|link| link.peer.id_ref() != id);
        for missing in self.missing.values_mut() {
            missing.sources.retain(|source| source != id);
        }
        // Who has lost the tree takes everybody for it, and finds out who is too much.
        if !self.links.iter().any(|link| link.eager) {
            for link in &mut self.links {
                link.eager = true;
            }
        }
        self.links.len() < before
    }

    /// Passes on a piece of news that came from there, or that this node has found out itself.
    pub(crate) fn spread(&mut self, news: News, from: Option<NodeId>, now: Time) {
        let id = news.id();
        if !self.remember(id, &news, now) {
            return;
        }
        self.fresh.push(Waiting { news, id, from });
        self.flush_at = self.flush_at.min(now + FLUSH);
    }

    /// Returns whether it is new here.
    fn remember(&mut self, id: NewsId, news: &News, now: Time) -> bool {
        self.missing.remove(&id);
        if self.recent.contains_key(&id) {
            return false;
        }
        while let Some(first) = self.order.front()
            && (self.order.len() >= RECENT_MAX
                || self.recent.get(first).is_some_and(|recent| now.since(recent.at) > FRESH))
        {
            self.recent.remove(first);
            self.order.pop_front();
        }
        self.recent.insert(id, Recent { news: news.clone(), at: now });
        self.order.push_back(id);
        true
    }

    /// News came along a link. `take` puts them into the list and says what became of them; what is worth it is passed on.
    pub(crate) fn news(
        &mut self,
        from: &Peer,
        news: Vec<News>,
        now: Time,
        out: &mut Outgoing,
        mut take: impl FnMut(&News) -> Taken,
    ) {
        let Some(link) = self.link(from.id_ref()) else {
            // It thinks that there is a link.
            out.push((from.clone(), Gossip::Unlink));
            return;
        };
        if !link.allowance.admits(news.len(), now) {
            return;
        }
        let (count, mut repeated) = (news.len(), 0);
        for news in news {
            if self.recent.contains_key(&news.id()) {
                repeated += 1;
                continue;
            }
            match take(&news) {
                Taken::New | Taken::Known => self.spread(news, Some(from.id()), now),
                Taken::Old | Taken::Refused => {
                    self.remember(news.id(), &news, now);
                }
            }
        }
        // Whoever sends what has come before by other ways need not send it.
        let others = self.links.iter().any(|link| link.eager && link.peer.id_ref() != from.id_ref());
        if !self.young
            && 2 * repeated > count
            && others
            && let Some(link) = self.link(from.id_ref())
            && link.eager
        {
            link.eager = false;
            out.push((from.clone(), Gossip::Prune));
        }
    }

    /// A link has news of these names.
    pub(crate) fn have(&mut self, from: &NodeId, names: &[NewsId], now: Time) {
        let Some(link) = self.link(from) else { return };
        if !link.allowance.admits(names.len(), now) {
            return;
        }
        for name in names.iter().take(NAMES_MAX) {
            if self.recent.contains_key(name) {
                continue;
            }
            if let Some(missing) = self.missing.get_mut(name) {
                if !missing.sources.contains(from) {
                    missing.sources.insert(0, *from);
                }
            } else if self.missing.len() < MISSING_MAX {
                let sources = alloc::vec![*from];
                self.missing.insert(*name, Missing { ask_at: now + OVERDUE, sources, tries: TRIES_MAX });
            }
        }
    }

    /// A peer wants a link to be part of the tree, and news of these names. Returns whether it can be.
    pub(crate) fn graft(&mut self, from: &Peer, names: &[NewsId], now: Time, out: &mut Outgoing) -> bool {
        if !self.connect(from, false, now, out) {
            out.push((from.clone(), Gossip::Unlink));
            return false;
        }
        if !self.link(from.id_ref()).is_some_and(|link| link.allowance.admits(names.len(), now)) {
            return true;
        }
        let known = |name: &NewsId| self.recent.get(name).map(|recent| recent.news.clone());
        let wanted: Vec<News> = names.iter().take(NAMES_MAX).filter_map(known).collect();
        batches(wanted.iter(), |batch| out.push((from.clone(), Gossip::News(batch))));
        true
    }

    /// A link sends nothing but names any more.
    pub(crate) fn prune(&mut self, from: &NodeId) {
        if let Some(link) = self.link(from) {
            link.eager = false;
        }
    }

    pub(crate) fn next_timeout(&self) -> Option<Time> {
        let missing = self.missing.values().map(|missing| missing.ask_at).min();
        let next = self.flush_at.min(self.offer_at).min(missing.unwrap_or(NEVER));
        (next != NEVER).then_some(next)
    }

    /// Does what is due.
    pub(crate) fn run(&mut self, now: Time, out: &mut Outgoing) {
        if self.flush_at <= now {
            self.flush_at = NEVER;
            let fresh = core::mem::take(&mut self.fresh);
            for link in &mut self.links {
                let to = link.peer.id();
                let others = fresh.iter().filter(|waiting| waiting.from != Some(to));
                if link.eager {
                    batches(others.map(|waiting| &waiting.news), |batch| {
                        out.push((link.peer.clone(), Gossip::News(batch)));
                    });
                } else {
                    link.owed.extend(others.map(|waiting| waiting.id).take(NAMES_MAX - link.owed.len()));
                    if !link.owed.is_empty() {
                        self.offer_at = self.offer_at.min(now + OFFER);
                    }
                }
            }
        }
        if self.offer_at <= now {
            self.offer_at = NEVER;
            for link in self.links.iter_mut().filter(|link| !link.owed.is_empty()) {
                out.push((link.peer.clone(), Gossip::Have(core::mem::take(&mut link.owed))));
            }
        }
        self.ask_for_missing(now, out);
    }

    fn ask_for_missing(&mut self, now: Time, out: &mut Outgoing) {
        let mut wanted: BTreeMap<NodeId, Vec<NewsId>> = BTreeMap::new();
        self.missing.retain(|name, missing| {
            if missing.ask_at > now {
                return true;
            }
            let Some(source) = missing.sources.pop().filter(|_| missing.tries > 0) else { return false };
            wanted.entry(source).or_default().push(*name);
            // Asked again after the others, in case a message is lost.
            missing.sources.insert(0, source);
            missing.tries -= 1;
            missing.ask_at = now + OVERDUE;
            true
        });
        for (source, names) in wanted {
            let Some(link) = self.link(&source) else { continue };
            link.eager = true;
            let peer = link.peer.clone();
            out.extend(names.chunks(NAMES_MAX).map(|chunk| (peer.clone(), Gossip::Graft(chunk.to_vec()))));
        }
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.links.capacity() * size_of::<Link>()
            + self.recent.len() * (size_of::<Recent>() + 3 * size_of::<NewsId>())
            + self.missing.len() * size_of::<Missing>()
    }
}

impl Allowance {
    pub(crate) fn new(now: Time) -> Self {
        Self { left: PACE.1, refilled: now }
    }

    /// Whether so many may be told at this moment.
    pub(crate) fn admits(&mut self, count: usize, now: Time) -> bool {
        let earned = u64::from(PACE.0) * now.since(self.refilled).as_millis() as u64 / 1000;
        if earned > 0 {
            self.left = (u64::from(self.left) + earned).min(PACE.1.into()) as u32;
            self.refilled = now;
        }
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let admitted = count <= self.left;
        if admitted {
            self.left -= count;
        }
        admitted
    }
}

/// Cuts news into messages.
pub(crate) fn batches<'a>(news: impl Iterator<Item = &'a News>, mut send: impl FnMut(Vec<News>)) {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    for news in news {
        let length = news.encoded_len();
        if bytes + length > BATCH_BYTES && !batch.is_empty() {
            send(core::mem::take(&mut batch));
            bytes = 0;
        }
        bytes += length;
        batch.push(news.clone());
    }
    if !batch.is_empty() {
        send(batch);
    }
}

#[cfg(test)]
mod tests;
