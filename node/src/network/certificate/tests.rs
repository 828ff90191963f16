use proptest::prelude::*;

use super::super::samples::{CLIENT, DAY, DELEGATE, MEMBER, NOW, founder, genesis, key, pair};
use super::super::succession::Succession;
use super::*;

const NETWORK: u8 = 1;
const DELEGATED: u8 = 2;
const SUBJECT: u8 = 3;

fn trusted() -> Trusted {
    Trusted::of(&genesis(NETWORK))
}

/// Signed by the network key, for as long as it may be.
fn of_founder(subject: u8, rights: Rights) -> Chain {
    let (pair, genesis) = (pair(NETWORK), genesis(NETWORK));
    founder(&genesis, &pair).issue(&key(subject), rights, (NOW, u64::MAX), 7).expect("a network key")
}

/// Signed by a delegate, as it does it at this time.
fn of_delegate(rights: Rights, now: u64) -> Result<Chain, IssueError> {
    let (proof, pair) = (of_founder(DELEGATED, DELEGATE).certificate, pair(DELEGATED));
    let issuer = Issuer { network: proof.network, pair: &pair, proof: Some(&proof) };
    issuer.issue(&key(SUBJECT), rights, (now, u64::MAX), 8)
}

fn verify_at(chain: &Chain, now: u64) -> Result<Admitted, CertificateError> {
    chain.verify(&trusted(), &key(SUBJECT), now, &|_, _| false)
}

/// What no honest issuer signs, signed all the same.
fn resigned(chain: &Chain, seed: u8, change: impl FnOnce(&mut Chain)) -> Chain {
    let mut chain = chain.clone();
    change(&mut chain);
    let pair = pair(seed);
    chain.certificate.issuer = pair.public().to_bytes();
    chain.certificate.signature = sign(&pair, SIGNED_CONTEXT, &chain.certificate.statement());
    chain
}

#[test]
fn founders_and_delegates_admit_members_and_clients() {
    for rights in [MEMBER, CLIENT] {
        let admitted = Admitted { subject: key(SUBJECT), rights, until: NOW + VALIDITY_MAX };
        let by_delegate = of_delegate(rights, NOW).expect("a delegate");
        assert!(by_delegate.proof().is_some());
        for chain in [of_founder(SUBJECT, rights), by_delegate] {
            assert_eq!(verify_at(&chain, NOW), Ok(admitted));
            assert_eq!(chain.certificate().half_life(), NOW + 45 * DAY);
        }
    }
    let delegate = verify_at(&of_founder(SUBJECT, DELEGATE), NOW).expect("admitted");
    assert_eq!((delegate.rights, delegate.until), (DELEGATE, NOW + DELEGATE_VALIDITY_MAX));
}

#[test]
fn a_clock_that_is_a_day_behind_admits_and_one_that_is_two_days_behind_does_not() {
    let chain = of_delegate(MEMBER, NOW).expect("a delegate");
    let not_yet = Err(CertificateError::NotYetValid { from: NOW });
    assert!(verify_at(&chain, NOW - 26 * 3600).is_ok());
    assert_eq!(verify_at(&chain, NOW - 26 * 3600 - 1), not_yet);
    assert_eq!(verify_at(&chain, 0), not_yet);
    let end = NOW + VALIDITY_MAX;
    assert!(verify_at(&chain, end - 1).is_ok());
    assert_eq!(verify_at(&chain, end), Err(CertificateError::Expired { at: end }));
    assert_eq!(verify_at(&chain, u64::MAX), Err(CertificateError::Expired { at: end }));
}

#[test]
fn a_certificate_is_for_one_network_and_one_key() {
    let chain = of_founder(SUBJECT, MEMBER);
    let here = |proved| chain.verify(&trusted(), &proved, NOW, &|_, _| false).map(|_| ());
    assert_eq!(here(key(9)), Err(CertificateError::NotTheSubject));
    let there = Trusted::of(&genesis(9));
    let found = chain.verify(&there, &key(SUBJECT), NOW, &|_, _| false);
    assert_eq!(found, Err(CertificateError::OtherNetwork));
    // A proof of elsewhere makes nobody a delegate here.
    let elsewhere = genesis(9);
    let founder_there = pair(9);
    let proof = founder(&elsewhere, &founder_there).issue(&key(DELEGATED), DELEGATE, (NOW, DAY), 1);
    let proof = proof.expect("a network key").certificate;
    let mixed = resigned(&chain, DELEGATED, |chain| chain.proof = Some(proof));
    assert_eq!(verify_at(&mixed, NOW), Err(CertificateError::OtherNetwork));
}

#[test]
fn only_network_keys_and_their_delegates_sign() {
    let forbidden = Err(CertificateError::IssuerMayNotSign);
    let (by_founder, by_delegate) =
        (of_founder(SUBJECT, MEMBER), of_delegate(MEMBER, NOW).expect("a delegate"));
    let by_stranger = resigned(&by_founder, 9, |_| {});
    assert_eq!(verify_at(&by_stranger, NOW), forbidden);
    let without_proof = resigned(&by_delegate, DELEGATED, |chain| chain.proof = None);
    assert_eq!(verify_at(&without_proof, NOW), forbidden);
    let of_another = resigned(&by_delegate, 9, |_| {});
    assert_eq!(verify_at(&of_another, NOW), forbidden, "the proof is not the signer's");
    let no_delegate = of_founder(DELEGATED, MEMBER).certificate;
    let by_member = resigned(&by_delegate, DELEGATED, |chain| chain.proof = Some(no_delegate));
    assert_eq!(verify_at(&by_member, NOW), forbidden);
    let makes_delegate = resigned(&by_delegate, DELEGATED, |chain| chain.certificate.rights.delegate = true);
    assert_eq!(verify_at(&makes_delegate, NOW), forbidden);
    // A delegate that another delegate would have made.
    let proof = makes_delegate.certificate;
    let third = resigned(&by_delegate, SUBJECT, |chain| chain.proof = Some(proof));
    assert_eq!(verify_at(&third, NOW), forbidden);
    let superfluous = resigned(&by_delegate, NETWORK, |_| {});
    assert_eq!(verify_at(&superfluous, NOW), forbidden, "a network key needs no proof");
}

#[test]
fn forged_signatures_admit_nobody() {
    let forged = Err(CertificateError::BadSignature);
    let mut chain = of_founder(SUBJECT, MEMBER);
    chain.certificate.serial += 1;
    assert_eq!(verify_at(&chain, NOW), forged);
    let mut chain = of_delegate(MEMBER, NOW).expect("a delegate");
    chain.proof.as_mut().expect("a delegate's").serial += 1;
    assert_eq!(verify_at(&chain, NOW), forged);
}

#[test]
fn nobodys_certificate_outlives_that_of_its_issuer() {
    let end = NOW + DELEGATE_VALIDITY_MAX;
    let late = of_delegate(MEMBER, end - DAY).expect("a delegate still");
    assert_eq!(late.certificate.not_after, end);
    assert_eq!(of_delegate(MEMBER, end), Err(IssueError::Expired { at: end }));
    let longer = resigned(&late, DELEGATED, |chain| chain.certificate.not_after += 1);
    assert_eq!(verify_at(&longer, end - DAY), Err(CertificateError::IssuerMayNotSign));
}

#[test]
fn nobody_signs_what_others_would_refuse() {
    assert_eq!(of_delegate(DELEGATE, NOW), Err(IssueError::MayNotSign));
    let (proof, founder_pair) = (of_founder(DELEGATED, DELEGATE).certificate, pair(NETWORK));
    let wrong = Issuer { network: proof.network, pair: &founder_pair, proof: Some(&proof) };
    assert_eq!(wrong.issue(&key(SUBJECT), MEMBER, (NOW, DAY), 1), Err(IssueError::MayNotSign));
    let (member, delegated) = (of_founder(DELEGATED, MEMBER).certificate, pair(DELEGATED));
    let wrong = Issuer { network: proof.network, pair: &delegated, proof: Some(&member) };
    assert_eq!(wrong.issue(&key(SUBJECT), MEMBER, (NOW, DAY), 1), Err(IssueError::MayNotSign));
    let elsewhere = Issuer { network: genesis(9).fingerprint(), pair: &delegated, proof: Some(&proof) };
    assert_eq!(elsewhere.issue(&key(SUBJECT), MEMBER, (NOW, DAY), 1), Err(IssueError::MayNotSign));
    let (genesis, network_pair) = (genesis(NETWORK), pair(NETWORK));
    let founder = founder(&genesis, &network_pair);
    assert_eq!(founder.issue(&key(SUBJECT), MEMBER, (NOW, 0), 1), Err(IssueError::NoTime));
    assert_eq!(founder.issue(&key(SUBJECT), MEMBER, (u64::MAX, DAY), 1), Err(IssueError::NoTime));
    let short = founder.issue(&key(SUBJECT), MEMBER, (NOW, 10), 1).expect("a network key");
    assert_eq!(short.certificate.validity(), (NOW, NOW + 10));
}

#[test]
fn revoked_keys_and_what_they_signed_are_refused() {
    let by_delegate = of_delegate(MEMBER, NOW).expect("a delegate");
    let verify = |chain: &Chain, revoked: ([u8; 32], bool)| {
        chain.verify(&trusted(), &key(SUBJECT), NOW, &|key, delegate| (*key, delegate) == revoked).map(|_| ())
    };
    let revoked = Err(CertificateError::Revoked);
    assert_eq!(verify(&by_delegate, (key(SUBJECT), false)), revoked);
    assert_eq!(verify(&by_delegate, (key(DELEGATED), true)), Err(CertificateError::IssuerRevoked));
    assert_eq!(verify(&by_delegate, (key(9), false)), Ok(()));
    assert_eq!(verify(&of_founder(SUBJECT, DELEGATE), (key(SUBJECT), true)), revoked);
}

#[test]
fn certificates_end_with_the_network_key_under_them() {
    let mut trusted = trusted();
    let (from, until) = (NOW + DAY, NOW + 30 * DAY);
    let next = Succession::sign(trusted.network(), &pair(NETWORK), key(5), (from, until));
    assert_eq!(trusted.succeed(&next.expect("sound")), Ok(true));
    let verify = |chain: &Chain, now| chain.verify(&trusted, &key(SUBJECT), now, &|_, _| false);
    for old in [of_founder(SUBJECT, MEMBER), of_delegate(MEMBER, NOW).expect("a delegate")] {
        assert_eq!(verify(&old, NOW).map(|admitted| admitted.until), Ok(until));
        assert_eq!(verify(&old, until), Err(CertificateError::Expired { at: until }));
    }
    let (genesis, new_pair) = (genesis(NETWORK), pair(5));
    let new = founder(&genesis, &new_pair).issue(&key(SUBJECT), MEMBER, (from, u64::MAX), 1);
    assert!(verify(&new.expect("a network key"), until).is_ok());
}

#[test]
fn what_lasts_too_long_cannot_be_read() {
    let member = of_founder(SUBJECT, MEMBER);
    let change = |change: fn(&mut Certificate)| {
        let changed = resigned(&member, NETWORK, |chain| change(&mut chain.certificate));
        Chain::decode(&changed.encode()).map(|_| ())
    };
    assert_eq!(change(|_| {}), Ok(()));
    assert_eq!(change(|certificate| certificate.not_after += 1), Err(Malformed));
    assert_eq!(change(|certificate| certificate.not_after = certificate.not_before), Err(Malformed));
    assert_eq!(change(|certificate| certificate.not_before = certificate.not_after + 1), Err(Malformed));
    assert_eq!(
        change(|certificate| (certificate.not_before, certificate.not_after) = (0, u64::MAX)),
        Err(Malformed)
    );
}

#[test]
fn the_layout_is_as_documented() {
    let chain = of_delegate(CLIENT, NOW).expect("a delegate");
    let [own, proof] = [&chain.certificate, chain.proof().expect("a delegate's")].map(|certificate| {
        let [network, subject, issuer] =
            [&certificate.network.0[..], &certificate.subject, &certificate.issuer];
        let flags = if certificate.rights.delegate { [0, 1] } else { [1, 0] };
        let times = [certificate.not_before, certificate.not_after, certificate.serial];
        let times = times.map(u64::to_be_bytes).concat();
        [&[1][..], network, subject, &flags, &times, issuer, &certificate.signature.0].concat()
    });
    assert_eq!(own.len(), 171);
    assert_eq!(chain.encode(), [&own[..], &[1], &proof].concat());
    assert_eq!(of_founder(SUBJECT, MEMBER).encode().len(), 172);
}

proptest! {
    #[test]
    fn a_chain_comes_back_and_nothing_else_passes_for_it(
        by_delegate: bool, at: prop::sample::Index, bit in 0..8_u32, more: u8,
    ) {
        let chain = if by_delegate { of_delegate(MEMBER, NOW).expect("a delegate") } else { of_founder(SUBJECT, CLIENT) };
        let bytes = chain.encode();
        prop_assert_eq!(Chain::decode(&bytes), Ok(chain));
        let at = at.index(bytes.len());
        prop_assert!(Chain::decode(&bytes[..at]).is_err());
        prop_assert!(Chain::decode(&[&bytes[..], &[more]].concat()).is_err());
        let mut flipped = bytes;
        flipped[at] ^= 1 << bit;
        let found = Chain::decode(&flipped)
            .map_err(CertificateError::from)
            .and_then(|flipped| verify_at(&flipped, NOW));
        prop_assert!(found.is_err());
    }
}
