//! Reservations of real swarms, and relays that come and go.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::StreamExt;
use libp2p::identity::Keypair;
use libp2p::{Multiaddr, PeerId};
use tokio::sync::watch;
use tokio::time::{Instant, interval, timeout};

use super::party::{Party, unpunched};
use crate::address::split;
use crate::config::ConnectionConfig;
use crate::wire::{Gate, Protocols, Reservations, build, keep_reservations};

/// How long a loss may take to be made good. A relay that is gone without a word is noticed by QUIC after ten seconds.
const SOON: Duration = Duration::from_secs(15);

/// Somebody who is reached through relays only, as the driver would keep it.
struct Kept {
    peer: PeerId,
    /// The addresses that hold.
    addresses: watch::Receiver<Vec<Multiaddr>>,
    /// Whether it needs any.
    wanted: watch::Sender<bool>,
}

impl Kept {
    fn by(relays: &[&Party]) -> Kept {
        let key = Keypair::generate_ed25519();
        let peer = key.public().to_peer_id();
        let mut reservations = Reservations::new(peer);
        let (wanted, mut wanted_out) = watch::channel(true);
        reservations.wanted(true);
        reservations.candidates(relays.iter().map(|relay| (relay.peer, relay.addrs.clone())).collect());
        let protocols = Protocols::new("n", "ring");
        let connections = ConnectionConfig::default();
        let mut swarm = build(key, protocols, Gate::default(), &connections, &unpunched()).expect("valid");
        let (addresses_in, addresses) = watch::channel(Vec::new());
        drop(tokio::spawn(async move {
            let mut review = interval(Duration::from_millis(200));
            let mut streams = Vec::new();
            while !addresses_in.is_closed() {
                tokio::select! {
                    event = swarm.select_next_some() => {
                        reservations.event(&event);
                        streams.push(event);
                    }
                    _ = review.tick() => {}
                    Ok(()) = wanted_out.changed() => reservations.wanted(*wanted_out.borrow()),
                }
                let _ = keep_reservations(&mut swarm, &mut reservations, Instant::now());
                addresses_in.send_if_modified(|known| {
                    let now = reservations.addresses();
                    let changed = *known != now;
                    *known = now;
                    changed
                });
            }
        }));
        Kept { peer, addresses, wanted }
    }

    /// An address through this relay.
    fn address(&self, relay: &Party) -> Multiaddr {
        let through = |addr: &&Multiaddr| addr.to_string().contains(&relay.peer.to_string());
        self.addresses.borrow().iter().find(through).cloned().expect("it holds")
    }

    /// Waits until it is reached through exactly these.
    async fn is_reached_through(&mut self, relays: &[&Party]) {
        let expected: BTreeSet<PeerId> = relays.iter().map(|relay| relay.peer).collect();
        let through = |addresses: &Vec<Multiaddr>| -> BTreeSet<PeerId> {
            let relay = |addr: &Multiaddr| {
                addr.iter().find_map(|part| match part {
                    libp2p::multiaddr::Protocol::P2p(relay) => Some(relay),
                    _ => None,
                })
            };
            addresses.iter().filter_map(relay).collect()
        };
        let reached = self.addresses.wait_for(|addresses| through(addresses) == expected);
        let reached = timeout(SOON, reached).await.is_ok_and(|reached| reached.is_ok());
        assert!(
            reached,
            "it is reached through {:?} and not {expected:?}",
            through(&self.addresses.borrow())
        );
    }
}

#[tokio::test]
async fn a_relay_that_dies_is_replaced_and_used_again_when_it_is_back_and_needed() {
    let first = Party::relay(Gate::default(), &unpunched()).await;
    let second = Party::relay(Gate::default(), &unpunched()).await;
    let third = Party::relay(Gate::default(), &unpunched()).await;
    let mut kept = Kept::by(&[&first, &second, &third]);
    kept.is_reached_through(&[&first, &second]).await;

    let (key, addrs) = (first.key.clone(), first.addrs.clone());
    drop(first);
    kept.is_reached_through(&[&second, &third]).await;
    // The new one does what an address promises.
    let guest = Party::hidden(Gate::default(), &unpunched()).await;
    guest.open(kept.peer, &[kept.address(&third)]).await.expect("reached");

    let on: Vec<Multiaddr> = addrs.iter().map(|addr| split(addr.clone()).0).collect();
    let mut first = Party::with(key, Gate::default(), &unpunched(), &on).await;
    first.serve().await;
    drop(third);
    kept.is_reached_through(&[&first, &second]).await;
    let guest = Party::hidden(Gate::default(), &unpunched()).await;
    guest.open(kept.peer, &[kept.address(&first)]).await.expect("reached");
}

#[tokio::test]
async fn who_needs_no_relay_any_more_gives_its_place_back() {
    let mut relay = Party::relay(Gate::default(), &unpunched()).await;
    let mut kept = Kept::by(&[&relay]);
    kept.is_reached_through(&[&relay]).await;
    let address = kept.address(&relay);
    let (connection, _) = relay.connected(kept.peer, false).await;
    kept.wanted.send(false).expect("it runs");
    kept.is_reached_through(&[]).await;
    relay.closed(connection).await;
    let guest = Party::hidden(Gate::default(), &unpunched()).await;
    guest.open(kept.peer, &[address]).await.expect_err("not reached");
    kept.wanted.send(true).expect("it runs");
    kept.is_reached_through(&[&relay]).await;
}
