//! What a relay does not do, and that it goes on serving others.

use std::time::Duration;

use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::Multiaddr;
use libp2p::swarm::{DialError, SwarmEvent};
use tokio::time::{Instant, timeout};

use super::party::{DEADLINE, Party, talk, unpunched};
use crate::config::RelayConfig;
use crate::wire::relay::{RelayRefusal, why_refused};
use crate::wire::{Gate, RelaySettings};

/// A relay with limits of its own.
async fn relay(config: RelayConfig) -> Party {
    let settings = RelaySettings { punches: false, ..RelaySettings::of(&config, false) };
    Party::relay(Gate::default(), &settings).await
}

async fn hidden() -> Party {
    Party::hidden(Gate::default(), &unpunched()).await
}

/// Dials a circuit, and tells what the relay says to it.
async fn dial(party: &mut Party, circuit: &Multiaddr) -> Result<(), Option<RelayRefusal>> {
    let circuit = circuit.clone();
    party.call(move |swarm| swarm.dial(circuit).expect("it can be dialled")).await;
    party
        .until(|event| match *event {
            SwarmEvent::ConnectionEstablished { ref endpoint, .. } if endpoint.is_relayed() => Ok(Ok(())),
            SwarmEvent::OutgoingConnectionError { error: DialError::Transport(failed), .. } => {
                Ok(Err(failed.iter().find_map(|(_, error)| why_refused(error))))
            }
            other => Err(Box::new(other)),
        })
        .await
}

#[tokio::test]
async fn a_relay_gives_no_more_reservations_than_allowed() {
    let relay = relay(RelayConfig { reservations_max: 1, ..RelayConfig::default() }).await;
    let (mut first, mut second) = (hidden().await, hidden().await);
    let circuit = first.reserve(&relay).await.expect("there is room");
    assert_eq!(second.reserve(&relay).await.expect_err("for one"), Some(RelayRefusal::Full));
    // Who has one is reached all the same, also by who got none.
    let mut there = second.open(first.peer, &[circuit]).await.expect("reached");
    let mut inbound = first.accepted().await;
    talk(&mut there, &mut inbound.stream.stream, b"served").await;
    // There is room again when it is gone.
    drop((first, there, inbound));
    let deadline = Instant::now() + DEADLINE;
    while second.reserve(&relay).await.is_err() {
        assert!(Instant::now() < deadline, "the place was never given back");
    }
}

#[tokio::test]
async fn a_relay_opens_no_more_circuits_than_allowed() {
    let config = RelayConfig { circuits_max: 2, circuits_per_peer_max: 1, ..RelayConfig::default() };
    let relay = relay(config).await;
    let (mut one, mut other, mut third) = (hidden().await, hidden().await, hidden().await);
    let [to_one, to_other, to_third] = [
        one.reserve(&relay).await.expect("there is room"),
        other.reserve(&relay).await.expect("there is room"),
        third.reserve(&relay).await.expect("there is room"),
    ];
    let mut guest = hidden().await;
    dial(&mut guest, &to_one).await.expect("the first");
    assert_eq!(dial(&mut guest, &to_other).await, Err(Some(RelayRefusal::Full)), "one for each peer");
    let mut second_guest = hidden().await;
    dial(&mut second_guest, &to_other).await.expect("the second");
    let mut third_guest = hidden().await;
    assert_eq!(dial(&mut third_guest, &to_third).await, Err(Some(RelayRefusal::Full)), "two in all");
    // The others go on, and there is room again when one ends.
    let mut there = second_guest.open(other.peer, &[]).await.expect("connected");
    let mut inbound = other.accepted().await;
    talk(&mut there, &mut inbound.stream.stream, b"undisturbed").await;
    drop(guest);
    let deadline = Instant::now() + DEADLINE;
    while dial(&mut third_guest, &to_third).await.is_err() {
        assert!(Instant::now() < deadline, "the place was never given back");
    }
}

#[tokio::test]
async fn a_circuit_to_somebody_who_has_not_reserved_is_refused() {
    let relay = relay(RelayConfig::default()).await;
    let (mut hidden, mut guest) = (hidden().await, hidden().await);
    let circuit = hidden.reserve(&relay).await.expect("there is room");
    drop(hidden);
    let deadline = Instant::now() + DEADLINE;
    loop {
        match dial(&mut guest, &circuit).await {
            Err(Some(RelayRefusal::NoReservation)) => return,
            // Its end has not been noticed yet.
            Err(_) => assert!(Instant::now() < deadline, "it is never noticed that nobody is there"),
            Ok(()) => panic!("nobody is there"),
        }
    }
}

#[tokio::test]
async fn a_circuit_with_too_many_bytes_is_cut_and_others_are_not() {
    let relay = relay(RelayConfig { circuit_bytes: Some(32 << 10), ..RelayConfig::default() }).await;
    let (mut one, guest) = (hidden().await, hidden().await);
    let circuit = one.reserve(&relay).await.expect("there is room");
    let mut greedy = guest.open(one.peer, std::slice::from_ref(&circuit)).await.expect("reached");
    let mut inbound = one.accepted().await;
    let (broken, _) = one.connected(guest.peer, true).await;
    talk(&mut greedy, &mut inbound.stream.stream, &[7; 8 << 10]).await;
    let mut modest_guest = hidden().await;
    let mut modest = modest_guest.open(one.peer, std::slice::from_ref(&circuit)).await.expect("reached");
    let mut modest_inbound = one.accepted().await;

    let written = async {
        loop {
            greedy.write_all(&[7; 4 << 10]).await?;
            greedy.flush().await?;
        }
        #[expect(unreachable_code, reason = "the type of the block")]
        Ok::<(), std::io::Error>(())
    };
    let read = async {
        let mut bytes = vec![0; 4 << 10];
        let mut count = 0;
        while let Ok(more @ 1..) = inbound.stream.stream.read(&mut bytes).await {
            count += more;
        }
        count
    };
    let (written, read) = timeout(DEADLINE, futures::future::join(written, read)).await.expect("cut");
    written.expect_err("cut");
    assert!(read <= 32 << 10, "{read} bytes went through");
    one.closed(broken).await;
    talk(&mut modest, &mut modest_inbound.stream.stream, b"undisturbed").await;
    // The reservation stands as well, and so does the way to it.
    let mut again = guest.open(one.peer, &[circuit]).await.expect("reached");
    let mut inbound = one.accepted().await;
    talk(&mut again, &mut inbound.stream.stream, b"a new one").await;
    modest_guest.connected(one.peer, true).await;
}

#[tokio::test]
async fn a_circuit_that_lasts_too_long_is_cut() {
    let mut settings = RelaySettings { punches: false, ..RelaySettings::of(&RelayConfig::default(), false) };
    if let Some(limits) = &mut settings.serves {
        limits.circuit_time = Duration::from_secs(1);
    }
    let relay = Party::relay(Gate::default(), &settings).await;
    let (mut one, guest) = (hidden().await, hidden().await);
    let circuit = one.reserve(&relay).await.expect("there is room");
    let _stream = guest.open(one.peer, std::slice::from_ref(&circuit)).await.expect("reached");
    let _inbound = one.accepted().await;
    let (connection, _) = one.connected(guest.peer, true).await;
    one.closed(connection).await;
    let _again = guest.open(one.peer, &[circuit]).await.expect("there is room for the next");
}

#[tokio::test]
async fn what_a_relay_does_and_refuses_is_counted() {
    let config = RelayConfig { reservations_max: 1, circuits_max: 1, ..RelayConfig::default() };
    let relay = relay(config).await;
    let counted = async || relay.call(|swarm| swarm.behaviour().relaying()).await.expect("it is a relay");
    let (mut first, mut second, mut guest) = (hidden().await, hidden().await, hidden().await);
    assert_eq!(hidden().await.call(|swarm| swarm.behaviour().relaying()).await, None);
    let circuit = first.reserve(&relay).await.expect("there is room");
    second.reserve(&relay).await.expect_err("for one");
    dial(&mut guest, &circuit).await.expect("the first");
    dial(&mut second, &circuit).await.expect_err("one in all");
    let now = counted().await;
    assert_eq!((now.reservations, now.circuits, now.circuits_opened, now.refused), (1, 1, 1, 2), "{now:?}");
    assert_eq!((now.reservations_max, now.circuits_max), (1, 1), "{now:?}");
    // A connection that ends without a reservation on it takes none away.
    drop((guest, second));
    let deadline = Instant::now() + DEADLINE;
    while counted().await.circuits > 0 {
        assert!(Instant::now() < deadline, "the circuit is counted for ever");
    }
    assert_eq!(counted().await.reservations, 1);
    drop(first);
    while counted().await.reservations > 0 {
        assert!(Instant::now() < deadline, "the reservation is counted for ever");
    }
    assert_eq!(counted().await.circuits_opened, 1);
}
