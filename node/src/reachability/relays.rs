//! Members who relay to a daemon that others do not reach directly. In a private network that makes a member of it: its friends
//! reach it through a relay first, and then by a hole that both dig, where their routers let them.

use chordage_api::types::DaemonRole;
use libp2p::Multiaddr;

use super::candidates::Own;
use super::choice::members_of;
use super::policy::Standing;
use super::scope::Scope;
use super::{Follow, Reachability};
use crate::address::ip;
use crate::driver::{Acquaintances, Announced, Relays, View};

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
            relays.holes = holes(own, seen);
        }
        self.inner.driver.use_relays(relays).await;
        let relayed = if is_unreached { met.relayed.clone() } else { Vec::new() };
        if relayed != before {
            self.state().relayed = relayed;
            // Who is reached otherwise has announced that.
            if is_unreached {
                let (announced, role) = self.through_relays();
                self.become_(role, announced).await;
            }
        }
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

/// Where others may get through once this daemon dials them, the best last: what it has in its own network, for those who are
/// there too, and where others see it.
fn holes(own: &Own, seen: Vec<Multiaddr>) -> Vec<Multiaddr> {
    let near = own.listened.iter().filter(|addr| ip(addr).is_some_and(|ip| Scope::of(ip) > Scope::Link));
    let mut holes: Vec<Multiaddr> = near.cloned().collect();
    holes.extend(seen.into_iter().filter(|addr| ip(addr).is_some()));
    holes
}
