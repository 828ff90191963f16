//! How long answers are waited for.

use core::time::Duration;

use crate::{health::Health, rtt::Rtt};

/// What this node knows of times and of itself, all peers together.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Timing {
    /// How far it should doubt itself.
    pub(crate) health: Health,
    /// Round-trip times of all peers together.
    pub(crate) network: Rtt,
}

impl Timing {
    /// How long a peer has to answer whose round-trip time is known, or is not.
    pub(crate) fn timeout(&self, peer: Rtt) -> Duration {
        let timeout = peer.timeout().unwrap_or_else(|| self.network.timeout_for_stranger());
        self.health.stretch(timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_peers_have_their_own_time_strangers_that_of_all_and_doubt_stretches_both() {
        let [mut near, mut far] = [Rtt::default(); 2];
        near.sample(Duration::from_millis(20));
        far.sample(Duration::from_millis(400));
        let mut timing = Timing { network: far, ..Timing::default() };
        assert_eq!(timing.timeout(near), near.timeout().unwrap_or_default());
        assert_eq!(timing.timeout(Rtt::default()), far.timeout_for_stranger());
        (0..8).for_each(|_| timing.health.doubtful());
        assert_eq!(timing.timeout(near), 3 * near.timeout().unwrap_or_default());
        assert_eq!(timing.timeout(Rtt::default()), 3 * far.timeout_for_stranger());
    }
}
