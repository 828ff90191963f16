//! The invites that a daemon has issued, and who came with them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::bytes::Malformed;
use super::certificate::Rights;
use super::invite::{InviteId, Proof, ProofKey, keys_of};

const VERSION: u8 = 1;
/// Longest time for which an invite is good, seconds. It is a secret that lies in somebody's messages.
pub(crate) const LIFETIME_MAX: u64 = 24 * 3600;
/// Most daemons that join with one.
pub(crate) const USES_MAX: u16 = 1000;
/// Invites that are open at a time.
pub(crate) const INVITES_MAX: usize = 256;
/// Fewest digits of an id by which an invite is withdrawn.
const DIGITS_MIN: usize = 8;
/// How long one that has expired is remembered, so that latecomers hear why they are refused, seconds.
const REMEMBERED: u64 = 24 * 3600;

/// What is issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Offer {
    /// Seconds since 1970, at most a day from now.
    pub(crate) expires: u64,
    /// How many may join with it, 1 to 1,000.
    pub(crate) uses: u16,
    /// What they may do then.
    pub(crate) rights: Rights,
}

/// An invite, and who has used it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Issued {
    key: ProofKey,
    offer: Offer,
    joined: BTreeSet<[u8; 32]>,
}

/// The book of one issuer. What it encodes to is secret, as the invites are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Invites {
    issued: BTreeMap<InviteId, Issued>,
}

/// What whoever joins is to be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) rights: Rights,
    /// It used up one of the uses; otherwise it has been granted before, and the answer may have been lost.
    pub(crate) is_new: bool,
}

/// An invite as its issuer sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) id: InviteId,
    pub(crate) offer: Offer,
    /// How many have joined with it.
    pub(crate) used: usize,
}

impl Shown {
    fn is_used_up(&self) -> bool {
        self.used >= usize::from(self.offer.uses)
    }
}

/// Why no invite was issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OfferError {
    #[error("an invite is good for at most 24 hours")]
    Lifetime,
    #[error("an invite is good for 1 to {USES_MAX} daemons")]
    Uses,
    #[error("{INVITES_MAX} invites are open already; withdraw one, or wait until one ends")]
    Full,
    #[error("an invite with this secret has been issued before")]
    NotNew,
}

/// Why nobody is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RedeemError {
    #[error("this daemon has no such invite: it was withdrawn, or ended long ago")]
    Unknown,
    #[error("whoever asks does not have the invite")]
    WrongProof,
    #[error("the invite has ended")]
    Expired,
    #[error("as many have joined with the invite as may")]
    UsedUp,
}

/// Why no invite was withdrawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WithdrawError {
    #[error("this daemon has no invite whose id begins so")]
    Unknown,
    #[error("several invites have ids that begin so: give more of it")]
    Several,
    #[error("as many have joined with the invite as may: nobody else can")]
    UsedUp,
    #[error("the invite has ended: nobody can join with it")]
    Expired,
}

impl Invites {
    /// Enters a new invite. `secret`: random. Whether this daemon may grant such rights is for its certificate to say.
    pub(crate) fn issue(
        &mut self,
        secret: &[u8; 16],
        offer: Offer,
        now: u64,
    ) -> Result<InviteId, OfferError> {
        check(&offer)?;
        if offer.expires <= now || offer.expires - now > LIFETIME_MAX {
            return Err(OfferError::Lifetime);
        }
        let (id, key) = keys_of(secret);
        if self.issued.contains_key(&id) {
            return Err(OfferError::NotNew);
        }
        self.issued.retain(|_, issued| now < issued.offer.expires.saturating_add(REMEMBERED));
        if self.issued.len() >= INVITES_MAX {
            self.issued.retain(|_, issued| now < issued.offer.expires);
        }
        if self.issued.len() >= INVITES_MAX {
            return Err(OfferError::Full);
        }
        self.issued.insert(id, Issued { key, offer, joined: BTreeSet::new() });
        Ok(id)
    }

    /// Takes back the invite whose id begins with these digits, and returns what it was. Whoever has joined with it
    /// stays. One with which nobody can join is left alone: the book says for some time why latecomers are refused.
    pub(crate) fn withdraw(&mut self, digits: &str, now: u64) -> Result<Shown, WithdrawError> {
        let begins = |shown: &Shown| digits.len() >= DIGITS_MIN && shown.id.to_string().starts_with(digits);
        let mut found = self.shown().filter(begins);
        let withdrawn = found.next().ok_or(WithdrawError::Unknown)?;
        if found.next().is_some() {
            return Err(WithdrawError::Several);
        }
        drop(found);
        if now >= withdrawn.offer.expires {
            return Err(WithdrawError::Expired);
        }
        if withdrawn.is_used_up() {
            return Err(WithdrawError::UsedUp);
        }
        self.issued.remove(&withdrawn.id);
        Ok(withdrawn)
    }

    /// Those that somebody can still join with.
    pub(crate) fn open(&self, now: u64) -> impl Iterator<Item = Shown> {
        self.shown().filter(move |shown| now < shown.offer.expires && !shown.is_used_up())
    }

    fn shown(&self) -> impl Iterator<Item = Shown> {
        self.issued.iter().map(|(id, issued)| Shown {
            id: *id,
            offer: issued.offer,
            used: issued.joined.len(),
        })
    }

    /// Lets in whoever has proved to have the key `joiner`, if it has the invite too. `issuer`: this daemon's own key.
    /// The book has to be durable before the answer goes out.
    ///
    /// Until the invite expires, the same joiner is granted the same again and uses up nothing: its first answer may
    /// have been lost.
    pub(crate) fn redeem(
        &mut self,
        id: InviteId,
        proof: &Proof,
        (joiner, issuer): (&[u8; 32], &[u8; 32]),
        now: u64,
    ) -> Result<Grant, RedeemError> {
        let issued = self.issued.get_mut(&id).ok_or(RedeemError::Unknown)?;
        // First of all, so that strangers learn nothing of the invite.
        if !issued.key.is_proved(proof, joiner, issuer, id) {
            return Err(RedeemError::WrongProof);
        }
        if now >= issued.offer.expires {
            return Err(RedeemError::Expired);
        }
        let is_new = !issued.joined.contains(joiner);
        if is_new && issued.joined.len() >= usize::from(issued.offer.uses) {
            return Err(RedeemError::UsedUp);
        }
        issued.joined.insert(*joiner);
        Ok(Grant { rights: issued.offer.rights, is_new })
    }

    /// For the data directory.
    pub(crate) fn encode(&self) -> Vec<u8> {
        // These types can always be encoded.
        [vec![VERSION], postcard::to_allocvec(self).unwrap_or_default()].concat()
    }

    /// Reads what [`Invites::encode`] has written.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let (version, rest) = bytes.split_first().ok_or(Malformed)?;
        if *version != VERSION {
            return Err(Malformed);
        }
        let (invites, rest): (Self, _) = postcard::take_from_bytes(rest).map_err(|_| Malformed)?;
        let is_sound = |issued: &Issued| {
            check(&issued.offer).is_ok() && issued.joined.len() <= usize::from(issued.offer.uses)
        };
        let all_sound =
            rest.is_empty() && invites.issued.len() <= INVITES_MAX && invites.issued.values().all(is_sound);
        if all_sound { Ok(invites) } else { Err(Malformed) }
    }
}

fn check(offer: &Offer) -> Result<(), OfferError> {
    if (1..=USES_MAX).contains(&offer.uses) { Ok(()) } else { Err(OfferError::Uses) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::invite::{Invitation, Invite};
    use super::super::samples::{CLIENT, MEMBER, NOW, genesis, key};
    use super::*;

    const ISSUER: u8 = 2;
    const SECRET: [u8; 16] = [5; 16];
    const HOUR: u64 = 3600;

    fn offer(uses: u16) -> Offer {
        Offer { expires: NOW + HOUR, uses, rights: CLIENT }
    }

    fn book(uses: u16) -> (Invites, InviteId) {
        let mut book = Invites::default();
        let id = book.issue(&SECRET, offer(uses), NOW).expect("within the limits");
        (book, id)
    }

    /// What somebody with this key shows who was given the invite with this secret.
    fn proof(secret: [u8; 16], joiner: u8) -> Proof {
        let invitation = Invitation {
            network: genesis(1).fingerprint(),
            network_key: key(1),
            name: "ours".to_owned(),
            issuer: key(ISSUER),
            addresses: vec!["/ip4/192.0.2.7/tcp/4700".parse().expect("an address")],
            expires: NOW + HOUR,
        };
        Invite::new(secret, invitation).expect("sound").prove(&key(joiner))
    }

    fn redeem(book: &mut Invites, id: InviteId, joiner: u8, now: u64) -> Result<Grant, RedeemError> {
        book.redeem(id, &proof(SECRET, joiner), (&key(joiner), &key(ISSUER)), now)
    }

    #[test]
    fn as_many_join_as_may_and_nobody_twice() {
        let (mut book, id) = book(2);
        let first = Ok(Grant { rights: CLIENT, is_new: true });
        let again = Ok(Grant { rights: CLIENT, is_new: false });
        assert_eq!(redeem(&mut book, id, 3, NOW), first);
        assert_eq!(redeem(&mut book, id, 3, NOW), again);
        assert_eq!(book.open(NOW).map(|shown| (shown.id, shown.used)).collect::<Vec<_>>(), [(id, 1)]);
        assert_eq!(redeem(&mut book, id, 4, NOW), first);
        assert_eq!(redeem(&mut book, id, 5, NOW), Err(RedeemError::UsedUp));
        assert_eq!(redeem(&mut book, id, 3, NOW + HOUR - 1), again, "the answer may have been lost");
        assert_eq!(book.open(NOW).count(), 0);
        assert_eq!(redeem(&mut book, id, 3, NOW + HOUR), Err(RedeemError::Expired));
        let mut read = Invites::decode(&book.encode()).expect("our own encoding");
        assert_eq!(read, book);
        assert_eq!(redeem(&mut read, id, 5, NOW), Err(RedeemError::UsedUp));
    }

    #[test]
    fn an_invite_is_withdrawn_by_the_beginning_of_its_id_for_as_long_as_somebody_can_join() {
        let (mut book, id) = book(2);
        let digits = id.to_string();
        assert_eq!(redeem(&mut book, id, 3, NOW), Ok(Grant { rights: CLIENT, is_new: true }));
        let before = book.clone();
        assert_eq!(book.withdraw(&digits[..7], NOW), Err(WithdrawError::Unknown), "too short to be sure");
        assert_eq!(book.withdraw("", NOW), Err(WithdrawError::Unknown));
        assert_eq!(book.withdraw(&format!("{digits}0"), NOW), Err(WithdrawError::Unknown));
        assert_eq!(book.withdraw(&digits, NOW + HOUR), Err(WithdrawError::Expired));
        let mut similar = id;
        similar.0[15] ^= 1;
        book.issued.insert(similar, before.issued[&id].clone());
        assert_eq!(book.withdraw(&digits[..31], NOW), Err(WithdrawError::Several));
        book.issued.remove(&similar);
        assert_eq!(book, before, "whatever is refused changes nothing");

        let mut used_up = book.clone();
        assert!(redeem(&mut used_up, id, 4, NOW).is_ok());
        assert_eq!(used_up.withdraw(&digits, NOW), Err(WithdrawError::UsedUp));
        assert!(redeem(&mut used_up, id, 4, NOW).is_ok(), "its answer may have been lost");

        let withdrawn = book.withdraw(&digits[..8], NOW).expect("it is open");
        assert_eq!((withdrawn.id, withdrawn.used, withdrawn.offer), (id, 1, offer(2)));
        assert_eq!(book.open(NOW).count(), 0);
        assert_eq!(book.withdraw(&digits, NOW), Err(WithdrawError::Unknown));
        for joiner in [3, 4] {
            assert_eq!(redeem(&mut book, id, joiner, NOW), Err(RedeemError::Unknown));
        }
    }

    #[test]
    fn who_does_not_have_the_secret_learns_nothing() {
        let (mut book, id) = book(1);
        let before = book.clone();
        let wrong = Err(RedeemError::WrongProof);
        let mut redeem = |proof: Proof, joiner: u8, issuer: u8, now| {
            book.redeem(id, &proof, (&key(joiner), &key(issuer)), now)
        };
        for now in [NOW, NOW + HOUR] {
            assert_eq!(redeem(proof([6; 16], 3), 3, ISSUER, now), wrong);
            assert_eq!(redeem(proof(SECRET, 3), 4, ISSUER, now), wrong, "heard from somebody else");
            assert_eq!(redeem(proof(SECRET, 3), 3, 9, now), wrong, "made for another issuer");
            assert_eq!(redeem(Proof([0; 32]), 3, ISSUER, now), wrong);
        }
        let other = keys_of(&[6; 16]).0;
        assert_eq!(
            book.redeem(other, &proof([6; 16], 3), (&key(3), &key(ISSUER)), NOW),
            Err(RedeemError::Unknown)
        );
        assert_eq!(book, before);
    }

    #[test]
    fn invites_are_bounded_in_time_uses_and_number() {
        let mut book = Invites::default();
        let mut issue = |secret: u16, offer: Offer, now| {
            let mut bytes = [0; 16];
            bytes[..2].copy_from_slice(&secret.to_be_bytes());
            book.issue(&bytes, offer, now).map(|_| ())
        };
        let until = |expires| Offer { expires, uses: 1, rights: MEMBER };
        for expires in [0, NOW, NOW + LIFETIME_MAX + 1] {
            assert_eq!(issue(0, until(expires), NOW), Err(OfferError::Lifetime));
        }
        for uses in [0, USES_MAX + 1] {
            assert_eq!(issue(0, offer(uses), NOW), Err(OfferError::Uses));
        }
        assert_eq!(issue(0, until(NOW + 1), NOW), Ok(()));
        assert_eq!(issue(0, offer(1), NOW), Err(OfferError::NotNew));
        for number in 1..256 {
            assert_eq!(issue(number, until(NOW + LIFETIME_MAX), NOW), Ok(()));
        }
        assert_eq!(issue(256, until(NOW + HOUR), NOW), Err(OfferError::Full));
        assert_eq!(issue(256, until(NOW + HOUR), NOW + 1), Ok(()), "one has ended");
        let later = NOW + LIFETIME_MAX + REMEMBERED;
        assert_eq!(issue(257, until(later + 1), later), Ok(()));
        assert_eq!(book.issued.len(), 1, "what ended long ago is forgotten");
    }

    #[test]
    fn books_that_are_damaged_are_refused_and_show_no_secret() {
        let (book, _) = book(1);
        let bytes = book.encode();
        assert_eq!(Invites::decode(&[&bytes[..], &[0]].concat()), Err(Malformed));
        assert_eq!(Invites::decode(&[&[2], &bytes[1..]].concat()), Err(Malformed));
        assert_eq!(Invites::decode(&[]), Err(Malformed));
        for end in 0..bytes.len() {
            assert_eq!(Invites::decode(&bytes[..end]), Err(Malformed));
        }
        let with = |change: fn(&mut Issued)| {
            let mut book = book.clone();
            book.issued.values_mut().for_each(change);
            Invites::decode(&book.encode())
        };
        assert_eq!(with(|issued| issued.offer.uses = 0), Err(Malformed));
        assert_eq!(with(|issued| issued.offer.uses = USES_MAX + 1), Err(Malformed));
        assert_eq!(with(|issued| issued.joined = [key(3), key(4)].into()), Err(Malformed));
        assert!(format!("{book:?}").contains("ProofKey(..)"));
    }

    proptest! {
        #[test]
        fn never_more_join_than_may(
            uses in 1..4_u16, came in prop::collection::vec((3..9_u8, 0..2 * HOUR), 0..12),
        ) {
            let (mut book, id) = book(uses);
            let mut joined = BTreeSet::new();
            for (joiner, after) in came {
                if let Ok(grant) = redeem(&mut book, id, joiner, NOW + after) {
                    prop_assert!(after < HOUR);
                    prop_assert_eq!(grant.is_new, joined.insert(joiner));
                    book = Invites::decode(&book.encode()).expect("our own encoding");
                }
            }
            prop_assert!(joined.len() <= usize::from(uses));
        }
    }
}
