//! Circuits that become direct connections.

use libp2p::core::{ConnectedPoint, Endpoint};
use libp2p::swarm::SwarmEvent;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition, WithPeerIdWithAddresses};

use super::party::{Party, talk, unpunched, usual};
use super::word::Word;
use crate::wire::{Gate, RelaySettings, WireEvent};

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
    let mut dug = 0;
    for party in [&guest, &hidden] {
        let holes = party.call(|swarm| swarm.behaviour().holes()).await;
        assert_eq!(holes.tried, holes.dug, "none in vain");
        dug += holes.dug;
    }
    assert!(dug > 0, "nobody counts it");
    let mut there = guest.open(hidden.peer, &[circuit]).await.expect("connected");
    let mut later = hidden.accepted().await;
    assert_ne!(later.connection, relayed, "not by the circuit");
    talk(&mut there, &mut later.stream.stream, b"without the relay").await;
    let mut back = hidden.open(guest.peer, &[]).await.expect("connected");
    let mut heard = guest.accepted().await;
    let (through, _) = guest.connected(hidden.peer, true).await;
    assert_ne!(heard.connection, through);
    talk(&mut back, &mut heard.stream.stream, b"in both directions").await;

    for (party, other) in [(&guest, hidden.peer), (&hidden, guest.peer)] {
        assert!(party.call(move |swarm| swarm.behaviour().streams.left_circuit(&other)).await);
    }
    // What is under way on the circuit goes on for a while. Then the circuit ends, streams or not.
    talk(&mut early, &mut inbound.stream.stream, b"through the relay").await;
    hidden.closed(relayed).await;
    talk(&mut there, &mut later.stream.stream, b"still without the relay").await;
    let other = guest.peer;
    assert!(!hidden.call(move |swarm| swarm.behaviour().streams.left_circuit(&other)).await);
}

#[tokio::test]
async fn a_circuit_that_nobody_uses_ends_also_when_it_cannot_become_direct() {
    let relay = Party::relay(Gate::default(), &usual()).await;
    let mut hidden = Party::hidden(Gate::default(), &usual()).await;
    let mut guest = Party::hidden(Gate::default(), &usual()).await;
    let circuit = hidden.reserve(&relay).await.expect("there is room");
    let stream = guest.open(hidden.peer, &[circuit]).await.expect("reached");
    let inbound = hidden.accepted().await;
    guest
        .until(|event| match *event {
            SwarmEvent::Behaviour(WireEvent::Punching(punched)) => {
                Ok(punched.result.expect_err("no candidates"))
            }
            other => Err(Box::new(other)),
        })
        .await;
    drop((stream, inbound));
    let (circuit, _) = hidden.connected(guest.peer, true).await;
    hidden.closed(circuit).await;
    // The reservation is kept.
    assert_eq!(hidden.call(move |swarm| swarm.connected_peers().count()).await, 1);
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

/// A dial of `party` by QUIC.
fn to(party: &Party) -> WithPeerIdWithAddresses {
    DialOpts::peer_id(party.peer).condition(PeerCondition::Always).addresses(vec![party.addrs[1].clone()])
}

#[tokio::test]
async fn of_two_that_dial_each_other_at_once_one_knocks_and_one_answers() {
    let (here, there) = (Word::of(b"friend"), Word::of(b"friend"));
    let mut one = Party::listening(Gate::kept_by(here.clone()), &RelaySettings::default()).await;
    let mut other = Party::listening(Gate::kept_by(there.clone()), &RelaySettings::default()).await;
    // One end dials, but waits to be dialled by the other.
    let (as_listener, as_dialer) = (to(&other).override_role().allocate_new_port().build(), to(&one).build());
    one.call(move |swarm| swarm.dial(as_listener).expect("it can be dialled")).await;
    other.call(move |swarm| swarm.dial(as_dialer).expect("it can be dialled")).await;
    let (_, seen) = one.connected(other.peer, false).await;
    let both_dialled = matches!(seen, ConnectedPoint::Dialer { role_override: Endpoint::Listener, .. });
    assert!(both_dialled, "{seen:?}");
    other.connected(one.peer, false).await;
    assert_eq!(*here.judged.lock().expect("no panic"), [other.peer]);
    assert!(there.judged.lock().expect("no panic").is_empty());
}

#[tokio::test]
async fn whoever_is_to_act_as_listener_and_is_accepted_all_the_same_knocks() {
    let (here, there) = (Word::of(b"friend"), Word::of(b"friend"));
    let mut one = Party::listening(Gate::kept_by(here.clone()), &RelaySettings::default()).await;
    let mut other = Party::listening(Gate::kept_by(there.clone()), &RelaySettings::default()).await;
    // As DCUtR dials.
    let dial = to(&other).override_role().build();
    one.call(move |swarm| swarm.dial(dial).expect("it can be dialled")).await;
    one.connected(other.peer, false).await;
    other.connected(one.peer, false).await;
    assert_eq!(*there.judged.lock().expect("no panic"), [one.peer]);
    assert!(here.judged.lock().expect("no panic").is_empty());
}

#[tokio::test]
async fn a_circuit_becomes_a_direct_connection_among_members_as_well() {
    let member = || Gate::kept_by(Word::of(b"friend"));
    let relay = Party::relay(member(), &usual()).await;
    let mut hidden = Party::listening(member(), &usual()).await;
    let mut guest = Party::listening(member(), &usual()).await;
    tell_candidates(&hidden).await;
    tell_candidates(&guest).await;
    let circuit = hidden.reserve(&relay).await.expect("there is room");
    let _early = guest.open(hidden.peer, std::slice::from_ref(&circuit)).await.expect("reached");
    let (relayed, _) = hidden.connected(guest.peer, true).await;
    assert_eq!(hidden.accepted().await.connection, relayed);
    hidden.connected(guest.peer, false).await;
    guest.connected(hidden.peer, false).await;
    let mut there = guest.open(hidden.peer, &[]).await.expect("connected");
    let mut later = hidden.accepted().await;
    assert_ne!(later.connection, relayed, "not by the circuit");
    talk(&mut there, &mut later.stream.stream, b"among friends, without the relay").await;
}
