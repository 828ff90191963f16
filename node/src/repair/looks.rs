//! Which chunks are known to miss shards, rather than only not to have been seen whole.

use std::collections::BTreeMap;

use chordage_storage::ChunkId;

/// Surveys that have to agree, of different rounds: a put settles meanwhile, and a daemon that has just started comes
/// to know its neighbours.
const ENOUGH: u8 = 2;
/// Chunks that are remembered. Of what is beyond it is said that it is not known.
const MAX: usize = 1 << 16;

/// How many surveys in which everybody answered have found shards of a chunk missing since it was whole last. Gone with
/// the daemon: whoever has just started knows nothing yet.
#[derive(Debug, Default)]
pub(super) struct Looks {
    missing: BTreeMap<ChunkId, u8>,
}

impl Looks {
    /// A survey has ended. `whole`: every shard was shown. `answered`: everybody who may hold a shard has answered.
    pub(super) fn note(&mut self, chunk: ChunkId, whole: bool, answered: bool) {
        if whole {
            self.missing.remove(&chunk);
        } else if answered && (self.missing.len() < MAX || self.missing.contains_key(&chunk)) {
            let looks = self.missing.entry(chunk).or_default();
            *looks = looks.saturating_add(1);
        }
    }

    /// Nothing of the chunk is held here any more.
    pub(super) fn forget(&mut self, chunk: &ChunkId) {
        self.missing.remove(chunk);
    }

    /// Whether enough surveys agree that shards are missing.
    pub(super) fn agree(&self, chunk: &ChunkId) -> bool {
        self.missing.get(chunk).is_some_and(|looks| *looks >= ENOUGH)
    }

    /// Whether one survey has found shards missing, and another one has to say whether that is so.
    pub(super) fn doubts(&self, chunk: &ChunkId) -> bool {
        self.missing.get(chunk).is_some_and(|looks| *looks < ENOUGH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNK: ChunkId = ChunkId([7; 32]);

    #[test]
    fn a_loss_is_known_when_two_surveys_agree_in_which_everybody_answered() {
        let mut looks = Looks::default();
        for _ in 0..5 {
            looks.note(CHUNK, false, false);
            assert!(!looks.agree(&CHUNK), "somebody has not answered");
        }
        looks.note(CHUNK, false, true);
        assert!(looks.doubts(&CHUNK) && !looks.agree(&CHUNK), "a put may settle");
        looks.note(CHUNK, false, false);
        assert!(!looks.agree(&CHUNK));
        looks.note(CHUNK, false, true);
        assert!(looks.agree(&CHUNK) && !looks.doubts(&CHUNK));
        looks.note(CHUNK, true, true);
        looks.note(CHUNK, false, true);
        assert!(!looks.agree(&CHUNK), "it was whole in between");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut looks = Looks::default();
        for number in 0..=MAX as u64 {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&number.to_le_bytes());
            looks.note(ChunkId(id), false, true);
        }
        assert_eq!(looks.missing.len(), MAX);
    }
}
