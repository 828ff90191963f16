//! Networks of trees in virtual time, without the rest of a node.

use alloc::collections::BTreeSet;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use super::*;
use crate::members::tests::{joined, peer};

struct Nodes {
    trees: Vec<Tree>,
    heard: Vec<BTreeSet<NewsId>>,
    on_the_way: Vec<(Time, usize, usize, Gossip)>,
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
                nodes.trees[node].connect(&peer(other as u32, 1), true, Time::ZERO, &mut Outgoing::new());
                nodes.trees[other].connect(&peer(node as u32, 1), false, Time::ZERO, &mut Outgoing::new());
            }
        }
        nodes
    }

    fn send(&mut self, from: usize, out: Outgoing) {
        for (to, gossip) in out {
            let to = (0..self.trees.len()).find(|node| peer(*node as u32, 1).id() == to.id()).unwrap();
            if let Gossip::News(news) = &gossip {
                self.news_sent += news.len();
            }
            let delay = Duration::from_millis(10 + self.rng.next_u64() % 100);
            if self.rng.next_u64() % 1000 >= self.lost {
                self.on_the_way.push((self.now + delay, from, to, gossip));
            }
        }
    }

    fn tell(&mut self, node: usize, news: &News) {
        self.heard[node].insert(news.id());
        let now = self.now;
        self.trees[node].spread(news.clone(), None, now);
    }

    fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.now < end {
            self.now += Duration::from_millis(10);
            let now = self.now;
            let (arrived, rest) = self.on_the_way.drain(..).partition(|(at, ..)| *at <= now);
            self.on_the_way = rest;
            let arrived: Vec<(Time, usize, usize, Gossip)> = arrived;
            for (_, from, to, gossip) in arrived {
                let mut out = Outgoing::new();
                let sender = peer(from as u32, 1);
                let (tree, heard) = (&mut self.trees[to], &mut self.heard[to]);
                match gossip {
                    Gossip::News(news) => tree.news(&sender, news, now, &mut out, |news| {
                        if heard.insert(news.id()) { Taken::New } else { Taken::Old }
                    }),
                    Gossip::Have(names) => tree.have(sender.id_ref(), &names, now),
                    Gossip::Graft(names) => {
                        tree.graft(&sender, &names, now, &mut out);
                    }
                    Gossip::Prune => tree.prune(sender.id_ref()),
                    Gossip::Unlink => {
                        tree.disconnect(sender.id_ref());
                    }
                    Gossip::Missed(_) | Gossip::Report(_) => unreachable!("trees do not compare"),
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

    fn reached(&self, news: &News) -> usize {
        self.heard.iter().filter(|heard| heard.contains(&news.id())).count()
    }
}

#[test]
fn everybody_hears_and_soon_hardly_anybody_twice() {
    let mut nodes = Nodes::new(60, 0);
    for round in 0..20 {
        nodes.tell(round * 7 % 60, &joined(1000 + round as u32, 1));
        nodes.run(Duration::from_secs(8));
    }
    for round in 0..20 {
        assert_eq!(nodes.reached(&joined(1000 + round, 1)), 60);
    }
    nodes.news_sent = 0;
    for round in 0..10 {
        nodes.tell(round * 11 % 60, &joined(2000 + round as u32, 1));
        nodes.run(Duration::from_secs(8));
    }
    // 59 each would be a perfect tree.
    assert!(nodes.news_sent <= 10 * 59 * 12 / 10, "{} sent for 590", nodes.news_sent);
}

#[test]
fn what_is_lost_is_asked_for() {
    let mut nodes = Nodes::new(40, 100);
    for round in 0..20 {
        nodes.tell(round, &joined(1000 + round as u32, 1));
        nodes.run(Duration::from_secs(5));
    }
    nodes.run(Duration::from_secs(20));
    let missing: usize = (0..20).map(|round| 40 - nodes.reached(&joined(1000 + round, 1))).sum();
    // One in ten messages is lost; of 800, whoever is reached by no name either compares lists one day.
    assert!(missing <= 4, "{missing} of 800 not heard");
}

#[test]
fn news_of_a_moment_share_messages_and_silence_costs_nothing() {
    let mut tree = Tree::default();
    tree.connect(&peer(1, 1), true, Time::ZERO, &mut Outgoing::new());
    assert_eq!(tree.next_timeout(), None);
    for number in 0..50 {
        tree.spread(joined(100 + number, 1), None, Time::ZERO);
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
    let (flooder, other) = (peer(1, 1), peer(2, 1));
    tree.connect(&flooder, false, Time::ZERO, &mut Outgoing::new());
    tree.connect(&other, false, Time::ZERO, &mut Outgoing::new());
    let mut taken = 0;
    for round in 0..100 {
        let news = (0..50).map(|number| joined(1000 + 50 * round + number, 1)).collect();
        tree.news(&flooder, news, Time::ZERO, &mut Outgoing::new(), |_| {
            taken += 1;
            Taken::New
        });
    }
    assert_eq!(taken, PACE.1);
    tree.news(&other, alloc::vec![joined(1, 1)], Time::ZERO, &mut Outgoing::new(), |_| {
        taken += 1;
        Taken::New
    });
    assert_eq!(taken, PACE.1 + 1);
}

#[test]
fn links_are_bounded_and_strangers_are_told() {
    let mut tree = Tree::default();
    let mut out = Outgoing::new();
    for number in 0..100 {
        tree.graft(&peer(number, 1), &[], Time::ZERO, &mut out);
    }
    assert_eq!(tree.links().len(), LINKS_MAX);
    assert_eq!(out.len(), 100 - LINKS_MAX);
    out.clear();
    tree.news(&peer(99, 1), alloc::vec![joined(5, 1)], Time::ZERO, &mut out, |_| unreachable!("not a link"));
    assert!(matches!(&out[..], [(_, Gossip::Unlink)]));
}
