//! What the rooms' tests share, and the rules for whom lists believe.

#![allow(clippy::unwrap_used)]

use alloc::{sync::Arc, vec, vec::Vec};

use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

use super::{Announcement, Lottery, Members, NEVER, News, Scope, Signature};
use crate::{Address, PeerInfo, Time, peer::Peer};

/// The record of the peer with this number.
pub(super) fn peer(number: u32, seq: u64) -> Peer {
    let mut public_key = [0; 32];
    public_key[..4].copy_from_slice(&number.to_be_bytes());
    let address = Address::new(&number.to_be_bytes()).unwrap();
    Arc::new(PeerInfo::new(public_key, vec![address], seq).unwrap())
}

pub(super) fn joined(number: u32, seq: u64) -> News {
    News::Member(Announcement::new(peer(number, seq), false, Signature([0; 64])))
}

pub(super) fn gone(number: u32, seq: u64) -> News {
    News::Gone { peer: peer(number, seq).id_ref().into(), seq }
}

/// A list of so much that names one member, a super-peer, and has been compared with another node's. Returns that
/// node, too.
fn compared(scope: Scope, member: u32, local: &Peer, lottery: Lottery) -> (Members, Peer) {
    let mut members = Members::new(100, scope, lottery, Time::ZERO, NEVER);
    members.large = true;
    let (known, mut rng) = (peer(200_000, 1), ChaCha8Rng::seed_from_u64(1));
    // Whether it is time and its turn is a matter of chance.
    let (partner, ..) = (0..100)
        .map(|minute| Time::from_micros(minute * 60_000_000))
        .find_map(|now| members.compare(&[], Some(&known), local.id_ref(), 5_000, now, &mut rng))
        .unwrap();
    let seat = News::Member(Announcement::new(peer(member, 1), true, Signature([0; 64])));
    members.missed(local, &peer(300_000, 1), &[seat], Time::ZERO, &mut Vec::new());
    assert_eq!(members.lists.widest().entries().len(), 1);
    (members, partner)
}

/// Everybody watches over the list of everybody; that of super-peers could be emptied by anybody (docs/decisions/0013).
#[test]
fn only_whom_it_compares_with_can_tell_a_node_that_a_super_peer_is_gone() {
    let lottery = Lottery { unix_at_zero: 1_800_000_000 };
    let member = (1..).find(|number| lottery.holds_seat(peer(*number, 1).id_ref(), Time::ZERO)).unwrap();
    let (local, stranger) = (peer(400_000, 1), peer(500_000, 1));
    let is_gone = [gone(member, 1)];
    for (scope, way, from_partner, believed) in [
        (Scope::SuperPeers, "missed", true, true),
        (Scope::SuperPeers, "missed", false, false),
        (Scope::SuperPeers, "news", false, false),
        (Scope::SuperPeers, "report", false, false),
        (Scope::Everybody, "missed", false, true),
    ] {
        let (mut members, partner) = compared(scope, member, &local, lottery);
        let (from, now, mut out) = (if from_partner { &partner } else { &stranger }, Time::ZERO, Vec::new());
        match way {
            "missed" => members.missed(&local, from, &is_gone, now, &mut out),
            "report" => members.reported(&local, &is_gone, now, &mut out),
            _ => {
                // Not even if there were a link.
                members.tree.connect(from, true, now, &mut out);
                members.news(&local, from, is_gone.to_vec(), now, &mut Vec::new(), &mut out)
            }
        };
        let listed = members.lists.widest().entries().len();
        assert_eq!(listed == 0, believed, "{way}, {scope:?}, from its partner: {from_partner}");
    }
}

#[test]
fn who_only_listens_announces_and_reports_nothing() {
    let local = peer(1, 1);
    let mut members = Members::of_listener(100, Lottery { unix_at_zero: 1_800_000_000 }, Time::ZERO);
    members.announcing.no_later(Time::ZERO);
    assert!(!members.announce(&local, Time::ZERO), "nothing is to be signed");
    assert_eq!(members.announcing.at(), NEVER);
    members.lost(&peer(2, 1), Time::ZERO);
    assert_eq!(members.reports.at, NEVER, "nothing is to be reported");
}
