#![allow(clippy::unwrap_used)]

use alloc::{collections::BTreeMap, sync::Arc, vec};

use proptest::prelude::*;

use super::*;
use crate::{
    Address, NodeId,
    members::{Announcement, Signature},
    peer::NetGroup,
};

const LOTTERY: Lottery = Lottery { unix_at_zero: 1_800_000_000 };

/// An address begins with its subnet, of which a provider has up to a hundred; 0 is a private network.
fn by_address(peer: &PeerInfo) -> NetGroup {
    match peer.addrs()[0].as_bytes() {
        [0, ..] => NetGroup::default(),
        [subnet, ..] => NetGroup { subnet: (*subnet).into(), site: 1 + u32::from(*subnet) / 100 },
        [] => unreachable!("an address has two bytes"),
    }
}

fn record(key: u32, subnet: u8, seq: u64) -> PeerInfo {
    let mut public_key = [0; 32];
    public_key[..4].copy_from_slice(&key.to_be_bytes());
    PeerInfo::new(public_key, vec![Address::new(&[subnet, 0]).unwrap()], seq).unwrap()
}

fn claim(key: u32, subnet: u8, seq: u64) -> News {
    News::Member(Announcement::new(Arc::new(record(key, subnet, seq)), true, Signature([0; 64])))
}

fn ticket(key: u32) -> Option<u64> {
    LOTTERY.ticket(&record(key, 0, 1).id(), Time::ZERO)
}

/// The keys of so many who have a seat, the best ticket first.
fn drawn(count: usize) -> Vec<u32> {
    let mut keys: Vec<u32> = (0..).filter(|key| ticket(*key).is_some()).take(count).collect();
    keys.sort_by_key(|key| ticket(*key));
    keys
}

fn empty() -> SeatList {
    let mut list = SeatList::new(LOTTERY);
    list.set_grouping(by_address);
    list
}

fn listed(list: &SeatList) -> Vec<NodeId> {
    list.view().entries().iter().map(|entry| entry.peer().id()).collect()
}

fn ids(keys: &[u32]) -> Vec<NodeId> {
    let mut ids: Vec<NodeId> = keys.iter().map(|key| record(*key, 0, 1).id()).collect();
    ids.sort_unstable();
    ids
}

#[test]
fn of_one_subnet_the_best_ticket_has_the_seat_whoever_came_first() {
    let keys = drawn(3);
    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
        let mut list = empty();
        for index in order {
            list.take(&claim(keys[index], 7, 1), Time::ZERO, false);
        }
        assert_eq!(listed(&list), ids(&keys[..1]), "{order:?}");
    }
}

#[test]
fn a_provider_has_sixteen_seats_however_many_subnets_it_has() {
    let keys = drawn(SITE_SEATS + 4);
    for reversed in [false, true] {
        let mut list = empty();
        let mut order: Vec<usize> = (0..keys.len()).collect();
        if reversed {
            order.reverse();
        }
        for index in order {
            list.take(&claim(keys[index], 1 + index as u8, 1), Time::ZERO, false);
        }
        // Another one's seats are its own.
        assert_eq!(listed(&list), ids(&keys[..SITE_SEATS]), "reversed: {reversed}");
        list.take(&claim(keys[SITE_SEATS], 200, 2), Time::ZERO, false);
        assert_eq!(listed(&list), ids(&keys[..=SITE_SEATS]));
    }
}

#[test]
fn who_is_in_no_subnet_is_not_bounded() {
    let keys = drawn(40);
    let (mut private, mut ungrouped) = (empty(), SeatList::new(LOTTERY));
    for key in &keys {
        private.take(&claim(*key, 0, 1), Time::ZERO, false);
        ungrouped.take(&claim(*key, 7, 1), Time::ZERO, false);
    }
    assert_eq!(listed(&private), ids(&keys));
    assert_eq!(listed(&ungrouped), ids(&keys));
    // Those that were listed before subnets were known count as well.
    ungrouped.set_grouping(by_address);
    assert!(!ungrouped.has_seat_for(&record(keys[39], 7, 2), Time::ZERO));
}

#[test]
fn who_is_not_drawn_has_no_seat_and_pushes_nobody_out() {
    let (drawn, blank) = (drawn(1)[0], (0..).find(|key| ticket(*key).is_none()).unwrap());
    let mut list = empty();
    list.take(&claim(drawn, 7, 1), Time::ZERO, false);
    list.take(&claim(blank, 7, 1), Time::ZERO, false);
    list.take(&claim(blank, 8, 1), Time::ZERO, false);
    assert_eq!(listed(&list), ids(&[drawn]));
    assert!(!list.has_seat_for(&record(blank, 9, 1), Time::ZERO));
}

#[test]
fn a_seat_is_free_again_when_its_holder_is_gone_or_moves_or_its_epoch_ends() {
    let keys = drawn(2);
    let (first, second) = (keys[0], record(keys[1], 7, 1));
    let gone = News::Gone { peer: (&record(first, 7, 1).id()).into(), seq: 1 };
    for leave in [gone, claim(first, 8, 2)] {
        let mut list = empty();
        list.take(&claim(first, 7, 1), Time::ZERO, false);
        assert!(!list.has_seat_for(&second, Time::ZERO));
        list.take(&leave, Time::ZERO, false);
        assert!(list.has_seat_for(&second, Time::ZERO), "{leave:?}");
    }
    // Two whose epochs begin at different moments.
    let mut list = empty();
    list.take(&claim(first, 7, 1), Time::ZERO, false);
    let over =
        |hour: &u64| LOTTERY.ticket(&record(first, 7, 1).id(), Time::from_micros(hour * 3_600_000_000));
    let hour = (1..9).find(|hour| over(hour).is_none()).unwrap();
    list.tidy(Time::from_micros(hour * 3_600_000_000));
    assert_eq!(listed(&list), []);
    assert!(list.places.is_empty());
}

/// The lists of those whose clock was set meanwhile go by the new time.
#[test]
fn seats_go_by_the_clock_as_it_was_set_last() {
    let key = drawn(1)[0];
    let later = (1..99).map(|day| Lottery { unix_at_zero: LOTTERY.unix_at_zero + day * 86_400 });
    let elsewhere = later.into_iter().find(|later| !later.holds_seat(&record(key, 7, 1).id(), Time::ZERO));
    let mut list = empty();
    list.set_lottery(elsewhere.unwrap());
    list.take(&claim(key, 7, 1), Time::ZERO, false);
    assert_eq!(listed(&list), []);
}

/// The rule, for whoever knows all claims at once: the best of each subnet, and of these the best of each provider.
fn seated(claims: &BTreeMap<u32, u8>) -> Vec<NodeId> {
    let mut keys: Vec<u32> = claims.keys().copied().collect();
    keys.sort_by_key(|key| ticket(*key));
    let (mut subnets, mut sites) = (BTreeSet::new(), BTreeMap::<u32, usize>::new());
    keys.retain(|key| {
        let group = by_address(&record(*key, claims[key], 1));
        if group.subnet == 0 {
            return true;
        }
        let seats = sites.entry(group.site).or_default();
        let has_seat = subnets.insert(group.subnet) && *seats < SITE_SEATS;
        *seats += usize::from(has_seat);
        has_seat
    });
    ids(&keys)
}

#[test]
fn whoever_has_heard_the_same_claims_lists_the_same_in_any_order() {
    let pool = drawn(100);
    let claims = prop::collection::vec((0usize..100, 0u8..120), 0..100);
    proptest!(|(claims in claims, order in any::<u64>())| {
        // One record of each: which of two versions counts is the list's own business.
        let claims: BTreeMap<u32, u8> = claims.iter().map(|(index, subnet)| (pool[*index], *subnet)).collect();
        let mut shuffled: Vec<(&u32, &u8)> = claims.iter().collect();
        shuffled.sort_by_key(|(key, _)| order.rotate_left(**key % 64).wrapping_mul(0x9e37_79b9_7f4a_7c15 ^ u64::from(**key)));
        let mut list = empty();
        // Those turned away are told again, as by everybody who does not know better yet.
        for _ in 0..2 {
            for (key, subnet) in &shuffled {
                list.take(&claim(**key, **subnet, 1), Time::ZERO, false);
                let of_site = |site| list.of_site(site).count();
                prop_assert!(of_site(1) <= SITE_SEATS && of_site(2) <= SITE_SEATS);
            }
            prop_assert_eq!(listed(&list), seated(&claims));
        }
        let grouped = list.view().entries().iter().filter(|entry| by_address(entry.peer()).subnet != 0);
        prop_assert_eq!(list.places.len(), grouped.count());
    });
}
