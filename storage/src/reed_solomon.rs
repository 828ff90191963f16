//! Reed-Solomon, the same bytes as the `reed-solomon-erasure` crate makes, from its arithmetic and kernels.
//!
//! The loops around the kernels are ours. The crate's own walk past a CPU that lacks what its kernel was compiled
//! for, and want every present shard as a mutable slice, which would mean to copy it. A test compares every byte.

use reed_solomon_erasure::galois_8;

use crate::codec::{CodecError, CodecId, ErasureCodec};
use crate::combine::Combination;
use crate::matrix;
use crate::redundancy::Redundancy;

/// Reed-Solomon for one (k, n).
pub struct ReedSolomon {
    redundancy: Redundancy,
    /// n − k rows of k coefficients.
    parity: Vec<u8>,
    encode: Combination,
    /// Makes further combinations of the same kind.
    combination: fn(&[u8], usize) -> Combination,
}

impl ReedSolomon {
    /// Computes the coding matrix, which takes microseconds to a few milliseconds: keep the result.
    pub fn new(redundancy: Redundancy) -> Self {
        Self::with(redundancy, Combination::new)
    }

    /// The same code without the CPU's special instructions, as it would run on one that lacks them: slower, for
    /// tests and comparisons.
    pub fn portable(redundancy: Redundancy) -> Self {
        Self::with(redundancy, Combination::portable)
    }

    fn with(redundancy: Redundancy, combination: fn(&[u8], usize) -> Combination) -> Self {
        let k = usize::from(redundancy.k());
        let parity = parity_matrix(k, redundancy.tolerates().into());
        let encode = combination(&parity, k);
        Self { redundancy, parity, encode, combination }
    }

    /// The row of the coding matrix that makes shard `index` from the data shards.
    fn row(&self, index: usize) -> Vec<u8> {
        let k = usize::from(self.redundancy.k());
        match index.checked_sub(k) {
            Some(parity) => self.parity[parity * k..][..k].to_vec(),
            None => (0..k).map(|column| u8::from(column == index)).collect(),
        }
    }
}

/// The rows of a Vandermonde matrix below its top square, after that square is made the identity.
fn parity_matrix(k: usize, parity_count: usize) -> Vec<u8> {
    let vandermonde = |row: usize| (0..k).map(move |column| galois_8::exp(row as u8, column)); // row < 128
    let top = (0..k).flat_map(vandermonde).collect();
    let inverse = matrix::invert(top, k).expect("the rows of a Vandermonde matrix are independent");
    let rows: Vec<u8> = (k..k + parity_count).flat_map(vandermonde).collect();
    matrix::multiply(&rows, &inverse, k)
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
        let data: Vec<&[u8]> = data.chunks_exact(shard_len).collect();
        let mut parity: Vec<&mut [u8]> = parity.chunks_exact_mut(shard_len).collect();
        self.encode.apply(&data, &mut parity);
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
        let mut by_index: Vec<Option<&[u8]>> = vec![None; n];
        for (index, shard) in present {
            if usize::from(*index) >= n || shard.len() != shard_len {
                return Err(CodecError::BadShard);
            }
            by_index[usize::from(*index)] = Some(shard);
        }
        let found = by_index.iter().flatten().count();
        if found < k {
            return Err(CodecError::TooFewShards { needed: k as u8, found: found as u8 });
        }
        // Data shards come first: their rows are the identity's, which leaves less to compute.
        let sources = by_index.iter().enumerate().filter_map(|(index, shard)| Some((index, (*shard)?)));
        let (indices, sources): (Vec<usize>, Vec<&[u8]>) = sources.take(k).unzip();

        let given = indices.iter().flat_map(|index| self.row(*index)).collect();
        // Any k rows of the matrix are independent, by construction.
        let inverse = matrix::invert(given, k).ok_or(CodecError::BadShard)?;
        let rows: Vec<u8> = wanted.iter().flat_map(|(index, _)| self.row(usize::from(*index))).collect();
        let coefficients = matrix::multiply(&rows, &inverse, k);
        let mut outputs: Vec<&mut [u8]> = wanted.iter_mut().map(|(_, out)| &mut **out).collect();
        (self.combination)(&coefficients, k).apply(&sources, &mut outputs);
        Ok(())
    }
}
