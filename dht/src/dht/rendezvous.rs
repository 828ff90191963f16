//! Places where programs meet: what this node keeps of them for others.

use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::time::Duration;

use super::{Dht, Turn, records::RECORDS_BYTES, rendezvous_state::Rendezvous};
use crate::{
    Key, Time,
    message::{Message, Notice},
    metric::Metric,
    peer::Peer,
    rendezvous::{
        Change, HEADS_PER_PAGE, Item, ItemId, ItemKind, Listing, ListingId, Rejection, RendezvousNotice,
        RendezvousRequest, RendezvousResponse, Stamp, TopicMessage, is_past,
    },
};

/// After so long in its place a node has heard of all that is listed there: every provider has renewed.
const READY_AFTER: Duration = Duration::from_secs(6);
/// Items in one message.
const ITEMS_IN_MESSAGE: usize = 64;

impl<M: Metric> Dht<M> {
    /// What it remembers of places; made when it is first needed.
    pub(super) fn rendezvous_mut(&mut self) -> &mut Rendezvous {
        self.rendezvous.get_or_insert_with(Box::default)
    }

    /// How many listings it keeps for others, and about how many bytes they take.
    pub fn listings_kept(&self) -> (usize, usize) {
        self.rendezvous.as_ref().map_or((0, 0), |rendezvous| rendezvous.board.size())
    }

    /// How many messages of topics it keeps, and about how many bytes they take.
    pub fn messages_kept(&self) -> (usize, usize) {
        self.rendezvous.as_ref().map_or((0, 0), |rendezvous| rendezvous.topics.size())
    }

    /// This node has just taken its place, or has slept: others may have listed what it does not know.
    pub(super) fn places_may_be_old(&mut self, now: Time) {
        if self.config.records && self.is_member() {
            self.at_places_since = now;
        }
    }

    /// What a question about a place is answered with; none if it is not answered.
    pub(super) fn rendezvous_asked(
        &mut self,
        turn: &mut Turn<'_>,
        from: &Peer,
        request: &RendezvousRequest,
    ) -> Option<RendezvousResponse> {
        if !self.config.records || !self.is_member() {
            return None;
        }
        Some(match request {
            RendezvousRequest::Keep { item, region } => {
                let region = self.correction(item.place(), *region);
                let kept = match item {
                    Item::Listing(listing) => self.keep_listing(turn, from, listing),
                    Item::Message(message) => self.keep_message(turn, message),
                };
                match kept {
                    Ok(()) => RendezvousResponse::Kept { region },
                    Err(why) => RendezvousResponse::Refused { why, region },
                }
            }
            RendezvousRequest::Renew { place, number, seq, region } => {
                let region = self.correction(place, *region);
                let id = ListingId { provider: *from.public_key(), number: *number };
                match self.rendezvous_mut().board.renew(place, id, *seq, turn.now) {
                    Ok(Some(change)) => {
                        self.board_changed(turn, place, change);
                        RendezvousResponse::Kept { region }
                    }
                    Ok(None) => RendezvousResponse::Unknown { region },
                    Err(why) => RendezvousResponse::Refused { why, region },
                }
            }
            RendezvousRequest::Survey { place, kind, after, watch, region } => {
                let region = self.correction(place, *region);
                let own = from.id_ref() == self.own_id();
                let ready = turn.now.since(self.at_places_since) >= READY_AFTER;
                let rendezvous = self.rendezvous_mut();
                let (watchers, (heads, more)) = match kind {
                    ItemKind::Listing => {
                        let heads = rendezvous.board.heads(place, *after, HEADS_PER_PAGE, turn.now);
                        (&mut rendezvous.watchers, heads)
                    }
                    ItemKind::Message => {
                        (&mut rendezvous.subscribers, (rendezvous.topics.heads(place), false))
                    }
                };
                // What this node watches itself it hears of anyway.
                if *watch && !own {
                    watchers.add(*place, from, turn.now);
                }
                RendezvousResponse::Heads { heads, more, ready, region }
            }
            RendezvousRequest::Fetch { place, kind, wanted } => {
                RendezvousResponse::Items(self.items(place, *kind, wanted))
            }
        })
    }

    fn keep_listing(
        &mut self,
        turn: &mut Turn<'_>,
        from: &Peer,
        listing: &Arc<Listing>,
    ) -> Result<(), Rejection> {
        // Whoever has heard a provider could keep what it has taken back, or cannot renew, alive for ever.
        if listing.id().provider != *from.public_key() {
            return Err(Rejection::NotYours);
        }
        let (subnet, unix_seconds) = (self.brought_from(from), self.unix_seconds(turn.now));
        let board = &mut self.rendezvous_mut().board;
        let change = board.keep(listing, subnet, turn.now, unix_seconds)?;
        self.board_changed(turn, listing.place(), change);
        Ok(())
    }

    /// Microseconds since 1970.
    fn unix_micros(&self, now: Time) -> u64 {
        self.lottery.unix_at_zero.saturating_mul(1_000_000).saturating_add(now.as_micros())
    }

    fn keep_message(&mut self, turn: &mut Turn<'_>, message: &Arc<TopicMessage>) -> Result<(), Rejection> {
        let unix_micros = self.unix_micros(turn.now);
        let rendezvous = self.rendezvous_mut();
        if !rendezvous.topics.keep(message, turn.now, unix_micros)? {
            return Ok(());
        }
        for subscriber in rendezvous.subscribers.told(message.place(), turn.now) {
            let notice = RendezvousNotice::Message(message.clone());
            turn.send(&subscriber, Message::Notice(Notice::Rendezvous(notice)));
        }
        self.message_pushed(turn, message);
        Ok(())
    }

    /// As many of these as are kept and fit into a message.
    fn items(&self, place: &Key, kind: ItemKind, wanted: &[ItemId]) -> Vec<Item> {
        let Some(rendezvous) = &self.rendezvous else { return Vec::new() };
        let found = wanted.iter().take(ITEMS_IN_MESSAGE).filter_map(|id| match kind {
            ItemKind::Listing => {
                let listing = rendezvous.board.get(place, id.listing());
                listing.filter(|listing| listing.seq() >= id.seq).cloned().map(Item::Listing)
            }
            ItemKind::Message => rendezvous.topics.get(place, &Stamp::from(id)).cloned().map(Item::Message),
        });
        let mut room = RECORDS_BYTES;
        let fits = |item: &Item| {
            let left = room.checked_sub(item.encoded_len());
            room = left.unwrap_or(room);
            left.is_some()
        };
        found.take_while(fits).collect()
    }

    fn board_changed(&mut self, turn: &mut Turn<'_>, place: &Key, change: Change) {
        if change == Change::Place {
            self.place_changed(turn, place);
        }
    }

    /// What is listed at a place has changed here: whoever watches it is told, soon at the latest.
    fn place_changed(&mut self, turn: &mut Turn<'_>, place: &Key) {
        if self.rendezvous_mut().hints.changed(*place, turn.now) {
            self.hint(turn, place);
        }
    }

    fn hint(&mut self, turn: &mut Turn<'_>, place: &Key) {
        self.place_news(turn.now, place);
        for watcher in self.rendezvous_mut().watchers.told(place, turn.now) {
            turn.send(&watcher, Message::Notice(Notice::Rendezvous(RendezvousNotice::Changed(*place))));
        }
    }

    /// Lets go what is kept here for long enough, and tells those who watch.
    pub(super) fn look_places_through(&mut self, turn: &mut Turn<'_>) {
        let Some(rendezvous) = &mut self.rendezvous else { return };
        rendezvous.topics.forget_ended(turn.now);
        let changed = rendezvous.board.look_through(turn.now);
        let mut hinted = rendezvous.hints.pop_due(turn.now);
        hinted.extend(changed.into_iter().filter(|place| rendezvous.hints.changed(*place, turn.now)));
        for place in hinted {
            self.hint(turn, &place);
        }
    }

    pub(super) fn rendezvous_noticed(&mut self, turn: &mut Turn<'_>, notice: RendezvousNotice) {
        match notice {
            RendezvousNotice::Changed(place) => self.place_news(turn.now, &place),
            RendezvousNotice::Message(message) => {
                if !is_past(&message, self.unix_micros(turn.now)) {
                    self.message_pushed(turn, &message);
                }
            }
        }
    }
}
