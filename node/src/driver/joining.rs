//! Joining the network, and trying again.

use chordage_dht::Input;
use libp2p::swarm::dial_opts::DialOpts;

use super::{Driver, Membership};

impl Driver {
    /// Joins, or joins again, through everybody known.
    pub(super) fn join(&mut self) {
        self.bootstrap.forget(self.dht.local().id());
        let seeds = self.bootstrap.seeds();
        self.dial_anonymous();
        if !seeds.is_empty() || self.bootstrap.anonymous().is_empty() {
            self.input(Input::Join { seeds });
        }
    }

    /// Until somebody is known by name there is nothing the overlay could retry, so it happens here.
    pub(super) fn redial(&mut self) {
        if *self.membership.borrow() == Membership::Joining && self.bootstrap.seeds().is_empty() {
            let count = self.bootstrap.anonymous().len();
            self.join_problem = Some(format!("none of the {count} addresses to join through answers"));
            self.dial_anonymous();
        }
    }

    pub(super) fn dial_anonymous(&mut self) {
        for address in self.bootstrap.anonymous().to_vec() {
            // One that fails at once is dialled again with the next attempt.
            let dialled = self.swarm.dial(DialOpts::unknown_peer_id().address(address.clone()).build());
            if let Err(error) = dialled {
                tracing::debug!(%address, %error, "cannot dial");
            }
        }
    }
}
