//! Who serves the streams that others open, class by class. The driver knows only that somebody does.

use libp2p::Multiaddr;

use super::Driver;
use super::links::read_link;
use crate::address::public_key;
use crate::wire::{Class, GuardedStream, Inbound};

/// A stream that somebody has opened.
pub(crate) struct Visit {
    /// The key that was proven on the connection.
    pub(crate) key: [u8; 32],
    /// Where the other end is, as this one sees it.
    pub(crate) from: Multiaddr,
    pub(crate) stream: GuardedStream,
}

/// Takes over a stream. It may not block: the driver calls it.
pub(crate) type Acceptor = Box<dyn Fn(Visit) + Send + Sync>;

/// One for each class that others serve.
pub(crate) struct Acceptors {
    /// Serves shards.
    pub(crate) shards: Acceptor,
    /// Serves what members of a private network ask; none in an open one.
    pub(crate) papers: Option<Acceptor>,
    /// Serves who wants to know how it is reached.
    pub(crate) reach: Acceptor,
}

impl Driver {
    /// Has a stream served by who is responsible for its class.
    pub(super) fn accept(&self, Inbound { peer, connection, class, stream }: Inbound) {
        // Every peer has a key that makes its id; one that had not could claim nothing. One without a connection is
        // gone.
        let (Some(key), Some(from)) = (public_key(&peer), self.peers.contacts.address_of(connection)) else {
            return;
        };
        let visit = Visit { key, from: from.clone(), stream };
        match class {
            Class::Dht => {
                let pace = self.peers.paces.of(peer);
                let link = read_link(
                    (peer, connection),
                    pace,
                    visit.stream,
                    self.operations.credence,
                    self.inbox.links_in.clone(),
                );
                drop(tokio::spawn(link));
            }
            Class::Shard => (self.acceptors.shards)(visit),
            Class::Papers => {
                if let Some(accept) = &self.acceptors.papers {
                    accept(visit);
                }
            }
            Class::Reach => (self.acceptors.reach)(visit),
        }
    }
}
