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
use core::{fmt, time::Duration};

use crate::{NodeId, Time, allowance::Allowance, peer::Peer};

/// Something that spreads. Equal items have equal names, whoever tells them first.
pub(crate) trait Item: Clone + fmt::Debug {
    /// By which it is offered and asked for.
    type Name: Copy + Ord + fmt::Debug;

    /// Its name.
    fn name(&self) -> Self::Name;

    /// Length of its encoding, bytes, or a little more.
    fn encoded_len(&self) -> usize;
}

/// What is said along a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Word<T, N> {
    /// Items, along the tree.
    News(Vec<T>),
    /// Names of items that can be asked for, along the links that are not part of the tree.
    Have(Vec<N>),
    /// Make our link part of the tree, and send the items of these names.
    Graft(Vec<N>),
    /// Items came twice: our link need not be part of the tree.
    Prune,
    /// Our link is over.
    Unlink,
}

/// How long news are news. Design: they reach everybody in a fraction of this, and told later they are told in vain.
pub(crate) const FRESH: Duration = Duration::from_secs(60);
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
/// A peer that news are exchanged with.
#[derive(Debug, Clone)]
pub(crate) struct Link<N> {
    pub(crate) peer: Peer,
    /// Whether it belongs to the tree.
    pub(crate) eager: bool,
    /// Whether this node has opened it.
    pub(crate) ours: bool,
    /// When it was last heard of.
    pub(crate) heard: Time,
    /// Names of news that it has not been sent, to be offered.
    owed: Vec<N>,
    allowance: Allowance,
}

#[derive(Debug, Clone)]
struct Recent<T> {
    item: T,
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
struct Waiting<T: Item> {
    item: T,
    name: T::Name,
    from: Option<NodeId>,
}

#[derive(Debug, Clone)]
pub(crate) struct Tree<T: Item> {
    links: Vec<Link<T::Name>>,
    fresh: Vec<Waiting<T>>,
    recent: BTreeMap<T::Name, Recent<T>>,
    order: VecDeque<T::Name>,
    missing: BTreeMap<T::Name, Missing>,
    flush_at: Time,
    offer_at: Time,
    /// While links have not had the time to show which of them are needed, none is taken out of the tree.
    pub(crate) young: bool,
}

const NEVER: Time = Time::from_micros(u64::MAX);

impl<T: Item> Default for Tree<T> {
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

impl<T: Item> Tree<T> {
    /// One whose links have yet to show which of them are needed.
    pub(crate) fn young() -> Self {
        Self { young: true, ..Self::default() }
    }

    pub(crate) fn links(&self) -> &[Link<T::Name>] {
        &self.links
    }

    pub(crate) fn link(&mut self, id: &NodeId) -> Option<&mut Link<T::Name>> {
        self.links.iter_mut().find(|link| link.peer.id_ref() == id)
    }

    /// Makes a peer a link of the tree. Returns whether there was room. To a new link the names of recent news are
    /// offered: perhaps it is new because the way they were to go has broken.
    pub(crate) fn connect<W: From<Word<T, T::Name>>>(
        &mut self,
        peer: &Peer,
        ours: bool,
        now: Time,
        out: &mut Vec<(Peer, W)>,
    ) -> bool {
        if let Some(link) = self.link(peer.id_ref()) {
            link.eager = true;
            link.ours |= ours;
            return true;
        }
        if self.links.len() >= LINKS_MAX {
            return false;
        }
        let is_recent = |name: &&T::Name| self.recent.get(name).is_some_and(|r| now.since(r.at) <= FRESH);
        let names: Vec<T::Name> =
            self.order.iter().rev().take(NAMES_MAX).filter(is_recent).copied().collect();
        if !names.is_empty() {
            out.push((peer.clone(), Word::Have(names).into()));
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
    pub(crate) fn spread(&mut self, item: T, from: Option<NodeId>, now: Time) {
        let name = item.name();
        if !self.remember(name, &item, now) {
            return;
        }
        self.fresh.push(Waiting { item, name, from });
        self.flush_at = self.flush_at.min(now + FLUSH);
    }

    /// Returns whether it is new here.
    fn remember(&mut self, name: T::Name, item: &T, now: Time) -> bool {
        self.missing.remove(&name);
        if self.recent.contains_key(&name) {
            return false;
        }
        while let Some(first) = self.order.front()
            && (self.order.len() >= RECENT_MAX
                || self.recent.get(first).is_some_and(|recent| now.since(recent.at) > FRESH))
        {
            self.recent.remove(first);
            self.order.pop_front();
        }
        self.recent.insert(name, Recent { item: item.clone(), at: now });
        self.order.push_back(name);
        true
    }

    /// Items came along a link. `take` sees each that is new here, and says whether it is worth passing on.
    pub(crate) fn news<W: From<Word<T, T::Name>>>(
        &mut self,
        from: &Peer,
        items: Vec<T>,
        now: Time,
        out: &mut Vec<(Peer, W)>,
        mut take: impl FnMut(&T) -> bool,
    ) {
        let Some(link) = self.link(from.id_ref()) else {
            // It thinks that there is a link.
            out.push((from.clone(), Word::Unlink.into()));
            return;
        };
        if !link.allowance.admits(items.len(), now) {
            return;
        }
        let (count, mut repeated) = (items.len(), 0);
        for item in items {
            if self.recent.contains_key(&item.name()) {
                repeated += 1;
            } else if take(&item) {
                self.spread(item, Some(from.id()), now);
            } else {
                self.remember(item.name(), &item, now);
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
            out.push((from.clone(), Word::Prune.into()));
        }
    }

    /// A link has news of these names.
    pub(crate) fn have(&mut self, from: &NodeId, names: &[T::Name], now: Time) {
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
    pub(crate) fn graft<W: From<Word<T, T::Name>>>(
        &mut self,
        from: &Peer,
        names: &[T::Name],
        now: Time,
        out: &mut Vec<(Peer, W)>,
    ) -> bool {
        if !self.connect(from, false, now, out) {
            out.push((from.clone(), Word::Unlink.into()));
            return false;
        }
        if !self.link(from.id_ref()).is_some_and(|link| link.allowance.admits(names.len(), now)) {
            return true;
        }
        let known = |name: &T::Name| self.recent.get(name).map(|recent| recent.item.clone());
        let wanted: Vec<T> = names.iter().take(NAMES_MAX).filter_map(known).collect();
        batches(wanted.iter(), |batch| out.push((from.clone(), Word::News(batch).into())));
        true
    }

    /// A peer wants no more than names from us: its link leaves the tree.
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
    pub(crate) fn run<W: From<Word<T, T::Name>>>(&mut self, now: Time, out: &mut Vec<(Peer, W)>) {
        if self.flush_at <= now {
            self.flush_at = NEVER;
            let fresh = core::mem::take(&mut self.fresh);
            for link in &mut self.links {
                let to = link.peer.id();
                let others = fresh.iter().filter(|waiting| waiting.from != Some(to));
                if link.eager {
                    batches(others.map(|waiting| &waiting.item), |batch| {
                        out.push((link.peer.clone(), Word::News(batch).into()));
                    });
                } else {
                    link.owed.extend(others.map(|waiting| waiting.name).take(NAMES_MAX - link.owed.len()));
                    if !link.owed.is_empty() {
                        self.offer_at = self.offer_at.min(now + OFFER);
                    }
                }
            }
        }
        if self.offer_at <= now {
            self.offer_at = NEVER;
            for link in self.links.iter_mut().filter(|link| !link.owed.is_empty()) {
                out.push((link.peer.clone(), Word::Have(core::mem::take(&mut link.owed)).into()));
            }
        }
        self.ask_for_missing(now, out);
    }

    fn ask_for_missing<W: From<Word<T, T::Name>>>(&mut self, now: Time, out: &mut Vec<(Peer, W)>) {
        let mut wanted: BTreeMap<NodeId, Vec<T::Name>> = BTreeMap::new();
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
            out.extend(
                names.chunks(NAMES_MAX).map(|chunk| (peer.clone(), Word::Graft(chunk.to_vec()).into())),
            );
        }
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.links.capacity() * size_of::<Link<T::Name>>()
            + self.recent.len() * (size_of::<Recent<T>>() + 3 * size_of::<T::Name>())
            + self.missing.len() * size_of::<Missing>()
    }
}

/// Cuts news into messages.
pub(crate) fn batches<'a, T: Item + 'a>(items: impl Iterator<Item = &'a T>, mut send: impl FnMut(Vec<T>)) {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    for item in items {
        let length = item.encoded_len();
        if bytes + length > BATCH_BYTES && !batch.is_empty() {
            send(core::mem::take(&mut batch));
            bytes = 0;
        }
        bytes += length;
        batch.push(item.clone());
    }
    if !batch.is_empty() {
        send(batch);
    }
}

#[cfg(test)]
mod tests;
