//! Daemons that the LAN shows. Whoever has not joined joins through them; whoever has, and knows nothing of one, meets
//! it, so that two networks of one name that began apart, be it as one daemon each, become one.

use std::collections::BTreeMap;
use std::time::Duration;

use chordage_dht::{Input, NodeId, Peer};
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Driver, Membership};
use crate::lan::Seen;

/// How long after a stranger was met in vain it is met again; twice as long each time.
const AGAIN_FIRST: Duration = Duration::from_secs(5);
/// The longest such wait. In a network too large for everybody to know everybody, it also bounds what strangers cost.
const AGAIN_MAX: Duration = Duration::from_secs(10 * 60);
/// Strangers that are met at a time.
const AT_ONCE: usize = 4;

/// When somebody may be met again.
struct Met {
    next: Instant,
    wait: Duration,
}

/// Who is to be met, and when. Bounded by those that are seen.
#[derive(Default)]
struct Meetings(BTreeMap<NodeId, Met>);

impl Meetings {
    /// Who of these strangers is to be met now. Whoever is no stranger, or not seen any more, is forgotten.
    fn due(&mut self, now: Instant, strangers: &[Peer]) -> Vec<Peer> {
        self.0.retain(|id, _| strangers.iter().any(|stranger| stranger.id() == *id));
        let mut due = Vec::new();
        for stranger in strangers {
            let met = self.0.entry(stranger.id()).or_insert(Met { next: now, wait: AGAIN_FIRST });
            if met.next <= now && due.len() < AT_ONCE {
                *met = Met { next: now + met.wait, wait: (met.wait * 2).min(AGAIN_MAX) };
                due.push(stranger.clone());
            }
        }
        due
    }
}

/// See the module's description.
#[derive(Default)]
pub(super) struct Nearby {
    /// None of a daemon that does not look.
    seen: Option<watch::Receiver<Seen>>,
    meetings: Meetings,
}

impl Nearby {
    pub(super) fn new(mut seen: Option<watch::Receiver<Seen>>) -> Self {
        // What was seen before is news as well.
        if let Some(seen) = &mut seen {
            seen.mark_changed();
        }
        Self { seen, meetings: Meetings::default() }
    }

    /// Whether it looks.
    pub(super) fn looks(&self) -> bool {
        self.seen.is_some()
    }

    /// What is seen now.
    pub(super) fn seen(&self) -> Option<Seen> {
        self.seen.as_ref().map(|seen| seen.borrow().clone())
    }
}

impl Driver {
    /// Takes in whom the LAN shows now.
    pub(super) fn look_around(&mut self) {
        let nearby = &mut self.joining.nearby;
        let Some(seen) = &mut nearby.seen else { return };
        if seen.has_changed().unwrap_or_default() {
            let hints = seen.borrow_and_update().hints.clone();
            self.joining.bootstrap.set_nearby(&hints);
            self.joining.bootstrap.forget(self.overlay.dht.local().id());
            let seeds = self.joining.bootstrap.seeds();
            // Of no use to a client or a founder that still waits for somebody.
            if !seeds.is_empty() || self.told.membership() == Membership::Joined {
                self.input(Input::Join { seeds });
            }
        }
        if self.told.membership() == Membership::Joined {
            self.meet_strangers();
        }
    }

    fn meet_strangers(&mut self) {
        let known = |peer: &&Peer| !self.overlay.dht.knows(&peer.id());
        let strangers: Vec<Peer> = self.joining.bootstrap.nearby().filter(known).cloned().collect();
        for peer in self.joining.nearby.meetings.due(Instant::now(), &strangers) {
            tracing::debug!(peer = %peer.id(), "meets somebody of the LAN");
            self.input(Input::Meet { peer });
        }
    }

    /// How many of those that the LAN shows are in the tables.
    pub(super) fn met_nearby(&self) -> usize {
        self.joining.bootstrap.nearby().filter(|peer| self.overlay.dht.knows(&peer.id())).count()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chordage_dht::PeerInfo;

    use super::*;

    fn peer(number: u8) -> Peer {
        Arc::new(PeerInfo::new([number; 32], Vec::new(), 0).expect("valid"))
    }

    #[test]
    fn a_stranger_is_met_ever_more_seldom() {
        let (start, mut meetings) = (Instant::now(), Meetings::default());
        let mut at = Vec::new();
        for second in 0..3600 {
            if !meetings.due(start + Duration::from_secs(second), &[peer(1)]).is_empty() {
                at.push(second);
            }
        }
        assert_eq!(at, [0, 5, 15, 35, 75, 155, 315, 635, 1235, 1835, 2435, 3035]);
        // Who was gone, or was no stranger for a while, is new.
        assert_eq!(meetings.due(start, &[]).len(), 0);
        assert_eq!(meetings.due(start, &[peer(1)]).len(), 1);
    }

    #[test]
    fn many_strangers_are_met_a_few_at_a_time() {
        let (start, mut meetings) = (Instant::now(), Meetings::default());
        let strangers: Vec<Peer> = (0..10).map(peer).collect();
        let met = |second| meetings.due(start + Duration::from_secs(second), &strangers).len();
        assert_eq!([0, 1, 2, 3].map(met), [4, 4, 2, 0]);
        assert_eq!(meetings.0.len(), 10);
    }
}
