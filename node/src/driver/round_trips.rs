//! How far away others are, as far as the overlay has measured it.

use std::collections::BTreeMap;
use std::time::Duration;

use chordage_dht::NodeId;

use super::Driver;

impl Driver {
    /// The round trips to these nodes; none to those with which nothing was exchanged lately.
    pub(super) fn round_trips(&self, ids: &[NodeId]) -> Vec<Option<Duration>> {
        let dht = &self.overlay.dht;
        let fingers = dht.fingers().into_iter().flat_map(|row| row.fingers);
        let measured = dht.neighbours().into_iter().chain(fingers);
        let mut known: BTreeMap<NodeId, Duration> =
            measured.filter_map(|finger| Some((finger.peer.id(), finger.rtt?))).collect();
        known.insert(dht.local().id(), Duration::ZERO);
        ids.iter().map(|id| known.get(id).copied()).collect()
    }
}
