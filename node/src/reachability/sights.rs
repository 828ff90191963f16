//! How others see this daemon: where it is, and what its clock shows beside theirs.

use std::time::Duration;

use chordage_dht::Peer;
use futures::future::join_all;
use libp2p::Multiaddr;
use tokio::time::Instant;

use super::Reachability;
use super::ask::ask;
use super::choice::members_of;
use super::frames::{Reply, Request};
use super::policy::ASKED;
use crate::clock::wall_clock;

/// How long others may take to say it.
const PATIENCE: Duration = Duration::from_secs(3);

/// What one of them said.
#[derive(Clone, Debug)]
pub(super) struct Sight {
    pub(super) at: Multiaddr,
    /// By how many seconds our clock is ahead of its clock, to half of the time that the answer took.
    ahead: f64,
}

impl Reachability {
    /// What they say.
    pub(super) async fn look(&self, at: &[Peer]) -> Vec<Sight> {
        let asked = at.iter().map(async |server| {
            let (asked, begun) = (wall_clock().0, Instant::now());
            match ask(&self.inner.driver, server.clone(), &Request::See, PATIENCE).await {
                Ok(Reply::Seen { at, clock }) => {
                    // Its clock was read about in the middle.
                    let here = asked as f64 + begun.elapsed().as_secs_f64() * 1e3 / 2.0;
                    Some(Sight { at, ahead: (here - clock as f64) / 1e3 })
                }
                Ok(_) => None,
                Err(error) => {
                    tracing::debug!(%error, peer = %server.id(), "nobody says where this daemon is seen");
                    None
                }
            }
        });
        join_all(asked).await.into_iter().flatten().collect()
    }

    /// By how many seconds the clock of this machine is ahead of that of most others that were asked now; `None` if
    /// nobody answered.
    pub(crate) async fn clock_ahead(&self) -> Option<f64> {
        let view = self.inner.driver.view().await?;
        let mut others = members_of(&view, |peer| peer.id() != self.inner.local).by_subnet();
        others.truncate(ASKED);
        let mut ahead: Vec<f64> = self.look(&others).await.into_iter().map(|sight| sight.ahead).collect();
        ahead.sort_by(f64::total_cmp);
        ahead.get(ahead.len() / 2).copied()
    }
}
