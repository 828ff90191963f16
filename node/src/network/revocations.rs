//! All revocations that a daemon knows of: a set that grows, the same wherever the same statements have arrived, in any
//! order.
//!
//! There is one statement for each subject and issuer: that of a network key before that of a delegate, then the
//! earlier, then the smaller bytes. In the same order the list is cut when it is full, so that no delegate crowds out a
//! network key, nor, by what it may have at most, the other delegates.
//!
//! ```text
//!  version 1 │ number of revocations u32 │ revocations, by subject and issuer
//! ```

use std::collections::{BTreeMap, BTreeSet};

use super::bytes::{Malformed, Reader};
use super::certificate::Certificate;
use super::revocation::Revocation;
use super::succession::Trusted;

const VERSION: u8 = 1;
/// Domain of the hash over all of them (BLAKE3 `derive_key`).
const DIGEST_CONTEXT: &str = "chordage 2026 revocations digest";
/// Revocations of a network at most.
pub(crate) const REVOCATIONS_MAX: usize = 10_000;
/// Of these, of one delegate.
pub(crate) const OF_DELEGATE_MAX: usize = 1_000;

/// Whose key, and who says so.
type Pair = ([u8; 32], [u8; 32]);

/// How many statements are kept. Tests have smaller limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Limits {
    all: usize,
    of_delegate: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { all: REVOCATIONS_MAX, of_delegate: OF_DELEGATE_MAX }
    }
}

/// See the module's description. All in it was signed by a key that was trusted when it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Revocations {
    entries: BTreeMap<Pair, Revocation>,
    limits: Limits,
}

/// What came of a merge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Merged {
    /// Keys about which there is something new: connections to them are to be looked at again, and to those whom they
    /// admitted.
    pub(crate) subjects: BTreeSet<[u8; 32]>,
    /// How many statements do not count.
    pub(crate) refused: usize,
}

/// What of two statements stays: the lesser.
fn precedence(revocation: &Revocation) -> (bool, u64, Vec<u8>) {
    (revocation.proof().is_some(), revocation.at(), revocation.encode())
}

fn pair(revocation: &Revocation) -> Pair {
    (*revocation.subject(), *revocation.issuer())
}

impl Revocations {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// All of them, by subject and issuer.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Revocation> {
        self.entries.values()
    }

    /// Takes in what others know. Order and repetition make no difference.
    pub(crate) fn merge(
        &mut self,
        others: impl IntoIterator<Item = Revocation>,
        trusted: &Trusted,
    ) -> Merged {
        let mut merged = Merged::default();
        for other in others {
            let known = self.entries.get(&pair(&other));
            // Signatures take time: what would not stay needs none.
            if known.is_some_and(|known| precedence(known) <= precedence(&other)) {
                continue;
            }
            if other.verify(trusted).is_err() {
                merged.refused += 1;
                continue;
            }
            merged.subjects.insert(*other.subject());
            self.entries.insert(pair(&other), other);
        }
        if !merged.subjects.is_empty() {
            self.cut();
        }
        merged
    }

    /// Keeps what comes first, within the limits.
    fn cut(&mut self) {
        let mut of_delegates: BTreeMap<[u8; 32], usize> = BTreeMap::new();
        for revocation in self.iter().filter(|revocation| revocation.proof().is_some()) {
            *of_delegates.entry(*revocation.issuer()).or_default() += 1;
        }
        let is_full = self.entries.len() > self.limits.all;
        if !is_full && of_delegates.values().all(|count| *count <= self.limits.of_delegate) {
            return;
        }
        let mut all: Vec<_> =
            self.iter().map(|revocation| (precedence(revocation), pair(revocation))).collect();
        all.sort();
        let mut of_delegates: BTreeMap<[u8; 32], usize> = BTreeMap::new();
        let mut kept = 0;
        for ((by_delegate, ..), pair) in all {
            let count = of_delegates.entry(pair.1).or_default();
            if kept >= self.limits.all || (by_delegate && *count >= self.limits.of_delegate) {
                self.entries.remove(&pair);
            } else {
                kept += 1;
                *count += usize::from(by_delegate);
            }
        }
    }

    /// Drops what was signed under a network key that no longer is one: the new key or its delegates may say it again,
    /// later.
    pub(crate) fn forget_untrusted(&mut self, trusted: &Trusted) {
        self.entries.retain(|_, revocation| {
            let root = revocation.proof().map_or(revocation.issuer(), Certificate::issuer);
            trusted.is_network_key(root)
        });
    }

    /// Whether a key is revoked. `is_delegate`: as the certificate says that it presents.
    ///
    /// The word of a network key always counts. That of a delegate counts unless a network key has revoked the
    /// delegate, and never about delegates: otherwise the first of two that quarrel would win.
    pub(crate) fn is_revoked(&self, key: &[u8; 32], is_delegate: bool, trusted: &Trusted) -> bool {
        self.about(key).any(|revocation| match revocation.proof() {
            None => trusted.is_network_key(revocation.issuer()),
            Some(proof) => !is_delegate && self.counts(proof, trusted),
        })
    }

    /// What is said of a key.
    pub(crate) fn about(&self, key: &[u8; 32]) -> impl Iterator<Item = &Revocation> {
        self.entries.range((*key, [0; 32])..=(*key, [0xff; 32])).map(|(_, revocation)| revocation)
    }

    /// Whether the word of the delegate with this certificate counts.
    fn counts(&self, proof: &Certificate, trusted: &Trusted) -> bool {
        let by_network_key = |revocation: &Revocation| {
            revocation.proof().is_none() && trusted.is_network_key(revocation.issuer())
        };
        trusted.is_network_key(proof.issuer()) && !self.about(proof.subject()).any(by_network_key)
    }

    /// A hash of all, by which two daemons see whether they know the same.
    pub(crate) fn digest(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_derive_key(DIGEST_CONTEXT);
        for revocation in self.iter() {
            hasher.update(&revocation.encode());
        }
        *hasher.finalize().as_bytes()
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        // At most 10,000.
        bytes.extend((self.len() as u32).to_be_bytes());
        for revocation in self.iter() {
            bytes.extend(revocation.encode());
        }
        bytes
    }

    /// Reads a list of strangers: no more than there can be, each pair once and in order. Whether they count shows when
    /// they are [merged](Revocations::merge).
    pub(crate) fn decode(bytes: &[u8]) -> Result<Vec<Revocation>, Malformed> {
        let mut reader = Reader::new(bytes);
        reader.version(VERSION)?;
        let count = u32::from_be_bytes(reader.array()?);
        let mut all: Vec<Revocation> = Vec::new();
        for _ in 0..count {
            let revocation = Revocation::read(&mut reader)?;
            let is_in_order = all.last().is_none_or(|last| pair(last) < pair(&revocation));
            if !is_in_order || all.len() >= REVOCATIONS_MAX {
                return Err(Malformed);
            }
            all.push(revocation);
        }
        reader.end()?;
        Ok(all)
    }
}

#[cfg(test)]
mod tests;
