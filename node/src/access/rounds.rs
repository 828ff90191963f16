//! What keeps the papers of a network true while a daemon runs: revocations go to everybody who does not know them,
//! whoever is not let in any more is disconnected, and the daemon's own certificate is renewed before it ends.

use std::collections::BTreeSet;
use std::time::Duration;

use chordage_dht::NodeId;
use futures::StreamExt;
use futures::stream::iter;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use super::exchange::{ask, ask_anywhere};
use super::issuing::issuer;
use super::{Access, PAPERS_FILE, now, serial};
use crate::driver::DriverHandle;
use crate::network::certificate::{Chain, DELEGATE_VALIDITY_MAX};
use crate::network::frames::{Reply, Request};

/// How often it is looked whether something has ended, even if nobody says anything.
const ROUND: Duration = Duration::from_secs(2);
/// Members that are asked at a time.
const ASKED_AT_A_TIME: usize = 16;
/// How long after nobody has renewed the certificate it is tried again, at most.
const RENEW_AGAIN: Duration = Duration::from_secs(60);
/// With less than this part of its time left, a certificate that nobody renews is spoken of in the log.
const WARN_BELOW: u64 = 4;

impl Access {
    /// Runs for as long as the daemon does.
    pub(crate) async fn keep_true(self, driver: DriverHandle) {
        // Beside the rounds, which wait for others.
        tokio::join!(self.keep_rounds(&driver), self.hold_to_roles(&driver));
    }

    /// The overlay is told at once of whoever has shown that it may only be a client.
    async fn hold_to_roles(&self, driver: &DriverHandle) {
        let mut clients = self.inner.clients.subscribe();
        clients.mark_changed();
        // It ends with the daemon, which has the other end.
        while clients.changed().await.is_ok() {
            let ids = clients.borrow_and_update().clone();
            driver.hold_to_clients(ids).await;
        }
    }

    async fn keep_rounds(&self, driver: &DriverHandle) {
        let mut renew_at = Instant::now();
        let mut excluded = BTreeSet::new();
        loop {
            self.shut_out(driver, &mut excluded).await;
            self.pass_on(driver).await;
            // Whoever may sign need not stay for long.
            let came = std::mem::take(&mut self.state().delegate_came);
            if (came || Instant::now() >= renew_at) && self.is_to_be_renewed() {
                let renewed = self.renew(driver).await;
                // A delegate that has not heard of a new network key yet signs under the old one.
                let pause = if renewed && !self.is_to_be_renewed() { ROUND } else { self.renew_pause() };
                renew_at = Instant::now() + pause;
            }
            tokio::select! {
                () = self.inner.changed.notified() => {}
                () = sleep(ROUND) => {}
            }
        }
    }

    /// Nobody whose certificate does not count any more stays connected; whoever was revoked is no part of the overlay
    /// either.
    async fn shut_out(&self, driver: &DriverHandle, excluded: &mut BTreeSet<[u8; 32]>) {
        let (ended, revoked) = {
            let mut state = self.state();
            let now = now();
            let ended: Vec<[u8; 32]> = state
                .peers
                .iter()
                .filter(|(key, known)| state.papers.admit(&known.chain, key, now).is_err())
                .map(|(key, _)| *key)
                .collect();
            let is_revoked = |key: &[u8; 32]| {
                // Of somebody who has not shown its certificate, the network's own word alone counts: it may be a
                // delegate.
                let is_delegate = state.peers.get(key).is_none_or(|known| known.admitted.rights.delegate);
                state.papers.revocations().is_revoked(key, is_delegate, state.papers.trusted())
            };
            let mut revoked: Vec<[u8; 32]> =
                state.papers.revocations().iter().map(|revocation| *revocation.subject()).collect();
            revoked.dedup();
            revoked.retain(|key| !excluded.contains(key) && is_revoked(key));
            for key in &ended {
                state.peers.remove(key);
            }
            (ended, revoked)
        };
        if !ended.is_empty() {
            tracing::info!(
                peers = ended.len(),
                "certificates have ended or were revoked: their daemons are disconnected"
            );
        }
        if !ended.is_empty() || !revoked.is_empty() {
            excluded.extend(&revoked);
            driver.shut_out(ended, revoked).await;
        }
    }

    /// Tells everybody who is connected what it does not know of revocations and network keys.
    async fn pass_on(&self, driver: &DriverHandle) {
        let (untold, all, keys) = {
            let state = self.state();
            let own = state.papers.digest();
            let untold: Vec<[u8; 32]> =
                state.peers.iter().filter(|(_, known)| known.digest != own).map(|(key, _)| *key).collect();
            let keys = Request::succeed(state.papers.successions());
            (untold, Request::compare(state.papers.revocations()), keys)
        };
        let compared = iter(untold).map(|key| {
            let (all, keys) = (all.clone(), keys.clone());
            async move {
                // First the keys: what is revoked under the newest one would not count yet.
                if let Some(keys) = keys
                    && let Err(error) = ask(driver, key, keys).await
                {
                    return (key, Err(error));
                }
                (key, ask(driver, key, all).await)
            }
        });
        let mut compared = compared.buffer_unordered(ASKED_AT_A_TIME);
        while let Some((key, reply)) = compared.next().await {
            match reply {
                Ok(Reply::Compared(theirs)) => {
                    self.learn_off_loop(theirs).await;
                    let mut state = self.state();
                    let own = state.papers.digest();
                    if let Some(known) = state.peers.get_mut(&key) {
                        known.digest = own;
                    }
                }
                // It has to come through the gate again, and shows there what it knows: somebody who is connected and
                // not looked after would neither hear of revocations nor be shut out when its certificate ends.
                Ok(_) | Err(_) => {
                    self.state().peers.remove(&key);
                    driver.shut_out(vec![key], Vec::new()).await;
                }
            }
        }
    }

    /// Whether half of the certificate's time is over, or the network key that it is under has a successor.
    pub(super) fn is_to_be_renewed(&self) -> bool {
        let papers = &self.state().papers;
        papers.is_under_older_key() || now() >= papers.own().certificate().half_life()
    }

    /// How long to wait before it is tried again: not so long that a short certificate ends meanwhile.
    fn renew_pause(&self) -> Duration {
        let (from, until) = self.state().papers.own().certificate().validity();
        let left = until.saturating_sub(now());
        if left < until.saturating_sub(from) / WARN_BELOW {
            tracing::warn!(
                seconds_left = left,
                "nobody who may has renewed this daemon's certificate: without one it is not let in. Start a daemon \
                 that may, or join with a new invite"
            );
        }
        Duration::from_secs(left / 8).clamp(ROUND, RENEW_AGAIN)
    }

    /// Asks for a new certificate now. Returns whether there is one.
    pub(crate) async fn renew(&self, driver: &DriverHandle) -> bool {
        if let Some(chain) = self.signed_here() {
            return self.take(driver, chain).await;
        }
        let delegates: Vec<[u8; 32]> = {
            let state = self.state();
            // Those that are connected answer at once.
            let (here, away): (Vec<_>, Vec<_>) =
                state.delegates.iter().partition(|key| state.peers.contains_key(*key));
            here.into_iter().chain(away).collect()
        };
        for key in delegates {
            match ask_anywhere(driver, key, Request::renew()).await {
                Ok(Reply::Renewed(chain)) => {
                    if self.take(driver, chain).await {
                        return true;
                    }
                }
                Ok(Reply::Refused(why)) => {
                    tracing::debug!(by = %NodeId::from_public_key(&key), %why, "the certificate was not renewed");
                }
                Ok(_) | Err(_) => {}
            }
        }
        false
    }

    /// A founder signs its own.
    pub(super) fn signed_here(&self) -> Option<Chain> {
        let state = self.state();
        state.founder.as_ref()?;
        let issuer = issuer(&self.inner, &state)?;
        let rights = state.papers.own().certificate().rights();
        issuer.issue(&self.own_key(), rights, (now(), DELEGATE_VALIDITY_MAX), serial().ok()?).ok()
    }

    /// Takes a new certificate, if it is better than the one there is, and shows it to everybody who is connected.
    pub(super) async fn take(&self, driver: &DriverHandle, chain: Chain) -> bool {
        let access = self.clone();
        let taken = spawn_blocking(move || {
            let mut state = access.state();
            let own = access.own_key();
            if !state.papers.renew(chain, &own, now()).unwrap_or(false) {
                return false;
            }
            if let Err(error) = access.inner.dir.write(PAPERS_FILE, &state.papers.encode()) {
                tracing::warn!(%error, "a new certificate cannot be written down; it counts until the next start");
            }
            true
        });
        if !taken.await.unwrap_or(false) {
            return false;
        }
        tracing::info!("this daemon has a new certificate");
        let (present, known) = {
            let state = self.state();
            (Request::present(state.papers.own()), state.peers.keys().copied().collect::<Vec<_>>())
        };
        let shown =
            iter(known).map(|key| ask(driver, key, present.clone())).buffer_unordered(ASKED_AT_A_TIME);
        // Who does not hear of it now sees it at the gate, at the latest when the old one has ended.
        shown.for_each(|_| async {}).await;
        true
    }
}
