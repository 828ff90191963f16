#![allow(clippy::unwrap_used)]

use super::*;
use crate::dht::tests::{Node, millis, peer};

/// What is known of a suspect.
#[derive(Debug, Clone, Copy, Default)]
struct Suspect {
    missed: u8,
    refused: u8,
    confirmations: u8,
    vouchers: u8,
    announced: bool,
}

impl Suspect {
    /// Whether it is dropped when it has been suspected for so long.
    fn is_dropped_after(self, suspected: Duration) -> bool {
        let suspect = peer(2);
        let mut node = Node::new(&[&suspect]);
        let since = node.now;
        node.now += suspected;
        let (dropped, _) = node.turn(|dht, turn| {
            let me = *dht.local.id_ref().key();
            let leaf = dht.leaves.get_mut(&dht.metric, &me, suspect.id_ref()).unwrap();
            leaf.suspect(since);
            (leaf.missed, leaf.refused, leaf.announced) = (self.missed, self.refused, self.announced);
            (leaf.confirmations, leaf.vouchers) = (self.confirmations, self.vouchers);
            dht.drop_if_dead(turn, suspect.id_ref())
        });
        assert_eq!(node.dht.leaf_set().len(), usize::from(!dropped));
        dropped
    }
}

#[test]
fn suspects_are_dropped_after_as_long_as_others_say_and_no_sooner() {
    let first = Suspect { missed: MISSES_FIRST, ..Suspect::default() };
    let heard = Suspect { missed: MISSES_MIN, announced: true, ..Suspect::default() };
    // The configured suspicion is six seconds.
    for (suspect, seconds) in [
        (first, 12),
        (Suspect { confirmations: 1, ..first }, 6),
        (Suspect { confirmations: 9, ..first }, 6),
        (Suspect { vouchers: 1, ..first }, 18),
        (Suspect { vouchers: 1, confirmations: 9, ..first }, 18),
        (heard, 1),
        (Suspect { confirmations: 9, ..heard }, 1),
        (Suspect { vouchers: 1, ..heard }, 18),
    ] {
        assert!(!suspect.is_dropped_after(millis(seconds * 1_000 - 1)), "{suspect:?}");
        assert!(suspect.is_dropped_after(millis(seconds * 1_000)), "{suspect:?}");
    }
}

#[test]
fn the_first_to_notice_has_missed_four_probes_and_whoever_was_told_two() {
    let refused = |refused| Suspect { missed: refused, refused, ..Suspect::default() };
    for (suspect, dropped) in [
        (Suspect { missed: 3, ..Suspect::default() }, false),
        (Suspect { missed: 3, confirmations: 9, ..Suspect::default() }, false),
        (Suspect { missed: 4, ..Suspect::default() }, true),
        (Suspect { missed: 1, announced: true, ..Suspect::default() }, false),
        (Suspect { missed: 2, announced: true, ..Suspect::default() }, true),
        (refused(1), false),
        (refused(2), true),
    ] {
        assert_eq!(suspect.is_dropped_after(millis(3_600_000)), dropped, "{suspect:?}");
    }
    assert!(
        refused(2).is_dropped_after(Duration::ZERO),
        "what the transport has refused twice needs no time"
    );
    let alive = Suspect::default();
    assert!(!alive.is_dropped_after(Duration::ZERO));
}

#[test]
fn what_helpers_say_counts_for_suspects_only_until_they_speak() {
    let neighbour = peer(2);
    let mut node = Node::new(&[&neighbour]);
    let mut told = |suspected: bool, spoken: bool, reached: bool| {
        let (counted, _) = node.turn(|dht, turn| {
            let me = *dht.local.id_ref().key();
            if suspected {
                dht.leaves.get_mut(&dht.metric, &me, neighbour.id_ref()).unwrap().suspect(turn.now);
            }
            dht.told_reach(neighbour.id_ref(), reached);
            if spoken {
                dht.heard(turn, &neighbour, None);
            }
            let leaf = dht.leaves.get_mut(&dht.metric, &me, neighbour.id_ref()).unwrap();
            let counted = (leaf.vouchers, leaf.confirmations);
            leaf.alive(turn.now);
            counted
        });
        counted
    };
    assert_eq!(told(true, false, true), (1, 0));
    assert_eq!(told(true, false, false), (0, 1));
    for reached in [true, false] {
        assert_eq!(told(false, false, reached), (0, 0), "it is no suspect");
        assert_eq!(told(true, true, reached), (0, 0), "it has spoken since");
    }
}
