//! How fast a peer may talk: who sends more overlay messages waits, and nobody else does.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use libp2p::PeerId;
use tokio::time::Instant;

/// Messages per second that are taken in from one peer for any length of time. A message costs the driver some 20 µs,
/// so that one peer can have about a twentieth of a core.
const PER_SECOND: u32 = 2000;
/// Messages that may come at once after a silence.
const BURST: u32 = 2000;

/// The paces of all peers that have a stream open. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Paces(Arc<Mutex<BTreeMap<PeerId, Shared>>>);

struct Shared {
    /// Until when what came so far has used up what the peer may send; a burst may run ahead of it.
    spent_until: Instant,
    streams: usize,
}

/// One stream's part in its peer's pace.
pub(super) struct Pace {
    paces: Paces,
    peer: PeerId,
}

impl Paces {
    /// For a stream of `peer`; all its streams have one pace.
    pub(super) fn of(&self, peer: PeerId) -> Pace {
        let mut paces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        paces.entry(peer).or_insert_with(|| Shared { spent_until: Instant::now(), streams: 0 }).streams += 1;
        Pace { paces: self.clone(), peer }
    }
}

impl Pace {
    /// Counts a message that has come `now`. Until when to wait before it is taken in; `None`: not at all.
    pub(super) fn count(&self, now: Instant) -> Option<Instant> {
        const EACH: Duration = Duration::from_nanos(1_000_000_000 / PER_SECOND as u64);
        let mut paces = self.paces.0.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = paces.get_mut(&self.peer)?;
        shared.spent_until = shared.spent_until.max(now) + EACH;
        let ahead = EACH * BURST;
        (shared.spent_until > now + ahead).then(|| shared.spent_until - ahead)
    }
}

impl Drop for Pace {
    fn drop(&mut self) {
        let mut paces = self.paces.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = paces.get_mut(&self.peer) {
            shared.streams -= 1;
            // Whoever closes its stream to begin a new burst has to wait for what it has spent.
            let now = Instant::now();
            paces.retain(|_, shared| shared.streams > 0 || shared.spent_until > now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_slowed_over_all_its_streams_and_others_are_not() {
        let paces = Paces::default();
        let (flood, friend) = (PeerId::random(), PeerId::random());
        let streams = [paces.of(flood), paces.of(flood)];
        let begun = Instant::now();
        let (mut now, mut taken) = (begun, 0);
        while now < begun + Duration::from_secs(10) {
            now = streams[taken % 2].count(now).unwrap_or(now);
            taken += 1;
        }
        let most = (BURST + 10 * PER_SECOND) as usize;
        assert!((most - 2..=most + 2).contains(&taken), "{taken} of {most}");
        assert_eq!(paces.of(friend).count(now), None);
    }

    #[test]
    fn a_new_stream_is_no_new_burst_and_who_has_gone_is_forgotten() {
        let paces = Paces::default();
        let (flood, friend) = (PeerId::random(), PeerId::random());
        let stream = paces.of(flood);
        let now = Instant::now();
        while stream.count(now).is_none() {}
        drop(stream);
        assert!(paces.of(flood).count(now).is_some());
        drop(paces.of(friend));
        assert!(!paces.0.lock().expect("not poisoned").contains_key(&friend));
    }
}
