//! What a daemon of a private network holds: what the network is, why it belongs to it, and who does not any more.
//!
//! ```text
//!  version 1 │ genesis length │ genesis │ chain length u16 │ chain │ number of successions │ successions, 161 each │ revocations
//! ```

use super::NetworkFingerprint;
use super::bytes::{Malformed, Reader, put_short};
use super::certificate::{Admitted, CertificateError, Chain};
use super::genesis::Genesis;
use super::revocation::Revocation;
use super::revocations::{Merged, Revocations};
use super::succession::{Succession, SuccessionError, Trusted};

const VERSION: u8 = 1;
/// Domain of the hash over all that others are to know (BLAKE3 `derive_key`).
const DIGEST_CONTEXT: &str = "chordage 2026 papers digest";
/// Successions of a network at most. Design: one a year is enough for longer than anybody plans.
pub(crate) const SUCCESSIONS_MAX: usize = 64;

/// See the module's description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Papers {
    genesis: Genesis,
    own: Chain,
    successions: Vec<Succession>,
    revocations: Revocations,
    /// What genesis and successions come to.
    trusted: Trusted,
}

impl Papers {
    /// Those of a daemon that has just been given its certificate. Whether that admits it is for [`Papers::check_own`]
    /// to say.
    pub(crate) fn new(genesis: Genesis, own: Chain) -> Self {
        let trusted = Trusted::of(&genesis);
        Self { genesis, own, successions: Vec::new(), revocations: Revocations::default(), trusted }
    }

    /// What the network is.
    pub(crate) fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// For which everything is signed.
    pub(crate) fn network(&self) -> NetworkFingerprint {
        self.trusted.network()
    }

    /// What to show to others.
    pub(crate) fn own(&self) -> &Chain {
        &self.own
    }

    /// The network keys of today.
    pub(crate) fn trusted(&self) -> &Trusted {
        &self.trusted
    }

    /// How the network's keys followed each other.
    pub(crate) fn successions(&self) -> &[Succession] {
        &self.successions
    }

    /// Who does not belong to the network any more.
    pub(crate) fn revocations(&self) -> &Revocations {
        &self.revocations
    }

    /// Names what is known here of successions and revocations: daemons that know the same have the same.
    pub(crate) fn digest(&self) -> [u8; 32] {
        let revocations = self.revocations.digest();
        if self.successions.is_empty() {
            return revocations;
        }
        let mut hasher = blake3::Hasher::new_derive_key(DIGEST_CONTEXT);
        hasher.update(&revocations);
        for succession in &self.successions {
            hasher.update(&succession.encode());
        }
        hasher.finalize().into()
    }

    /// Whether the own certificate is under a network key that another has followed: it ends with that key.
    pub(crate) fn is_under_older_key(&self) -> bool {
        self.trusted.newest().is_some_and(|newest| self.own.network_key() != newest)
    }

    /// Whether a chain admits whoever has proved to have this key.
    pub(crate) fn admit(
        &self,
        chain: &Chain,
        proved: &[u8; 32],
        now: u64,
    ) -> Result<Admitted, CertificateError> {
        let revoked =
            |key: &[u8; 32], is_delegate| self.revocations.is_revoked(key, is_delegate, &self.trusted);
        chain.verify(&self.trusted, proved, now, &revoked)
    }

    /// Whether others would admit this daemon, whose key this is.
    pub(crate) fn check_own(&self, key: &[u8; 32], now: u64) -> Result<Admitted, CertificateError> {
        self.admit(&self.own, key, now)
    }

    /// Takes a new certificate in place of the own one, if it admits this daemon and lasts longer. Whether it does.
    pub(crate) fn renew(&mut self, chain: Chain, key: &[u8; 32], now: u64) -> Result<bool, CertificateError> {
        let until = self.admit(&chain, key, now)?.until;
        let is_better = self.check_own(key, now).is_ok_and(|own| until <= own.until);
        if is_better {
            return Ok(false);
        }
        self.own = chain;
        Ok(true)
    }

    /// Takes in what others know of revocations.
    pub(crate) fn learn(&mut self, revocations: impl IntoIterator<Item = Revocation>) -> Merged {
        self.revocations.merge(revocations, &self.trusted)
    }

    /// Takes in what the network's key says of its successor. Whether that was news.
    pub(crate) fn succeed(&mut self, succession: &Succession) -> Result<bool, SuccessionError> {
        if self.successions.contains(succession) {
            return Ok(false);
        }
        if self.successions.len() >= SUCCESSIONS_MAX {
            return Err(SuccessionError::TooSoon);
        }
        let is_news = self.trusted.succeed(succession)?;
        if is_news {
            self.successions.push(succession.clone());
            self.revocations.forget_untrusted(&self.trusted);
        }
        Ok(is_news)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        put_short(&mut bytes, &self.genesis.encode());
        let own = self.own.encode();
        // A chain has at most 343 bytes.
        bytes.extend((own.len() as u16).to_be_bytes());
        bytes.extend(own);
        bytes.push(self.successions.len() as u8);
        for succession in &self.successions {
            bytes.extend(succession.encode());
        }
        bytes.extend(self.revocations.encode());
        bytes
    }

    /// Reads what [`Papers::encode`] has written, and checks all signatures but that of the own certificate.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        reader.version(VERSION)?;
        let genesis = Genesis::decode(reader.short()?).map_err(|_| Malformed)?;
        let len = u16::from_be_bytes(reader.array()?);
        let own = Chain::decode(reader.slice(len.into())?)?;
        let mut papers = Self::new(genesis, own);
        let count = reader.byte()?;
        for _ in 0..count {
            let succession = Succession::read(&mut reader)?;
            if papers.succeed(&succession) != Ok(true) {
                return Err(Malformed);
            }
        }
        let merged = papers.learn(Revocations::decode(reader.rest())?);
        if merged.refused == 0 { Ok(papers) } else { Err(Malformed) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{DAY, MEMBER, NOW, founder, genesis, key, pair};
    use super::*;

    const OWN: u8 = 4;

    fn chain(network_pair: u8, from: u64, seconds: u64) -> Chain {
        let (genesis, pair) = (genesis(1), pair(network_pair));
        founder(&genesis, &pair).issue(&key(OWN), MEMBER, (from, seconds), 1).expect("a network key")
    }

    fn papers() -> Papers {
        Papers::new(genesis(1), chain(1, NOW, 90 * DAY))
    }

    fn revocation(subject: u8) -> Revocation {
        founder(&genesis(1), &pair(1)).revoke(&key(subject), "lost", NOW).expect("a network key")
    }

    fn succession(old: u8, new: u8, until: u64) -> Succession {
        let network = genesis(1).fingerprint();
        Succession::sign(network, &pair(old), key(new), (until, until)).expect("sound")
    }

    #[test]
    fn papers_admit_until_something_is_learned() {
        let mut papers = papers();
        let own = papers.own().clone();
        assert!(papers.check_own(&key(OWN), NOW).is_ok());
        assert_eq!(papers.admit(&own, &key(9), NOW), Err(CertificateError::NotTheSubject));
        let merged = papers.learn([revocation(OWN), revocation(5)]);
        assert_eq!(merged.subjects, [key(OWN), key(5)].into());
        assert_eq!(papers.check_own(&key(OWN), NOW), Err(CertificateError::Revoked));
        assert_eq!(papers.revocations().len(), 2);
    }

    #[test]
    fn a_new_certificate_is_taken_if_it_is_a_better_one() {
        let mut papers = papers();
        let renew = |papers: &mut Papers, chain, now| papers.renew(chain, &key(OWN), now);
        assert_eq!(renew(&mut papers, chain(1, NOW, 10 * DAY), NOW), Ok(false), "it ends sooner");
        assert_eq!(renew(&mut papers, chain(9, NOW, 90 * DAY), NOW), Err(CertificateError::IssuerMayNotSign));
        let better = chain(1, NOW + DAY, 90 * DAY);
        assert_eq!(renew(&mut papers, better.clone(), NOW + DAY), Ok(true));
        assert_eq!(papers.own(), &better);
        let (late, short) = (NOW + 100 * DAY, chain(1, NOW + 100 * DAY, DAY));
        assert_eq!(renew(&mut papers, short, late), Ok(true), "the one before has ended");
    }

    #[test]
    fn papers_come_back_and_are_refused_when_damaged() {
        let mut papers = papers();
        papers.learn([revocation(5), revocation(6)]);
        assert_eq!(papers.succeed(&succession(1, 2, NOW + DAY)), Ok(true));
        assert_eq!(papers.succeed(&succession(1, 2, NOW + DAY)), Ok(false));
        let bytes = papers.encode();
        assert_eq!(Papers::decode(&bytes), Ok(papers.clone()));
        assert_eq!(Papers::decode(&[&bytes[..], &[0]].concat()), Err(Malformed));
        assert_eq!(Papers::decode(&[&[2], &bytes[1..]].concat()), Err(Malformed));
        for end in 0..bytes.len() {
            assert_eq!(Papers::decode(&bytes[..end]), Err(Malformed), "{end}");
        }
        let mut wrong = bytes;
        if let Some(last) = wrong.iter_mut().rev().nth(40) {
            *last ^= 1;
        }
        assert_eq!(Papers::decode(&wrong), Err(Malformed), "a signature does not hold");
    }

    #[test]
    fn a_new_network_key_makes_another_digest_and_calls_for_another_certificate() {
        let mut papers = papers();
        let before = papers.digest();
        assert_eq!(before, papers.revocations().digest(), "as daemons say it that know of no succession");
        assert!(!papers.is_under_older_key());
        assert_eq!(papers.succeed(&succession(1, 2, NOW + DAY)), Ok(true));
        assert!(papers.digest() != before && papers.is_under_older_key());
        let (genesis, new) = (genesis(1), pair(2));
        let chain = founder(&genesis, &new).issue(&key(OWN), MEMBER, (NOW + DAY, 90 * DAY), 2);
        assert_eq!(papers.renew(chain.expect("a network key"), &key(OWN), NOW + DAY), Ok(true));
        assert!(!papers.is_under_older_key());
        let mut other = Papers::decode(&papers.encode()).expect("what was written");
        assert_eq!(other.digest(), papers.digest());
        other.learn([revocation(5)]);
        assert_ne!(other.digest(), papers.digest());
    }

    #[test]
    fn papers_have_room_for_a_bounded_number_of_successions() {
        let mut papers = papers();
        for number in 0..64 {
            let until = NOW + DAY * u64::from(number);
            assert_eq!(papers.succeed(&succession(number + 1, number + 2, until)), Ok(true));
        }
        let more = succession(65, 66, NOW + DAY * 64);
        assert_eq!(papers.succeed(&more), Err(SuccessionError::TooSoon));
        assert_eq!(papers.successions().len(), SUCCESSIONS_MAX);
        assert_eq!(papers.trusted().newest(), Some(&key(65)));
        assert_eq!(Papers::decode(&papers.encode()), Ok(papers));
    }
}
