//! What goes through a relay, and what does not.

use super::party::{Party, talk, unpunched};
use super::word::Word;
use crate::wire::Gate;
use crate::wire::relay::RelayRefusal;

#[tokio::test]
async fn somebody_who_is_not_reached_is_reached_through_a_relay_in_both_directions() {
    let relay = Party::relay(Gate::default(), &unpunched()).await;
    let mut hidden = Party::hidden(Gate::default(), &unpunched()).await;
    let mut guest = Party::hidden(Gate::default(), &unpunched()).await;
    let circuit = hidden.reserve(&relay).await.expect("there is room");
    assert!(circuit.to_string().ends_with(&format!("/p2p/{}/p2p-circuit/p2p/{}", relay.peer, hidden.peer)));

    let mut there = guest.open(hidden.peer, &[circuit]).await.expect("reached");
    let mut inbound = hidden.accepted().await;
    assert_eq!(inbound.peer, guest.peer, "the ends know each other");
    talk(&mut there, &mut inbound.stream.stream, b"to somebody who listens nowhere").await;
    // The same connection carries what the other end opens.
    let mut back = hidden.open(guest.peer, &[]).await.expect("connected");
    let mut inbound = guest.accepted().await;
    assert_eq!(inbound.peer, hidden.peer);
    talk(&mut back, &mut inbound.stream.stream, b"and back").await;
    let (_, seen) = guest.connected(hidden.peer, true).await;
    assert!(seen.is_dialer());
}

#[tokio::test]
async fn a_daemon_that_serves_nobody_is_no_relay() {
    let relay = Party::listening(Gate::default(), &unpunched()).await;
    let mut hidden = Party::hidden(Gate::default(), &unpunched()).await;
    assert_eq!(hidden.reserve(&relay).await.expect_err("not yet"), Some(RelayRefusal::NoRelay));
}

#[tokio::test]
async fn a_stranger_gets_no_further_by_a_relay_than_directly() {
    // The relay is a member and lets everybody in: it could hardly do worse.
    let relay = Party::relay(Gate::kept_by(Word::careless(b"friend")), &unpunched()).await;
    let keeper = Word::of(b"friend");
    let mut hidden = Party::hidden(Gate::kept_by(keeper.clone()), &unpunched()).await;
    let circuit = hidden.reserve(&relay).await.expect("the relay is a member");

    // One that shows other papers, and one that knows of no gate.
    let stranger = Party::hidden(Gate::kept_by(Word::careless(b"stranger")), &unpunched()).await;
    let opened = stranger.open(hidden.peer, std::slice::from_ref(&circuit)).await;
    assert!(opened.is_err(), "{opened:?}");
    assert_eq!(*keeper.judged.lock().expect("no panic"), [stranger.peer], "it came as far as the gate");
    let heedless = Party::hidden(Gate::default(), &unpunched()).await;
    let opened = heedless.open(hidden.peer, std::slice::from_ref(&circuit)).await;
    assert!(opened.is_err(), "{opened:?}");

    let member = Party::hidden(Gate::kept_by(Word::of(b"friend")), &unpunched()).await;
    let mut there = member.open(hidden.peer, &[circuit]).await.expect("let in");
    let mut inbound = hidden.accepted().await;
    assert_eq!(inbound.peer, member.peer, "the first whom the swarm hears of");
    talk(&mut there, &mut inbound.stream.stream, b"among friends").await;
}

#[tokio::test]
async fn a_relay_with_a_gate_carries_nothing_for_strangers() {
    let relay = Party::relay(Gate::kept_by(Word::of(b"friend")), &unpunched()).await;
    let mut hidden = Party::hidden(Gate::kept_by(Word::of(b"friend")), &unpunched()).await;
    let circuit = hidden.reserve(&relay).await.expect("a member");
    let mut stranger = Party::hidden(Gate::kept_by(Word::careless(b"stranger")), &unpunched()).await;
    let opened = stranger.open(hidden.peer, &[circuit]).await;
    assert!(opened.is_err(), "{opened:?}");
    assert_eq!(stranger.reserve(&relay).await.expect_err("nor does it get a reservation"), None);
}
