//! The listings that one node keeps, in memory. Each is there for as long as its provider is heard.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    vec::Vec,
};
use core::time::Duration;

use super::{Head, ItemId, Listing, ListingId, Rejection};
use crate::{Key, Time, records::CLIENTS};

/// From when on a provider that is not heard is suspected: it has missed one renewal, and half of the next one's time.
pub(crate) const SUSPECTED_AFTER: Duration = Duration::from_secs(8);
/// From when on it is gone: it has missed two, and part of the third.
pub(crate) const GONE_AFTER: Duration = Duration::from_secs(15);
/// How long a withdrawal is remembered, so that it wins over an announcement that comes late.
const WITHDRAWN_FOR: Duration = Duration::from_secs(60);

/// Listings of one place.
pub(crate) const PER_PLACE: usize = 1024;
/// Listings of one provider at one place.
const PER_PROVIDER_AND_PLACE: usize = 16;
/// Listings of one provider in all.
const PER_PROVIDER: u16 = 256;
/// Listings from one subnet at one place.
const PER_SUBNET_AND_PLACE: usize = 64;
/// Listings of clients at one place, whose subnets nobody knows, all together: half of it.
const OF_CLIENTS_AND_PLACE: usize = PER_PLACE / 2;
/// Listings in all.
const LISTINGS_MAX: usize = 16_384;
/// Bytes of them.
const BYTES_MAX: usize = 16 << 20;

/// What a provider's message has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// Nothing that others would see.
    Nothing,
    /// What is listed at the place.
    Place,
}

#[derive(Debug, Clone)]
struct Entry {
    listing: Arc<Listing>,
    subnet: u32,
    /// When its provider was last heard.
    heard: Time,
    /// When it expires.
    until: Time,
    suspect: bool,
    /// When it is looked at, at the latest.
    due: Time,
}

impl Entry {
    /// When something happens to it unless its provider is heard.
    fn ends(&self) -> Time {
        if self.listing.is_withdrawn() {
            return self.heard + WITHDRAWN_FOR;
        }
        self.until.min(self.heard + if self.suspect { GONE_AFTER } else { SUSPECTED_AFTER })
    }
}

/// See the module's description.
#[derive(Debug, Clone, Default)]
pub(crate) struct Board {
    entries: BTreeMap<(Key, ListingId), Entry>,
    /// Each entry once, at its `due`. Renewals do not move it: that would cost more than to look at it in vain.
    dues: BTreeSet<(Time, Key, ListingId)>,
    per_provider: BTreeMap<[u8; 32], u16>,
    bytes: usize,
}

impl Board {
    /// Takes in what a provider says. `subnet`: that from which it says so; 0 if there is no limit for it.
    pub(crate) fn keep(
        &mut self,
        listing: &Arc<Listing>,
        subnet: u32,
        now: Time,
        unix_seconds: u64,
    ) -> Result<Change, Rejection> {
        if listing.is_expired(unix_seconds) {
            return Err(Rejection::Expired);
        }
        let at = (*listing.place(), listing.id());
        let mut change = Change::Place;
        if let Some(entry) = self.entries.get(&at) {
            if entry.listing.seq() > listing.seq() {
                return Err(Rejection::Superseded);
            }
            if entry.listing.seq() == listing.seq() {
                if entry.listing != *listing {
                    return Err(Rejection::Superseded);
                }
                return Ok(self.heard(&at, now));
            }
            if self.bytes - entry.listing.encoded_len() + listing.encoded_len() > BYTES_MAX {
                return Err(Rejection::Full);
            }
            self.remove(&at);
        } else {
            self.has_room(listing, subnet)?;
            if listing.is_withdrawn() {
                change = Change::Nothing;
            }
        }
        let valid_for = listing.statement().valid_until.saturating_sub(unix_seconds);
        // Nothing lives for a year without being renewed.
        let until = now + Duration::from_secs(valid_for.min(365 * 24 * 3600));
        let mut entry =
            Entry { listing: listing.clone(), subnet, heard: now, until, suspect: false, due: now };
        entry.due = entry.ends();
        self.dues.insert((entry.due, at.0, at.1));
        self.bytes += listing.encoded_len();
        *self.per_provider.entry(at.1.provider).or_default() += 1;
        self.entries.insert(at, entry);
        Ok(change)
    }

    fn has_room(&self, listing: &Listing, subnet: u32) -> Result<(), Rejection> {
        let provider = listing.id().provider;
        if self.per_provider.get(&provider).is_some_and(|count| *count >= PER_PROVIDER) {
            return Err(Rejection::SenderFull);
        }
        let (mut all, mut of_provider, mut of_subnet) = (0, 0, 0);
        for (id, entry) in self.of(listing.place()) {
            all += 1;
            of_provider += usize::from(id.provider == provider);
            of_subnet += usize::from(subnet != 0 && entry.subnet == subnet);
        }
        if of_provider >= PER_PROVIDER_AND_PLACE {
            return Err(Rejection::SenderFull);
        }
        let most = if subnet == CLIENTS { OF_CLIENTS_AND_PLACE } else { PER_SUBNET_AND_PLACE };
        if of_subnet >= most {
            return Err(Rejection::SubnetFull);
        }
        let full = all >= PER_PLACE
            || self.entries.len() >= LISTINGS_MAX
            || self.bytes + listing.encoded_len() > BYTES_MAX;
        if full { Err(Rejection::Full) } else { Ok(()) }
    }

    /// A provider says that a version of a listing still holds. None if that version is not known.
    pub(crate) fn renew(
        &mut self,
        place: &Key,
        id: ListingId,
        seq: u64,
        now: Time,
    ) -> Result<Option<Change>, Rejection> {
        let at = (*place, id);
        let Some(entry) = self.entries.get(&at).filter(|entry| entry.listing.seq() >= seq) else {
            return Ok(None);
        };
        if entry.listing.seq() > seq {
            return Err(Rejection::Superseded);
        }
        Ok(Some(self.heard(&at, now)))
    }

    /// The provider of a listing is there.
    fn heard(&mut self, at: &(Key, ListingId), now: Time) -> Change {
        let Some(entry) = self.entries.get_mut(at).filter(|entry| !entry.listing.is_withdrawn()) else {
            return Change::Nothing;
        };
        entry.heard = now;
        if core::mem::take(&mut entry.suspect) { Change::Place } else { Change::Nothing }
    }

    /// The first listings of a place after this one, withdrawn ones among them, and whether there are more.
    pub(crate) fn heads(
        &self,
        place: &Key,
        after: Option<ItemId>,
        most: usize,
        now: Time,
    ) -> (Vec<Head>, bool) {
        let mut rest = self.of(place).filter(|(id, _)| after.is_none_or(|after| *id > after.listing()));
        let heads = rest.by_ref().take(most).map(|(id, entry)| Head {
            id: ItemId::of_listing(id, entry.listing.seq()),
            // A withdrawal is as good as new for as long as it is remembered.
            age: if entry.listing.is_withdrawn() { 0 } else { now.since(entry.heard).as_millis() as u32 },
        });
        (heads.collect(), rest.next().is_some())
    }

    /// The version of a listing that is kept.
    pub(crate) fn get(&self, place: &Key, id: ListingId) -> Option<&Arc<Listing>> {
        self.entries.get(&(*place, id)).map(|entry| &entry.listing)
    }

    /// Suspects and removes those whose providers have not been heard. Returns the places where that has changed
    /// something.
    pub(crate) fn look_through(&mut self, now: Time) -> BTreeSet<Key> {
        let mut changed = BTreeSet::new();
        while let Some((due, place, id)) = self.dues.first().copied()
            && due <= now
        {
            self.dues.remove(&(due, place, id));
            let Some(entry) = self.entries.get_mut(&(place, id)) else { continue };
            if entry.ends() <= now && !entry.listing.is_withdrawn() {
                changed.insert(place);
                entry.suspect = true;
            }
            entry.due = entry.ends();
            if entry.due <= now {
                self.remove(&(place, id));
            } else {
                self.dues.insert((entry.due, place, id));
            }
        }
        changed
    }

    /// When the next is to be looked at.
    pub(crate) fn next_due(&self) -> Option<Time> {
        self.dues.first().map(|(due, ..)| *due)
    }

    /// How many are kept, and about how many bytes they take.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.entries.len(), self.bytes)
    }

    fn of(&self, place: &Key) -> impl Iterator<Item = (ListingId, &Entry)> {
        let id = |byte, number| ListingId { provider: [byte; 32], number };
        let all = (*place, id(0, 0))..=(*place, id(255, u16::MAX));
        self.entries.range(all).map(|((_, id), entry)| (*id, entry))
    }

    fn remove(&mut self, at: &(Key, ListingId)) {
        let Some(entry) = self.entries.remove(at) else { return };
        self.dues.remove(&(entry.due, at.0, at.1));
        self.bytes -= entry.listing.encoded_len();
        if let Some(count) = self.per_provider.get_mut(&at.1.provider) {
            *count -= 1;
            if *count == 0 {
                self.per_provider.remove(&at.1.provider);
            }
        }
    }
}

#[cfg(test)]
mod tests;
