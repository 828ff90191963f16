#![allow(clippy::unwrap_used)]

use alloc::{sync::Arc, vec, vec::Vec};
use core::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::{Address, AnyMetric, PeerInfo};

fn peer(number: u32) -> Peer {
    let mut public_key = [0; 32];
    public_key[..4].copy_from_slice(&number.to_be_bytes());
    Arc::new(PeerInfo::new(public_key, vec![Address::new(b"x").unwrap()], 1).unwrap())
}

/// Where the first of them stands.
fn origin(metric: AnyMetric) -> Origin<AnyMetric> {
    Origin::new(metric, *peer(0).id().key())
}

fn rtt(millis: u64) -> Rtt {
    let mut rtt = Rtt::default();
    rtt.sample(Duration::from_millis(millis));
    rtt
}

proptest! {
    /// However many peers are offered, rows stay within their bound, sorted, and hold only what belongs there.
    #[test]
    fn rows_are_bounded_and_sorted(
        metric in prop_oneof![Just(AnyMetric::Ring), Just(AnyMetric::Xor), Just(AnyMetric::Classic)],
        bits in 1u8..=4,
        active in 1u8..5,
        offers in prop::collection::vec((1u32..2000, 1u64..300, any::<bool>()), 0..300),
    ) {
        let origin = origin(metric);
        let mut table = Table::new(bits, active, 3);
        for (step, (number, millis, gone)) in offers.into_iter().enumerate() {
            let peer = peer(number);
            if gone {
                table.remove(&origin, peer.id_ref());
                prop_assert!(table.get(&origin, peer.id_ref()).is_none());
            } else if table.get(&origin, peer.id_ref()).is_none() {
                table.note(&origin, &peer);
                table.offer(&origin, &peer, Time::from_micros(step as u64 * 1_000_000), rtt(millis));
            }
        }
        let offsets: Vec<_> = table.as_slice().iter().map(|entry| origin.offset_of(&entry.peer)).collect();
        prop_assert!(offsets.is_sorted());
        for key in (0..20).map(|number| *peer(number * 100).id().key()) {
            let (mut met, mut sorted) = (Vec::new(), table.as_slice().iter().collect::<Vec<_>>());
            table.walk(&origin, &key, &mut |distance, entry| {
                assert_eq!(distance, metric.distance(entry.peer.id_ref().key(), &key));
                met.push(entry.peer.id());
                true
            });
            sorted.sort_by(|a, b| metric.closer(&key, a.peer.id_ref(), b.peer.id_ref()));
            prop_assert_eq!(met, sorted.iter().map(|entry| entry.peer.id()).collect::<Vec<_>>());
        }
        let mut before = 0;
        for (rank, row) in table.rows() {
            prop_assert!(!row.is_empty() && row.len() <= usize::from(active));
            prop_assert!(table.reserved_in(rank) <= 3);
            prop_assert_eq!(table.row(rank), before..before + row.len());
            before += row.len();
            for entry in row {
                prop_assert_eq!(table.rank(&origin, entry.peer.id_ref()), Some(rank));
                prop_assert!(table.get(&origin, entry.peer.id_ref()).is_some());
            }
        }
        prop_assert_eq!(before, table.as_slice().len());
        let (mut near, now) = (Near::default(), Time::ZERO);
        for rank in (0..=u16::MAX).rev() {
            let (full, reserved) = (table.is_full(&table.row(rank)), table.reserved_in(rank));
            prop_assert_eq!(table.look(rank, now, &mut near), RowState { full, reserved, refreshed: None });
        }
        // What is in a row's reserve belongs there, and each name is there once.
        for rank in (0..=u16::MAX).filter(|rank| table.reserved_in(*rank) > 0).collect::<Vec<_>>() {
            let mut taken = Vec::new();
            while let Some(peer) = table.take_reserve(rank, taken.len() as u64) {
                prop_assert_eq!(table.rank(&origin, peer.id_ref()), Some(rank));
                prop_assert!(!taken.contains(&peer.id()));
                taken.push(peer.id());
            }
            prop_assert_eq!(table.reserved_in(rank), 0);
        }
        prop_assert_eq!(table.reserve_len(), 0);
    }
}

/// Peers in one row of the same node.
fn row_mates(count: usize) -> (Origin<AnyMetric>, Vec<Peer>) {
    let origin = origin(AnyMetric::Ring);
    let table = Table::new(2, 8, 0);
    let rank = |peer: &Peer| table.rank(&origin, peer.id_ref());
    let first = rank(&peer(1));
    let mates = (1..).map(peer).filter(|peer| rank(peer) == first).take(count).collect();
    (origin, mates)
}

#[test]
fn nearer_peers_replace_slower_ones_but_not_the_oldest() {
    let (origin, peers) = row_mates(12);
    let mut table = Table::new(2, 4, 0);
    for (age, peer) in peers.iter().take(4).enumerate() {
        table.offer(&origin, peer, Time::from_micros(age as u64 * 60_000_000), rtt(200 + age as u64));
    }
    for peer in &peers[4..] {
        table.offer(&origin, peer, Time::from_micros(600_000_000), rtt(10));
    }
    let has = |peer: &Peer| table.get(&origin, peer.id_ref()).is_some();
    assert!(has(&peers[0]) && has(&peers[1]), "the two oldest stay");
    assert!(!has(&peers[2]) && !has(&peers[3]), "the slow newer ones go");
}

#[test]
fn a_failing_entry_goes_first() {
    let (origin, peers) = row_mates(3);
    let mut table = Table::new(2, 2, 0);
    table.offer(&origin, &peers[0], Time::ZERO, rtt(1));
    table.offer(&origin, &peers[1], Time::ZERO, rtt(1));
    table.offer(&origin, &peers[2], Time::ZERO, Rtt::default());
    assert!(table.get(&origin, peers[2].id_ref()).is_none(), "unmeasured peers replace nobody");
    table.get_mut(&origin, peers[0].id_ref()).unwrap().missed = 1;
    table.offer(&origin, &peers[2], Time::ZERO, Rtt::default());
    assert!(table.get(&origin, peers[2].id_ref()).is_some());
    assert!(table.get(&origin, peers[0].id_ref()).is_none());
}

#[test]
fn chord_keeps_the_first_of_an_interval() {
    let origin = origin(AnyMetric::Classic);
    let mut table = Table::new(1, 1, 0);
    for number in 1..300 {
        if table.get(&origin, peer(number).id_ref()).is_none() {
            table.offer(&origin, &peer(number), Time::ZERO, Rtt::default());
        }
    }
    for (rank, row) in table.rows() {
        let first = (1..300)
            .map(peer)
            .filter(|peer| table.rank(&origin, peer.id_ref()) == Some(rank))
            .min_by_key(|peer| origin.offset_of(peer))
            .unwrap();
        assert_eq!(row[0].peer.id(), first.id());
    }
}

/// A row knows when it was refreshed, however many others have been since, and whether it has entries or not.
#[test]
fn every_row_knows_when_it_was_refreshed() {
    let mut table = Table::new(2, 8, 3);
    let at = |rank: u16| Time::from_micros(u64::from(rank % 100) * 1_000_000);
    let ranks = [7, 3, u16::MAX, 500, u16::MAX - 9, 4, 0];
    for rank in ranks {
        assert_eq!(table.refreshed(rank, at(99)), None);
        table.set_refreshed(rank, at(rank), 1 + (rank % 3) as u8);
    }
    for rank in ranks {
        let age = 99 - u32::from(rank % 100);
        assert_eq!(table.refreshed(rank, at(99)), Some((age, 1 + (rank % 3) as u8)));
    }
    // From whichever row one comes, the next one is found.
    for from in ranks {
        for rank in ranks.into_iter().chain([5, 501]) {
            let mut near = Near::default();
            table.look(from, at(99), &mut near);
            let refreshed = table.refreshed(rank, at(99));
            assert_eq!(table.look(rank, at(99), &mut near), RowState { full: false, reserved: 0, refreshed });
        }
    }
    table.set_refreshed(3, at(50), 2);
    assert_eq!((table.refreshed(3, at(99)), table.refreshed(5, at(99))), (Some((49, 2)), None));
}

/// Two whose ids end alike are not taken for each other.
#[test]
fn entries_are_told_apart_whose_tags_are_the_same() {
    let origin = origin(AnyMetric::Ring);
    let mut table = Table::new(2, 200, 200);
    let mut ends = alloc::collections::BTreeMap::new();
    let rank = |table: &Table, peer: &Peer| table.rank(&origin, peer.id_ref());
    let alike = |peer: Peer| {
        let end = (rank(&table, &peer), peer.id().as_bytes()[30], peer.id().as_bytes()[31]);
        ends.insert(end, peer.clone()).map(|first| (first, peer))
    };
    let (first, second) = (1..).map(peer).find_map(alike).unwrap();
    table.offer(&origin, &first, Time::ZERO, Rtt::default());
    assert!(table.get(&origin, second.id_ref()).is_none());
    table.note(&origin, &second);
    assert_eq!(table.reserve_len(), 1);
    assert!(table.remove(&origin, second.id_ref()).is_none());
    assert!(table.remove(&origin, first.id_ref()).is_some());
}

#[test]
fn an_entry_is_small() {
    assert_eq!(size_of::<Entry>(), 24);
}

/// A flood from one subnet gets two places in a row, whatever else is free.
#[test]
fn one_subnet_cannot_fill_a_row() {
    let (origin, peers) = row_mates(60);
    let mut table = Table::new(2, 8, 0);
    // A third shares a subnet, a third a provider, a third nothing.
    table.set_grouping(|peer| {
        let number = u32::from_be_bytes(peer.public_key()[..4].try_into().unwrap());
        match number % 3 {
            0 => NetGroup { subnet: 1, site: 1 },
            1 => NetGroup { subnet: number + 10, site: 2 },
            _ => NetGroup::default(),
        }
    });
    for peer in &peers {
        table.offer(&origin, peer, Time::ZERO, Rtt::default());
    }
    let (_, row) = table.rows().next().unwrap();
    let count = |residue: u32| {
        let number =
            |entry: &&Entry| u32::from_be_bytes(entry.peer.public_key()[..4].try_into().unwrap()) % 3;
        row.iter().filter(|entry| number(entry) == residue).count()
    };
    assert!(count(0) <= 2 && count(1) <= 4 && row.len() == 8, "{} {} {}", count(0), count(1), row.len());
}

/// Nor the table more than ten, over all rows; nor does it help to come first and to change the address afterwards.
#[test]
fn one_subnet_cannot_fill_a_table() {
    let origin = origin(AnyMetric::Ring);
    // Two peers of three are from one subnet.
    let grouping = |peer: &PeerInfo| match peer.public_key()[3] % 3 {
        0 => NetGroup::default(),
        _ => NetGroup { subnet: 0x0157_0000, site: 0 },
    };
    for renewed in [false, true] {
        let mut table = Table::new(2, 8, 0);
        table.set_grouping(grouping);
        for number in 1..600 {
            let peer = peer(number);
            if table.get(&origin, peer.id_ref()).is_none() {
                table.offer(&origin, &peer, Time::ZERO, Rtt::default());
            }
            if let Some(entry) = table.get_mut(&origin, peer.id_ref()).filter(|_| renewed) {
                entry.replace_record(&peer);
            }
        }
        let from_there = table.as_slice().iter().filter(|entry| grouping(&entry.peer).subnet != 0).count();
        assert_eq!(from_there, 10);
        assert!(table.rows().all(|(_, row)| row.len() <= 8));
    }
}
