//! Proofs that a shard is there: any of its leaves, with what the BLAKE3 tree needs to come from the leaf to the
//! shard's hash.
//!
//! Whoever knows the hash can check the answer without having the shard, and whoever does not have the shard cannot
//! answer for a leaf that is chosen at random. A proof of a shard of 512 KiB is 1.3 KB. It does not show that the
//! answer came from that node's own disk.

use blake3::hazmat::{HasherExt, Mode, left_subtree_len, merge_subtrees_non_root, merge_subtrees_root};

use crate::ids::ShardHash;

/// Bytes of a leaf; only the last one of a shard may be shorter. What BLAKE3 calls a chunk.
pub const LEAF_LEN: usize = blake3::CHUNK_LEN;
/// Bytes of a hash inside the tree.
const NODE_LEN: usize = blake3::OUT_LEN;

/// Leaves of a shard of so many bytes.
pub fn leaves(shard_len: usize) -> u32 {
    u32::try_from(shard_len.div_ceil(LEAF_LEN)).unwrap_or(u32::MAX).max(1)
}

/// The proof for one leaf of a shard: the leaf, then the hashes beside the way up from it, the lowest first. `None` if
/// the shard has no such leaf.
pub fn prove(shard: &[u8], leaf: u32) -> Option<Vec<u8>> {
    let at = usize::try_from(leaf).ok()?.checked_mul(LEAF_LEN)?;
    if leaf >= leaves(shard.len()) {
        return None;
    }
    let bytes = &shard[at..shard.len().min(at + LEAF_LEN)];
    let mut proof = bytes.to_vec();
    for step in way_up(shard.len(), at) {
        proof.extend(node_of(&shard[step.beside.clone()], step.beside.start));
    }
    Some(proof)
}

/// Whether `proof` shows that whoever made it had leaf `leaf` of the shard with this hash and length.
pub fn verify(hash: &ShardHash, shard_len: usize, leaf: u32, proof: &[u8]) -> bool {
    let Some(at) = usize::try_from(leaf).ok().and_then(|leaf| leaf.checked_mul(LEAF_LEN)) else {
        return false;
    };
    if leaf >= leaves(shard_len) {
        return false;
    }
    let leaf_len = LEAF_LEN.min(shard_len - at);
    let steps = way_up(shard_len, at);
    if proof.len() != leaf_len + NODE_LEN * steps.len() {
        return false;
    }
    let (bytes, nodes) = proof.split_at(leaf_len);
    let Some((last, lower)) = steps.split_last() else { return ShardHash::of(bytes) == *hash };
    let mut nodes = nodes.as_chunks::<NODE_LEN>().0.iter();
    let mut node = node_of(bytes, at);
    for step in lower {
        let Some(beside) = nodes.next() else { return false };
        let (left, right) = step.in_order(&node, beside);
        node = merge_subtrees_non_root(left, right, Mode::Hash);
    }
    let Some(beside) = nodes.next() else { return false };
    let (left, right) = last.in_order(&node, beside);
    *merge_subtrees_root(left, right, Mode::Hash).as_bytes() == hash.0
}

/// One step from a leaf towards the root.
struct Step {
    /// The bytes under the node beside the way.
    beside: std::ops::Range<usize>,
    /// Whether that node is the right one of the two.
    beside_is_right: bool,
}

impl Step {
    fn in_order<'a>(
        &self,
        node: &'a [u8; NODE_LEN],
        beside: &'a [u8; NODE_LEN],
    ) -> (&'a [u8; NODE_LEN], &'a [u8; NODE_LEN]) {
        if self.beside_is_right { (node, beside) } else { (beside, node) }
    }
}

/// The steps from the leaf that begins `at` to the root of a tree over `len` bytes, the lowest first.
fn way_up(len: usize, at: usize) -> Vec<Step> {
    let (mut start, mut end) = (0, len);
    let mut steps = Vec::new();
    while end - start > LEAF_LEN {
        // It is less than its argument, so that it fits.
        let middle = start + left_subtree_len((end - start) as u64) as usize;
        let beside_is_right = at < middle;
        steps.push(Step {
            beside: if beside_is_right { middle..end } else { start..middle },
            beside_is_right,
        });
        if beside_is_right {
            end = middle;
        } else {
            start = middle;
        }
    }
    steps.reverse();
    steps
}

/// The hash of a subtree that is not the whole tree.
fn node_of(bytes: &[u8], at: usize) -> [u8; NODE_LEN] {
    let mut hasher = blake3::Hasher::new();
    hasher.set_input_offset(at as u64);
    hasher.update(bytes);
    hasher.finalize_non_root()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shard(len: usize) -> Vec<u8> {
        (0..len).map(|i| (i * 31 % 251) as u8).collect()
    }

    proptest! {
        #[test]
        fn every_leaf_can_be_proved_and_nothing_else_passes(
            len in 1usize..40_000, leaf in any::<prop::sample::Index>(), flip in any::<prop::sample::Index>(),
            other in any::<u32>(),
        ) {
            let shard = shard(len);
            let hash = ShardHash::of(&shard);
            let leaf = leaf.index(leaves(len) as usize) as u32;
            let proof = prove(&shard, leaf).unwrap();
            prop_assert!(verify(&hash, len, leaf, &proof));
            // For another leaf it proves nothing, unless that one has the same bytes and neighbours.
            let other = other % (leaves(len) + 2);
            if other != leaf {
                prop_assert!(!verify(&hash, len, other, &proof));
            }
            let mut damaged = proof.clone();
            let at = flip.index(damaged.len());
            damaged[at] ^= 1;
            prop_assert!(!verify(&hash, len, leaf, &damaged));
            prop_assert!(!verify(&hash, len, leaf, &proof[1..]));
        }

        #[test]
        fn any_bytes_are_refused(len in 1usize..5000, leaf in any::<u32>(), proof in prop::collection::vec(any::<u8>(), 0..3000)) {
            prop_assert!(!verify(&ShardHash([7; 32]), len, leaf, &proof));
        }
    }

    #[test]
    fn a_proof_with_bytes_behind_it_is_refused() {
        for len in [100, LEAF_LEN, 5000] {
            let shard = shard(len);
            let proof = prove(&shard, 0).unwrap();
            for more in [1, NODE_LEN, LEAF_LEN] {
                let longer = [&proof[..], &vec![0; more]].concat();
                assert!(
                    !verify(&ShardHash::of(&shard), len, 0, &longer),
                    "{more} bytes behind that of {len}"
                );
            }
        }
    }

    #[test]
    fn a_leaf_beyond_the_end_cannot_be_proved() {
        assert_eq!(prove(&shard(2048), 2), None);
        assert_eq!(prove(&shard(2049), 2).map(|proof| proof.len()), Some(1 + 32));
        assert_eq!((leaves(0), leaves(1), leaves(1024), leaves(1025)), (1, 1, 1, 2));
    }
}
