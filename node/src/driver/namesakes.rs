//! Peers with whose key two nodes speak: a copy of a data directory runs beside the original. Answers go to one of them
//! only, so neither could find out by itself; whoever hears both tells each of the other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chordage_dht::{NodeId, Peer};
use tokio::time::Instant;

/// A node that has started anew elsewhere may be heard twice for a moment, because what it said before was still under
/// way.
const UNDER_WAY: Duration = Duration::from_secs(1);
/// Who has been silent for so long may be gone.
const RECENT: Duration = Duration::from_secs(15);
/// How often each of two is told of the other.
const TELL_EVERY: Duration = Duration::from_secs(3);
/// Most peers that are remembered.
const PEERS_MAX: usize = 4096;

/// Who spoke with a key.
struct Voice {
    record: Peer,
    first: Instant,
    last: Instant,
    told: Option<Instant>,
}

/// The last one, and the one before it.
struct Voices {
    current: Voice,
    other: Option<Voice>,
    /// The two speak in turns, so both are there.
    both: bool,
}

/// See the module's description. Bounded by [`PEERS_MAX`].
#[derive(Default)]
pub(super) struct Namesakes(BTreeMap<NodeId, Voices>);

impl Namesakes {
    /// Notes that somebody speaks. If another does so with the same key, and it is time to say so, returns the other's
    /// record.
    pub(super) fn heard(&mut self, now: Instant, from: &Peer) -> Option<Peer> {
        if !from.is_reachable() {
            return None;
        }
        let voice = || Voice { record: from.clone(), first: now, last: now, told: None };
        if !self.0.contains_key(&from.id()) {
            self.make_room(now);
            if self.0.len() < PEERS_MAX {
                let alone = Voices { current: voice(), other: None, both: false };
                self.0.insert(from.id(), alone);
            }
            return None;
        }
        let Voices { current, other, both } = self.0.get_mut(&from.id())?;
        if !is_same(&current.record, from) {
            match other {
                Some(before) if is_same(&before.record, from) => {
                    std::mem::swap(current, before);
                    // The one that was there first speaks again.
                    *both |= current.first <= before.first
                        && now.saturating_duration_since(before.first) >= UNDER_WAY;
                }
                _ => {
                    *other = Some(std::mem::replace(current, voice()));
                    *both = false;
                }
            }
        }
        current.last = now;
        current.record = from.clone();
        let other = other.as_ref().filter(|other| now.saturating_duration_since(other.last) < RECENT)?;
        let due = current.told.is_none_or(|told| now.saturating_duration_since(told) >= TELL_EVERY);
        if !*both || !due {
            return None;
        }
        current.told = Some(now);
        Some(other.record.clone())
    }

    fn make_room(&mut self, now: Instant) {
        if self.0.len() >= PEERS_MAX {
            self.0.retain(|_, voices| now.saturating_duration_since(voices.current.last) < RECENT);
        }
    }
}

/// A record changes its number by itself, and its addresses when the node starts elsewhere.
fn is_same(one: &Peer, other: &Peer) -> bool {
    Arc::ptr_eq(one, other) || one.addrs() == other.addrs()
}

#[cfg(test)]
mod tests {
    use chordage_dht::{Address, PeerInfo};

    use super::*;

    fn at(address: &[u8], seq: u64) -> Peer {
        let address = Address::new(address).expect("short");
        Arc::new(PeerInfo::new([1; 32], vec![address], seq).expect("one address"))
    }

    #[test]
    fn two_that_speak_in_turns_are_told_of_each_other() {
        let (start, mut namesakes) = (Instant::now(), Namesakes::default());
        let mut heard = |seconds, peer: &Peer| {
            let told = namesakes.heard(start + Duration::from_secs(seconds), peer);
            told.map(|other| other.seq())
        };
        let (original, copy) = (at(b"a", 1), at(b"b", 2));
        assert_eq!(heard(0, &original), None);
        assert_eq!(heard(10, &copy), None, "it may have started anew");
        assert_eq!(heard(12, &original), Some(2));
        assert_eq!(heard(12, &copy), Some(1));
        assert_eq!(heard(13, &copy), None, "it has just been told");
        assert_eq!(heard(16, &copy), Some(1));
        assert_eq!(heard(40, &copy), None, "the other is silent");
    }

    #[test]
    fn a_node_that_starts_elsewhere_is_no_twin() {
        let (start, mut namesakes) = (Instant::now(), Namesakes::default());
        let mut heard =
            |millis, peer: &Peer| namesakes.heard(start + Duration::from_millis(millis), peer).is_some();
        let (before, after) = (at(b"a", 1), at(b"b", 2));
        assert!(!heard(0, &before));
        assert!(!heard(5000, &after));
        assert!(!heard(5100, &before), "that was still under way");
        assert!(!heard(6200, &after));
        assert!(!heard(9000, &after));
    }

    #[test]
    fn many_peers_do_not_fill_the_memory() {
        let (start, mut namesakes) = (Instant::now(), Namesakes::default());
        for number in 0..PEERS_MAX as u16 + 100 {
            let mut key = [0; 32];
            key[..2].copy_from_slice(&number.to_be_bytes());
            let address = Address::new(b"a").expect("short");
            namesakes.heard(start, &Arc::new(PeerInfo::new(key, vec![address], 1).expect("one address")));
        }
        assert_eq!(namesakes.0.len(), PEERS_MAX);
    }
}
