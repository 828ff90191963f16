//! Reed-Solomon, with the matrix and the arithmetic of the `reed-solomon-erasure` crate.
//!
//! The crate's own encode and reconstruct calls walk whole shards, once for each pair of input and output, and
//! want every present shard as a mutable slice. Here the crate gives the coding matrix and the kernels that
//! multiply slices, and the loops around them are ours: over blocks that stay in the CPU's cache, and reading
//! shards where they lie. The bytes are the same, which a test checks against the crate.

use reed_solomon_erasure::galois_8;

use crate::codec::{CodecError, CodecId, ErasureCodec};
use crate::matrix;
use crate::redundancy::Redundancy;

/// Bytes of each shard that are coded before going on to the next block.
const BLOCK_LEN: usize = 16 << 10;

/// Reed-Solomon for one (k, n).
pub struct ReedSolomon {
    redundancy: Redundancy,
    /// n − k rows of k coefficients.
    parity: Vec<u8>,
}

impl ReedSolomon {
    /// Computes the coding matrix, which takes microseconds to a few milliseconds: keep the result.
    pub fn new(redundancy: Redundancy) -> Self {
        let k = usize::from(redundancy.k());
        let parity_count = usize::from(redundancy.tolerates());
        Self { redundancy, parity: parity_matrix(k, parity_count) }
    }

    /// The row of the coding matrix that makes shard `index` from the data shards.
    fn row(&self, index: usize, out: &mut [u8]) {
        let k = usize::from(self.redundancy.k());
        if index < k {
            out.fill(0);
            out[index] = 1;
        } else {
            out.copy_from_slice(&self.parity[(index - k) * k..][..k]);
        }
    }
}

/// Has the crate encode the unit vectors, whose parity is the columns of its matrix.
fn parity_matrix(k: usize, parity_count: usize) -> Vec<u8> {
    if parity_count == 0 {
        return Vec::new();
    }
    let crate_codec = galois_8::ReedSolomon::new(k, parity_count)
        .expect("1 ≤ k and n ≤ 128 (checked by Redundancy) are within the crate's limit of 256");
    let mut matrix = vec![0u8; k * parity_count];
    for column in 0..k {
        let mut shards = vec![[0u8; 1]; k + parity_count];
        shards[column] = [1];
        crate_codec
            .encode(&mut shards)
            .expect("k + m shards of one byte each are what the codec was made for");
        for row in 0..parity_count {
            matrix[row * k + column] = shards[k + row][0];
        }
    }
    matrix
}

/// `out = Σ coefficients[j] · inputs[j]`, over one block.
fn combine<'a>(coefficients: &[u8], inputs: impl Iterator<Item = &'a [u8]>, out: &mut [u8]) {
    let mut empty = true;
    for (&coefficient, input) in coefficients.iter().zip(inputs) {
        if empty {
            galois_8::mul_slice(coefficient, input, out);
            empty = false;
        } else if coefficient != 0 {
            galois_8::mul_slice_xor(coefficient, input, out);
        }
    }
}

impl ErasureCodec for ReedSolomon {
    fn id(&self) -> CodecId {
        CodecId::ReedSolomonVandermonde
    }

    fn redundancy(&self) -> Redundancy {
        self.redundancy
    }

    fn encode(&self, stripe: &mut [u8], shard_len: usize) -> Result<(), CodecError> {
        let k = usize::from(self.redundancy.k());
        if shard_len == 0 || stripe.len() != shard_len * usize::from(self.redundancy.n()) {
            return Err(CodecError::BadShard);
        }
        let (data, parity) = stripe.split_at_mut(k * shard_len);
        for start in (0..shard_len).step_by(BLOCK_LEN) {
            let len = BLOCK_LEN.min(shard_len - start);
            for (row, out) in parity.chunks_exact_mut(shard_len).enumerate() {
                let inputs = data.chunks_exact(shard_len).map(|shard| &shard[start..start + len]);
                combine(&self.parity[row * k..][..k], inputs, &mut out[start..start + len]);
            }
        }
        Ok(())
    }

    fn rebuild(&self, present: &[(u8, &[u8])], wanted: &mut [(u8, &mut [u8])]) -> Result<(), CodecError> {
        let k = usize::from(self.redundancy.k());
        let n = usize::from(self.redundancy.n());
        let Some(shard_len) = wanted.first().map(|(_, out)| out.len()) else {
            return Ok(());
        };
        if wanted.iter().any(|(index, out)| usize::from(*index) >= n || out.len() != shard_len) {
            return Err(CodecError::BadShard);
        }
        // Data shards first: their rows are the identity's, which leaves less to compute.
        let mut sources: Vec<Option<&[u8]>> = vec![None; n];
        for (index, shard) in present {
            if usize::from(*index) >= n || shard.len() != shard_len {
                return Err(CodecError::BadShard);
            }
            sources[usize::from(*index)] = Some(shard);
        }
        let found = sources.iter().flatten().count();
        let sources: Vec<(usize, &[u8])> = sources
            .iter()
            .enumerate()
            .filter_map(|(index, shard)| Some((index, (*shard)?)))
            .take(k)
            .collect();
        if sources.len() < k {
            return Err(CodecError::TooFewShards { needed: k as u8, found: found as u8 });
        }

        let mut given = vec![0u8; k * k];
        for (row, (index, _)) in sources.iter().enumerate() {
            self.row(*index, &mut given[row * k..][..k]);
        }
        // Any k rows of the matrix are independent, by construction.
        let inverse = matrix::invert(given, k).ok_or(CodecError::BadShard)?;
        let mut row = vec![0u8; k];
        for (index, out) in wanted {
            self.row(usize::from(*index), &mut row);
            let coefficients: Vec<u8> = (0..k)
                .map(|c| (0..k).fold(0, |sum, i| sum ^ galois_8::mul(row[i], inverse[i * k + c])))
                .collect();
            for start in (0..shard_len).step_by(BLOCK_LEN) {
                let len = BLOCK_LEN.min(shard_len - start);
                let inputs = sources.iter().map(|(_, shard)| &shard[start..start + len]);
                combine(&coefficients, inputs, &mut out[start..start + len]);
            }
        }
        Ok(())
    }
}
