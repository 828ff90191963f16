//! What a watcher of a place has told its caller, and what it tells next.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    vec::Vec,
};
use core::time::Duration;

use super::{GONE_AFTER, Item, ItemId, Listing, ListingId, SUSPECTED_AFTER, Seen, task::Sighting};
use crate::Time;

/// A listing as a caller sees it; none if it is withdrawn, expired, or its provider has not been heard for too long.
fn seen_at(listing: &Arc<Listing>, heard_at: i64, now: Time, unix_seconds: u64) -> Option<Seen> {
    let age = ((now.as_micros() / 1000) as i64).saturating_sub(heard_at).max(0);
    let age = Duration::from_millis(age.unsigned_abs());
    let there = !listing.is_withdrawn() && !listing.is_expired(unix_seconds) && age < GONE_AFTER;
    there.then(|| Seen { listing: listing.clone(), age, suspect: age >= SUSPECTED_AFTER })
}

/// What a survey has found, as a caller sees it who has known nothing.
pub(crate) fn seen(found: &[Sighting], now: Time, unix_seconds: u64) -> Vec<Seen> {
    let listed = found.iter().filter_map(|sighting| match &sighting.item {
        Some(Item::Listing(listing)) => seen_at(listing, sighting.heard_at, now, unix_seconds),
        _ => None,
    });
    listed.collect()
}

/// What a watcher tells next: listings that are new or otherwise than before, and those that are gone.
pub(crate) type News = (Vec<Seen>, Vec<ListingId>);

/// See the module's description.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sights {
    /// The newest version of each, withdrawn ones among them for as long as others remember them; and whether the
    /// caller has been told that it is there, and if so, whether it is suspected.
    newest: BTreeMap<ListingId, (Arc<Listing>, Option<bool>)>,
    begun: bool,
}

impl Sights {
    /// What need not be fetched again.
    pub(crate) fn known(&self) -> BTreeSet<ItemId> {
        self.newest.iter().map(|(id, (listing, _))| ItemId::of_listing(*id, listing.seq())).collect()
    }

    /// Takes in what a survey has found. Returns what is to be told, if anything is; and in how long one of those that
    /// are suspected will be gone.
    pub(crate) fn take_in(
        &mut self,
        found: &[Sighting],
        now: Time,
        unix_seconds: u64,
    ) -> (Option<News>, Option<Duration>) {
        let before = core::mem::take(&mut self.newest);
        let (mut changed, mut gone, mut soonest) = (Vec::new(), Vec::new(), None::<Duration>);
        for sighting in found {
            let id = sighting.id.listing();
            let known = before.get(&id);
            let found = match &sighting.item {
                Some(Item::Listing(listing)) => Some(listing),
                _ => None,
            };
            // Never back to an older version.
            let older = |listing: &Arc<Listing>| found.is_none_or(|found| found.seq() <= listing.seq());
            let listing = known.map(|(listing, _)| listing).filter(|known| older(known)).or(found);
            let Some(listing) = listing else { continue };
            let seen = seen_at(listing, sighting.heard_at, now, unix_seconds);
            let state = seen.as_ref().map(|seen| seen.suspect);
            if let Some(seen) = seen {
                if seen.suspect {
                    let left = GONE_AFTER.saturating_sub(seen.age);
                    soonest = Some(soonest.map_or(left, |soonest| soonest.min(left)));
                }
                let same = |(told, told_state): &(Arc<Listing>, Option<bool>)| {
                    told.seq() == listing.seq() && *told_state == state
                };
                if !known.is_some_and(same) {
                    changed.push(seen);
                }
            }
            self.newest.insert(id, (listing.clone(), state));
        }
        let there = |id: &ListingId| self.newest.get(id).is_some_and(|(_, state)| state.is_some());
        gone.extend(
            before.iter().filter(|(id, (_, state))| state.is_some() && !there(id)).map(|(id, _)| *id),
        );
        let first = !core::mem::replace(&mut self.begun, true);
        let tell = first || !changed.is_empty() || !gone.is_empty();
        (tell.then_some((changed, gone)), soonest)
    }
}

#[cfg(test)]
mod tests;
