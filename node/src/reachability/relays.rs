//! Members who relay to a daemon that others do not reach directly. In a private network that makes a member of it: its
//! friends reach it through a relay first, and then by a hole that both dig, where their routers let them.

use std::time::Duration;

use chordage_api::types::DaemonRole;
use libp2p::Multiaddr;
use tokio::time::Instant;

use super::candidates::Own;
use super::choice::members_of;
use super::policy::Standing;
use super::{Follow, Reachability};
use crate::driver::{Acquaintances, Announced, Relays, View};

/// How long a daemon that was reached through relays only goes on announcing that after all are gone: they may be back,
/// and with those to whom it has dug holes it speaks directly.
const GRACE: Duration = Duration::from_secs(300);
/// Members that may be asked. Two are kept; the others are for when these are gone or full.
const ASKED_MAX: usize = 8;

impl Reachability {
    /// Has others relay as long as nobody gets through otherwise, and announces what comes of it.
    pub(super) async fn keep_relays(&self, view: &View, own: &Own, met: &Acquaintances) {
        if !self.inner.relays || self.inner.follow != Follow::Found {
            return;
        }
        let (is_unreached, seen, before) = {
            let state = self.state();
            let is_unreached = matches!(state.policy.standing(), Standing::Unreached(_));
            (is_unreached, state.seen.clone(), state.relayed.clone())
        };
        let mut relays = Relays::default();
        if is_unreached {
            relays.through =
                members_of(view, |peer| peer.id() != self.inner.local).by_rank(&self.inner.local);
            relays.through.truncate(ASKED_MAX);
            relays.holes = own.holes(&seen);
        }
        self.inner.driver.use_relays(relays).await;
        self.look_again_after_a_loss(met);
        let relayed = match is_unreached {
            true if met.relayed.is_empty() && self.is_in_grace(&before) => before.clone(),
            true => {
                self.state().relays_lost = None;
                met.relayed.clone()
            }
            false => Vec::new(),
        };
        if relayed != before {
            {
                let mut state = self.state();
                (state.relayed, state.relays_lost) = (relayed, None);
            }
            // Who is reached otherwise has announced that.
            if is_unreached {
                let (announced, role) = self.through_relays();
                self.become_(role, announced).await;
            }
        }
    }

    /// Whoever had to reserve again may be at another address: others are asked where they see it now.
    fn look_again_after_a_loss(&self, met: &Acquaintances) {
        let mut state = self.state();
        let before = std::mem::replace(&mut state.reservations, met.reservations);
        if before > 0 && met.reservations > before {
            state.policy.changed(Instant::now());
        }
    }

    /// Whether it goes on as it was though all relays are gone.
    fn is_in_grace(&self, before: &[Multiaddr]) -> bool {
        let mut state = self.state();
        let lost = *state.relays_lost.get_or_insert_with(Instant::now);
        !before.is_empty() && lost.elapsed() < GRACE
    }

    /// What it announces, and is, as long as nobody reaches it directly.
    pub(super) fn through_relays(&self) -> (Announced, DaemonRole) {
        let relayed = self.state().relayed.clone();
        if relayed.is_empty() {
            (Announced::Nowhere, DaemonRole::Client)
        } else {
            (Announced::These(relayed), DaemonRole::Member)
        }
    }
}
