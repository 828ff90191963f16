//! Who is here, since when, and what became of those who are gone.

use std::collections::BTreeMap;
use std::time::Duration;

use chordage_dht::{DownReason, NodeId, Peer};
use tokio::time::Instant;

/// How long those who are gone are remembered.
const REMEMBERED: Duration = Duration::from_secs(600);
/// Most of them.
const REMEMBERED_MAX: usize = 256;

/// A neighbour that is none any more.
#[derive(Clone, Debug)]
pub(crate) struct Departed {
    pub(crate) peer: Peer,
    pub(crate) why: DownReason,
    /// When we met it.
    pub(crate) since: Instant,
    /// When we lost it.
    pub(crate) at: Instant,
}

/// See the module's description. Bounded by our tables and [`REMEMBERED_MAX`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Roster {
    present: BTreeMap<NodeId, (Peer, Instant)>,
    departed: BTreeMap<NodeId, Departed>,
}

impl Roster {
    /// These are in our tables. Who was and is not any more is forgotten, unless its departure was told.
    pub(super) fn update<'a>(&mut self, now: Instant, peers: impl Iterator<Item = &'a Peer>) {
        let before = std::mem::take(&mut self.present);
        for peer in peers {
            let since = before.get(&peer.id()).map_or(now, |(_, since)| *since);
            self.present.insert(peer.id(), (peer.clone(), since));
        }
        self.departed.retain(|id, departed| {
            !self.present.contains_key(id) && now.duration_since(departed.at) < REMEMBERED
        });
    }

    /// A peer has become a neighbour.
    pub(super) fn came(&mut self, now: Instant, peer: &Peer) {
        self.departed.remove(&peer.id());
        self.present
            .entry(peer.id())
            .and_modify(|(known, _)| *known = peer.clone())
            .or_insert((peer.clone(), now));
    }

    /// A neighbour is none any more.
    pub(super) fn went(&mut self, now: Instant, id: NodeId, why: DownReason) {
        if why == DownReason::Displaced {
            return;
        }
        let Some((peer, since)) = self.present.remove(&id) else { return };
        self.departed.insert(id, Departed { peer, why, since, at: now });
        if self.departed.len() > REMEMBERED_MAX
            && let Some(first) = self.departed.iter().min_by_key(|(_, gone)| gone.at).map(|(id, _)| *id)
        {
            self.departed.remove(&first);
        }
    }

    /// Since when this peer has been in our tables.
    pub(crate) fn since(&self, id: &NodeId) -> Option<Instant> {
        self.present.get(id).map(|(_, since)| *since)
    }

    pub(crate) fn departed(&self) -> impl Iterator<Item = &Departed> {
        self.departed.values()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chordage_dht::{Address, PeerInfo};

    use super::*;

    fn peer(number: u16) -> Peer {
        let mut key = [0; 32];
        key[..2].copy_from_slice(&number.to_be_bytes());
        Arc::new(PeerInfo::new(key, vec![Address::new(b"here").expect("short")], 1).expect("one address"))
    }

    #[test]
    fn who_fails_is_remembered_until_it_is_back_and_who_is_displaced_is_not() {
        let (start, later) = (Instant::now(), Instant::now() + Duration::from_secs(5));
        let (a, b) = (peer(1), peer(2));
        let mut roster = Roster::default();
        roster.came(start, &a);
        roster.came(start, &b);
        roster.went(later, a.id(), DownReason::Failed);
        roster.went(later, b.id(), DownReason::Displaced);
        roster.update(later, [&b].into_iter());
        let departed: Vec<NodeId> = roster.departed().map(|gone| gone.peer.id()).collect();
        assert_eq!((departed, roster.since(&b.id())), (vec![a.id()], Some(start)));
        roster.came(later, &a);
        assert_eq!((roster.departed().count(), roster.since(&a.id())), (0, Some(later)));
    }

    #[test]
    fn neither_many_departures_nor_old_ones_fill_the_memory() {
        let start = Instant::now();
        let mut roster = Roster::default();
        for number in 0..1000 {
            let peer = peer(number);
            roster.came(start, &peer);
            roster.went(start + Duration::from_millis(number.into()), peer.id(), DownReason::Left);
        }
        assert_eq!(roster.departed().count(), REMEMBERED_MAX);
        assert!(roster.departed().any(|gone| gone.peer.id() == peer(999).id()), "the latest stay");
        roster.update(start + REMEMBERED * 2, std::iter::empty());
        assert_eq!(roster.departed().count(), 0);
    }
}
