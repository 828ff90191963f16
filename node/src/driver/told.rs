//! What the driver tells whoever watches it.

use chordage_dht::Event;
use tokio::sync::{broadcast, watch};

use super::command::Membership;
use super::size::NetworkSize;
use crate::twin::Twin;

/// News of neighbours that may wait for whoever listens; a slow listener misses the oldest.
const NEWS_MAX: usize = 256;

/// The speaking ends.
pub(super) struct Told {
    pub(super) membership: watch::Sender<Membership>,
    /// A second node with this node's key.
    pub(super) twin: watch::Sender<Option<Twin>>,
    /// Why joining has not succeeded yet, when it has not.
    pub(super) join_problem: watch::Sender<Option<String>>,
    /// How large the network is, since this node is part of it.
    pub(super) size: watch::Sender<NetworkSize>,
    /// What happens to the neighbourhood.
    pub(super) news: broadcast::Sender<Event>,
    /// Changes with every round of the loop that reviews connections.
    pub(super) beats: watch::Sender<()>,
}

impl Told {
    /// Joining, without a problem.
    pub(super) fn joining() -> Self {
        Told {
            membership: watch::Sender::new(Membership::Joining),
            twin: watch::Sender::new(None),
            join_problem: watch::Sender::new(None),
            size: watch::Sender::new(NetworkSize::default()),
            news: broadcast::Sender::new(NEWS_MAX),
            beats: watch::Sender::new(()),
        }
    }

    /// How far the daemon is with its network.
    pub(super) fn membership(&self) -> Membership {
        *self.membership.borrow()
    }
}
