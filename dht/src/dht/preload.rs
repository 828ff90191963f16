//! Starting with tables that are already filled.

use core::time::Duration;

use rand_core::Rng;

use super::{Dht, Phase, Turn};
use crate::{Time, leaf_set::Leaf, metric::Metric, peer::Peer, rtt::Rtt};

impl<M: Metric> Dht<M> {
    /// Makes this node a member of the network that has met these peers, each with its round-trip time if it has been
    /// measured, without a single message. `leaves` are offered to the leaf set, then `fingers` and `leaves` to the
    /// rows, which take them in the order given as far as there is room. Fingers in the order of their offset from this
    /// node are taken fastest.
    ///
    /// If not `maintained`, the node sets no timers: it answers and looks up, but neither probes nor exchanges
    /// anything until it is told to join.
    ///
    /// This is for simulations, which could not run a million joins before the first measurement.
    pub fn preload<R: Rng + ?Sized>(
        &mut self,
        now: Time,
        rng: &mut R,
        leaves: &[(Peer, Option<Duration>)],
        fingers: &[(Peer, Option<Duration>)],
        maintained: bool,
    ) {
        let usable = |peer: &Peer| peer.is_reachable() && peer.id() != self.local.id();
        let measured = |measured: Option<Duration>| measured.map_or(Rtt::default(), Rtt::settled);
        self.leaves.reserve(leaves.len());
        for (peer, rtt) in leaves.iter().filter(|(peer, _)| usable(peer)) {
            if self.leaves.wants(&self.origin, peer.id_ref()) {
                self.leaves.insert(&self.origin, Leaf::new(peer.clone(), now, measured(*rtt)));
            }
        }
        self.table.reserve(fingers.len());
        for (peer, rtt) in fingers.iter().chain(leaves).filter(|(peer, _)| usable(peer)) {
            let rtt = measured(*rtt);
            if !self.table.append(&self.origin, peer, now, rtt)
                && self.table.get(&self.origin, peer.id_ref()).is_none()
            {
                self.table.offer(&self.origin, peer, now, rtt);
            }
        }
        self.table.shrink();
        for (_, rtt) in fingers.iter().chain(leaves) {
            if let Some(rtt) = rtt {
                self.timing.network.sample(*rtt);
            }
        }
        let mut rng = rng;
        let rng: &mut dyn Rng = &mut rng;
        self.seeded = true;
        self.calls.start_ids_at(rng.next_u32());
        self.phase = Phase::Joined;
        if maintained {
            let mut out = alloc::vec::Vec::new();
            let mut turn = Turn { now, rng, out: &mut out };
            self.plan_maintenance(&mut turn, self.config.stabilise_every, self.config.refresh_every);
            self.records_may_be_old(&mut turn);
            self.places_may_be_old(now);
        }
    }
}
