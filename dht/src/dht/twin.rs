//! Another node with this node's key: a copy of its data directory that runs somewhere else.
//!
//! Nodes know one record of an id, the one with the highest number, and answer whoever has that. So of two nodes with
//! one key the later one has the place, and the earlier one hears nothing any more. Whoever hears both tells them.

use alloc::sync::Arc;

use super::{Dht, Phase, Turn};
use crate::{
    calls::Purpose,
    io::Event,
    message::{Notice, Request},
    metric::Metric,
    peer::{Peer, PeerInfo},
};

impl<M: Metric> Dht<M> {
    /// Somebody says from where else this node's key speaks. Nothing here depends on it; whoever drives the node can
    /// look.
    pub(super) fn told_of_twin(&self, turn: &mut Turn<'_>, record: PeerInfo) {
        if record.is_reachable() && record.addrs() != self.local.addrs() {
            turn.event(Event::Twin(Arc::new(record)));
        }
    }

    /// Whether a newer record of this peer is known than the one it speaks with: it is an earlier life, or the one of
    /// two twins that lost the place.
    pub(super) fn is_outdated(&self, peer: &Peer) -> bool {
        self.known(peer.id_ref()).is_some_and(|known| known.seq() > peer.seq())
    }

    /// The other node is gone, and its last record had the number `above`: this node takes the place with a newer one,
    /// and asks everybody that it seemed to have lost.
    pub(super) fn outlive(&mut self, turn: &mut Turn<'_>, above: u64) {
        let seq = self.local.seq().max(above).saturating_add(1);
        if let Ok(local) = self.local.with_addresses(self.local.addrs().to_vec(), seq) {
            self.local = Arc::new(local);
        }
        match self.phase {
            Phase::Joining { .. } => self.try_joining(turn),
            Phase::Joined | Phase::Settling { .. } => {
                if !self.is_client() {
                    self.tell_all(turn, &Notice::Record((*self.local).clone()));
                }
                if let Some(members) = &mut self.members {
                    members.announcing.record_changed(turn.now);
                }
                for peer in self.all_former() {
                    self.ask(turn, &peer, Request::Ping, Purpose::Revive);
                }
            }
            Phase::Idle | Phase::Left => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::{
        dht::tests::{Node, record},
        io::{DownReason, Input, Output},
        message::{CallId, Message},
    };

    #[test]
    fn the_goodbye_of_an_outdated_copy_is_not_that_of_the_node_itself() {
        let (copy, node) = (record(2, b"copy", 5), record(2, b"node", 6));
        let mut watcher = Node::new(&[&node]);
        let goodbye = || Message::Notice(Notice::Leaving);
        assert!(watcher.hear(&copy, goodbye()).is_empty());
        assert_eq!(watcher.dht.leaf_set().count(), 1);
        let out = watcher.hear(&node, goodbye());
        let gone = Event::NeighbourDown { peer: node.id(), why: DownReason::Left };
        assert!(out.iter().any(|output| matches!(output, Output::Event(event) if *event == gone)));
    }

    #[test]
    fn a_node_says_that_its_key_speaks_from_elsewhere() {
        let other = record(2, b"other", 1);
        let mut node = Node::new(&[&other]);
        let told = |node: &mut Node, record: &Peer| {
            let out = node.hear(&other, Message::Notice(Notice::Record((**record).clone())));
            out.iter().filter(|output| matches!(output, Output::Event(Event::Twin(_)))).count()
        };
        assert_eq!(told(&mut node, &record(1, b"elsewhere", 12)), 1);
        assert_eq!(told(&mut node, &record(1, b"here", 12)), 0, "that is itself");
        assert_eq!(told(&mut node, &record(3, b"elsewhere", 12)), 0, "that is another");
    }

    #[test]
    fn who_outlives_a_copy_contradicts_its_goodbye_at_once() {
        let other = record(2, b"other", 1);
        let mut node = Node::new(&[&other]);
        let out = node.give(Input::Outlive { above: 40 });
        assert_eq!(node.dht.local().seq(), 41);
        let told = |output: &Output| match output {
            Output::Send { to, message: Message::Notice(Notice::Record(record)) } => {
                to.id() == other.id() && record.seq() == 41
            }
            _ => false,
        };
        assert!(out.iter().any(told));
        // To others the number counts, whatever they heard before.
        let (mut watcher, copy) = (Node::new(&[&record(2, b"copy", 40)]), record(2, b"copy", 40));
        watcher.hear(&copy, Message::Notice(Notice::Leaving));
        watcher.hear(&record(2, b"node", 41), Message::Request(CallId(8), Request::Ping));
        assert_eq!(watcher.dht.leaf_set().map(|peer| peer.seq()).collect::<Vec<_>>(), [41]);
    }
}
