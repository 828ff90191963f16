use std::sync::OnceLock;

use proptest::prelude::*;

use super::super::certificate::Issuer;
use super::super::samples::{DAY, DELEGATE, NOW, delegate, founder, genesis, key, pair as key_pair};
use super::super::succession::Succession;
use super::*;

const FOUNDER: u8 = 1;
const DELEGATES: [u8; 2] = [2, 3];

fn trusted() -> Trusted {
    Trusted::of(&genesis(FOUNDER))
}

/// What the founder or a delegate says of a key.
fn said(by: u8, subject: u8, at: u64) -> Revocation {
    let (genesis, pair, proof) = (genesis(FOUNDER), key_pair(by), delegate(FOUNDER, by, DELEGATE));
    let issuer = match by {
        FOUNDER => founder(&genesis, &pair),
        _ => Issuer { network: genesis.fingerprint(), pair: &pair, proof: Some(&proof) },
    };
    issuer.revoke(&key(subject), "lost", at).expect("they may")
}

fn merged(all: impl IntoIterator<Item = Revocation>) -> Revocations {
    let mut revocations = Revocations::default();
    assert_eq!(revocations.merge(all, &trusted()).refused, 0);
    revocations
}

fn is_revoked(revocations: &Revocations, subject: u8, is_delegate: bool) -> bool {
    revocations.is_revoked(&key(subject), is_delegate, &trusted())
}

#[test]
fn network_keys_revoke_everybody_and_delegates_revoke_members() {
    let revocations = merged([said(FOUNDER, 7, NOW), said(2, 8, NOW)]);
    let found =
        [7, 8, 9].map(|subject| [false, true].map(|delegate| is_revoked(&revocations, subject, delegate)));
    assert_eq!(found, [[true, true], [true, false], [false, false]]);
}

#[test]
fn the_word_of_a_delegate_ends_when_a_network_key_revokes_it_and_not_when_another_delegate_does() {
    let mut revocations = merged([said(2, 8, NOW), said(3, 2, NOW)]);
    assert!(is_revoked(&revocations, 8, false), "delegates do not silence each other");
    let news = revocations.merge([said(FOUNDER, 2, NOW + 1)], &trusted());
    assert_eq!(news.subjects, [key(2)].into());
    assert!(is_revoked(&revocations, 2, true) && !is_revoked(&revocations, 8, false));
    revocations.merge([said(3, 8, NOW + 2)], &trusted());
    assert!(is_revoked(&revocations, 8, false), "somebody else says so too");
}

#[test]
fn of_several_statements_of_one_issuer_the_earliest_stays() {
    let (early, late) = (said(2, 8, NOW), said(2, 8, NOW + 1));
    for order in [[&early, &late], [&late, &early]] {
        let revocations = merged(order.into_iter().cloned());
        assert_eq!(revocations.iter().collect::<Vec<_>>(), [&early]);
    }
    let mut revocations = merged([early.clone(), said(3, 8, NOW)]);
    assert_eq!(revocations.len(), 2, "another issuer");
    assert_eq!(revocations.merge([early, late], &trusted()), Merged::default(), "nothing is new");
}

#[test]
fn what_nobody_of_this_network_signed_is_refused() {
    let mut revocations = Revocations::default();
    let elsewhere = founder(&genesis(9), &key_pair(9)).revoke(&key(7), "", NOW).expect("they may there");
    let stranger = founder(&genesis(FOUNDER), &key_pair(9)).revoke(&key(7), "", NOW).expect("checked later");
    let merged = revocations.merge([elsewhere, said(FOUNDER, 8, NOW), stranger], &trusted());
    assert_eq!((merged.refused, merged.subjects), (2, [key(8)].into()));
    assert_eq!(revocations.len(), 1);
}

#[test]
fn what_a_network_key_has_revoked_counts_until_the_key_is_forgotten() {
    let mut trusted = trusted();
    let mut revocations = merged([said(FOUNDER, 7, NOW), said(2, 8, NOW)]);
    for (old, new, expected) in [(FOUNDER, 20, true), (20, 21, false)] {
        let until = NOW + DAY * u64::from(new);
        let next =
            Succession::sign(trusted.network(), &key_pair(old), key(new), (until, until)).expect("sound");
        assert_eq!(trusted.succeed(&next), Ok(true));
        let holds = [7, 8].map(|subject| revocations.is_revoked(&key(subject), false, &trusted));
        assert_eq!(holds, [expected; 2], "after {new}");
        revocations.forget_untrusted(&trusted);
        assert_eq!(revocations.len(), if expected { 2 } else { 0 });
    }
    let (genesis, newest) = (genesis(FOUNDER), key_pair(21));
    let again = founder(&genesis, &newest).revoke(&key(7), "lost", NOW + DAY).expect("a network key");
    revocations.merge([again], &trusted);
    assert!(revocations.is_revoked(&key(7), true, &trusted));
}

#[test]
fn delegates_crowd_out_neither_network_keys_nor_each_other() {
    let limits = Limits { all: 6, of_delegate: 2 };
    let mut revocations = Revocations { limits, ..Revocations::default() };
    let rogue = (30..40).map(|subject| said(2, subject, NOW - DAY));
    let others = [said(3, 50, NOW), said(FOUNDER, 60, NOW + 5)];
    revocations.merge(rogue.chain(others), &trusted());
    let of = |revocations: &Revocations, by: u8| {
        revocations.iter().filter(|revocation| *revocation.issuer() == key(by)).count()
    };
    assert_eq!([2, 3, FOUNDER].map(|by| of(&revocations, by)), [2, 1, 1]);
    revocations.merge((70..80).map(|subject| said(FOUNDER, subject, NOW + 9)), &trusted());
    assert_eq!([2, 3, FOUNDER].map(|by| of(&revocations, by)), [0, 0, 6]);
    assert!(is_revoked(&revocations, 60, true), "of one issuer the earliest stay");
}

#[test]
fn lists_are_read_in_order_only() {
    let revocations = merged([said(FOUNDER, 7, NOW), said(2, 8, NOW), said(3, 8, NOW)]);
    let bytes = revocations.encode();
    let read = Revocations::decode(&bytes).expect("our own encoding");
    assert_eq!(merged(read.clone()), revocations);
    let concat = |all: &[&Revocation]| {
        let all: Vec<Vec<u8>> = all.iter().map(|revocation| revocation.encode()).collect();
        [&[VERSION, 0, 0, 0, all.len() as u8][..], &all.concat()].concat()
    };
    assert_eq!(concat(&read.iter().collect::<Vec<_>>()), bytes);
    assert_eq!(Revocations::decode(&concat(&[&read[1], &read[0]])), Err(Malformed));
    assert_eq!(Revocations::decode(&concat(&[&read[0], &read[0]])), Err(Malformed));
    for end in 0..bytes.len() {
        assert_eq!(Revocations::decode(&bytes[..end]), Err(Malformed));
    }
    assert_eq!(Revocations::decode(&[&bytes[..], &[0]].concat()), Err(Malformed));
    assert_eq!(Revocations::decode(&Revocations::default().encode()), Ok(Vec::new()));
}

/// Statements of all kinds, made once: signatures are slow in tests.
fn pool() -> &'static [Revocation] {
    static POOL: OnceLock<Vec<Revocation>> = OnceLock::new();
    POOL.get_or_init(|| {
        let mut pool = Vec::new();
        for by in [&[FOUNDER], &DELEGATES[..]].concat() {
            for subject in [2, 3, 7, 8, 9] {
                pool.extend([NOW, NOW + 1].map(|at| said(by, subject, at)));
            }
        }
        pool
    })
}

proptest! {
    #[test]
    fn the_same_statements_make_the_same_list_in_any_order_and_any_parts(
        mut order in Just((0..30_usize).collect::<Vec<_>>()).prop_shuffle(),
        take in 0..=30_usize, cut: prop::sample::Index, all in 1..14_usize, of_delegate in 1..5_usize,
    ) {
        order.truncate(take);
        let new = || Revocations { limits: Limits { all, of_delegate }, ..Revocations::default() };
        let statements = |order: &[usize]| order.iter().map(|at| pool()[*at].clone()).collect::<Vec<_>>();
        let mut together = new();
        let mut sorted = order.clone();
        sorted.sort();
        together.merge(statements(&sorted), &trusted());
        let mut one_by_one = new();
        for at in &order {
            one_by_one.merge(statements(&[*at]), &trusted());
        }
        prop_assert_eq!(&one_by_one, &together);
        // Two daemons that tell each other everything.
        let (mut left, mut right) = (new(), new());
        let (first, second) = order.split_at(cut.index(order.len() + 1));
        left.merge(statements(first), &trusted());
        right.merge(statements(second), &trusted());
        left.merge(right.iter().cloned(), &trusted());
        right.merge(left.iter().cloned(), &trusted());
        prop_assert_eq!(&left, &together);
        prop_assert_eq!(right.digest(), together.digest());
        prop_assert!(together.len() <= all);
        let before = together.clone();
        prop_assert_eq!(together.merge(before.iter().cloned(), &trusted()), Merged::default());
        prop_assert_eq!(before.encode(), together.encode());
    }
}
