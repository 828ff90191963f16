//! The two lists that a node may keep: of all members, where it lists them, and of the super-peers, always.
//!
//! In a network that every node can list there are no super-peers and the second is empty. In a larger one only
//! super-peers keep the first, and the second is how they are found.

use alloc::{sync::Arc, vec::Vec};

use serde::{Deserialize, Serialize};

use super::{
    Announcement, IdPrefix, News,
    lottery::Lottery,
    seats::SeatList,
    view::{Entry, Taken, View},
};
use crate::{NodeId, Time, peer::Peer};

/// Which list is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scope {
    /// That of all members.
    Everybody,
    /// That of the super-peers.
    SuperPeers,
}

#[derive(Debug, Clone)]
pub(crate) struct Lists {
    all: View,
    pub(crate) seats: SeatList,
    /// The widest list that is kept.
    scope: Scope,
    capacity: usize,
    /// Members that were listed until just now.
    buried: Vec<(Peer, u64)>,
}

impl Lists {
    /// Empty lists, the one of all members with room for so many.
    pub(crate) fn new(capacity: usize, scope: Scope, lottery: Lottery) -> Self {
        Self { all: View::new(capacity), seats: SeatList::new(lottery), scope, capacity, buried: Vec::new() }
    }

    pub(crate) fn scope(&self) -> Scope {
        self.scope
    }

    /// Begins or ends listing everybody.
    pub(crate) fn set_scope(&mut self, scope: Scope) {
        if scope == Scope::SuperPeers {
            self.all = View::new(self.capacity);
        }
        self.scope = scope;
    }

    pub(crate) fn of(&self, scope: Scope) -> &View {
        match scope {
            Scope::Everybody => &self.all,
            Scope::SuperPeers => self.seats.view(),
        }
    }

    /// The list that names most.
    pub(crate) fn widest(&self) -> &View {
        self.of(self.scope)
    }

    pub(crate) fn get(&self, prefix: &IdPrefix) -> Option<&Entry> {
        self.widest().get(prefix).or_else(|| self.seats.view().get(prefix))
    }

    /// The latest record of a member that is known, whether it is listed or gone.
    pub(crate) fn latest(&self, prefix: &IdPrefix) -> Option<&Arc<Announcement>> {
        let known = [self.all.latest(prefix), self.seats.view().latest(prefix)];
        known.into_iter().flatten().max_by_key(|known| known.record().seq())
    }

    /// Takes in a piece of news. What became of it is said of the widest list.
    pub(crate) fn take(&mut self, news: &News, now: Time, hurried: bool) -> Taken {
        let seat = self.seats.take(news, now, hurried);
        if self.scope == Scope::SuperPeers {
            return seat;
        }
        let listed = match news {
            News::Gone { peer, .. } => self.all.get(peer).map(|entry| entry.peer().clone()),
            News::Member(_) => None,
        };
        let taken = self.all.take(news, now, hurried);
        if let (Some(peer), News::Gone { seq, .. }, Taken::New) = (listed, news, taken) {
            self.buried.push((peer, *seq));
        }
        taken
    }

    /// Those who were said to be gone since the last call, each with the version of its record.
    pub(crate) fn buried(&mut self) -> Vec<(Peer, u64)> {
        core::mem::take(&mut self.buried)
    }

    pub(crate) fn answered(&mut self, id: &NodeId) {
        self.all.answered(id);
        self.seats.view_mut().answered(id);
    }

    pub(crate) fn unanswered(&mut self, peer: &Peer) {
        self.all.unanswered(peer);
        self.seats.view_mut().unanswered(peer);
    }

    pub(crate) fn forgive(&mut self) {
        self.all.forgive();
        self.seats.view_mut().forgive();
    }

    /// Forgets those who have been gone for long, and super-peers whose seats are over.
    pub(crate) fn tidy(&mut self, now: Time) {
        self.all.forget_gone(now.seconds());
        self.seats.tidy(now);
    }

    /// The super-peers next to an id in either direction that have answered when they were asked.
    pub(crate) fn super_peers_around(&self, id: &NodeId) -> Vec<Peer> {
        let list = self.seats.view().entries();
        let start = list.partition_point(|entry| entry.peer().id_ref() < id);
        let fit = |entry: &&Entry| entry.missed == 0 && entry.peer().id_ref() != id;
        let up = list[start..].iter().chain(&list[..start]).find(fit);
        let down = list[..start].iter().rev().chain(list[start..].iter().rev()).find(fit);
        let mut around: Vec<Peer> = up.into_iter().chain(down).map(|entry| entry.peer().clone()).collect();
        around.dedup_by(|a, b| a.id_ref() == b.id_ref());
        around
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.all.memory_bytes() + self.seats.memory_bytes()
    }
}
