//! The chunks of the object that is being written, in the order of its table: packs of its own, and older chunks
//! in which pieces of it were found.

use std::collections::HashMap;

use crate::catalog::KnownChunk;
use crate::chunk::ChunkRef;

/// What an older chunk counts at least, so that many small ones are bounded too: the length packs have on average.
const CHUNK_COST_MIN: u64 = 2 << 20;
/// Older chunks may cost this many times the bytes of the object so far …
const COST_FACTOR: u64 = 2;
/// … and so much more, or small objects could never use any.
const COST_FREE: u64 = 8 << 20;

/// Numbers chunks, and bounds how scattered the object gets.
///
/// Reading a piece means fetching its whole chunk. An object whose pieces lie one here, one there in the chunks of
/// many older ones would be slow to read, although it was quick to write. So older chunks may add up to no more
/// than twice the object's own bytes and 8 MiB, each counting as 2 MiB at least: reading the whole object then
/// touches at most twice as many chunks, and twice as many bytes, as it would have on its own, and four chunks
/// more. What exceeds that is packed again (Lillibridge et al., "Improving Restore Speed for Backup Systems that
/// Use Inline Chunk-Based Deduplication", FAST 2013, bound the same thing by the segment).
#[derive(Default)]
pub(crate) struct Table {
    slots: Vec<Slot>,
    packs: u32,
    /// Numbers in the catalog to numbers in the table. A lookup table only: its order is never used.
    known: HashMap<u64, u32>,
    /// Bytes of the object so far.
    bytes: u64,
    /// What its older chunks cost.
    cost: u64,
}

enum Slot {
    /// The pack of this number.
    Pack(u32),
    Known(ChunkRef),
}

impl Table {
    pub(crate) fn len(&self) -> u32 {
        self.slots.len() as u32 // bounded by the length of a manifest
    }

    /// The object got so much longer.
    pub(crate) fn grow(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    /// A number for a pack that is begun. Packs end in the order in which they were begun.
    pub(crate) fn add_pack(&mut self) -> u32 {
        self.slots.push(Slot::Pack(self.packs));
        self.packs += 1;
        self.len() - 1
    }

    /// Whether the object may refer to this chunk.
    pub(crate) fn admits(&self, chunk: &KnownChunk) -> bool {
        let limit = self.bytes.saturating_mul(COST_FACTOR).saturating_add(COST_FREE);
        self.known.contains_key(&chunk.number) || self.cost + cost(chunk) <= limit
    }

    /// The number of an older chunk, and whether the object refers to it for the first time.
    pub(crate) fn refer(&mut self, chunk: &KnownChunk) -> (u32, bool) {
        if let Some(number) = self.known.get(&chunk.number) {
            return (*number, false);
        }
        self.cost += cost(chunk);
        self.slots.push(Slot::Known(chunk.reference));
        let number = self.len() - 1;
        self.known.insert(chunk.number, number);
        (number, true)
    }

    /// The reference of the chunk of this number, if it is known: of one of the packs, `pack` knows it.
    pub(crate) fn reference(
        &self,
        number: u32,
        pack: impl FnOnce(u32) -> Option<ChunkRef>,
    ) -> Option<ChunkRef> {
        match self.slots.get(number as usize)? {
            Slot::Pack(number) => pack(*number),
            Slot::Known(reference) => Some(*reference),
        }
    }
}

fn cost(chunk: &KnownChunk) -> u64 {
    u64::from(chunk.reference.plain_len).max(CHUNK_COST_MIN)
}

/// Judges a set of files that are to be taken over whole, before anything of the object is written: by the same
/// rule by which an object is written: older chunks add up to twice its bytes and 8 MiB at most.
#[derive(Default)]
pub struct Scatter(Table);

impl Scatter {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether a file of so many bytes in these chunks keeps within the bound. Only then it is counted.
    pub fn admits<'a>(&mut self, size: u64, chunks: impl Iterator<Item = &'a KnownChunk> + Clone) -> bool {
        let mut new: Vec<&KnownChunk> =
            chunks.filter(|chunk| !self.0.known.contains_key(&chunk.number)).collect();
        new.sort_unstable_by_key(|chunk| chunk.number);
        new.dedup_by_key(|chunk| chunk.number);
        let cost = new.iter().fold(self.0.cost, |sum, chunk| sum + cost(chunk));
        let limit = (self.0.bytes + size).saturating_mul(COST_FACTOR).saturating_add(COST_FREE);
        if cost > limit {
            return false;
        }
        self.0.grow(size);
        for chunk in new {
            self.0.refer(chunk);
        }
        true
    }
}

impl std::fmt::Debug for Scatter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scatter").field("bytes", &self.0.bytes).field("cost", &self.0.cost).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{ChunkId, ChunkKey};

    fn chunk(number: u64, plain_len: u32) -> KnownChunk {
        let reference =
            ChunkRef { id: ChunkId([number as u8; 32]), key: ChunkKey([0; 32]), plain_len, redundancy: None };
        KnownChunk { number, reference, sealed_len: plain_len }
    }

    #[test]
    fn older_chunks_are_bounded_by_the_bytes_of_the_object() {
        let mut table = Table::default();
        let mut taken = 0;
        for number in 0..1000 {
            table.grow(100 << 10);
            let chunk = chunk(number, 2 << 20);
            if table.admits(&chunk) {
                assert_eq!(table.refer(&chunk), (taken, true));
                taken += 1;
            }
        }
        // 100 MiB need 50 chunks of their own.
        assert!((90..=104).contains(&taken), "{taken}");
        assert_eq!(table.refer(&chunk(0, 2 << 20)), (0, false));
        // Small ones are not cheaper, and one that is referred to already costs nothing.
        assert!(!table.admits(&chunk(5000, 10)) && table.admits(&chunk(0, 2 << 20)));
    }

    #[test]
    fn an_object_in_full_chunks_may_use_them_all() {
        let mut table = Table::default();
        for number in 0..1000 {
            let chunk = chunk(number, 3 << 20);
            table.grow(1);
            assert!(table.admits(&chunk), "{number}");
            table.refer(&chunk);
            table.grow((3 << 20) - 1);
        }
    }

    #[test]
    fn packs_and_older_chunks_keep_their_places() {
        let mut table = Table::default();
        assert_eq!(table.add_pack(), 0);
        assert_eq!(table.refer(&chunk(7, 100)), (1, true));
        assert_eq!(table.add_pack(), 2);
        let packs = [chunk(100, 1).reference, chunk(101, 1).reference];
        let pack = |number: u32| packs.get(number as usize).copied();
        let known = (0..table.len()).filter_map(|number| table.reference(number, pack));
        let ids: Vec<u8> = known.map(|reference| reference.id.0[0]).collect();
        assert_eq!(ids, [100, 7, 101]);
    }

    #[test]
    fn files_taken_over_whole_are_bounded_alike() {
        let mut scatter = Scatter::new();
        let admitted =
            (0..1000).filter(|number| scatter.admits(10_000, [chunk(*number, 10_000)].iter())).count();
        assert!((4..20).contains(&admitted), "{admitted}");
    }
}
