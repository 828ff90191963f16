//! Pieces: what files are cut into, and packs are made of.

use crate::ids::PieceHash;

/// A piece of a pack: they lie one behind the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PieceInfo {
    /// Its hash.
    pub hash: PieceHash,
    /// Its length.
    pub len: u32,
}
