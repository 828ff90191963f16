#![allow(clippy::unwrap_used)]

use super::{super::samples::*, *};

/// Found with an age, in seconds, at the time 100.
fn found(listing: &Arc<Listing>, age: i64, fetched: bool) -> Sighting {
    let item = Item::Listing(listing.clone());
    Sighting { id: item.id(), heard_at: 100_000 - age * 1000, item: fetched.then_some(item) }
}

type Told = Option<(Vec<(u64, bool)>, Vec<ListingId>)>;

fn take_in(sights: &mut Sights, found: &[Sighting]) -> (Told, Option<Duration>) {
    let (tell, soonest) = sights.take_in(found, secs(100), 0);
    let short = |seen: Vec<Seen>| seen.iter().map(|seen| (seen.listing.seq(), seen.suspect)).collect();
    (tell.map(|(changed, gone)| (short(changed), gone)), soonest)
}

#[test]
fn the_first_news_tell_everything_and_the_next_what_has_changed() {
    let (a, b) = (listing(1, 1, b"a"), listing(2, 7, b"b"));
    let mut sights = Sights::default();
    assert_eq!(take_in(&mut sights, &[]).0, Some((Vec::new(), Vec::new())), "even if it is nothing");
    assert_eq!(take_in(&mut sights, &[]).0, None);
    assert_eq!(take_in(&mut sights, &[found(&a, 0, true)]).0, Some(([(1, false)].into(), Vec::new())));
    assert_eq!(sights.known(), [Item::Listing(a.clone()).id()].into());
    assert_eq!(take_in(&mut sights, &[found(&a, 3, false)]).0, None);
    let both = [found(&a, 0, false), found(&b, 0, true)];
    assert_eq!(take_in(&mut sights, &both).0, Some(([(7, false)].into(), Vec::new())));
    let newer = [found(&listing(1, 2, b"c"), 0, true), found(&b, 0, false)];
    assert_eq!(take_in(&mut sights, &newer).0, Some(([(2, false)].into(), Vec::new())));
    assert_eq!(take_in(&mut sights, &[found(&b, 0, false)]).0, Some((Vec::new(), [a.id()].into())));
    assert_eq!(take_in(&mut sights, &[found(&b, 0, false)]).0, None, "gone once");
}

#[test]
fn suspects_are_told_both_ways_and_looked_after() {
    let a = listing(1, 1, b"a");
    let mut sights = Sights::default();
    take_in(&mut sights, &[found(&a, 7, true)]);
    let (told, left) = take_in(&mut sights, &[found(&a, 8, false)]);
    assert_eq!(told, Some(([(1, true)].into(), Vec::new())));
    assert_eq!(left, Some(Duration::from_secs(7)));
    assert_eq!(take_in(&mut sights, &[found(&a, 14, false)]), (None, Some(Duration::from_secs(1))));
    assert_eq!(take_in(&mut sights, &[found(&a, 0, false)]), (Some(([(1, false)].into(), Vec::new())), None));
    assert_eq!(take_in(&mut sights, &[found(&a, 15, false)]).0, Some((Vec::new(), [a.id()].into())));
}

#[test]
fn a_withdrawn_listing_is_gone_and_not_fetched_again() {
    let (a, withdrawal) = (listing(1, 1, b"a"), listing(1, 2, b""));
    let mut sights = Sights::default();
    take_in(&mut sights, &[found(&a, 0, true)]);
    assert_eq!(take_in(&mut sights, &[found(&withdrawal, 0, true)]).0, Some((Vec::new(), [a.id()].into())));
    assert_eq!(sights.known(), [Item::Listing(withdrawal.clone()).id()].into());
    assert_eq!(take_in(&mut sights, &[found(&withdrawal, 0, false)]).0, None);
    // Somebody who has missed it comes late.
    assert_eq!(take_in(&mut sights, &[found(&a, 0, true)]).0, None);
    take_in(&mut sights, &[]);
    assert!(sights.known().is_empty(), "others have forgotten it");
    let again = listing(1, 3, b"a");
    assert_eq!(take_in(&mut sights, &[found(&again, 0, true)]).0, Some(([(3, false)].into(), Vec::new())));
}

#[test]
fn who_asks_once_sees_what_is_there() {
    let expired = sign(super::super::ListingStatement { valid_until: 50, ..statement(1, 4, 0, 1, b"x") });
    let all = [
        found(&listing(1, 1, b"a"), 9, true),
        found(&listing(2, 1, b""), 0, true),
        found(&listing(3, 1, b"a"), 15, true),
        found(&expired, 0, true),
    ];
    let seen = seen(&all, secs(100), 50);
    assert_eq!(seen.len(), 1);
    let Seen { listing: first, age, suspect } = &seen[0];
    assert_eq!((first, *age, *suspect), (&listing(1, 1, b"a"), Duration::from_secs(9), true));
}
