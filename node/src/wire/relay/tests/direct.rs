//! Circuits that become direct connections.

use std::time::Duration;

use libp2p::core::{ConnectedPoint, Endpoint};
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use tokio::time::Instant;

use super::party::{Party, talk, unpunched, usual};
use super::word::Word;
use crate::wire::circuits::LINGER;
use crate::wire::{Gate, RelaySettings};

/// Tells a swarm which addresses of its own to try.
async fn tell_candidates(party: &Party) {
    let addrs = party.addrs.clone();
    party.call(move |swarm| swarm.behaviour_mut().add_candidates(&addrs)).await;
}

#[tokio::test]
async fn a_circuit_becomes_a_direct_connection_which_carries_all_that_begins_later() {
    let relay = Party::relay(Gate::default(), &usual()).await;
    // Both have ports, but the guest is told of the circuit only.
    let mut hidden = Party::listening(Gate::default(), &usual()).await;
    let mut guest = Party::listening(Gate::default(), &usual()).await;
    tell_candidates(&hidden).await;
    tell_candidates(&guest).await;
    let circuit = hidden.reserve(&relay).await.expect("there is room");
    let mut early = guest.open(hidden.peer, std::slice::from_ref(&circuit)).await.expect("reached");
    let mut inbound = hidden.accepted().await;
    let (relayed, _) = hidden.connected(guest.peer, true).await;
    assert_eq!(inbound.connection, relayed);

    hidden.connected(guest.peer, false).await;
    guest.connected(hidden.peer, false).await;
    let mut there = guest.open(hidden.peer, &[circuit]).await.expect("connected");
    let mut later = hidden.accepted().await;
    assert_ne!(later.connection, relayed, "not by the circuit");
    talk(&mut there, &mut later.stream.stream, b"without the relay").await;
    let mut back = hidden.open(guest.peer, &[]).await.expect("connected");
    let mut heard = guest.accepted().await;
    let (through, _) = guest.connected(hidden.peer, true).await;
    assert_ne!(heard.connection, through);
    talk(&mut back, &mut heard.stream.stream, b"in both directions").await;

    // What is under way on the circuit goes on for a while. Then the circuit ends, streams or not.
    talk(&mut early, &mut inbound.stream.stream, b"through the relay").await;
    let began = Instant::now();
    hidden.closed(relayed).await;
    assert!(began.elapsed() <= LINGER + Duration::from_secs(2));
    talk(&mut there, &mut later.stream.stream, b"still without the relay").await;
}

#[tokio::test]
async fn a_circuit_that_comes_second_carries_nothing() {
    let relay = Party::relay(Gate::default(), &unpunched()).await;
    let mut hidden = Party::listening(Gate::default(), &unpunched()).await;
    let guest = Party::hidden(Gate::default(), &unpunched()).await;
    let circuit = hidden.reserve(&relay).await.expect("there is room");
    let direct = hidden.addrs.clone();
    let _first = guest.open(hidden.peer, &direct).await.expect("reached");
    let (direct, _) = hidden.connected(guest.peer, false).await;
    assert_eq!(hidden.accepted().await.connection, direct);
    let dial = DialOpts::peer_id(hidden.peer).condition(PeerCondition::Always).addresses(vec![circuit]);
    guest.call(move |swarm| swarm.dial(dial.build()).expect("it can be dialled")).await;
    hidden.connected(guest.peer, true).await;
    let _second = guest.open(hidden.peer, &[]).await.expect("connected");
    assert_eq!(hidden.accepted().await.connection, direct);
    let peer = guest.peer;
    assert!(!hidden.call(move |swarm| swarm.behaviour().streams.has_moved(&peer)).await);
}

#[tokio::test]
async fn direct_addresses_are_dialled_before_those_through_relays() {
    let relay = Party::relay(Gate::default(), &unpunched()).await;
    let mut hidden = Party::listening(Gate::default(), &unpunched()).await;
    let guest = Party::hidden(Gate::default(), &unpunched()).await;
    let circuit = hidden.reserve(&relay).await.expect("there is room");
    let addrs = [circuit, hidden.addrs[0].clone()];
    let _stream = guest.open(hidden.peer, &addrs).await.expect("reached");
    let (direct, _) = hidden.connected(guest.peer, false).await;
    assert_eq!(hidden.accepted().await.connection, direct);
}

#[tokio::test]
async fn of_two_that_dial_each_other_at_once_one_knocks_and_one_answers() {
    let (here, there) = (Word::of(b"friend"), Word::of(b"friend"));
    let mut one = Party::listening(Gate::kept_by(here.clone()), &RelaySettings::default()).await;
    let mut other = Party::listening(Gate::kept_by(there.clone()), &RelaySettings::default()).await;
    // As over a circuit: one end dials, and acts as if it had been dialled.
    let to = |party: &Party| {
        DialOpts::peer_id(party.peer).condition(PeerCondition::Always).addresses(vec![party.addrs[1].clone()])
    };
    let (as_listener, as_dialer) = (to(&other).override_role().build(), to(&one).build());
    one.call(move |swarm| swarm.dial(as_listener).expect("it can be dialled")).await;
    other.call(move |swarm| swarm.dial(as_dialer).expect("it can be dialled")).await;
    let (_, seen) = one.connected(other.peer, false).await;
    let both_dialled = matches!(seen, ConnectedPoint::Dialer { role_override: Endpoint::Listener, .. });
    assert!(both_dialled, "{seen:?}");
    other.connected(one.peer, false).await;
    assert_eq!(*here.judged.lock().expect("no panic"), [other.peer]);
    assert!(there.judged.lock().expect("no panic").is_empty());
}
