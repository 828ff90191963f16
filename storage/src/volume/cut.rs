//! Where a sequence of keys is cut into nodes.
//!
//! A cut depends on the keys since the cut before it only, so that after a change the next nodes soon begin at the same
//! keys as before; and not on values, so that changing one never moves a cut (unless a node is as long as any may be).

/// A node is not cut before it has so many keys, unless nothing follows.
const MIN_KEYS: usize = 64;
/// From there on it is cut behind one key in this many on average.
const MEAN_EXTRA: u64 = 192;
/// It is cut at so many keys in any case …
pub(super) const MAX_KEYS: usize = 2048;
/// … and at so many bytes.
pub(super) const MAX_NODE_LEN: usize = 2 << 20;

/// Decides behind which keys of one level nodes end.
#[derive(Clone, Debug)]
pub(super) struct Cutter {
    level: u8,
    keys: usize,
    bytes: usize,
}

impl Cutter {
    pub(super) fn new(level: u8) -> Self {
        Self { level, keys: 0, bytes: 0 }
    }

    /// Takes the next key, whose item has so many bytes; returns whether its node ends behind it.
    pub(super) fn ends_behind(&mut self, key: &[u8], item_bytes: usize) -> bool {
        self.keys += 1;
        self.bytes += item_bytes;
        let full = self.keys >= MAX_KEYS || self.bytes >= MAX_NODE_LEN;
        let ends = full || (self.keys >= MIN_KEYS && draw(self.level, key) < u64::MAX / MEAN_EXTRA);
        if ends {
            self.keys = 0;
            self.bytes = 0;
        }
        ends
    }
}

fn draw(level: u8, key: &[u8]) -> u64 {
    let mut hasher = blake3::Hasher::new_derive_key("chordage v1 volume cut");
    let hash = hasher.update(&[level]).update(key).finalize();
    let [a, b, c, d, e, f, g, h, ..] = *hash.as_bytes();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_have_256_keys_on_average_and_never_more_than_2048() {
        let mut cutter = Cutter::new(0);
        let mut lens = vec![0];
        for number in 0..200_000u32 {
            *lens.last_mut().unwrap() += 1;
            if cutter.ends_behind(&number.to_be_bytes(), 100) {
                lens.push(0);
            }
        }
        let (min, max) = (lens[..lens.len() - 1].iter().min(), lens.iter().max());
        assert!(min >= Some(&MIN_KEYS) && max <= Some(&MAX_KEYS), "{min:?} {max:?}");
        assert!((230..290).contains(&(200_000 / lens.len())), "{} nodes", lens.len());
    }

    #[test]
    fn a_node_ends_at_its_last_key_if_none_before_ends_it() {
        let keys = (0..100_000u32).map(u32::to_be_bytes).filter(|key| draw(0, key) >= u64::MAX / MEAN_EXTRA);
        let mut cutter = Cutter::new(0);
        let cuts = keys.enumerate().filter(|(_, key)| cutter.ends_behind(key, 10)).map(|(at, _)| at);
        assert_eq!(cuts.take(3).collect::<Vec<_>>(), [MAX_KEYS - 1, 2 * MAX_KEYS - 1, 3 * MAX_KEYS - 1]);
    }

    #[test]
    fn a_node_ends_at_its_longest() {
        let mut cutter = Cutter::new(0);
        assert!(!cutter.ends_behind(b"a", MAX_NODE_LEN - 1));
        assert!(cutter.ends_behind(b"b", 1));
        assert!(!cutter.ends_behind(b"c", MAX_NODE_LEN - 1));
    }

    #[test]
    fn levels_are_cut_elsewhere() {
        let cuts = |level| {
            let mut cutter = Cutter::new(level);
            (0..5000u32).filter(|number| cutter.ends_behind(&number.to_be_bytes(), 1)).collect::<Vec<_>>()
        };
        assert_ne!(cuts(0), cuts(1));
    }
}
