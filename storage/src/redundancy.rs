//! How many shards a chunk has, and how many of them are enough.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Any `k` of `n` shards rebuild a chunk; it occupies n/k times its size. 1 ≤ k ≤ n ≤ 128.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "(u8, u8)", into = "(u8, u8)")]
pub struct Redundancy {
    k: u8,
    n: u8,
}

/// Why a redundancy cannot be used. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RedundancyError {
    /// k or n is outside of 1 ≤ k ≤ n ≤ 128.
    #[error("{k}/{n} is not a redundancy: 1 <= k <= n <= {max} is needed", max = Redundancy::MAX_SHARDS)]
    OutOfRange {
        /// Shards needed.
        k: u32,
        /// Shards made.
        n: u32,
    },
    /// The text is not two numbers with a slash between them.
    #[error("a redundancy is written k/n, for example 4/10")]
    NotARedundancy,
}

impl Redundancy {
    /// The most shards that one chunk can have. Reed-Solomon over GF(2⁸) would allow 256; a descriptor of 128
    /// hashes is already 4 KiB.
    pub const MAX_SHARDS: u8 = 128;
    /// What is assumed of a chunk as long as nobody has said how it is coded: only roots do not carry it with them.
    /// With a code of fewer than four data shards a few shards come for nothing; with another guess all codes would
    /// wait a round trip longer.
    pub const ASSUMED: Redundancy = Redundancy { k: 4, n: 20 };

    /// `k` shards are needed, `n` are made.
    pub fn new(k: u8, n: u8) -> Result<Self, RedundancyError> {
        if k == 0 || k > n || n > Self::MAX_SHARDS {
            return Err(RedundancyError::OutOfRange { k: k.into(), n: n.into() });
        }
        Ok(Self { k, n })
    }

    /// Shards that are enough to rebuild the chunk.
    pub const fn k(self) -> u8 {
        self.k
    }

    /// Shards that are made.
    pub const fn n(self) -> u8 {
        self.n
    }

    /// Shards that may be lost without losing the chunk: n − k.
    pub const fn tolerates(self) -> u8 {
        self.n - self.k
    }

    /// The default for a network of so many nodes that store. It grows with the network, because more shards on
    /// more nodes are far more durable at the same cost: with 10 % of nodes lost for good each month and a day to
    /// repair, 3 copies lose 9 · 10⁻⁵ of chunks a year at 3.0 times the size, (8, 20) less than 10⁻⁹ at 2.5 times
    /// (computed with a Markov model of independent losses). One or two nodes keep full copies, which tolerates
    /// the loss of none or one.
    pub fn for_network(nodes: usize) -> Self {
        let (k, n) = match nodes {
            0..=1 => (1, 1),
            2 => (1, 2),
            3..=5 => (1, 3),
            6..=9 => (3, 6),
            10..=29 => (4, 10),
            30..=119 => (8, 20),
            _ => (16, 40),
        };
        Self { k, n }
    }

    /// Like [`for_network`](Self::for_network), for a chunk of so many bytes: below 1 MiB, 40 shards would be so
    /// small that requests cost more than bytes, so that (8, 20) is the widest.
    pub fn for_chunk(nodes: usize, chunk_len: usize) -> Self {
        let nodes = if chunk_len < 1 << 20 { nodes.min(119) } else { nodes };
        Self::for_network(nodes)
    }

    /// With this many shards or fewer left, the chunk is repaired: T = k + ⌈(n − k) / 2⌉. Repairing lazily moves
    /// several times less data than replacing each lost shard (Bhagwan et al., "Total Recall", NSDI 2004).
    pub const fn repair_threshold(self) -> u8 {
        self.k + (self.n - self.k).div_ceil(2)
    }

    /// With this many shards or fewer left, repair is urgent: k + ⌈(n − k) / 4⌉, and less than the threshold T where
    /// there is room between k and T.
    pub const fn urgent_threshold(self) -> u8 {
        let (urgent, threshold) = (self.k + (self.n - self.k).div_ceil(4), self.repair_threshold());
        if urgent >= threshold && threshold > self.k { threshold - 1 } else { urgent }
    }

    /// Acknowledged shards at which a write counts as done: T + ⌈(n − T) / 2⌉, so that a chunk starts its life
    /// well above the repair threshold T without waiting for the slowest nodes.
    pub const fn write_quorum(self) -> u8 {
        let threshold = self.repair_threshold();
        threshold + (self.n - threshold).div_ceil(2)
    }
}

impl fmt::Display for Redundancy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.k, self.n)
    }
}

impl fmt::Debug for Redundancy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redundancy({self})")
    }
}

impl FromStr for Redundancy {
    type Err = RedundancyError;

    fn from_str(text: &str) -> Result<Self, RedundancyError> {
        let (k, n) = text.split_once('/').ok_or(RedundancyError::NotARedundancy)?;
        let number = |text: &str| text.trim().parse::<u32>().map_err(|_| RedundancyError::NotARedundancy);
        let (k, n) = (number(k)?, number(n)?);
        match (u8::try_from(k), u8::try_from(n)) {
            (Ok(k), Ok(n)) => Self::new(k, n),
            _ => Err(RedundancyError::OutOfRange { k, n }),
        }
    }
}

impl TryFrom<(u8, u8)> for Redundancy {
    type Error = RedundancyError;

    fn try_from((k, n): (u8, u8)) -> Result<Self, RedundancyError> {
        Self::new(k, n)
    }
}

impl From<Redundancy> for (u8, u8) {
    fn from(redundancy: Redundancy) -> Self {
        (redundancy.k, redundancy.n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quorum_lies_between_the_repair_threshold_and_n() {
        for k in 1..=128u8 {
            for n in k..=128 {
                let r = Redundancy::new(k, n).unwrap();
                assert!(r.k() <= r.repair_threshold() && r.repair_threshold() <= r.write_quorum());
                assert!(r.k() <= r.urgent_threshold() && r.urgent_threshold() <= r.repair_threshold(), "{r}");
                assert!(r.write_quorum() <= n, "{r}");
            }
        }
        let wide: Redundancy = "8/20".parse().unwrap();
        assert_eq!((wide.repair_threshold(), wide.write_quorum()), (14, 17));
        let small: Redundancy = "4/10".parse().unwrap();
        assert_eq!((small.repair_threshold(), small.write_quorum()), (7, 9));
    }

    #[test]
    fn the_default_never_asks_for_more_nodes_than_there_are() {
        for nodes in 1..300usize {
            assert!(usize::from(Redundancy::for_network(nodes).n()) <= nodes);
        }
        assert_eq!(Redundancy::for_chunk(500, 4096).to_string(), "8/20");
        assert_eq!(Redundancy::for_chunk(500, 2 << 20).to_string(), "16/40");
    }

    #[test]
    fn text_says_what_is_wrong() {
        assert_eq!("4".parse::<Redundancy>(), Err(RedundancyError::NotARedundancy));
        assert_eq!("a/b".parse::<Redundancy>(), Err(RedundancyError::NotARedundancy));
        assert_eq!("5/4".parse::<Redundancy>(), Err(RedundancyError::OutOfRange { k: 5, n: 4 }));
        assert_eq!("0/4".parse::<Redundancy>(), Err(RedundancyError::OutOfRange { k: 0, n: 4 }));
        assert_eq!("4/400".parse::<Redundancy>(), Err(RedundancyError::OutOfRange { k: 4, n: 400 }));
    }
}
