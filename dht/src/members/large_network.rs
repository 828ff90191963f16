//! What nodes do in a network too large for everybody to list it: super-peers hear reports, tell those who are said to
//! be gone, and look after their stretch of the ring; the others report, and look for fast super-peers.

use alloc::vec::Vec;
use core::time::Duration;

use rand_core::Rng;

use super::{
    Gossip, Members, News, Outgoing, Scope, accuses,
    homes::HOMES_MAX,
    reports::REPORT_MAX,
    view::{Entry, Taken},
};
use crate::{Time, peer::Peer, plumtree::batches};

/// How often a node that is no super-peer tells anew that it is there, in case nobody remembers. Design.
const REPORT_EVERY: Duration = Duration::from_secs(300);
/// Questions that a listed member leaves unanswered before a super-peer declares it gone. Design: with 2 % of messages
/// lost, as many are missed in a row once in 400,000 times.
const SWEEP_MISSES: u8 = 4;
/// Ticks between two looks for faster homes, once there are enough. Design.
const HOME_TICKS: u8 = 12;

impl Members {
    /// Sends what this node has to tell, if it is time.
    pub(crate) fn report(&mut self, local: &Peer, now: Time, out: &mut Outgoing) {
        if self.reports.at > now {
            return;
        }
        let to = self.lists.super_peers_around(local.id_ref());
        let news = self.reports.due(now, !to.is_empty());
        for peer in to {
            batches(news.iter(), |batch| out.push((peer.clone(), Gossip::Report(batch))));
        }
    }

    /// A node that is no super-peer has told this one something. Returns whether that says that this node itself is
    /// gone.
    pub(crate) fn reported(&mut self, local: &Peer, news: &[News], now: Time, out: &mut Outgoing) -> bool {
        let mut accused = false;
        if !self.lists_everybody() || news.len() > REPORT_MAX || !self.heeded.admits(news.len(), now) {
            return false;
        }
        for news in news {
            let news = match news {
                // Its neighbour knows a newer version of it than is listed here.
                News::Gone { peer, seq } => match self.lists.widest().get(peer) {
                    Some(entry) if entry.peer().seq() <= *seq => {
                        News::Gone { peer: *peer, seq: entry.peer().seq() }
                    }
                    _ => continue,
                },
                News::Member(_) => news.clone(),
            };
            accused |= accuses(&news, local);
            if self.lists.take(&news, now, true) == Taken::New {
                self.tree.spread(news, None, now);
            }
        }
        self.tell_the_buried(local, out);
        accused
    }

    /// In a large network whoever is said to be gone is no part of the tree: the super-peers next to it tell it, so
    /// that it can contradict.
    pub(crate) fn tell_the_buried(&mut self, local: &Peer, out: &mut Outgoing) {
        for (peer, seq) in self.lists.buried() {
            let near = || self.lists.super_peers_around(peer.id_ref());
            if self.large && self.seat && near().iter().any(|near| near.id_ref() == local.id_ref()) {
                let news = News::Gone { peer: peer.id_ref().into(), seq };
                out.push((peer, Gossip::Missed(alloc::vec![news])));
            }
        }
    }

    /// Whom to ask whether it is there: homes that have been silent, and another super-peer that may be a faster one.
    pub(crate) fn homes_to_ask(&mut self, now: Time, rng: &mut dyn Rng) -> Vec<Peer> {
        if self.lists_everybody() {
            return Vec::new();
        }
        let list = self.lists.of(Scope::SuperPeers);
        self.homes.keep(|id| list.get(&id.into()).is_some());
        let mut ask: Vec<Peer> = self.homes.silent(now).cloned().collect();
        self.home_ticks = (self.home_ticks + 1) % HOME_TICKS;
        if self.homes.as_slice().len() < HOMES_MAX || self.home_ticks == 0 {
            ask.extend(self.random_lister(rng).filter(|peer| !self.homes.has(peer.id_ref())));
        }
        ask
    }

    /// Tells anew that this node is there, from time to time.
    pub(crate) fn remind(&mut self, now: Time) {
        if self.lists_everybody() || !self.is_announced() || now.since(self.reported) < REPORT_EVERY {
            return;
        }
        self.reported = now;
        if let Some(own) = self.announcing.own().cloned() {
            self.reports.push(News::Member(own), now);
        }
    }

    /// A super-peer answers for the ring from itself up to the next: one listed member after the other is asked whether
    /// it is there, since nobody reports those who died together with whoever watched them. Returns the next to be
    /// asked.
    pub(crate) fn sweep(&mut self, local: &Peer, now: Time) -> Option<Peer> {
        if !(self.large && self.seat && self.lists_everybody()) {
            return None;
        }
        let next = self.lists.super_peers_around(local.id_ref()).into_iter().next()?;
        let stretch: Vec<&Entry> =
            self.lists.of(Scope::Everybody).between(local.id_ref(), next.id_ref()).collect();
        let swept = stretch.iter().position(|entry| *entry.peer().id_ref() == self.swept);
        let entry = stretch.get(swept.map_or(0, |index| index + 1)).or(stretch.first())?;
        let (peer, missed) = (entry.peer().clone(), entry.missed);
        if missed >= SWEEP_MISSES {
            self.lost(&peer, now);
        }
        // One that has not answered is asked again before the next.
        if missed == 0 || missed >= SWEEP_MISSES {
            self.swept = peer.id();
        }
        (missed < SWEEP_MISSES).then_some(peer)
    }
}
