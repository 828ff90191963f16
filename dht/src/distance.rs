//! Unsigned 256-bit distances between positions.

use core::fmt;

/// How far two positions are apart, by some [`Metric`](crate::Metric): a 256-bit integer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Distance(pub(crate) [u64; 4]);

impl Distance {
    /// No distance at all.
    pub const ZERO: Self = Self([0; 4]);
    /// The largest distance, 2^256 - 1.
    pub const MAX: Self = Self([u64::MAX; 4]);

    /// Position of the highest set bit, counted from 1; 0 for the distance zero, at most 256.
    #[inline]
    pub fn bits(&self) -> u32 {
        for (i, limb) in self.0.iter().enumerate() {
            if *limb != 0 {
                return 256 - 64 * i as u32 - limb.leading_zeros();
            }
        }
        0
    }

    /// The distance as a fraction of the whole space, in 0..1.
    pub fn fraction(&self) -> f64 {
        // 2^-64 for each limb further down; f64 keeps 53 bits of it, which is plenty for an estimate.
        const LIMB: f64 = 1.0 / 18_446_744_073_709_551_616.0;
        self.0.iter().rev().fold(0.0, |low, limb| (low + *limb as f64) * LIMB)
    }

    /// The value of `count` (at most 8) bits from bit `shift` upwards.
    #[inline]
    pub(crate) fn digit(&self, shift: u32, count: u32) -> u8 {
        let mut value = 0;
        for bit in (shift..(shift + count).min(256)).rev() {
            value = value << 1 | self.bit(bit) as u8;
        }
        value
    }

    #[inline]
    pub(crate) fn bit(&self, bit: u32) -> bool {
        self.0[3 - (bit / 64) as usize] >> (bit % 64) & 1 == 1
    }

    /// All bits from `bits` upwards cleared.
    pub(crate) fn low_bits(self, bits: u32) -> Self {
        let mut limbs = self.0;
        for (i, limb) in limbs.iter_mut().enumerate() {
            let keep = bits.saturating_sub(64 * (3 - i as u32));
            if keep < 64 {
                *limb &= (1 << keep) - 1;
            }
        }
        Self(limbs)
    }

    /// A small number shifted to the left.
    pub(crate) fn shifted(value: u8, shift: u32) -> Self {
        let mut limbs = [0; 4];
        for bit in 0..8 {
            let to = shift + bit;
            if value >> bit & 1 == 1 && to < 256 {
                limbs[3 - (to / 64) as usize] |= 1 << (to % 64);
            }
        }
        Self(limbs)
    }

    /// The sum, or the largest distance if that is less.
    pub(crate) fn saturating_add(self, other: Self) -> Self {
        let sum = self.wrapping_add(other);
        if sum < self { Self::MAX } else { sum }
    }

    #[inline]
    pub(crate) fn wrapping_add(self, other: Self) -> Self {
        let mut sum = [0; 4];
        let mut carry = false;
        for i in (0..4).rev() {
            let (partial, a) = self.0[i].overflowing_add(other.0[i]);
            let (full, b) = partial.overflowing_add(u64::from(carry));
            sum[i] = full;
            carry = a | b;
        }
        Self(sum)
    }

    #[inline]
    pub(crate) fn wrapping_sub(self, other: Self) -> Self {
        let mut difference = [0; 4];
        let mut borrow = false;
        for i in (0..4).rev() {
            let (partial, a) = self.0[i].overflowing_sub(other.0[i]);
            let (full, b) = partial.overflowing_sub(u64::from(borrow));
            difference[i] = full;
            borrow = a | b;
        }
        Self(difference)
    }

    #[inline]
    pub(crate) fn xor(self, other: Self) -> Self {
        Self(core::array::from_fn(|i| self.0[i] ^ other.0[i]))
    }

    #[inline]
    pub(crate) fn or(self, other: Self) -> Self {
        Self(core::array::from_fn(|i| self.0[i] | other.0[i]))
    }
}

impl fmt::Debug for Distance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Distance({:016x}..., {} bits)", self.0[0], self.bits())
    }
}
