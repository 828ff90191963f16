//! The list of the super-peers: those who say that they have a seat and whom the lottery gives one, but few of one
//! subnet or provider.
//!
//! Ids cost nothing and a seat costs 32 of them; addresses in many subnets cost something. So of those drawn from one
//! subnet the best ticket has the seat, and of those left of one provider the best [`SITE_SEATS`]. Tickets are hashes,
//! and any two of the subnets and providers that are bounded are either disjoint or nested. So whoever has heard of the
//! same claims has the same list, in whatever order they came, and need not remember whom it has turned away.

use alloc::{collections::BTreeSet, vec::Vec};

use super::{
    IdPrefix, News,
    lottery::Lottery,
    view::{Taken, View},
};
use crate::{
    Time,
    peer::{Grouping, PeerInfo},
};

/// Most super-peers listed. Design: those of a network of half a million.
const SUPER_PEERS_MAX: usize = 16_384;
/// Seats of one provider (/16 of IPv4). Design: a quarter of those of the smallest network that has any (2,000 nodes,
/// 62 seats), an eighth of those of one of 4,000. A number and no share, since a share is of what a node knows, and
/// nodes know different things.
pub(crate) const SITE_SEATS: usize = 16;

/// A place in the books: provider, subnet, and who has the seat.
type Place = (u32, u32, IdPrefix);

/// See the module's description.
#[derive(Debug, Clone)]
pub(crate) struct SeatList {
    view: View,
    /// Those listed who are in a subnet, by provider.
    places: BTreeSet<Place>,
    grouping: Option<Grouping>,
    lottery: Lottery,
}

impl SeatList {
    pub(crate) fn new(lottery: Lottery) -> Self {
        Self { view: View::new(SUPER_PEERS_MAX), places: BTreeSet::new(), grouping: None, lottery }
    }

    /// From now on seats are bounded by subnet and provider.
    pub(crate) fn set_grouping(&mut self, grouping: Grouping) {
        self.grouping = Some(grouping);
        self.places = self.view.entries().iter().filter_map(|entry| place(grouping, entry.peer())).collect();
    }

    /// The clock was set.
    pub(crate) fn set_lottery(&mut self, lottery: Lottery) {
        self.lottery = lottery;
    }

    pub(crate) fn view(&self) -> &View {
        &self.view
    }

    /// What becomes of questions to super-peers is noted in the list itself.
    pub(crate) fn view_mut(&mut self) -> &mut View {
        &mut self.view
    }

    /// Takes in a piece of news.
    pub(crate) fn take(&mut self, news: &News, now: Time, hurried: bool) -> Taken {
        let News::Member(announcement) = news else {
            let (prefix, _) = news.about();
            return self.change(&prefix, |view| view.take(news, now, hurried));
        };
        let record = announcement.record();
        let prefix = IdPrefix::from(record.id_ref());
        let pushed_out = match announcement.seat() {
            true => self.seat_for(record, now),
            false => None,
        };
        let Some(pushed_out) = pushed_out else {
            self.change(&prefix, |view| view.replaced(&prefix, record.seq(), now));
            return Taken::Old;
        };
        let taken = self.change(&prefix, |view| view.take(news, now, hurried));
        if taken == Taken::New {
            for prefix in pushed_out {
                self.change(&prefix, |view| view.take_out(&prefix));
            }
        }
        taken
    }

    /// Whether there is a seat for this record beside those listed: it is drawn, and none of its network has a better
    /// ticket.
    pub(crate) fn has_seat_for(&self, record: &PeerInfo, now: Time) -> bool {
        self.seat_for(record, now).is_some()
    }

    /// Who goes if this record has a seat; nothing if it has none.
    fn seat_for(&self, record: &PeerInfo, now: Time) -> Option<Vec<IdPrefix>> {
        let ticket = |id| self.lottery.ticket(id, now);
        let own = (ticket(record.id_ref())?, IdPrefix::from(record.id_ref()));
        let Some((site, subnet, _)) = self.grouping.and_then(|grouping| place(grouping, record)) else {
            return Some(Vec::new());
        };
        let mut pushed_out = Vec::new();
        let mut rivals = Vec::new();
        for (_, theirs, prefix) in self.of_site(site).filter(|(.., prefix)| *prefix != own.1) {
            let Some(entry) = self.view.get(prefix) else { continue };
            // Whose epoch has just ended gives way.
            let rival = (ticket(entry.peer().id_ref()).unwrap_or(u64::MAX), *prefix);
            let is_better = rival < own;
            match subnet != 0 && *theirs == subnet {
                true if is_better => return None,
                true => pushed_out.push(*prefix),
                false => rivals.push(rival),
            }
        }
        if site != 0 && rivals.len() >= SITE_SEATS {
            rivals.sort_unstable();
            if rivals[SITE_SEATS - 1] < own {
                return None;
            }
            pushed_out.extend(rivals[SITE_SEATS - 1..].iter().map(|(_, prefix)| *prefix));
        }
        Some(pushed_out)
    }

    fn of_site(&self, site: u32) -> impl Iterator<Item = &Place> {
        self.places.range((site, 0, IdPrefix([0; 8]))..=(site, u32::MAX, IdPrefix([0xff; 8])))
    }

    /// Changes what is listed of one member, and the books with it.
    fn change<T>(&mut self, prefix: &IdPrefix, change: impl FnOnce(&mut View) -> T) -> T {
        if let Some(place) = self.place_of(prefix) {
            self.places.remove(&place);
        }
        let changed = change(&mut self.view);
        self.places.extend(self.place_of(prefix));
        changed
    }

    fn place_of(&self, prefix: &IdPrefix) -> Option<Place> {
        place(self.grouping?, self.view.get(prefix)?.peer())
    }

    /// Forgets those who have been gone for long, and those whose seats are over.
    pub(crate) fn tidy(&mut self, now: Time) {
        let Self { view, places, lottery, .. } = self;
        view.forget_gone(now.seconds());
        view.keep(|entry| lottery.holds_seat(entry.peer().id_ref(), now));
        places.retain(|(.., prefix)| view.get(prefix).is_some());
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.view.memory_bytes() + self.places.len() * size_of::<Place>()
    }
}

/// Where a peer stands in the books, if it is in a subnet at all.
fn place(grouping: Grouping, peer: &PeerInfo) -> Option<Place> {
    let group = grouping(peer);
    let has_place = group.subnet != 0 || group.site != 0;
    has_place.then(|| (group.site, group.subnet, peer.id_ref().into()))
}

#[cfg(test)]
mod tests;
