//! Networks of trees in virtual time, without the rest of a node.

#![allow(clippy::unwrap_used)]

use alloc::collections::BTreeSet;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use super::*;
use crate::peer::PeerInfo;

/// An item that is nothing but its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Number(u32);

impl Item for Number {
    type Name = u32;

    fn name(&self) -> u32 {
        self.0
    }

    fn encoded_len(&self) -> usize {
        100
    }
}

type Spoken = Word<Number, u32>;
type Outgoing = Vec<(Peer, Spoken)>;

fn peer(number: u32) -> Peer {
    let mut key = [0; 32];
    key[..4].copy_from_slice(&number.to_be_bytes());
    PeerInfo::new(key, Vec::new(), 1).unwrap().into()
}

struct Nodes {
    trees: Vec<Tree<Number>>,
    heard: Vec<BTreeSet<u32>>,
    on_the_way: Vec<(Time, usize, usize, Spoken)>,
    now: Time,
    rng: ChaCha8Rng,
    /// Messages in a thousand that are lost.
    lost: u64,
    news_sent: usize,
}

impl Nodes {
    /// A ring in which everybody has three more links to others.
    fn new(count: usize, lost: u64) -> Self {
        let mut nodes = Self {
            trees: alloc::vec![Tree::default(); count],
            heard: alloc::vec![BTreeSet::new(); count],
            on_the_way: Vec::new(),
            now: Time::ZERO,
            rng: ChaCha8Rng::seed_from_u64(7),
            lost,
            news_sent: 0,
        };
        for node in 0..count {
            let mut others = alloc::vec![(node + 1) % count];
            others.extend((0..2).map(|_| nodes.rng.next_u64() as usize % count));
            for other in others.into_iter().filter(|other| *other != node) {
                nodes.trees[node].connect(&peer(other as u32), true, Time::ZERO, &mut Outgoing::new());
                nodes.trees[other].connect(&peer(node as u32), false, Time::ZERO, &mut Outgoing::new());
            }
        }
        nodes
    }

    fn send(&mut self, from: usize, out: Outgoing) {
        for (to, word) in out {
            let to = (0..self.trees.len()).find(|node| peer(*node as u32).id() == to.id()).unwrap();
            if let Word::News(news) = &word {
                self.news_sent += news.len();
            }
            let delay = Duration::from_millis(10 + self.rng.next_u64() % 100);
            if self.rng.next_u64() % 1000 >= self.lost {
                self.on_the_way.push((self.now + delay, from, to, word));
            }
        }
    }

    fn tell(&mut self, node: usize, item: Number) {
        self.heard[node].insert(item.0);
        let now = self.now;
        self.trees[node].spread(item, None, now);
    }

    fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.now < end {
            self.now += Duration::from_millis(10);
            let now = self.now;
            let (arrived, rest) = self.on_the_way.drain(..).partition(|(at, ..)| *at <= now);
            self.on_the_way = rest;
            let arrived: Vec<(Time, usize, usize, Spoken)> = arrived;
            for (_, from, to, word) in arrived {
                let mut out = Outgoing::new();
                let sender = peer(from as u32);
                let (tree, heard) = (&mut self.trees[to], &mut self.heard[to]);
                match word {
                    Word::News(news) => tree.news(&sender, news, now, &mut out, |item| heard.insert(item.0)),
                    Word::Have(names) => tree.have(sender.id_ref(), &names, now),
                    Word::Graft(names) => {
                        tree.graft(&sender, &names, now, &mut out);
                    }
                    Word::Prune => tree.prune(sender.id_ref()),
                    Word::Unlink => {
                        tree.disconnect(sender.id_ref());
                    }
                }
                self.send(to, out);
            }
            for node in 0..self.trees.len() {
                let mut out = Outgoing::new();
                self.trees[node].run(now, &mut out);
                self.send(node, out);
            }
        }
    }

    fn reached(&self, item: Number) -> usize {
        self.heard.iter().filter(|heard| heard.contains(&item.0)).count()
    }
}

#[test]
fn everybody_hears_and_soon_hardly_anybody_twice() {
    let mut nodes = Nodes::new(60, 0);
    for round in 0..20 {
        nodes.tell(round * 7 % 60, Number(1000 + round as u32));
        nodes.run(Duration::from_secs(8));
    }
    for round in 0..20 {
        assert_eq!(nodes.reached(Number(1000 + round)), 60);
    }
    nodes.news_sent = 0;
    for round in 0..10 {
        nodes.tell(round * 11 % 60, Number(2000 + round as u32));
        nodes.run(Duration::from_secs(8));
    }
    // 59 each would be a perfect tree.
    assert!(nodes.news_sent <= 10 * 59 * 12 / 10, "{} sent for 590", nodes.news_sent);
}

#[test]
fn what_is_lost_is_asked_for() {
    let mut nodes = Nodes::new(40, 100);
    for round in 0..20 {
        nodes.tell(round, Number(1000 + round as u32));
        nodes.run(Duration::from_secs(5));
    }
    nodes.run(Duration::from_secs(20));
    let missing: usize = (0..20).map(|round| 40 - nodes.reached(Number(1000 + round))).sum();
    // One in ten messages is lost; of 800, whoever is reached by no name either compares lists one day.
    assert!(missing <= 4, "{missing} of 800 not heard");
}

#[test]
fn news_of_a_moment_share_messages_and_silence_costs_nothing() {
    let mut tree = Tree::default();
    tree.connect(&peer(1), true, Time::ZERO, &mut Outgoing::new());
    assert_eq!(tree.next_timeout(), None);
    for number in 0..50 {
        tree.spread(Number(100 + number), None, Time::ZERO);
    }
    let mut out = Outgoing::new();
    tree.run(Time::ZERO + FLUSH, &mut out);
    assert_eq!(out.len(), 1);
    tree.run(Time::ZERO + OFFER, &mut out);
    // Everybody is in the tree: there is nobody to offer names to.
    assert_eq!((out.len(), tree.next_timeout()), (1, None));
}

#[test]
fn a_link_that_floods_is_not_listened_to() {
    let mut tree = Tree::default();
    let (flooder, other) = (peer(1), peer(2));
    tree.connect(&flooder, false, Time::ZERO, &mut Outgoing::new());
    tree.connect(&other, false, Time::ZERO, &mut Outgoing::new());
    let mut taken = 0;
    for round in 0..100 {
        let news = (0..50).map(|number| Number(1000 + 50 * round + number)).collect();
        tree.news(&flooder, news, Time::ZERO, &mut Outgoing::new(), |_| {
            taken += 1;
            true
        });
    }
    assert_eq!(taken, 2_000);
    tree.news(&other, alloc::vec![Number(1)], Time::ZERO, &mut Outgoing::new(), |_| {
        taken += 1;
        true
    });
    assert_eq!(taken, 2_001);
}

#[test]
fn links_are_bounded_and_strangers_are_told() {
    let mut tree = Tree::default();
    let mut out = Outgoing::new();
    for number in 0..100 {
        tree.graft(&peer(number), &[], Time::ZERO, &mut out);
    }
    assert_eq!(tree.links().len(), LINKS_MAX);
    assert_eq!(out.len(), 100 - LINKS_MAX);
    out.clear();
    tree.news(&peer(99), alloc::vec![Number(5)], Time::ZERO, &mut out, |_| unreachable!("not a link"));
    assert!(matches!(&out[..], [(_, Word::Unlink)]));
}

#[test]
fn what_is_not_worth_it_is_remembered_and_not_passed_on() {
    let mut tree = Tree::default();
    let (from, other) = (peer(1), peer(2));
    let mut out = Outgoing::new();
    tree.connect(&from, true, Time::ZERO, &mut out);
    tree.connect(&other, true, Time::ZERO, &mut out);
    let mut seen = Vec::new();
    for _ in 0..2 {
        tree.news(&from, alloc::vec![Number(1), Number(2)], Time::ZERO, &mut out, |item| {
            seen.push(item.0);
            item.0 == 2
        });
    }
    assert_eq!(seen, [1, 2], "each is shown once");
    out.clear();
    tree.run(Time::ZERO + FLUSH, &mut out);
    assert_eq!(out, [(other, Word::News(alloc::vec![Number(2)]))], "and not sent back");
}

#[test]
fn a_new_link_is_offered_what_is_news_and_nothing_older() {
    let mut tree = Tree::default();
    let mut out = Outgoing::new();
    tree.spread(Number(1), None, Time::ZERO);
    tree.spread(Number(2), None, Time::ZERO + Duration::from_secs(1));
    for (after, offered) in [(0, &[2, 1][..]), (60, &[2, 1]), (61, &[2])] {
        tree.connect(&peer(9), true, Time::ZERO + Duration::from_secs(after), &mut out);
        assert_eq!(out, [(peer(9), Word::Have(offered.to_vec()))], "after {after} s");
        tree.disconnect(peer(9).id_ref());
        out.clear();
    }
    tree.connect(&peer(9), true, Time::ZERO + Duration::from_secs(62), &mut out);
    assert!(out.is_empty());
}

#[test]
fn a_batch_has_as_many_as_fit_and_at_least_one() {
    let items = alloc::vec![Number(0); 200];
    let mut sizes = Vec::new();
    batches(items.iter(), |batch| sizes.push(batch.len()));
    assert_eq!(sizes, [81, 81, 38]);
}
