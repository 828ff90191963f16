//! Daemons of the same network on the same LAN, found without an address: by multicast DNS (RFC 6762, 6763), with a
//! service type of our own.
//!
//! What is found is a hint whom to join through and no more: everybody on the LAN can say anything. Who it is shows the
//! handshake of the transport, as for every other address, and there is room for so many hints only.

mod air;
mod card;
mod links;
mod sightings;

use std::sync::Arc;

use libp2p::{Multiaddr, PeerId};
use tokio::sync::watch;
use tokio::time::sleep;

use self::air::{Air, Farewell};
pub(crate) use self::card::Hint;
use self::card::{Card, Reader};
use crate::network::NetworkFingerprint;
use crate::tasks::Tasks;

/// What is seen now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Daemons of this network.
    pub(crate) hints: Vec<Hint>,
    /// Daemons of other networks.
    pub(crate) others: usize,
    /// Why it may be that nobody is seen.
    pub(crate) problem: Option<String>,
}

/// Looks around on the LAN, and shows this daemon there, until the daemon leaves.
pub(crate) struct Lan {
    seen: watch::Receiver<Seen>,
    farewell: Farewell,
}

impl Lan {
    /// Begins. `bound`: what others on the LAN can dial; a client, which listens nowhere, looks and is not seen.
    pub(crate) fn start(
        network: NetworkFingerprint,
        own: PeerId,
        bound: &[Multiaddr],
        tasks: &Tasks,
    ) -> Self {
        let card = Card::of(network, own, bound);
        let reader = Reader { network, own };
        let (sender, seen) = watch::channel(Seen::default());
        let (sender, farewell) = (Arc::new(sender), Farewell::default());
        let last = farewell.clone();
        tasks.background("LAN", move || {
            let (card, sender, last) = (card.clone(), sender.clone(), last.clone());
            async move {
                loop {
                    let problem = match Air::open(card.as_ref(), &last) {
                        Ok(air) => air.listen(&reader, &sender).await,
                        Err(error) => format!("multicast DNS cannot be used: {error}"),
                    };
                    tracing::warn!("the LAN is not looked at for a while: {problem}");
                    sender.send_replace(Seen { problem: Some(problem), ..Seen::default() });
                    sleep(air::PAUSE).await;
                }
            }
        });
        Lan { seen, farewell }
    }

    /// What is seen, to be watched.
    pub(crate) fn seen(&self) -> watch::Receiver<Seen> {
        self.seen.clone()
    }

    /// Waits a moment until others have been told that this daemon is gone. It is told when the task ends, so the
    /// daemon has to be leaving.
    pub(crate) async fn left(self) {
        self.farewell.said().await;
    }
}
