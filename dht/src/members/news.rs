//! What is told about members, and the names by which it is told.

use alloc::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Announcement;
use crate::{
    NodeId,
    plumtree::{Item, Word},
};

/// The first eight bytes of an id: enough to name a member whose record the hearer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IdPrefix(pub [u8; 8]);

impl From<&NodeId> for IdPrefix {
    fn from(id: &NodeId) -> Self {
        let mut prefix = [0; 8];
        prefix.copy_from_slice(&id.as_bytes()[..8]);
        Self(prefix)
    }
}

/// Something that happened to a member. Equal news have equal names, whoever tells them first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum News {
    /// A node has become a member, or its record has changed.
    Member(Arc<Announcement>),
    /// A member is gone: it said goodbye, or its neighbour lost it. Nobody signs this, so it is a suspicion: the member
    /// is not asked any more, and if it lives it answers with a higher `seq`.
    Gone {
        /// Who.
        peer: IdPrefix,
        /// The version of its record that is gone. A newer one is not.
        seq: u64,
    },
}

/// The name of a piece of news: eight bytes of its hash, by which it is offered and asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NewsId(pub [u8; 8]);

impl News {
    /// Whom it is about, and which version of its record.
    pub fn about(&self) -> (IdPrefix, u64) {
        match self {
            Self::Member(announcement) => {
                (announcement.record().id_ref().into(), announcement.record().seq())
            }
            Self::Gone { peer, seq } => (*peer, *seq),
        }
    }

    /// Its name.
    pub fn id(&self) -> NewsId {
        let (peer, seq) = self.about();
        let mut hashed = [0; 17];
        hashed[..8].copy_from_slice(&peer.0);
        hashed[8..16].copy_from_slice(&seq.to_be_bytes());
        hashed[16] = u8::from(matches!(self, Self::Gone { .. }));
        let mut id = [0; 8];
        id.copy_from_slice(&blake3::hash(&hashed).as_bytes()[..8]);
        NewsId(id)
    }
}

impl Item for News {
    type Name = NewsId;

    fn name(&self) -> NewsId {
        self.id()
    }

    fn encoded_len(&self) -> usize {
        match self {
            Self::Member(announcement) => 1 + announcement.encoded_len(),
            Self::Gone { .. } => 1 + 8 + 10,
        }
    }
}

/// How news travel (Plumtree: Leitão, Pereira and Rodrigues, "Epidemic broadcast trees", 2007).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Gossip {
    /// News, along the tree.
    News(alloc::vec::Vec<News>),
    /// Names of news that can be asked for, along the links that are not part of the tree.
    Have(alloc::vec::Vec<NewsId>),
    /// Make our link part of the tree, and send these news. Without names it opens a link.
    Graft(alloc::vec::Vec<NewsId>),
    /// News came twice: our link need not be part of the tree.
    Prune,
    /// Our link is over.
    Unlink,
    /// News that a comparison showed the receiver to lack. They are not passed on: others compare for themselves.
    Missed(alloc::vec::Vec<News>),
    /// What a node that is no super-peer has to tell, to a super-peer, which spreads it.
    Report(alloc::vec::Vec<News>),
}

impl From<Word<News, NewsId>> for Gossip {
    fn from(word: Word<News, NewsId>) -> Self {
        match word {
            Word::News(news) => Self::News(news),
            Word::Have(names) => Self::Have(names),
            Word::Graft(names) => Self::Graft(names),
            Word::Prune => Self::Prune,
            Word::Unlink => Self::Unlink,
        }
    }
}
