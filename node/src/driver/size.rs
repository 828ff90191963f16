//! How large the network looks from here, and whether it was larger a short while ago: a daemon that loses a good part
//! of it at once was probably cut off itself, and what it does not find may be there again in a moment.

use std::time::Duration;

use tokio::time::Instant;

use super::{Driver, Membership};

/// A smaller size counts as the usual one after so long. The time in which a daemon is alone does not count: that no
/// network is there says nothing about how large it is. Design.
const ACCEPTED_AFTER: Duration = Duration::from_secs(600);

/// Those who come back do so one after the other: if nobody has come for so long, nobody else is expected. Design.
const STILL: Duration = Duration::from_secs(10);

/// The size of the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct NetworkSize {
    /// Nodes, this one included, as far as the neighbours show.
    pub(crate) nodes: u64,
    /// Whether more than a third of those that there were lately went missing, and the others are still coming back.
    /// Redundancy makes up for fewer.
    pub(crate) shrunk: bool,
}

/// Compares the size with what it was.
#[derive(Debug, Default)]
pub(super) struct UsualSize {
    nodes: u64,
    /// As it was told last.
    told: NetworkSize,
    /// When it last grew.
    grew: Option<Instant>,
    /// Since when it has been smaller.
    smaller_since: Option<Instant>,
}

impl UsualSize {
    /// The network has so many nodes now.
    pub(super) fn compare(&mut self, now: Instant, nodes: u64) -> NetworkSize {
        if nodes > self.told.nodes {
            self.grew = Some(now);
        }
        // Alone, it learns nothing about the network.
        let is_smaller = nodes > 1 && nodes < self.nodes;
        let since = *self.smaller_since.get_or_insert(now);
        if !is_smaller {
            self.smaller_since = None;
        }
        if nodes >= self.nodes || is_smaller && now.duration_since(since) >= ACCEPTED_AFTER {
            (self.nodes, self.smaller_since) = (nodes, None);
        }
        let is_still = self.grew.is_none_or(|grew| now.duration_since(grew) >= STILL);
        let too_few = nodes.saturating_mul(3) < self.nodes.saturating_mul(2);
        let shrunk = too_few || self.told.shrunk && nodes < self.nodes && !is_still;
        self.told = NetworkSize { nodes, shrunk };
        self.told
    }

    /// Somebody has said goodbye: nothing is missing without it.
    pub(super) fn one_left(&mut self) {
        self.nodes = self.nodes.saturating_sub(1);
    }
}

impl Driver {
    /// Tells how large the network is, if that is news.
    pub(super) fn tell_size(&mut self) {
        // While it joins, a daemon finds one after the other: that is no size yet.
        if self.told.membership() != Membership::Joined {
            return;
        }
        let nodes = self.overlay.dht.network_size().nodes.round().max(1.0) as u64;
        let size = self.usual_size.compare(Instant::now(), nodes);
        self.told.size.send_if_modified(|told| std::mem::replace(told, size) != size);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of sizes at times in seconds, one after the other.
    fn shrunk(sizes: &[(u64, u64)]) -> Vec<bool> {
        let (start, mut usual) = (Instant::now(), UsualSize::default());
        let at = |second: u64| start + Duration::from_secs(second);
        sizes.iter().map(|(second, nodes)| usual.compare(at(*second), *nodes).shrunk).collect()
    }

    #[test]
    fn a_network_that_grows_or_loses_a_third_has_not_shrunk() {
        assert_eq!(shrunk(&[(0, 1), (0, 2), (0, 9), (60, 8), (60, 6)]), [false; 5]);
        assert_eq!(shrunk(&[(0, 3), (0, 2), (0, 1)]), [false, false, true]);
    }

    #[test]
    fn it_is_whole_again_when_all_are_back_or_nobody_comes_any_more() {
        let lost = [(0, 9), (60, 5), (80, 5)];
        let and = |more: &[(u64, u64)]| shrunk(&[&lost, more].concat())[lost.len()..].to_vec();
        assert_eq!(shrunk(&lost), [false, true, true]);
        assert_eq!(and(&[(81, 8), (82, 9)]), [true, false]);
        assert_eq!(and(&[(81, 7), (85, 8), (91, 8), (95, 8), (99, 7)]), [true, true, true, false, false]);
    }

    #[test]
    fn a_smaller_size_becomes_the_usual_one_unless_it_is_that_of_a_daemon_alone() {
        assert_eq!(
            shrunk(&[(0, 9), (60, 4), (600, 4), (660, 4), (700, 2)]),
            [false, true, true, false, true]
        );
        let alone = [(0, 9), (60, 1), (6000, 1), (6060, 3), (6600, 3), (6660, 3)];
        assert_eq!(shrunk(&alone), [false, true, true, true, true, false]);
        // Small losses are not remembered for ever, and do not add up.
        assert_eq!(shrunk(&[(0, 9), (60, 7), (700, 7), (701, 5), (1400, 5)]), [false; 5]);
    }

    #[test]
    fn whoever_says_goodbye_is_not_missing() {
        let (now, mut usual) = (Instant::now(), UsualSize::default());
        usual.compare(now, 9);
        for nodes in (2..9).rev() {
            usual.one_left();
            assert!(!usual.compare(now, nodes).shrunk, "{nodes}");
        }
    }
}
