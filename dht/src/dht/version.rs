//! The version of this node's own record. It grows with every change, also from one life to the next; a node that has
//! lost count is helped by others.
//!
//! Who begins with too low a version (its data directory is an old copy, say) would be listed under its former
//! addresses for as long as somebody remembers those. So whoever hears of such a version from the node itself answers
//! with the later record, and the node goes on above that, once it is sure that no twin lives there: two that overtook
//! each other would never end. Only a record that the node itself has signed counts: nobody else can drive its versions
//! up.

use alloc::{sync::Arc, vec};

use super::{Dht, Phase, Turn};
use crate::{
    Time,
    io::Event,
    members::{Gossip, IdPrefix, News},
    message::{Message, Notice},
    metric::Metric,
    peer::Peer,
};

impl<M: Metric> Dht<M> {
    /// The version after that of now; the last one there is stays.
    pub(super) fn next_version(&self) -> u64 {
        self.local.seq().saturating_add(1)
    }

    /// If this node has signed a record in a former life that is not older than its own, it takes a number above that
    /// one and tells everybody. If that record has other addresses, it only tells the embedding program
    /// ([`Event::FormerLife`]), which looks first whether a twin is there.
    pub(super) fn overtake_former_life(&mut self, turn: &mut Turn<'_>, message: &Message) {
        let records = message.announcements().map(|announcement| announcement.record());
        let own = records.filter(|record| record.id_ref() == self.local.id_ref());
        let Some(latest) = own.max_by_key(|record| record.seq()) else { return };
        if latest.seq() < self.local.seq() || **latest == *self.local {
            return;
        }
        if !latest.addrs().iter().all(|address| self.local.addrs().contains(address)) {
            turn.event(Event::FormerLife(Arc::clone(latest)));
            return;
        }
        // Above the last version there is none: nobody counts so far.
        let Some(seq) = latest.seq().checked_add(1) else { return };
        let Ok(local) = self.local.with_addresses(self.local.addrs().to_vec(), seq) else { return };
        self.local = Arc::new(local);
        if self.phase == Phase::Left || self.is_client() {
            return;
        }
        self.tell_neighbours_record(turn);
        if let Some(members) = &mut self.members {
            members.announcing.record_overtaken();
        }
    }

    /// Neighbours need not wait for news of this node's record.
    pub(super) fn tell_neighbours_record(&self, turn: &mut Turn<'_>) {
        for leaf in self.leaves.as_slice() {
            turn.send(&leaf.peer, Message::Notice(Notice::Record((*self.local).clone())));
        }
    }

    /// A peer has told news of itself. If a later record of it is known, or was until it died, the peer is shown that.
    pub(super) fn show_later_record(&self, turn: &mut Turn<'_>, peer: &Peer, gossip: &Gossip) {
        let (Gossip::News(news) | Gossip::Report(news)) = gossip else { return };
        let of_itself = |news: &News| match news {
            News::Member(told) if told.record().id_ref() == peer.id_ref() => Some(told.record().seq()),
            _ => None,
        };
        if let Some(seq) = news.iter().filter_map(of_itself).max() {
            self.show_record_above(turn, peer, seq);
        }
    }

    /// Shows a peer the latest record of itself, if its version is above this one. Returns whether it was.
    pub(super) fn show_record_above(&self, turn: &mut Turn<'_>, peer: &Peer, seq: u64) -> bool {
        let Some(members) = &self.members else { return false };
        let latest = members.lists.latest(&IdPrefix::from(peer.id_ref()));
        let Some(latest) = latest.filter(|latest| latest.record().id_ref() == peer.id_ref()) else {
            return false;
        };
        let later = latest.record().seq() > seq;
        if later {
            let news = vec![News::Member(latest.clone())];
            turn.send(peer, Message::Notice(Notice::Gossip(Gossip::Missed(news))));
        }
        later
    }

    /// Announces this node with a newer version of its record.
    pub(super) fn announce_anew(&mut self) {
        let addrs = self.local.addrs().to_vec();
        if let Ok(local) = self.local.with_addresses(addrs, self.next_version()) {
            self.local = Arc::new(local);
        }
        if let Some(members) = &mut self.members {
            members.announcing.no_later(Time::ZERO);
        }
    }
}
