//! One node and what others say to it, all made up by the test, in the test's own time; and the rules for whom it
//! believes and how long it waits.

#![allow(clippy::unwrap_used)]

use alloc::vec;

use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

use super::*;
use crate::{
    Key, Ring,
    io::{Confirm, LookupId, LookupOptions},
    message::{CallId, Response},
    peer::PeerInfo,
};

pub(super) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(super) fn record(key: u8, address: &[u8], seq: u64) -> Peer {
    let address = Address::new(address).unwrap();
    Arc::new(PeerInfo::new([key; 32], vec![address], seq).unwrap())
}

pub(super) fn peer(key: u8) -> Peer {
    record(key, &[key], 1)
}

pub(super) struct Node {
    pub(super) dht: Dht<Ring>,
    pub(super) now: Time,
    rng: ChaCha8Rng,
}

impl Node {
    /// The first node of a network, to which these have spoken.
    pub(super) fn new(neighbours: &[&Peer]) -> Self {
        let dht = Dht::new(record(1, b"here", 10), Ring, Config::default());
        let (now, rng) = (Time::from_micros(1_000_000), ChaCha8Rng::seed_from_u64(1));
        let mut node = Self { dht, now, rng };
        node.give(Input::Join { seeds: Vec::new() });
        for neighbour in neighbours {
            node.hear(neighbour, Message::Request(CallId(7), Request::Ping));
        }
        node
    }

    pub(super) fn give(&mut self, input: Input) -> Vec<Output> {
        let mut out = Vec::new();
        self.dht.handle(self.now, &mut self.rng, input, &mut out);
        out
    }

    pub(super) fn hear(&mut self, from: &Peer, message: Message) -> Vec<Output> {
        self.give(Input::Message { from: from.clone(), message })
    }

    /// Lets it do something that no message makes it do at once.
    pub(super) fn turn<T>(
        &mut self,
        act: impl FnOnce(&mut Dht<Ring>, &mut Turn<'_>) -> T,
    ) -> (T, Vec<Output>) {
        let mut out = Vec::new();
        let result = act(&mut self.dht, &mut Turn { now: self.now, rng: &mut self.rng, out: &mut out });
        (result, out)
    }

    /// Time passes, and whatever falls due is done when it does.
    pub(super) fn pass(&mut self, duration: Duration) -> Vec<Output> {
        let (end, mut out) = (self.now + duration, Vec::new());
        while let Some(due) = self.dht.next_timeout().filter(|due| *due <= end) {
            self.now = due.max(self.now);
            out.extend(self.give(Input::Timeout));
        }
        self.now = end;
        out
    }

    fn start_lookup(&mut self, key: Key, options: LookupOptions) -> Vec<Output> {
        self.give(Input::StartLookup { id: LookupId(1), key, options })
    }

    /// Looks for three nodes near a key, and tells whom it asks.
    pub(super) fn look_for(&mut self, key: Key) -> Vec<(Peer, CallId)> {
        let options = LookupOptions { want: 3, confirm: Confirm::Answered(3), ..LookupOptions::default() };
        asked(&self.start_lookup(key, options))
    }

    fn missed(&self, peer: &Peer) -> u8 {
        let neighbours = self.dht.neighbours();
        neighbours.iter().find(|neighbour| neighbour.peer.id() == peer.id()).unwrap().missed
    }
}

/// Whom lookups ask.
pub(super) fn asked(out: &[Output]) -> Vec<(Peer, CallId)> {
    let question = |output: &Output| match output {
        Output::Send { to, message: Message::Request(id, Request::Closest { .. }) } => {
            Some((to.clone(), *id))
        }
        _ => None,
    };
    out.iter().filter_map(question).collect()
}

pub(super) fn closest(id: CallId, peers: &[&Peer], covered: bool) -> Message {
    let peers = peers.iter().map(|peer| Peer::clone(peer)).collect();
    Message::Response(id, Response::Closest { peers, covered })
}

#[test]
fn nobody_speaks_for_another() {
    let (moved, other) = (peer(2), peer(3));
    let says = |record: &Peer| Message::Notice(Notice::Record((**record).clone()));
    let mut node = Node::new(&[&moved, &other]);
    node.hear(&other, says(&record(2, b"made up", 9)));
    assert_eq!(node.dht.known(moved.id_ref()), Some(moved.clone()), "another has said that it has moved");
    node.hear(&other, says(&peer(4)));
    assert_eq!(node.dht.known(peer(4).id_ref()), None, "it has not spoken itself");
    let there = record(2, b"there", 2);
    node.hear(&moved, says(&there));
    assert_eq!(node.dht.known(moved.id_ref()), Some(there.clone()));
    node.hear(&moved, says(&moved));
    assert_eq!(node.dht.known(moved.id_ref()), Some(there), "the highest number counts");
}

#[test]
fn who_has_overslept_gives_answers_time_before_it_blames_anybody() {
    let neighbour = peer(2);
    let awake = Node::new(&[&neighbour]).dht.timeout_of(neighbour.id_ref());
    let (grace, instant) = (OVERSLEPT * 5 / 4, Duration::from_micros(1));
    for (late, misses) in [(Duration::ZERO, 1), (OVERSLEPT, 1), (OVERSLEPT + instant, 0), (millis(3_000), 0)]
    {
        let mut node = Node::new(&[&neighbour]);
        node.turn(|dht, turn| dht.probe(turn, neighbour.id_ref()));
        node.now = node.now + awake + late;
        node.give(Input::Timeout);
        assert_eq!(node.missed(&neighbour), misses, "woken {late:?} late");
        if misses == 0 {
            assert!(node.dht.timeout_of(neighbour.id_ref()) > awake, "it doubts itself");
            node.pass(grace - instant);
            assert_eq!(node.missed(&neighbour), 0, "woken {late:?} late, and not long ago");
            node.pass(instant);
            assert_eq!(node.missed(&neighbour), 1, "woken {late:?} late, and long ago");
        }
    }
}

#[test]
fn an_answer_to_a_question_sent_again_says_nothing_about_the_round_trip_time() {
    let neighbour = peer(2);
    let options = LookupOptions { want: 1, confirm: Confirm::Answered(1), ..LookupOptions::default() };
    for repeats in 0..3 {
        let mut node = Node::new(&[&neighbour]);
        let questions = asked(&node.start_lookup(*neighbour.id_ref().key(), options));
        let [(_, id)] = questions[..] else { panic!("{questions:?}") };
        for _ in 0..repeats {
            while !asked(&node.pass(millis(10))).iter().any(|(_, again)| *again == id) {}
        }
        node.pass(millis(50));
        let out = node.hear(&neighbour, closest(id, &[], true));
        assert!(out.iter().any(|output| matches!(output, Output::LookupFinished { outcome: Ok(_), .. })));
        let measured = (repeats == 0).then_some(());
        for rtt in [node.dht.rtt_of(neighbour.id_ref()), node.dht.timing.network] {
            assert_eq!(rtt.smoothed().map(|_| ()), measured, "sent again {repeats} times");
        }
    }
}

#[test]
fn words_under_way_at_a_goodbye_do_not_bring_the_peer_back() {
    let leaving = peer(2);
    for (after, back) in [(0, false), (1_999, false), (2_000, true)] {
        let mut node = Node::new(&[&leaving]);
        node.hear(&leaving, Message::Notice(Notice::Leaving));
        node.now += millis(after);
        node.hear(&leaving, Message::Request(CallId(8), Request::Ping));
        assert_eq!(node.dht.known(leaving.id_ref()).is_some(), back, "{after} ms after its goodbye");
    }
}
