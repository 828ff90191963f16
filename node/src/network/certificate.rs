//! By which a daemon shows that it belongs to a private network: what a network key, or a delegate of one, says about
//! the daemon's own key.
//!
//! ```text
//!  certificate  version 1 │ network, 16 │ subject, 32 │ role: 0 member, 1 client │ delegate: 0, 1 │ not before u64
//!               │ not after u64 │ serial u64 │ issuer, 32 │ signature, 64                                       171 bytes
//!  chain        certificate │ 0                        its issuer is a network key
//!               certificate │ 1 │ certificate          its issuer is a delegate, whose own certificate is the second
//! ```
//! A chain has no third link: delegates sign while the founder sleeps, but make no delegates. Nobody's certificate
//! outlives that of its issuer, so that whoever loses the right to sign loses with it what was signed.

use chordage_dht::Signature;
use libp2p::identity::ed25519;
use serde::{Deserialize, Serialize};

use super::NetworkFingerprint;
use super::bytes::{Malformed, Reader, has_signed, sign};
use super::succession::Trusted;

const VERSION: u8 = 1;
/// What the signature is for.
const SIGNED_CONTEXT: &str = "chordage 2026 certificate";
const DAY: u64 = 24 * 3600;
/// Longest validity, seconds. Design: whoever is away for a month comes back without asking anybody, and what a
/// revocation does not reach ends within a season.
pub(crate) const VALIDITY_MAX: u64 = 90 * DAY;
/// That of a delegate, which only the founder can renew.
pub(crate) const DELEGATE_VALIDITY_MAX: u64 = 366 * DAY;
/// How far the clock of whoever checks may be behind that of whoever signed. A machine that was told the wrong time
/// zone, or has lost the date, is wrong by a day; on the day of joining every certificate is young, and would be
/// refused there. 26 hours are the largest mistake that a time zone makes. The end of a certificate needs no such
/// tolerance: half of it is left when it is renewed.
pub(crate) const CLOCK_TOLERANCE: u64 = 26 * 3600;

/// What a daemon is to the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Role {
    /// It holds shards and records of others.
    Member,
    /// It only asks.
    Client,
}

/// What a certificate allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rights {
    pub(crate) role: Role,
    /// May sign certificates of others and revoke them. Never makes delegates, nor revokes them.
    pub(crate) delegate: bool,
}

/// What one key says about another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Certificate {
    network: NetworkFingerprint,
    subject: [u8; 32],
    rights: Rights,
    not_before: u64,
    not_after: u64,
    serial: u64,
    issuer: [u8; 32],
    signature: Signature,
}

/// A certificate, with that of its issuer unless the issuer is a network key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chain {
    certificate: Certificate,
    proof: Option<Certificate>,
}

/// Why somebody is not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CertificateError {
    #[error("the certificate cannot be read: {0}")]
    Malformed(#[from] Malformed),
    #[error("the certificate is for another network")]
    OtherNetwork,
    #[error("the certificate is not signed by whom it names")]
    BadSignature,
    /// Even with [`CLOCK_TOLERANCE`].
    #[error("the certificate is not valid yet: one of the two clocks is wrong by more than a day")]
    NotYetValid {
        /// From when it is.
        from: u64,
    },
    #[error("the certificate has ended")]
    Expired {
        /// When it has.
        at: u64,
    },
    #[error("the certificate has been revoked")]
    Revoked,
    #[error("whoever signed the certificate has been revoked")]
    IssuerRevoked,
    #[error("whoever signed the certificate may not do so")]
    IssuerMayNotSign,
    /// Whoever is connected has proved to have another key.
    #[error("the certificate is somebody else's")]
    NotTheSubject,
}

/// Who was admitted, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Admitted {
    pub(crate) subject: [u8; 32],
    pub(crate) rights: Rights,
    /// When the certificate ends, or the network key under it if that is sooner.
    pub(crate) until: u64,
}

/// Why nothing was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum IssueError {
    #[error("this key may not sign that")]
    MayNotSign,
    #[error("the certificate of whoever is to sign has ended")]
    Expired {
        /// When it has.
        at: u64,
    },
    #[error("a certificate is valid for a while")]
    NoTime,
}

/// Who signs: a network key, or a delegate with its certificate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Issuer<'a> {
    pub(crate) network: NetworkFingerprint,
    pub(crate) pair: &'a ed25519::Keypair,
    /// None for a network key.
    pub(crate) proof: Option<&'a Certificate>,
}

impl Issuer<'_> {
    /// The public key.
    pub(super) fn key(&self) -> [u8; 32] {
        self.pair.public().to_bytes()
    }

    /// Whether the proof, if there is one, makes this key a delegate of this network.
    pub(super) fn may_sign(&self) -> bool {
        self.proof.is_none_or(|proof| {
            proof.rights.delegate && proof.network == self.network && proof.subject == self.key()
        })
    }

    /// Signs a certificate that is valid from now on for this many seconds, or for as long as it may be. `serial`: a
    /// random number, by which two certificates of one key are told apart.
    pub(crate) fn issue(
        &self,
        subject: &[u8; 32],
        rights: Rights,
        (now, seconds): (u64, u64),
        serial: u64,
    ) -> Result<Chain, IssueError> {
        if !self.may_sign() || (rights.delegate && self.proof.is_some()) {
            return Err(IssueError::MayNotSign);
        }
        let not_after = now.saturating_add(seconds.min(validity_max(rights)));
        let not_after = match self.proof {
            Some(proof) if proof.not_after <= now => return Err(IssueError::Expired { at: proof.not_after }),
            Some(proof) => not_after.min(proof.not_after),
            None => not_after,
        };
        if not_after <= now {
            return Err(IssueError::NoTime);
        }
        let mut certificate = Certificate {
            network: self.network,
            subject: *subject,
            rights,
            not_before: now,
            not_after,
            serial,
            issuer: self.key(),
            signature: Signature([0; 64]),
        };
        certificate.signature = sign(self.pair, SIGNED_CONTEXT, &certificate.statement());
        Ok(Chain { certificate, proof: self.proof.cloned() })
    }
}

fn validity_max(rights: Rights) -> u64 {
    if rights.delegate { DELEGATE_VALIDITY_MAX } else { VALIDITY_MAX }
}

impl Certificate {
    /// Whose it is.
    pub(crate) fn subject(&self) -> &[u8; 32] {
        &self.subject
    }

    /// What it allows.
    pub(crate) fn rights(&self) -> Rights {
        self.rights
    }

    /// For which network.
    pub(crate) fn network(&self) -> NetworkFingerprint {
        self.network
    }

    /// From when and until when it is valid, seconds since 1970.
    pub(crate) fn validity(&self) -> (u64, u64) {
        (self.not_before, self.not_after)
    }

    /// A random number that its issuer gave it.
    pub(crate) fn serial(&self) -> u64 {
        self.serial
    }

    /// Who has signed it.
    pub(crate) fn issuer(&self) -> &[u8; 32] {
        &self.issuer
    }

    /// When to renew it.
    pub(crate) fn half_life(&self) -> u64 {
        self.not_before + (self.not_after - self.not_before) / 2
    }

    /// Whether its issuer has signed it; not whether the issuer may.
    pub(super) fn is_signed(&self) -> bool {
        has_signed(&self.issuer, SIGNED_CONTEXT, &self.statement(), &self.signature)
    }

    /// Everything before the signature.
    fn statement(&self) -> Vec<u8> {
        let Self { network, subject, rights, not_before, not_after, serial, issuer, .. } = self;
        let mut bytes = vec![VERSION];
        bytes.extend(network.0);
        bytes.extend(subject);
        bytes.extend([u8::from(rights.role == Role::Client), u8::from(rights.delegate)]);
        for number in [not_before, not_after, serial] {
            bytes.extend(number.to_be_bytes());
        }
        bytes.extend(issuer);
        bytes
    }

    pub(super) fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.statement());
        bytes.extend(self.signature.0);
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        reader.version(VERSION)?;
        let certificate = Self {
            network: reader.network()?,
            subject: reader.array()?,
            rights: Rights {
                role: if reader.flag()? { Role::Client } else { Role::Member },
                delegate: reader.flag()?,
            },
            not_before: reader.number()?,
            not_after: reader.number()?,
            serial: reader.number()?,
            issuer: reader.array()?,
            signature: reader.signature()?,
        };
        let seconds = certificate.not_after.checked_sub(certificate.not_before).ok_or(Malformed)?;
        let is_sound = (1..=validity_max(certificate.rights)).contains(&seconds);
        if is_sound { Ok(certificate) } else { Err(Malformed) }
    }
}

/// Writes the certificate of an issuer, if it needs one.
pub(super) fn put_proof(bytes: &mut Vec<u8>, proof: Option<&Certificate>) {
    bytes.push(proof.is_some().into());
    if let Some(proof) = proof {
        proof.write(bytes);
    }
}

/// Reads what [`put_proof`] has written.
pub(super) fn read_proof(reader: &mut Reader<'_>) -> Result<Option<Certificate>, Malformed> {
    Ok(if reader.flag()? { Some(Certificate::read(reader)?) } else { None })
}

impl Chain {
    /// The certificate itself.
    pub(crate) fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// That of its issuer, if the issuer is a delegate.
    #[cfg_attr(not(test), allow(dead_code, reason = "only fuzzing and tests ask for it"))]
    pub(crate) fn proof(&self) -> Option<&Certificate> {
        self.proof.as_ref()
    }

    /// The network key under which it is, if it is sound.
    pub(crate) fn network_key(&self) -> &[u8; 32] {
        self.proof.as_ref().map_or(&self.certificate.issuer, |proof| &proof.issuer)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(343);
        self.certificate.write(&mut bytes);
        put_proof(&mut bytes, self.proof.as_ref());
        bytes
    }

    /// Reads what strangers give. Whether it admits anybody is for [`Chain::verify`] to say.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let certificate = Certificate::read(&mut reader)?;
        let proof = read_proof(&mut reader)?;
        reader.end()?;
        Ok(Self { certificate, proof })
    }

    /// Whether it admits whoever has proved to have the key `proved`. `revoked`: whether a key is revoked, which
    /// depends on whether it is a delegate's.
    pub(crate) fn verify(
        &self,
        trusted: &Trusted,
        proved: &[u8; 32],
        now: u64,
        revoked: &dyn Fn(&[u8; 32], bool) -> bool,
    ) -> Result<Admitted, CertificateError> {
        let Self { certificate, proof } = self;
        let (network, rights) = (trusted.network(), certificate.rights);
        if certificate.network != network || proof.as_ref().is_some_and(|proof| proof.network != network) {
            return Err(CertificateError::OtherNetwork);
        }
        if certificate.subject != *proved {
            return Err(CertificateError::NotTheSubject);
        }
        let root = proof.as_ref().unwrap_or(certificate).issuer;
        if !self.is_linked() || !trusted.is_network_key(&root) {
            return Err(CertificateError::IssuerMayNotSign);
        }
        if !certificate.is_signed() || !proof.as_ref().is_none_or(Certificate::is_signed) {
            return Err(CertificateError::BadSignature);
        }
        for link in [Some(certificate), proof.as_ref()].into_iter().flatten() {
            if now.saturating_add(CLOCK_TOLERANCE) < link.not_before {
                return Err(CertificateError::NotYetValid { from: link.not_before });
            }
        }
        let until = trusted.until(&root, now)?.min(certificate.not_after);
        if now >= until {
            return Err(CertificateError::Expired { at: until });
        }
        if proof.as_ref().is_some_and(|proof| revoked(&proof.subject, true)) {
            return Err(CertificateError::IssuerRevoked);
        }
        if revoked(&certificate.subject, rights.delegate) {
            return Err(CertificateError::Revoked);
        }
        Ok(Admitted { subject: certificate.subject, rights, until })
    }

    /// Whether the issuer's certificate, if there is one, allows its subject to sign this one.
    fn is_linked(&self) -> bool {
        let Self { certificate, proof } = self;
        proof.as_ref().is_none_or(|proof| {
            proof.rights.delegate
                && proof.subject == certificate.issuer
                && !certificate.rights.delegate
                && certificate.not_after <= proof.not_after
        })
    }
}

#[cfg(test)]
mod tests;
