//! The convergence secret: what decides whose equal data looks equal.

use std::fmt;

use crate::ids::PieceHash;

/// Salt of convergent encryption. Chunks of equal content under one secret get one address, and so are stored
/// once; under different secrets nothing shows that they are equal. Without a secret anyone who can guess a
/// file could confirm that it is stored (Zooko Wilcox-O'Hearn et al., "Drew Perttula and attacks on convergent
/// encryption", 2008).
#[derive(Clone, PartialEq, Eq)]
pub struct ConvergenceSecret {
    seal: [u8; 32],
    piece: [u8; 32],
    gear: [u8; 32],
    catalog: [u8; 32],
}

impl ConvergenceSecret {
    /// Derives the working keys from 32 secret bytes.
    pub fn new(secret: [u8; 32]) -> Self {
        Self {
            seal: blake3::derive_key("chordage v1 chunk key", &secret),
            piece: blake3::derive_key("chordage v1 piece hash", &secret),
            gear: blake3::derive_key("chordage v1 gear table", &secret),
            catalog: blake3::derive_key("chordage v1 catalog", &secret),
        }
    }

    /// The well-known secret of public content, with which anybody gets the same address for the same bytes.
    /// It protects nothing: who can guess the content can find and read the chunk.
    pub fn public() -> Self {
        Self::new(*b"chordage public content, no key.")
    }

    /// Keys the hash from which chunk keys come.
    pub(crate) fn seal_hasher(&self) -> blake3::Hasher {
        blake3::Hasher::new_keyed(&self.seal)
    }

    /// Hash of a piece of a file, the unit of deduplication.
    pub(crate) fn piece_hash(&self, piece: &[u8]) -> PieceHash {
        PieceHash(*blake3::keyed_hash(&self.piece, piece).as_bytes())
    }

    /// Keys the names and checksums of the catalog's rows.
    pub(crate) fn catalog_key(&self) -> &[u8; 32] {
        &self.catalog
    }

    /// Random-looking words for the gear table, so that cut points do not tell what is being cut.
    pub(crate) fn gear(&self) -> [u64; 256] {
        let mut stream = blake3::Hasher::new_keyed(&self.gear).finalize_xof();
        let mut gear = [0u64; 256];
        for word in &mut gear {
            let mut bytes = [0u8; 8];
            stream.fill(&mut bytes);
            *word = u64::from_le_bytes(bytes);
        }
        gear
    }
}

impl fmt::Debug for ConvergenceSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConvergenceSecret(..)")
    }
}
