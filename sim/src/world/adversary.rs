//! Nodes that do not do what they should.
//!
//! An adversary runs the same state machine as everybody, so that others take it into their tables; what it says is
//! changed on the way out.

use chordage_dht::{Message, NodeId, Peer, Request, Response};
use serde::{Deserialize, Serialize};

use crate::{
    census::Census,
    world::{NodeIndex, World},
};

/// How a node behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// As it should.
    Honest,
    /// Answers probes, so that it stays in the tables, and no other questions.
    Silent,
    /// Asked for the nodes near a key, it names only other liars, the nearest first, and claims that these are all.
    Liar,
}

/// Who conspires with whom.
#[derive(Debug, Clone, Default)]
pub(crate) struct Adversaries {
    liars: Census,
}

impl Adversaries {
    pub(crate) fn enlist(&mut self, role: Role, id: NodeId, index: NodeIndex) {
        if role == Role::Liar {
            self.liars.insert(id, index);
        }
    }
}

impl World {
    /// Changes how a node behaves from now on.
    pub fn set_role(&mut self, index: NodeIndex, role: Role) {
        let id = self.peer(index).id();
        let node = &mut self.nodes[index as usize];
        let before = std::mem::replace(&mut node.role, role);
        if before == Role::Liar {
            self.adversaries.liars.remove(&id);
        }
        self.adversaries.enlist(role, id, index);
    }

    /// Whether the sender keeps a message of its own back.
    pub(crate) fn withholds(&self, sender: NodeIndex, message: &Message) -> bool {
        self.nodes[sender as usize].role == Role::Silent
            && matches!(message, Message::Response(_, response) if !matches!(response, Response::Pong))
    }

    /// What a liar says instead of what it should.
    pub(crate) fn lie(&mut self, liar: NodeIndex, asker: &Peer, message: &Message) -> Option<Message> {
        if self.nodes[liar as usize].role != Role::Liar {
            return None;
        }
        let Message::Request(call, Request::Closest { key, count }) = message else { return None };
        let wanted = usize::from(*count) + 2;
        let near = self.adversaries.liars.view().nearest(self.setup.metric, key, wanted);
        let peers = near
            .into_iter()
            .filter(|index| *index != liar)
            .map(|index| self.peer(index).clone())
            .filter(|peer| peer.id() != asker.id())
            .take(usize::from(*count))
            .collect();
        Some(Message::Response(*call, Response::Closest { peers, covered: true }))
    }
}
