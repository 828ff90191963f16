//! Nodes that are no part of the network any more, whatever they or others say.
//!
//! Who is excluded, and for how long, is decided outside (by a list of revocations, say): here it is only kept to. An excluded
//! node leaves all tables at once, nobody is told its name by this node, and what it says is not listened to. Its neighbours on
//! the ring say that it is gone, as if it had died, so that nodes that have not heard of the exclusion drop it too.

use alloc::vec::Vec;

use super::{Dht, Turn};
use crate::{
    NodeId,
    io::DownReason,
    members::{Gossip, News},
    metric::Metric,
};

impl<M: Metric> Dht<M> {
    /// Excludes nodes for ever. This node itself is passed over, and so are those that do not fit in any more
    /// ([`EXCLUDED_MAX`](crate::EXCLUDED_MAX)).
    pub(super) fn exclude(&mut self, turn: &mut Turn<'_>, ids: &[NodeId]) {
        for id in ids {
            if id == self.own_id() || !self.gone.exclude(*id) {
                continue;
            }
            let listed = self.members.as_ref().and_then(|members| members.lists.get(&id.into()));
            let peer = listed.map(|entry| entry.peer().clone()).or_else(|| self.known(id));
            self.drop_peer(turn, id, DownReason::Excluded);
            if let (Some(peer), Some(members)) = (peer, &mut self.members) {
                members.lost(&peer, turn.now);
            }
        }
    }

    /// What is left of gossip when nothing is said of excluded nodes but that they are gone.
    pub(super) fn without_excluded(&self, gossip: Gossip) -> Gossip {
        if !self.gone.excludes_any() {
            return gossip;
        }
        let without = |news: Vec<News>| {
            let stays = |news: &News| match news {
                News::Member(announcement) => !self.gone.excludes(announcement.record().id_ref()),
                News::Gone { .. } => true,
            };
            news.into_iter().filter(stays).collect()
        };
        match gossip {
            Gossip::News(news) => Gossip::News(without(news)),
            Gossip::Missed(news) => Gossip::Missed(without(news)),
            Gossip::Report(news) => Gossip::Report(without(news)),
            other => other,
        }
    }
}
