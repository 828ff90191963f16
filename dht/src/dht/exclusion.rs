//! Nodes that are no part of the network any more, whatever they or others say.
//!
//! Who is excluded, and for how long, is decided outside (by a list of revocations, say): here it is only kept to. An
//! excluded node leaves all tables at once, nobody is told its name by this node, and what it says is not listened to.
//! Its neighbours on the ring say that it is gone, as if it had died, so that nodes that have not heard of the
//! exclusion drop it too.
//!
//! Others may only be clients: they are kept out of tables and lists in the same way, and listened to as if they said
//! no more of themselves than a client does.

use alloc::{collections::BTreeSet, sync::Arc, vec::Vec};

use super::{Dht, Turn};
use crate::{
    NodeId,
    io::DownReason,
    members::{Gossip, News},
    metric::Metric,
    peer::Peer,
};

impl<M: Metric> Dht<M> {
    /// Excludes nodes for ever. This node itself is passed over, and so are those that do not fit in any more
    /// ([`EXCLUDED_MAX`](crate::EXCLUDED_MAX)).
    pub(super) fn exclude(&mut self, turn: &mut Turn<'_>, ids: &[NodeId]) {
        for id in ids {
            if id == self.own_id() || !self.gone.exclude(*id) {
                continue;
            }
            self.strike_out(turn, id, DownReason::Excluded);
        }
    }

    /// From now on these nodes may only be clients, and no others are held to it.
    pub(super) fn hold_to_clients(&mut self, turn: &mut Turn<'_>, mut ids: BTreeSet<NodeId>) {
        ids.remove(self.own_id());
        for id in self.gone.hold_to_clients(ids) {
            self.strike_out(turn, &id, DownReason::Client);
        }
    }

    /// Takes a node out of all tables and lists.
    fn strike_out(&mut self, turn: &mut Turn<'_>, id: &NodeId, why: DownReason) {
        let listed = self.members.as_ref().and_then(|members| members.lists.get(&id.into()));
        let peer = listed.map(|entry| entry.peer().clone()).or_else(|| self.known(id));
        self.drop_peer(turn, id, why);
        if let (Some(peer), Some(members)) = (peer, &mut self.members) {
            members.lost(&peer, turn.now);
        }
    }

    /// A peer's record as it has sent it; without its addresses if the peer may only be a client.
    pub(super) fn as_it_may_be(&self, peer: &Peer) -> Peer {
        if peer.is_reachable()
            && self.gone.only_client(peer.id_ref())
            && let Ok(client) = peer.with_addresses(Vec::new(), peer.seq())
        {
            return Arc::new(client);
        }
        peer.clone()
    }

    /// Gossip without the records of nodes that may be in no table. News that such a node is gone stay in.
    pub(super) fn without_barred(&self, gossip: Gossip) -> Gossip {
        if !self.gone.bars_any() {
            return gossip;
        }
        let without = |news: Vec<News>| {
            let stays = |news: &News| match news {
                News::Member(announcement) => !self.gone.bars(announcement.record().id_ref()),
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
