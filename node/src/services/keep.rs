//! What is registered is announced when the daemon has joined its network, and signed anew long before it expires; in
//! between the overlay keeps it alive.

use std::time::Duration;

use chordage_dht::RendezvousError;
use futures::future::join_all;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::book::{Own, Registration};
use super::{Services, now};
use crate::tasks::Tasks;

/// How often it is seen whether something is to be announced or signed anew.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// A listing is signed anew after so long, seconds; it is valid for twice as long.
const SIGN_AFTER: u64 = 3600;
/// How long taking back everything may keep a daemon from ending.
const LEAVE_WITHIN: Duration = Duration::from_secs(1);

impl Services {
    /// Keeps what is registered in the network, until the daemon leaves.
    pub(crate) fn start(&self, tasks: &Tasks, leaving: CancellationToken) {
        let services = self.clone();
        tasks.background("services", move || {
            let (services, leaving) = (services.clone(), leaving.clone());
            async move {
                while leaving.run_until_cancelled(sleep(LOOK_EVERY)).await.is_some() {
                    services.announce_due().await;
                }
                // The task would be begun again.
                std::future::pending::<()>().await;
            }
        });
    }

    /// Announces what nobody has been told yet, and what was signed too long ago.
    async fn announce_due(&self) {
        let due = |registration: &Registration| {
            let now = now();
            // A clock that was set back is no reason to let a listing expire.
            registration.signed.is_none_or(|signed| now >= signed + SIGN_AFTER || now < signed)
        };
        for (own, registration) in self.inner.book.all() {
            if !self.is_joined() {
                return;
            }
            if due(&registration) && !self.announce_one(&own).await {
                return;
            }
        }
    }

    /// Whether it is worth going on with others.
    async fn announce_one(&self, own: &Own) -> bool {
        let _turn = self.inner.changing.lock().await;
        // It may have been withdrawn while this waited.
        let Some(registration) = self.inner.book.get(own) else { return true };
        match self.announce(own, registration).await {
            Ok(Ok(kept)) => {
                tracing::debug!(name = %own.name, addr = %own.addr, kept.stored, kept.of, "a service is announced");
                true
            }
            Ok(Err(error)) => {
                tracing::warn!(name = %own.name, addr = %own.addr, %error, "a service could not be announced to all who are to know it");
                !matches!(error, RendezvousError::Busy | RendezvousError::NotJoined)
            }
            Err(error) => {
                tracing::warn!(name = %own.name, addr = %own.addr, %error, "a service could not be announced");
                false
            }
        }
    }

    /// Takes everything back because the daemon ends; it is registered again when it starts. Whoever looks must not be
    /// sent to it while it finishes what is under way.
    pub(crate) async fn leave(&self) {
        if !self.is_joined() {
            return;
        }
        let withdraw = |(own, registration): (Own, Registration)| async move {
            self.inner.driver.withdraw(self.place(&own.name), registration.number).await
        };
        let all = async {
            let _turn = self.inner.changing.lock().await;
            join_all(self.inner.book.all().into_iter().map(withdraw)).await
        };
        // Those who do not answer in time notice it when nothing more is heard.
        let _ = tokio::time::timeout(LEAVE_WITHIN, all).await;
    }
}
