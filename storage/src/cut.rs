//! Cutting files by content.
//!
//! FastCDC (Xia et al., "The Design of Fast Content-Defined Chunking for Data Deduplication Based Storage
//! Systems", IEEE TPDS 2020) with a gear table of the owner's own, so that cut points, which show in the lengths
//! of what is stored, do not tell which well-known file was cut.

use fastcdc::v2020::{self, Normalization};

use crate::secret::ConvergenceSecret;

/// No piece but a file's last is shorter. These three must be even.
pub(crate) const MIN_PIECE: usize = 64 << 10;
/// What the lengths of pieces gather around.
const AVERAGE_PIECE: usize = 256 << 10;
/// No piece is longer.
pub(crate) const MAX_PIECE: usize = 1 << 20;

/// Finds cut points.
pub(crate) struct Cutter {
    gear: [u64; 256],
    /// The same words shifted by one, for the loop that takes two bytes at a time.
    gear_shifted: [u64; 256],
    masks: (u64, u64),
}

impl Cutter {
    pub(crate) fn new(secret: &ConvergenceSecret) -> Self {
        let gear = secret.gear();
        Self {
            gear,
            gear_shifted: gear.map(|word| word << 1),
            masks: v2020::select_masks(AVERAGE_PIECE, Normalization::Level1),
        }
    }

    /// Length of the first piece of `bytes`, which are at least [`MAX_PIECE`] or run to the end of the file.
    pub(crate) fn first_piece(&self, bytes: &[u8]) -> usize {
        let (small, large) = self.masks;
        let (_, len) = v2020::cut_gear(
            bytes,
            MIN_PIECE,
            AVERAGE_PIECE,
            MAX_PIECE,
            small,
            large,
            small << 1,
            large << 1,
            &self.gear,
            &self.gear_shifted,
        );
        len
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(secret: u8, bytes: &[u8]) -> Vec<usize> {
        let cutter = Cutter::new(&ConvergenceSecret::new([secret; 32]));
        let mut at = 0;
        let mut lens = vec![];
        while at < bytes.len() {
            let len = cutter.first_piece(&bytes[at..]);
            lens.push(len);
            at += len;
        }
        lens
    }

    #[test]
    fn pieces_keep_their_limits_and_a_change_moves_few_of_them() {
        let mut noise = vec![0u8; 16 << 20];
        blake3::Hasher::new().finalize_xof().fill(&mut noise);
        let before = pieces(1, &noise);
        assert!(before.iter().all(|len| *len <= MAX_PIECE));
        assert!(before[..before.len() - 1].iter().all(|len| *len >= MIN_PIECE));
        let average = noise.len() / before.len();
        assert!((180 << 10..400 << 10).contains(&average), "average {average}");

        noise.insert(5 << 20, 42);
        let after = pieces(1, &noise);
        let same_tail = before.iter().rev().zip(after.iter().rev()).take_while(|(a, b)| a == b).count();
        assert!(same_tail > before.len() / 2, "{same_tail} of {}", before.len());

        assert_ne!(pieces(1, &noise), pieces(2, &noise));
        assert_eq!(pieces(1, &[0; 3 << 20]), vec![MAX_PIECE; 3]);
        assert_eq!(pieces(1, b"x"), vec![1]);
    }
}
