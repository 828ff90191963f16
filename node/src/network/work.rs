//! What an open network asks of a daemon's key before the daemon is somebody: work.
//!
//! A hash of the public key, with a domain of its own, has to begin with so many zero bits. Nobody knows such a key but
//! by trying, and everybody checks it with one hash. The domain is another than that of ids, so that the work says
//! nothing about where on the ring a key lies, and a place of one's choice costs as many tries as before, each with the
//! whole work.

/// Domain of the hash (BLAKE3 `derive_key`).
const CONTEXT: &str = "chordage 2026 work on an id";

/// How much work a key has to show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct IdWork {
    bits: u8,
}

impl IdWork {
    /// So many zero bits; 0 asks for nothing.
    pub(crate) fn of(bits: u8) -> Self {
        Self { bits }
    }

    /// How many zero bits the hash begins with, at least.
    pub(crate) fn bits(self) -> u8 {
        self.bits
    }

    /// Of how many keys one will do.
    pub(crate) fn tries(self) -> u64 {
        1_u64.checked_shl(self.bits.into()).unwrap_or(u64::MAX)
    }

    /// Whether this public key shows the work.
    pub(crate) fn is_shown_by(self, public_key: &[u8; 32]) -> bool {
        self.bits == 0 || zero_bits(&blake3::derive_key(CONTEXT, public_key)) >= u32::from(self.bits)
    }
}

/// How many zero bits stand at the beginning.
fn zero_bits(hash: &[u8; 32]) -> u32 {
    let zero_bytes = hash.iter().take_while(|byte| **byte == 0).count();
    let next = hash.get(zero_bytes).map_or(0, |byte| byte.leading_zeros());
    8 * zero_bytes as u32 + next
}

#[cfg(test)]
mod tests {
    use super::super::samples::key;
    use super::*;

    #[test]
    fn zero_bits_are_counted_from_the_beginning() {
        let begins = |bytes: &[u8]| {
            let mut hash = [0xff; 32];
            hash[..bytes.len()].copy_from_slice(bytes);
            zero_bits(&hash)
        };
        assert_eq!(begins(&[0x80]), 0);
        assert_eq!(begins(&[0x7f]), 1);
        assert_eq!(begins(&[0x01, 0]), 7);
        assert_eq!(begins(&[0, 0x1f]), 11);
        assert_eq!(begins(&[0, 0, 0, 0xff]), 24);
        assert_eq!(zero_bits(&[0; 32]), 256);
    }

    #[test]
    fn a_key_shows_as_much_work_as_its_hash_has_zero_bits_and_no_more() {
        for seed in 0..64 {
            let key = key(seed);
            let shown = (0..=32).take_while(|bits| IdWork::of(*bits).is_shown_by(&key)).count();
            let has = zero_bits(&blake3::derive_key("chordage 2026 work on an id", &key));
            assert_eq!(shown as u32, has + 1, "{seed}: no work, and each bit up to {has}");
        }
    }

    #[test]
    fn half_of_all_keys_lack_each_bit() {
        let keys: Vec<[u8; 32]> = (0..=255).map(key).collect();
        let count = |bits| keys.iter().filter(|key| IdWork::of(bits).is_shown_by(key)).count();
        assert_eq!(count(0), 256);
        assert!((96..160).contains(&count(1)) && (8..26).contains(&count(4)), "{} {}", count(1), count(4));
    }
}
