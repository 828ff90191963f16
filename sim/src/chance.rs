//! Random draws that come out the same on every machine, in every build.
//!
//! The generator is named (ChaCha with 8 rounds), so a seed in a bug report still works next year. Logarithms are
//! computed here with additions, multiplications and divisions only: the C library's differ in the last bit from one
//! system to the next, and one bit is enough to make two runs part.

use std::time::Duration;

use rand_chacha::rand_core::{Rng, SeedableRng};

/// The generator of a world.
pub type WorldRng = rand_chacha::ChaCha8Rng;

/// The generator for a seed and a purpose, so that drawing more for one purpose leaves the others alone.
pub fn generator(seed: u64, purpose: u64) -> WorldRng {
    WorldRng::seed_from_u64(mix(seed ^ mix(purpose)))
}

/// A bijection of 64-bit numbers that looks random (the finaliser of SplitMix64, Steele et al. 2014).
pub fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A whole number from 0 to `bound - 1`. A bound of 0 counts as 1. The bias is below bound / 2^64.
pub fn below(rng: &mut impl Rng, bound: usize) -> usize {
    scale(rng.next_u64(), bound)
}

/// Maps 64 random bits to a whole number from 0 to `bound - 1`.
pub fn scale(bits: u64, bound: usize) -> usize {
    ((u128::from(bits) * (bound.max(1) as u128)) >> 64) as usize
}

/// A number from 0 (included) to 1 (excluded).
pub fn unit(rng: &mut impl Rng) -> f64 {
    unit_of(rng.next_u64())
}

/// Maps 64 random bits to a number from 0 to 1 (excluded).
pub fn unit_of(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

/// Whether something of this probability happens.
pub fn happens(rng: &mut impl Rng, probability: f64) -> bool {
    probability > 0.0 && unit(rng) < probability
}

/// A standard exponential draw (mean 1) from 64 random bits.
pub fn exponential_of(bits: u64) -> f64 {
    -ln(1.0 - unit_of(bits))
}

/// An exponentially distributed time.
pub fn exponential(rng: &mut impl Rng, mean: Duration) -> Duration {
    mean.mul_f64(exponential_of(rng.next_u64()))
}

/// Natural logarithm of a positive, normal number; accurate to about 1e-15.
pub fn ln(x: f64) -> f64 {
    let bits = x.to_bits();
    let mut exponent = (bits >> 52) as i64 - 1023;
    let mut mantissa = f64::from_bits((bits & ((1 << 52) - 1)) | (1023 << 52));
    if mantissa > std::f64::consts::SQRT_2 {
        mantissa /= 2.0;
        exponent += 1;
    }
    // ln m = 2 artanh((m - 1) / (m + 1)), and |s| < 0.172.
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let square = s * s;
    let series = (0..10).rev().fold(0.0, |sum, i| sum * square + 1.0 / f64::from(2 * i + 1));
    2.0 * s * series + exponent as f64 * std::f64::consts::LN_2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithms_agree_with_the_systems() {
        for x in [1e-16, 0.1, 0.5, 0.999, 1.0, 1.5, 2.0, 10.0, 1e9] {
            assert!((ln(x) - f64::ln(x)).abs() < 1e-13 * (1.0 + f64::ln(x).abs()), "ln {x}");
        }
    }

    #[test]
    fn exponential_draws_have_their_mean_and_median() {
        let mut rng = generator(1, 0);
        let mut draws: Vec<f64> = (0..20_001).map(|_| exponential_of(rng.next_u64())).collect();
        draws.sort_by(f64::total_cmp);
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        assert!((mean - 1.0).abs() < 0.03, "mean {mean}");
        assert!((draws[10_000] - std::f64::consts::LN_2).abs() < 0.03, "median {}", draws[10_000]);
    }

    #[test]
    fn a_generator_is_what_it_was_last_year() {
        assert_eq!(generator(42, 7).next_u64(), GOLDEN, "a seed means another run now");
    }

    const GOLDEN: u64 = 1_088_674_291_094_820_791;
}
