//! The view of somebody who sees everything: who is a member, and who is nearest to what.

use chordage_dht::{AnyMetric, Key, Metric, NodeId, Shape};

/// The members of a network, sorted by id.
#[derive(Debug, Clone, Default)]
pub struct Census {
    members: Vec<(NodeId, u32)>,
    /// Members not sorted in yet: a network that is being built would otherwise move its tail for every one.
    new: Vec<(NodeId, u32)>,
    /// Members not taken out yet, for the same reason. Never set together with `new` for longer than a call.
    gone: Vec<NodeId>,
}

impl Census {
    /// Adds a member. Each id is added once.
    pub fn insert(&mut self, id: NodeId, node: u32) {
        if !self.gone.is_empty() {
            self.settle();
        }
        self.new.push((id, node));
    }

    /// Takes a member out. Whoever is none stays none.
    pub fn remove(&mut self, id: &NodeId) {
        self.gone.push(*id);
        if !self.new.is_empty() {
            self.settle();
        }
    }

    fn settle(&mut self) {
        // A few are moved in and out one by one; for many the whole list is gone through once.
        match self.gone.len() {
            0 => {}
            1..=8 => {
                self.join_new();
                for id in std::mem::take(&mut self.gone) {
                    if let Ok(index) = self.members.binary_search_by(|(member, _)| member.cmp(&id)) {
                        self.members.remove(index);
                    }
                }
            }
            _ => {
                self.join_new();
                let mut gone = std::mem::take(&mut self.gone);
                gone.sort_unstable();
                self.members.retain(|(id, _)| gone.binary_search(id).is_err());
            }
        }
        self.join_new();
    }

    fn join_new(&mut self) {
        match self.new.len() {
            0 => {}
            1..=8 => {
                for (id, node) in std::mem::take(&mut self.new) {
                    let index = self.members.partition_point(|(member, _)| *member < id);
                    self.members.insert(index, (id, node));
                }
            }
            _ => {
                self.members.append(&mut self.new);
                self.members.sort_unstable();
            }
        }
    }

    /// The members, sorted by id.
    pub fn members(&mut self) -> &[(NodeId, u32)] {
        self.settle();
        &self.members
    }

    /// A fixed copy to ask without changing anything.
    pub fn view(&mut self) -> View<'_> {
        View { members: self.members() }
    }

    /// How many there are.
    pub fn count(&mut self) -> usize {
        self.members().len()
    }

    /// The member nearest to a key.
    pub fn owner(&mut self, metric: AnyMetric, key: &Key) -> Option<u32> {
        self.view().nearest(metric, key, 1).first().copied()
    }
}

/// The members at one moment.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    members: &'a [(NodeId, u32)],
}

impl<'a> View<'a> {
    /// The members, sorted by id.
    pub fn members(&self) -> &'a [(NodeId, u32)] {
        self.members
    }

    /// How many members have an id below this key. Ids are hashes, so the place can be guessed, and the search begins
    /// there.
    pub fn rank(&self, key: &Key) -> usize {
        let members = self.members;
        let below = |index: usize| members[index].0.key() < key;
        let top = u64::from_be_bytes(*key.as_bytes().first_chunk().expect("a key has 32 bytes"));
        let guess = crate::chance::scale(top, members.len());
        let (mut low, mut high) = (guess, guess);
        let mut step = 16;
        while low > 0 && !below(low - 1) {
            low = low.saturating_sub(step);
            step *= 2;
        }
        step = 16;
        while high < members.len() && below(high) {
            high = (high + step).min(members.len());
            step *= 2;
        }
        low + members[low..high].partition_point(|(id, _)| id.key() < key)
    }

    /// The `count` members nearest to a key, nearest first.
    pub fn nearest(&self, metric: AnyMetric, key: &Key, count: usize) -> Vec<u32> {
        let mut found = Vec::with_capacity(count);
        self.walk(metric, key, &mut |_, node| {
            if found.len() < count {
                found.push(node);
            }
            found.len() < count
        });
        found
    }

    /// Visits the members, nearest to the key first, until `visit` returns false.
    pub fn walk(&self, metric: AnyMetric, key: &Key, visit: &mut dyn FnMut(&NodeId, u32) -> bool) {
        match metric.shape() {
            Shape::Circle => self.walk_circle(metric, key, visit),
            Shape::Tree => {
                walk_tree(self.members, key, visit);
            }
        }
    }

    fn walk_circle(&self, metric: AnyMetric, key: &Key, visit: &mut dyn FnMut(&NodeId, u32) -> bool) {
        let count = self.members.len();
        if count == 0 {
            return;
        }
        let (mut up, mut down) = (self.rank(key), self.rank(key) + count - 1);
        for _ in 0..count {
            let (a, b) = (&self.members[down % count], &self.members[up % count]);
            let nearer = if metric.closer(key, &a.0, &b.0).is_lt() {
                down -= 1;
                a
            } else {
                up += 1;
                b
            };
            if !visit(&nearer.0, nearer.1) {
                return;
            }
        }
    }

    /// The leaf set the member at this index ought to have: its neighbours in the order of their offset from it.
    pub fn leaf_set(&self, metric: AnyMetric, index: usize, size: usize) -> Vec<u32> {
        let count = self.members.len();
        let me = self.members[index].0;
        match metric.shape() {
            Shape::Circle if count > size => {
                let up = (1..=size / 2).map(|step| index + step);
                let down = (1..=size / 2).rev().map(|step| index + count - step);
                up.chain(down).map(|place| self.members[place % count].1).collect()
            }
            Shape::Circle => (1..count).map(|step| self.members[(index + step) % count].1).collect(),
            Shape::Tree => {
                let mut leaves = self.nearest(metric, me.key(), size + 1);
                leaves.remove(0);
                leaves
            }
        }
    }
}

/// Bits that both begin with.
fn common_bits(a: &[u8; 32], b: &[u8; 32]) -> usize {
    match a.iter().zip(b).position(|(a, b)| a != b) {
        Some(byte) => 8 * byte + (a[byte] ^ b[byte]).leading_zeros() as usize,
        None => 256,
    }
}

fn bit(key: &[u8; 32], bit: usize) -> bool {
    key[bit / 8] >> (7 - bit % 8) & 1 == 1
}

/// Sorted ids spell a binary tree; the half that agrees with the key is nearer. Returns whether to go on.
fn walk_tree(members: &[(NodeId, u32)], key: &Key, visit: &mut dyn FnMut(&NodeId, u32) -> bool) -> bool {
    match members {
        [] => true,
        [(id, node)] => visit(id, *node),
        [first, .., last] => {
            let at = common_bits(first.0.as_bytes(), last.0.as_bytes());
            let (zeros, ones) = members.split_at(members.partition_point(|(id, _)| !bit(id.as_bytes(), at)));
            let (near, far) = if bit(key.as_bytes(), at) { (ones, zeros) } else { (zeros, ones) };
            walk_tree(near, key, visit) && walk_tree(far, key, visit)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(number: u64) -> NodeId {
        NodeId::from_public_key(&{
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&number.to_be_bytes());
            bytes
        })
    }

    proptest! {
        #[test]
        fn the_nearest_are_those_that_sorting_everybody_finds(
            seed in any::<u64>(), count in 1usize..200, key in any::<[u8; 32]>(), removed in 0usize..20
        ) {
            let key = Key::from_bytes(key);
            let mut census = Census::default();
            for number in 0..count {
                census.insert(id(seed.wrapping_add(number as u64)), number as u32);
                if number % 7 == 0 {
                    census.members();
                }
            }
            for number in 0..removed.min(count - 1) {
                census.remove(&id(seed.wrapping_add(number as u64)));
            }
            for metric in [AnyMetric::Ring, AnyMetric::Xor, AnyMetric::Classic] {
                let mut all = census.members().to_vec();
                prop_assert!(all.is_sorted());
                all.sort_by(|a, b| metric.closer(&key, &a.0, &b.0));
                let all: Vec<u32> = all.into_iter().map(|(_, node)| node).collect();
                prop_assert_eq!(census.view().nearest(metric, &key, count), all);
            }
        }
    }
}
