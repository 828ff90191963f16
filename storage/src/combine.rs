//! Linear combinations of shards over GF(2⁸), which is all that erasure coding is.
//!
//! There are two kernels, and which one runs is decided when the program does:
//!
//! - The vector kernel of `reed-solomon-erasure`, in C. On x86-64 that crate compiles it for Haswell without
//!   looking whether the CPU is one, so here it is only called after looking. On AArch64 every CPU has what it
//!   needs.
//! - Elsewhere, exclusive or of *planes*. Multiplying by a constant c is linear over the bits of c: c·x = Σ x·2ʲ
//!   over those j where bit j of c is set. So for each input the eight planes x·2ʲ are made once, by seven
//!   doublings, and each output is the exclusive or of some of them, about 4k for k inputs. (The view of the field
//!   as bit matrices is that of Blömer et al., "An XOR-Based Erasure-Resilient Coding Scheme", ICSI TR-95-048,
//!   1995.) There is no table to look up and no special instruction: plain loops over bytes, which the compiler
//!   turns into whatever vector instructions every CPU of the target has.
//!
//! `docs/decisions/0001-reed-solomon.md` has the measurements.

use reed_solomon_erasure::galois_8;

/// Bytes of each input taken at a time by the plane kernel. With 16 inputs all planes fit into 32 KiB, the smallest
/// first-level cache in use.
const PLANE_LEN: usize = 256;
/// Planes combined in one pass over an output.
const PASS: usize = 4;
/// The field's polynomial without its leading term: x⁸ = x⁴ + x³ + x² + 1.
const REDUCE: u8 = 0x1d;
/// Bytes of each input taken at a time by the vector kernel, so that they stay in the second-level cache.
const BLOCK_LEN: usize = 64 << 10;

type Plane = [u8; PLANE_LEN];

/// A matrix of coefficients: how each output is made of the inputs.
pub(crate) struct Combination {
    inputs: usize,
    kernel: Kernel,
}

enum Kernel {
    /// Rows of coefficients, one behind the other.
    Vector(Vec<u8>),
    /// For each output, numbers of planes: 8 · input + bit.
    Planes(Vec<Vec<u16>>),
}

impl Combination {
    /// Rows of `inputs` coefficients each, at most 128, one behind the other.
    pub(crate) fn new(coefficients: &[u8], inputs: usize) -> Self {
        if has_vector_kernel() {
            Self { inputs, kernel: Kernel::Vector(coefficients.to_vec()) }
        } else {
            Self::portable(coefficients, inputs)
        }
    }

    /// The same with the plane kernel.
    pub(crate) fn portable(coefficients: &[u8], inputs: usize) -> Self {
        let planes = |row: &[u8]| {
            let bits = row.iter().zip(0u16..).flat_map(|(&coefficient, input)| {
                (0..8u16).filter(move |bit| coefficient >> bit & 1 == 1).map(move |bit| 8 * input + bit)
            });
            bits.collect()
        };
        Self { inputs, kernel: Kernel::Planes(coefficients.chunks_exact(inputs).map(planes).collect()) }
    }

    /// Computes all outputs. Inputs and outputs are as many as the matrix says and all of one length.
    pub(crate) fn apply(&self, inputs: &[&[u8]], outputs: &mut [&mut [u8]]) {
        debug_assert_eq!(inputs.len(), self.inputs);
        match &self.kernel {
            Kernel::Vector(coefficients) => apply_vector(coefficients, inputs, outputs),
            Kernel::Planes(numbers) => apply_planes(numbers, inputs, outputs),
        }
    }
}

/// Whether the crate has a vector kernel for this target, and this CPU all that it was compiled for. The
/// conditions on the target are those of the crate's build script.
fn has_vector_kernel() -> bool {
    let built = cfg!(not(any(target_env = "msvc", target_os = "android", target_os = "ios")));
    built && cpu_is_good_enough()
}

/// What `-march=haswell` lets a C compiler use beyond the x86-64 baseline.
#[cfg(target_arch = "x86_64")]
fn cpu_is_good_enough() -> bool {
    use std::arch::is_x86_feature_detected as has;
    has!("avx2")
        && has!("fma")
        && has!("bmi1")
        && has!("bmi2")
        && has!("lzcnt")
        && has!("movbe")
        && has!("f16c")
        && has!("popcnt")
        && has!("pclmulqdq")
        && has!("rdrand")
}

#[cfg(not(target_arch = "x86_64"))]
fn cpu_is_good_enough() -> bool {
    cfg!(target_arch = "aarch64")
}

fn apply_vector(coefficients: &[u8], inputs: &[&[u8]], outputs: &mut [&mut [u8]]) {
    let len = outputs.first().map_or(0, |output| output.len());
    for start in (0..len).step_by(BLOCK_LEN) {
        let end = len.min(start + BLOCK_LEN);
        for (row, output) in coefficients.chunks_exact(inputs.len()).zip(&mut *outputs) {
            let output = &mut output[start..end];
            for (i, (coefficient, input)) in row.iter().zip(inputs).enumerate() {
                if i == 0 {
                    galois_8::mul_slice(*coefficient, &input[start..end], output);
                } else {
                    galois_8::mul_slice_xor(*coefficient, &input[start..end], output);
                }
            }
        }
    }
}

fn apply_planes(numbers: &[Vec<u16>], inputs: &[&[u8]], outputs: &mut [&mut [u8]]) {
    let len = outputs.first().map_or(0, |output| output.len());
    let mut planes: Vec<Plane> = vec![[0; PLANE_LEN]; 8 * inputs.len()];
    for start in (0..len).step_by(PLANE_LEN) {
        let end = len.min(start + PLANE_LEN);
        for (input, planes) in inputs.iter().zip(planes.as_chunks_mut::<8>().0) {
            // Behind the end of the shards stands what was there before; it comes out where nobody looks.
            planes[0][..end - start].copy_from_slice(&input[start..end]);
            for bit in 1..8 {
                planes[bit] = doubled(&planes[bit - 1]);
            }
        }
        for (output, numbers) in outputs.iter_mut().zip(numbers) {
            let sum = sum(&planes, numbers);
            output[start..end].copy_from_slice(&sum[..end - start]);
        }
    }
}

fn doubled(plane: &Plane) -> Plane {
    plane.map(|byte| (byte << 1) ^ if byte & 0x80 == 0 { 0 } else { REDUCE })
}

fn sum(planes: &[Plane], numbers: &[u16]) -> Plane {
    let mut sum = [0u8; PLANE_LEN];
    let (passes, rest) = numbers.as_chunks::<PASS>();
    for pass in passes {
        let [a, b, c, d] = pass.map(|number| &planes[usize::from(number)]);
        for i in 0..PLANE_LEN {
            sum[i] ^= a[i] ^ b[i] ^ c[i] ^ d[i];
        }
    }
    for number in rest {
        let plane = &planes[usize::from(*number)];
        for i in 0..PLANE_LEN {
            sum[i] ^= plane[i];
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_the_arithmetic_of_the_field(
            (inputs, coefficients, data, len) in (1usize..20, 1usize..6, 1usize..700).prop_flat_map(|(k, m, len)| (
                Just(k),
                prop::collection::vec(any::<u8>(), k * m),
                prop::collection::vec(any::<u8>(), k * len),
                Just(len),
            )),
        ) {
            let shards: Vec<&[u8]> = data.chunks_exact(len).collect();
            let portable = Combination::portable(&coefficients, inputs);
            for combination in [portable, Combination::new(&coefficients, inputs)] {
                let mut out = vec![0u8; coefficients.len() / inputs * len];
                let mut outputs: Vec<&mut [u8]> = out.chunks_exact_mut(len).collect();
                combination.apply(&shards, &mut outputs);
                for (row, output) in coefficients.chunks_exact(inputs).zip(out.chunks_exact(len)) {
                    for (at, byte) in output.iter().enumerate() {
                        let products = row.iter().zip(&shards).map(|(c, shard)| galois_8::mul(*c, shard[at]));
                        prop_assert_eq!(*byte, products.fold(0, |sum, product| sum ^ product));
                    }
                }
            }
        }
    }
}
