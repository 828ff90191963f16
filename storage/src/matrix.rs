//! Matrices over GF(2⁸), as small as a stripe is wide.

use reed_solomon_erasure::galois_8::{div, mul};

/// Inverts a k × k matrix (rows one behind the other) by Gauss-Jordan elimination. `None` if it has no inverse.
pub(crate) fn invert(mut matrix: Vec<u8>, k: usize) -> Option<Vec<u8>> {
    debug_assert_eq!(matrix.len(), k * k);
    let mut inverse = vec![0u8; k * k];
    for i in 0..k {
        inverse[i * k + i] = 1;
    }
    for column in 0..k {
        let pivot = (column..k).find(|&row| matrix[row * k + column] != 0)?;
        swap_rows(&mut matrix, k, pivot, column);
        swap_rows(&mut inverse, k, pivot, column);
        let scale = div(1, matrix[column * k + column]);
        for c in 0..k {
            matrix[column * k + c] = mul(scale, matrix[column * k + c]);
            inverse[column * k + c] = mul(scale, inverse[column * k + c]);
        }
        for row in (0..k).filter(|&row| row != column) {
            let factor = matrix[row * k + column];
            if factor == 0 {
                continue;
            }
            // Addition and subtraction are both exclusive or in this field.
            for c in 0..k {
                matrix[row * k + c] ^= mul(factor, matrix[column * k + c]);
                inverse[row * k + c] ^= mul(factor, inverse[column * k + c]);
            }
        }
    }
    Some(inverse)
}

/// Multiplies rows of k numbers with a k × k matrix.
pub(crate) fn multiply(rows: &[u8], matrix: &[u8], k: usize) -> Vec<u8> {
    debug_assert_eq!(matrix.len(), k * k);
    let product = |row: &[u8], column: usize| {
        row.iter().enumerate().fold(0, |sum, (i, factor)| sum ^ mul(*factor, matrix[i * k + column]))
    };
    rows.chunks_exact(k).flat_map(|row| (0..k).map(move |column| product(row, column))).collect()
}

fn swap_rows(matrix: &mut [u8], k: usize, a: usize, b: usize) {
    if a != b {
        for c in 0..k {
            matrix.swap(a * k + c, b * k + c);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_singular_matrix_has_no_inverse() {
        assert_eq!(invert(vec![1, 2, 1, 2], 2), None);
        assert_eq!(invert(vec![0], 1), None);
    }

    #[test]
    fn a_permutation_is_inverted_by_its_transpose() {
        let permutation = vec![0, 1, 0, 0, 0, 1, 1, 0, 0];
        assert_eq!(invert(permutation, 3), Some(vec![0, 0, 1, 1, 0, 0, 0, 1, 0]));
    }
}
