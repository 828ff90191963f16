//! Where a node stands: everything in its tables is sorted and looked up as seen from there.

use crate::{
    Distance, Key,
    metric::{Metric, Row, Shape},
    peer::Peer,
};

/// The position of a node, and the metric by which it sees others.
#[derive(Debug, Clone)]
pub(crate) struct Origin<M> {
    pub(crate) metric: M,
    /// The position itself.
    key: Key,
}

impl<M: Metric> Origin<M> {
    pub(crate) fn new(metric: M, key: Key) -> Self {
        Self { metric, key }
    }

    pub(crate) fn key(&self) -> &Key {
        &self.key
    }

    pub(crate) fn shape(&self) -> Shape {
        self.metric.shape()
    }

    /// Where `other` lies as seen from here; tables are sorted by it.
    pub(crate) fn offset(&self, other: &Key) -> Distance {
        self.metric.offset(&self.key, other)
    }

    /// Where a peer lies as seen from here.
    pub(crate) fn offset_of(&self, peer: &Peer) -> Distance {
        self.offset(peer.id_ref().key())
    }

    /// Distance from here to a key.
    pub(crate) fn distance(&self, key: &Key) -> Distance {
        self.metric.distance(&self.key, key)
    }

    /// The row in which `other` belongs; none for this position itself.
    pub(crate) fn row(&self, other: &Key, digit_bits: u32) -> Option<Row> {
        self.metric.row(&self.key, other, digit_bits)
    }
}
