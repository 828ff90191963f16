//! One statement that a key no longer belongs to a private network.
//!
//! ```text
//!  version 1 │ network, 16 │ subject, 32 │ at u64 │ reason length │ reason │ issuer, 32 │ signature, 64 │ 0, or 1 and the certificate of
//!  the issuer, 171
//! ```
//! It is a key that is revoked, not a certificate: whoever is renewed in the same hour by somebody who has not heard of
//! it is out all the same.

use chordage_dht::Signature;

use super::NetworkFingerprint;
use super::bytes::{Malformed, Reader, has_signed, put_short, sign};
use super::certificate::{CLOCK_TOLERANCE, Certificate, Issuer, put_proof, read_proof};
use super::succession::Trusted;

const VERSION: u8 = 1;
/// What the signature is for.
const SIGNED_CONTEXT: &str = "chordage 2026 revocation";
/// Longest reason, bytes.
pub(crate) const REASON_MAX: usize = 120;

/// What an issuer says about a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Revocation {
    network: NetworkFingerprint,
    subject: [u8; 32],
    at: u64,
    reason: String,
    issuer: [u8; 32],
    signature: Signature,
    proof: Option<Certificate>,
}

/// Why a revocation does not count, or is not signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RevocationError {
    #[error("the revocation cannot be read: {0}")]
    Malformed(#[from] Malformed),
    #[error("a reason has at most {REASON_MAX} bytes and no control characters")]
    Reason,
    #[error("the revocation is for another network")]
    OtherNetwork,
    #[error("the revocation is not signed by whom it names")]
    BadSignature,
    #[error("whoever signed the revocation may not do so")]
    IssuerMayNotSign,
}

fn is_reason(reason: &str) -> bool {
    reason.len() <= REASON_MAX && !reason.chars().any(char::is_control)
}

impl Issuer<'_> {
    /// Revokes a key. `at`: now, seconds since 1970; others take it for what it is, the word of this issuer.
    pub(crate) fn revoke(
        &self,
        subject: &[u8; 32],
        reason: &str,
        at: u64,
    ) -> Result<Revocation, RevocationError> {
        if !is_reason(reason) {
            return Err(RevocationError::Reason);
        }
        let mut revocation = Revocation {
            network: self.network,
            subject: *subject,
            at,
            reason: reason.to_owned(),
            issuer: self.key(),
            signature: Signature([0; 64]),
            proof: self.proof.cloned(),
        };
        if !self.may_sign() || !revocation.is_linked() {
            return Err(RevocationError::IssuerMayNotSign);
        }
        revocation.signature = sign(self.pair, SIGNED_CONTEXT, &revocation.statement());
        Ok(revocation)
    }
}

impl Revocation {
    /// Whose key it is.
    pub(crate) fn subject(&self) -> &[u8; 32] {
        &self.subject
    }

    /// Who has signed it.
    pub(crate) fn issuer(&self) -> &[u8; 32] {
        &self.issuer
    }

    /// When, as the issuer says.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// Why, in the issuer's words.
    pub(crate) fn reason(&self) -> &str {
        &self.reason
    }

    /// Who made the issuer a delegate; none if it is a network key.
    pub(super) fn proof(&self) -> Option<&Certificate> {
        self.proof.as_ref()
    }

    /// Whether it is signed by a network key, or by a delegate of one. Of the delegate's certificate only the day of
    /// signing counts: what a delegate has revoked stays revoked when its own certificate ends.
    pub(crate) fn verify(&self, trusted: &Trusted) -> Result<(), RevocationError> {
        let Self { network, issuer, proof, signature, .. } = self;
        if *network != trusted.network() {
            return Err(RevocationError::OtherNetwork);
        }
        let root = proof.as_ref().map_or(issuer, Certificate::issuer);
        if !self.is_linked() || !trusted.is_network_key(root) {
            return Err(RevocationError::IssuerMayNotSign);
        }
        let is_signed = has_signed(issuer, SIGNED_CONTEXT, &self.statement(), signature);
        if !is_signed || !proof.as_ref().is_none_or(Certificate::is_signed) {
            return Err(RevocationError::BadSignature);
        }
        Ok(())
    }

    /// Whether the issuer's certificate, if there is one, makes it a delegate at that time.
    fn is_linked(&self) -> bool {
        self.proof.as_ref().is_none_or(|proof| {
            let (from, until) = proof.validity();
            proof.rights().delegate
                && proof.network() == self.network
                && *proof.subject() == self.issuer
                && (from.saturating_sub(CLOCK_TOLERANCE)..until).contains(&self.at)
        })
    }

    /// Everything that the issuer signs.
    fn statement(&self) -> Vec<u8> {
        let Self { network, subject, at, reason, issuer, .. } = self;
        let mut bytes = vec![VERSION];
        bytes.extend(network.0);
        bytes.extend(subject);
        bytes.extend(at.to_be_bytes());
        put_short(&mut bytes, reason.as_bytes());
        bytes.extend(issuer);
        bytes
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = self.statement();
        bytes.extend(self.signature.0);
        put_proof(&mut bytes, self.proof.as_ref());
        bytes
    }

    /// Reads what strangers give. Whether it counts is for [`Revocation::verify`] to say.
    #[cfg_attr(not(test), allow(dead_code, reason = "only fuzzing reads one alone"))]
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let revocation = Self::read(&mut reader)?;
        reader.end()?;
        Ok(revocation)
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        reader.version(VERSION)?;
        let revocation = Self {
            network: reader.network()?,
            subject: reader.array()?,
            at: reader.number()?,
            reason: reader.text()?,
            issuer: reader.array()?,
            signature: reader.signature()?,
            proof: read_proof(reader)?,
        };
        if is_reason(&revocation.reason) { Ok(revocation) } else { Err(Malformed) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::samples::{DAY, DELEGATE, MEMBER, NOW, delegate, founder, genesis, key, pair};
    use super::*;

    const SUBJECT: u8 = 3;

    fn trusted() -> Trusted {
        Trusted::of(&genesis(1))
    }

    fn by_founder(reason: &str) -> Result<Revocation, RevocationError> {
        founder(&genesis(1), &pair(1)).revoke(&key(SUBJECT), reason, NOW)
    }

    /// Delegate 2, whose certificate says this of it.
    fn by(proof: &Certificate, at: u64) -> Result<Revocation, RevocationError> {
        let pair = pair(2);
        let issuer = Issuer { network: proof.network(), pair: &pair, proof: Some(proof) };
        issuer.revoke(&key(SUBJECT), "lost", at)
    }

    #[test]
    fn network_keys_and_delegates_revoke_and_nobody_else() {
        assert_eq!(by_founder("lost").expect("a network key").verify(&trusted()), Ok(()));
        let proof = delegate(1, 2, DELEGATE);
        let by_delegate = by(&proof, NOW).expect("a delegate");
        assert_eq!(by_delegate.verify(&trusted()), Ok(()));
        let forbidden = RevocationError::IssuerMayNotSign;
        assert_eq!(by(&delegate(1, 2, MEMBER), NOW), Err(forbidden));
        assert_eq!(by(&delegate(1, 4, DELEGATE), NOW), Err(forbidden), "the certificate is another's");
        let stranger =
            founder(&genesis(1), &pair(9)).revoke(&key(SUBJECT), "", NOW).expect("it is checked later");
        assert_eq!(stranger.verify(&trusted()), Err(forbidden));
        for proof in [None, Some(delegate(1, 2, MEMBER)), Some(delegate(1, 4, DELEGATE))] {
            let wrong = Revocation { proof, ..by_delegate.clone() };
            assert_eq!(wrong.verify(&trusted()), Err(forbidden));
        }
        let elsewhere = Revocation { proof: Some(delegate(9, 2, DELEGATE)), ..by_delegate.clone() };
        assert_eq!(elsewhere.verify(&trusted()), Err(forbidden));
        assert_eq!(by_delegate.verify(&Trusted::of(&genesis(9))), Err(RevocationError::OtherNetwork));
        let forged = Revocation { reason: "no".to_owned(), ..by_delegate };
        assert_eq!(forged.verify(&trusted()), Err(RevocationError::BadSignature));
    }

    #[test]
    fn a_delegate_revokes_while_its_certificate_is_valid() {
        let proof = delegate(1, 2, DELEGATE);
        let (from, until) = proof.validity();
        for at in [from - 26 * 3600, until - 1] {
            assert_eq!(by(&proof, at).expect("valid").verify(&trusted()), Ok(()));
        }
        let valid = by(&proof, NOW).expect("valid");
        for at in [from - 26 * 3600 - 1, until] {
            assert_eq!(by(&proof, at), Err(RevocationError::IssuerMayNotSign));
            let wrong = Revocation { at, ..valid.clone() };
            assert_eq!(wrong.verify(&trusted()), Err(RevocationError::IssuerMayNotSign));
        }
    }

    #[test]
    fn reasons_are_short_and_move_no_cursor() {
        for reason in ["", "laptop lost in a train", &"\u{e4}".repeat(60)] {
            let revocation = by_founder(reason).expect("a reason");
            assert_eq!(Revocation::decode(&revocation.encode()), Ok(revocation));
        }
        for reason in ["\u{1b}[2J", "a\nb", "\u{9b}", &"a".repeat(121)] {
            assert_eq!(by_founder(reason), Err(RevocationError::Reason), "{reason:?}");
            let wrong = Revocation { reason: reason.to_owned(), ..by_founder("").expect("a reason") };
            assert_eq!(Revocation::decode(&wrong.encode()), Err(Malformed), "{reason:?}");
        }
    }

    #[test]
    fn the_layout_is_as_documented() {
        let revocation = by_founder("why").expect("a reason");
        let (network, at) = (genesis(1).fingerprint().0, NOW.to_be_bytes());
        let said = [&[1][..], &network, &key(SUBJECT), &at, b"\x03why", &key(1)].concat();
        assert_eq!(revocation.encode(), [&said[..], &revocation.signature.0, &[0]].concat());
        let by_delegate = by(&delegate(1, 2, DELEGATE), NOW + DAY).expect("a delegate");
        assert_eq!(by_delegate.encode().len(), said.len() + 1 + 64 + 1 + 171);
    }

    proptest! {
        #[test]
        fn a_revocation_comes_back_and_nothing_else_passes_for_it(
            by_delegate: bool, reason in "[^\\pC]{0,30}", at: prop::sample::Index, bit in 0..8_u32, more: u8,
        ) {
            let revocation = match by_delegate {
                true => by(&delegate(1, 2, DELEGATE), NOW),
                false => by_founder(&reason),
            };
            let revocation = revocation.expect("sound");
            let bytes = revocation.encode();
            prop_assert_eq!(Revocation::decode(&bytes), Ok(revocation));
            let at = at.index(bytes.len());
            prop_assert!(Revocation::decode(&bytes[..at]).is_err());
            prop_assert!(Revocation::decode(&[&bytes[..], &[more]].concat()).is_err());
            let mut flipped = bytes;
            flipped[at] ^= 1 << bit;
            let found = Revocation::decode(&flipped)
                .map_err(RevocationError::from)
                .and_then(|flipped| flipped.verify(&trusted()));
            prop_assert!(found.is_err());
        }
    }
}
