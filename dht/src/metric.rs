//! Distances on the space, and the rows they divide it into.
//!
//! One table serves Chord and Kademlia. A row holds peers whose distance has the same leading base-2^b digit: with
//! b = 1 on a ring this is Chord's finger interval [2^i, 2^(i+1)) (Stoica et al. 2001) with free choice inside; under
//! XOR it is Kademlia's bucket (Maymounkov and Mazières 2002). From a node at distance D any member of the row of D
//! removes at least the top digit, so greedy routing needs O(log N) hops under every metric here.

use core::{cmp::Ordering, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{Distance, Key, NodeId};

/// To which side of a node a row lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Clockwise: ids follow the node's own.
    Clockwise,
    /// Counterclockwise: ids precede the node's own.
    Counterclockwise,
    /// The metric has no sides.
    Both,
}

/// One row of the table: the peers whose distance lies in `digit·B^level .. (digit+1)·B^level`, B = 2^digit_bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Row {
    /// Side of the node.
    pub direction: Direction,
    /// Position of the leading digit, counted from the lowest.
    pub level: u8,
    /// The leading digit, from 1.
    pub digit: u8,
}

impl Row {
    #[inline]
    pub(crate) fn of(direction: Direction, distance: Distance, digit_bits: u32) -> Option<Self> {
        let bits = distance.bits();
        if bits == 0 {
            return None;
        }
        let level = (bits - 1) / digit_bits;
        Some(Self { direction, level: level as u8, digit: distance.digit(level * digit_bits, digit_bits) })
    }

    /// The row of the farthest distances, if these have so many bits.
    pub(crate) fn outermost(distance_bits: u32, digit_bits: u32) -> Self {
        let level = (distance_bits - 1) / digit_bits;
        let bits = distance_bits - level * digit_bits;
        Self { direction: Direction::Both, level: level as u8, digit: (1 << bits) - 1 }
    }

    /// Rank of the row in the order in which tables are sorted: by offset from the node's own id.
    #[inline]
    pub(crate) fn rank(&self, digit_bits: u32) -> u16 {
        let digits = (1 << digit_bits) - 1;
        let outward = u16::from(self.level) * digits + u16::from(self.digit) - 1;
        match self.direction {
            Direction::Clockwise | Direction::Both => outward,
            Direction::Counterclockwise => u16::MAX - outward,
        }
    }

    pub(crate) fn from_rank(rank: u16, digit_bits: u32, two_sided: bool) -> Self {
        let digits = (1 << digit_bits) - 1;
        let (direction, outward) = match (two_sided, rank > u16::MAX / 2) {
            (false, _) => (Direction::Both, rank),
            (true, false) => (Direction::Clockwise, rank),
            (true, true) => (Direction::Counterclockwise, u16::MAX - rank),
        };
        Self { direction, level: (outward / digits) as u8, digit: (outward % digits) as u8 + 1 }
    }

    fn start(&self, digit_bits: u32) -> Distance {
        Distance::shifted(self.digit, u32::from(self.level) * digit_bits)
    }
}

/// How the neighbours of a node lie around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// On a circle: half of the leaf set on either side.
    Circle,
    /// As leaves of a tree: the leaf set is the nearest, on no particular side.
    Tree,
}

/// A way to measure distance. Every method is a pure function; a network uses one metric for all its life.
pub trait Metric: Clone + fmt::Debug {
    /// Distance from the position of a node to a key.
    fn distance(&self, node: &Key, key: &Key) -> Distance;

    /// Which of two nodes is nearer to the key. A total order: equal only for equal ids.
    #[inline]
    fn closer(&self, key: &Key, a: &NodeId, b: &NodeId) -> Ordering {
        self.distance(a.key(), key).cmp(&self.distance(b.key(), key)).then_with(|| a.cmp(b))
    }

    /// The row of `me` in which `other` belongs; none for its own position.
    fn row(&self, me: &Key, other: &Key, digit_bits: u32) -> Option<Row>;

    /// The order in which tables are sorted: where `other` lies as seen from `me`. Rows are contiguous in it.
    fn offset(&self, me: &Key, other: &Key) -> Distance;

    /// How neighbours lie.
    fn shape(&self) -> Shape;

    /// Whether a key is nearer to that of two nodes on whose side of the point halfway between them it lies.
    fn halves(&self) -> bool {
        false
    }

    /// Whether a row prefers the peer nearest to its start (as published Chord does) to the one with the best score.
    fn first_in_row(&self) -> bool {
        false
    }

    /// A position inside a row of `me`, the same for the same random bits.
    fn key_in_row(&self, me: &Key, row: Row, random: &Key, digit_bits: u32) -> Key;
}

#[inline]
fn offset_on_ring(me: &Key, other: &Key) -> Distance {
    Distance(other.limbs()).wrapping_sub(Distance(me.limbs()))
}

#[inline]
fn negated(distance: Distance) -> Distance {
    Distance::ZERO.wrapping_sub(distance)
}

fn place_in_row(row: Row, random: &Key, digit_bits: u32) -> Distance {
    row.start(digit_bits).or(Distance(random.limbs()).low_bits(u32::from(row.level) * digit_bits))
}

/// The ring, measured both ways round: the distance is the shorter arc, so it is symmetric and a node learns useful
/// peers from those who ask it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ring;

impl Metric for Ring {
    #[inline]
    fn distance(&self, node: &Key, key: &Key) -> Distance {
        let clockwise = offset_on_ring(node, key);
        clockwise.min(negated(clockwise))
    }

    #[inline]
    fn row(&self, me: &Key, other: &Key, digit_bits: u32) -> Option<Row> {
        let clockwise = offset_on_ring(me, other);
        // Exactly opposite counts as counterclockwise, where its offset sorts it.
        if clockwise.bit(255) {
            Row::of(Direction::Counterclockwise, negated(clockwise), digit_bits)
        } else {
            Row::of(Direction::Clockwise, clockwise, digit_bits)
        }
    }

    #[inline]
    fn offset(&self, me: &Key, other: &Key) -> Distance {
        offset_on_ring(me, other)
    }

    fn shape(&self) -> Shape {
        Shape::Circle
    }

    fn halves(&self) -> bool {
        true
    }

    fn key_in_row(&self, me: &Key, row: Row, random: &Key, digit_bits: u32) -> Key {
        let distance = place_in_row(row, random, digit_bits);
        let me = Distance(me.limbs());
        Key::from_limbs(match row.direction {
            Direction::Counterclockwise => me.wrapping_sub(distance).0,
            _ => me.wrapping_add(distance).0,
        })
    }
}

/// Kademlia's metric: the exclusive or of the two positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Xor;

impl Metric for Xor {
    #[inline]
    fn distance(&self, node: &Key, key: &Key) -> Distance {
        Distance(node.limbs()).xor(Distance(key.limbs()))
    }

    #[inline]
    fn row(&self, me: &Key, other: &Key, digit_bits: u32) -> Option<Row> {
        Row::of(Direction::Both, self.distance(me, other), digit_bits)
    }

    #[inline]
    fn offset(&self, me: &Key, other: &Key) -> Distance {
        self.distance(me, other)
    }

    fn shape(&self) -> Shape {
        Shape::Tree
    }

    fn key_in_row(&self, me: &Key, row: Row, random: &Key, digit_bits: u32) -> Key {
        Key::from_limbs(Distance(me.limbs()).xor(place_in_row(row, random, digit_bits)).0)
    }
}

/// Chord as published (Stoica et al. 2001), a baseline to measure against: clockwise distances only, and the finger of
/// an interval is the first node in it. Use it with [`Config::classic`](crate::Config::classic).
///
/// The nearest node to a key is its predecessor, where Chord's lookup ends; the owner in Chord's sense is that node's
/// successor, one hop further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Classic;

impl Metric for Classic {
    #[inline]
    fn distance(&self, node: &Key, key: &Key) -> Distance {
        offset_on_ring(node, key)
    }

    #[inline]
    fn row(&self, me: &Key, other: &Key, digit_bits: u32) -> Option<Row> {
        Row::of(Direction::Both, offset_on_ring(me, other), digit_bits)
    }

    #[inline]
    fn offset(&self, me: &Key, other: &Key) -> Distance {
        offset_on_ring(me, other)
    }

    fn shape(&self) -> Shape {
        Shape::Circle
    }

    fn first_in_row(&self) -> bool {
        true
    }

    fn key_in_row(&self, me: &Key, row: Row, random: &Key, digit_bits: u32) -> Key {
        Key::from_limbs(Distance(me.limbs()).wrapping_add(place_in_row(row, random, digit_bits)).0)
    }
}

/// A metric chosen at run time, as a network's founding document says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AnyMetric {
    /// [`Ring`], the default.
    #[default]
    Ring,
    /// [`Xor`].
    Xor,
    /// [`Classic`]: for comparisons only.
    Classic,
}

/// The text names no metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a metric is \"ring\", \"xor\" or \"classic\"")]
pub struct ParseMetricError;

impl FromStr for AnyMetric {
    type Err = ParseMetricError;

    fn from_str(text: &str) -> Result<Self, ParseMetricError> {
        match text {
            "ring" => Ok(Self::Ring),
            "xor" => Ok(Self::Xor),
            "classic" => Ok(Self::Classic),
            _ => Err(ParseMetricError),
        }
    }
}

impl fmt::Display for AnyMetric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ring => "ring",
            Self::Xor => "xor",
            Self::Classic => "classic",
        })
    }
}

macro_rules! by_metric {
    ($self:expr, $metric:ident => $body:expr) => {
        match $self {
            AnyMetric::Ring => {
                let $metric = Ring;
                $body
            }
            AnyMetric::Xor => {
                let $metric = Xor;
                $body
            }
            AnyMetric::Classic => {
                let $metric = Classic;
                $body
            }
        }
    };
}

impl Metric for AnyMetric {
    #[inline]
    fn distance(&self, node: &Key, key: &Key) -> Distance {
        by_metric!(self, metric => metric.distance(node, key))
    }

    #[inline]
    fn row(&self, me: &Key, other: &Key, digit_bits: u32) -> Option<Row> {
        by_metric!(self, metric => metric.row(me, other, digit_bits))
    }

    #[inline]
    fn offset(&self, me: &Key, other: &Key) -> Distance {
        by_metric!(self, metric => metric.offset(me, other))
    }

    fn shape(&self) -> Shape {
        by_metric!(self, metric => metric.shape())
    }

    fn halves(&self) -> bool {
        by_metric!(self, metric => metric.halves())
    }

    fn first_in_row(&self) -> bool {
        by_metric!(self, metric => metric.first_in_row())
    }

    fn key_in_row(&self, me: &Key, row: Row, random: &Key, digit_bits: u32) -> Key {
        by_metric!(self, metric => metric.key_in_row(me, row, random, digit_bits))
    }
}
