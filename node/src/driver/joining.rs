//! Joining the network, and trying again.

use chordage_dht::{Input, NodeId};
use libp2p::Multiaddr;
use libp2p::swarm::DialError;
use libp2p::swarm::dial_opts::DialOpts;
use tokio::sync::watch;

use super::attempts::Attempts;
use super::bootstrap::Bootstrap;
use super::nearby::Nearby;
use super::{Announced, Driver, Membership};
use crate::lan::Seen;

/// Where to hear of others.
pub(crate) struct WaysIn {
    /// Addresses that the user named.
    pub(crate) bootstrap: Vec<Multiaddr>,
    /// What the LAN shows, if it is looked at.
    pub(crate) lan: Option<watch::Receiver<Seen>>,
}

/// Whom to join through, and what has come of that.
pub(super) struct Joining {
    pub(super) bootstrap: Bootstrap,
    pub(super) nearby: Nearby,
    attempts: Attempts,
    /// The network, as people know it.
    network: String,
}

impl Joining {
    pub(super) fn new(bootstrap: Bootstrap, nearby: Nearby, network: String) -> Self {
        Self { bootstrap, nearby, attempts: Attempts::default(), network }
    }

    /// Whoever answers at the addresses of this peer does so in another network's name.
    pub(super) fn other_network(&mut self, peer: NodeId) {
        self.attempts.other_network(&self.bootstrap.addresses_of(peer), &self.network);
    }

    /// Whether nothing is left to hope for until the next attempt.
    fn have_all_failed(&self) -> bool {
        self.attempts.have_all_failed(&self.bootstrap.addresses())
    }

    /// Why this node is not part of a network, as far as that is known.
    fn problem(&self, is_client: bool) -> Option<String> {
        let known = self.bootstrap.addresses();
        Some(match known.len() {
            0 if is_client && self.nearby.looks() => {
                format!(
                    "a client cannot found a network, and the LAN shows no member of the network {}",
                    self.network
                )
            }
            0 if is_client => {
                "a client cannot found a network, and no member is known: start it with --bootstrap and an \
                               address from a member's `chordage status`"
                    .to_owned()
            }
            0 => return None,
            1 => format!("the daemon to join through is no help: {}", self.attempts.describe(&known)),
            more => {
                format!("none of {more} addresses to join through helps: {}", self.attempts.describe(&known))
            }
        })
    }
}

impl Driver {
    /// Joins, or joins again, through everybody known.
    pub(super) fn join(&mut self) {
        self.joining.bootstrap.forget(self.overlay.dht.local().id());
        if self.announced == Announced::Unknown {
            // Whoever joins has to do with many at once, and then nobody is left who could tell whether strangers get
            // through.
            self.dial_anonymous();
            return;
        }
        let seeds = self.joining.bootstrap.seeds();
        self.dial_anonymous();
        if !seeds.is_empty() || self.joining.bootstrap.anonymous().is_empty() {
            self.input(Input::Join { seeds });
        }
    }

    /// Until somebody is known by name there is nothing the overlay could retry, so it happens here.
    pub(super) fn redial(&mut self) {
        if self.told.membership() == Membership::Joining {
            self.say_why_not_joined();
            if self.joining.bootstrap.seeds().is_empty() {
                self.dial_anonymous();
            }
        }
    }

    pub(super) fn dial_anonymous(&mut self) {
        for address in self.joining.bootstrap.anonymous().to_vec() {
            // One that fails at once is dialled again with the next attempt.
            let dialled = self.swarm.dial(DialOpts::unknown_peer_id().address(address.clone()).build());
            if let Err(error) = dialled {
                tracing::debug!(%address, %error, "cannot dial");
            }
        }
    }

    /// A dial has failed, perhaps one of those that would have us join.
    pub(super) fn dial_to_join_failed(&mut self, error: &DialError) {
        if self.told.membership() == Membership::Joining {
            self.joining.attempts.failed(error);
            self.say_if_all_failed();
        }
    }

    /// Whether it is a network of its own when it finds none of its old peers, which it will know in a moment.
    pub(super) fn may_found(&self) -> bool {
        !self.joining.bootstrap.is_configured() && !self.is_client()
    }

    /// As soon as nothing is left to hope for; otherwise the next redial does.
    pub(super) fn say_if_all_failed(&mut self) {
        if !self.may_found() && self.joining.have_all_failed() {
            self.say_why_not_joined();
        }
    }

    /// Says in the status, and each time it is something else in the log, why this node is not part of a network.
    pub(super) fn say_why_not_joined(&mut self) {
        let Some(problem) = self.joining.problem(self.is_client()) else { return };
        let told = self.told.join_problem.send_if_modified(|before| {
            let is_new = before.as_ref() != Some(&problem);
            *before = Some(problem);
            is_new
        });
        if told && let Some(problem) = &*self.told.join_problem.borrow() {
            tracing::warn!("not joined yet: {problem}; it goes on trying");
        }
    }
}
