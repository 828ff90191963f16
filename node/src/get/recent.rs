//! Manifests that were read a moment ago: whoever asks what a link stands for mostly wants its content next.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chordage_storage::{ChunkId, Link, Manifest, Redundancy};
use tokio::time::Instant;

/// Manifests remembered at most. Design.
const COUNT_MAX: usize = 64;
/// Bytes of all of them at most; a longer one is not remembered. Design: the manifest of a tree of some 100,000 files,
/// and a sixth of what transfers may have in memory.
const BYTES_MAX: usize = 8 << 20;
/// How long one is remembered. It never changes, but whoever asks what a link stands for also learns that it is there:
/// that is looked up anew after so long. Design.
const KEPT: Duration = Duration::from_secs(60);

/// See the module's description.
#[derive(Default)]
pub(crate) struct RecentManifests {
    read: Mutex<Recent<(Manifest, Redundancy)>>,
}

impl RecentManifests {
    /// What `link` stands for, and how its root is coded, if that was read a moment ago.
    pub(super) fn get(&self, link: &Link) -> Option<(Manifest, Redundancy)> {
        self.lock().get(link, Instant::now())
    }

    /// This one has been read.
    pub(super) fn add(&self, link: &Link, manifest: &Manifest, redundancy: Redundancy) {
        let bytes = manifest.memory_bytes();
        self.lock().add(*link, (manifest.clone(), redundancy), bytes, Instant::now());
    }

    /// The object is being forgotten, whatever link names it.
    pub(crate) fn forget(&self, root: ChunkId) {
        self.lock().forget(root);
    }

    fn lock(&self) -> MutexGuard<'_, Recent<(Manifest, Redundancy)>> {
        // Every change leaves whole entries.
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What links stand for. What was read last is at the end.
struct Recent<T> {
    read: VecDeque<Read<T>>,
}

struct Read<T> {
    /// With the key: who has no key, or a wrong one, must not be shown what others have read.
    link: Link,
    what: T,
    bytes: usize,
    at: Instant,
}

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Recent { read: VecDeque::new() }
    }
}

impl<T: Clone> Recent<T> {
    fn get(&mut self, link: &Link, now: Instant) -> Option<T> {
        self.drop_old(now);
        self.read.iter().find(|read| read.link == *link).map(|read| read.what.clone())
    }

    fn add(&mut self, link: Link, what: T, bytes: usize, now: Instant) {
        self.drop_old(now);
        self.read.retain(|read| read.link != link);
        if bytes > BYTES_MAX {
            return;
        }
        while self.read.len() >= COUNT_MAX || self.bytes() + bytes > BYTES_MAX {
            self.read.pop_front();
        }
        self.read.push_back(Read { link, what, bytes, at: now });
    }

    fn forget(&mut self, root: ChunkId) {
        self.read.retain(|read| read.link.id() != root);
    }

    fn bytes(&self) -> usize {
        self.read.iter().map(|read| read.bytes).sum()
    }

    fn drop_old(&mut self, now: Instant) {
        self.read.retain(|read| now.duration_since(read.at) < KEPT);
    }
}

#[cfg(test)]
mod tests {
    use chordage_storage::ChunkKey;

    use super::*;

    fn id(number: usize) -> ChunkId {
        ChunkId(*blake3::hash(&number.to_be_bytes()).as_bytes())
    }

    fn link(number: usize, key: u8) -> Link {
        Link::Read { id: id(number), key: ChunkKey([key; 32]) }
    }

    /// Which of so many links are remembered.
    fn known(recent: &mut Recent<usize>, links: usize, now: Instant) -> Vec<usize> {
        (0..links).filter_map(|number| recent.get(&link(number, 1), now)).collect()
    }

    #[test]
    fn only_the_very_link_finds_what_was_read() {
        let (now, mut recent) = (Instant::now(), Recent::default());
        recent.add(link(1, 1), 1, 10, now);
        assert_eq!(recent.get(&link(1, 1), now), Some(1));
        let others = [link(1, 2), link(2, 1), Link::Verify { id: id(1) }];
        assert_eq!(others.map(|other| recent.get(&other, now)), [None; 3]);
    }

    #[test]
    fn it_is_remembered_for_a_minute_after_it_was_read_and_until_it_is_forgotten() {
        let (start, mut recent) = (Instant::now(), Recent::default());
        recent.add(link(0, 1), 0, 10, start);
        recent.add(link(1, 1), 1, 10, start + KEPT / 2);
        let soon = start + KEPT - Duration::from_millis(1);
        assert_eq!(known(&mut recent, 2, soon), [0, 1]);
        assert_eq!(known(&mut recent, 2, start + KEPT), [1], "being asked for does not prolong it");
        recent.add(link(2, 1), 2, 10, start + KEPT);
        recent.add(link(2, 2), 2, 10, start + KEPT);
        recent.forget(id(2));
        assert_eq!(recent.get(&link(2, 2), start + KEPT), None);
        assert_eq!(known(&mut recent, 3, start + KEPT), [1]);
    }

    #[test]
    fn neither_many_nor_long_ones_fill_the_memory_and_the_latest_stay() {
        let (now, mut recent) = (Instant::now(), Recent::default());
        for number in 0..3 * COUNT_MAX {
            recent.add(link(number, 1), number, 1, now);
            // One that is read again takes one place.
            recent.add(link(number, 1), number, 1, now);
        }
        let latest: Vec<usize> = (2 * COUNT_MAX..3 * COUNT_MAX).collect();
        assert_eq!(known(&mut recent, 3 * COUNT_MAX, now), latest);
        recent.add(link(0, 1), 0, BYTES_MAX / 2, now);
        recent.add(link(1, 1), 1, BYTES_MAX / 2, now);
        assert_eq!(known(&mut recent, 3 * COUNT_MAX, now), [0, 1]);
        recent.add(link(2, 1), 2, 1, now);
        assert_eq!((known(&mut recent, 3, now), recent.bytes()), (vec![1, 2], BYTES_MAX / 2 + 1));
        recent.add(link(3, 1), 3, BYTES_MAX + 1, now);
        assert_eq!(known(&mut recent, 4, now), [1, 2], "too long a one displaces nothing");
    }
}
