//! What stops being kept, and when.

use super::super::book::TreeRow;
use super::*;

const NOW: u64 = 1_000_000;

fn kept(kind: KeptAs, age: u64, needed: bool, named: bool) -> KeptFor {
    let row = TreeRow {
        root: (Vec::new(), 0, 0),
        files: 0,
        dirs: 0,
        others: 0,
        bytes: 0,
        retained_until: 0,
        named,
    };
    let tree = (kind == KeptAs::Tree).then_some(row);
    KeptFor { volume: [1; 32], kind, since: NOW - age, needed, tree }
}

#[test]
fn only_what_nothing_needs_is_released_and_old_states_after_their_readers() {
    for (kind, age, needed, expected) in [
        (KeptAs::Tree, 10, false, true),
        (KeptAs::Tree, 9, false, false),
        (KeptAs::Tree, NOW, true, false),
        (KeptAs::Map, OLD_STATE_SECONDS, false, true),
        (KeptAs::Map, OLD_STATE_SECONDS - 1, false, false),
        (KeptAs::Map, NOW, true, false),
    ] {
        let kept = kept(kind, age, needed, false);
        assert_eq!(is_due(&kept, 10, NOW), expected, "{kept:?}");
    }
    let future = KeptFor { since: NOW + 1, ..kept(KeptAs::Map, 0, false, false) };
    assert!(!is_due(&future, 0, NOW), "a clock that has gone back");
}

#[test]
fn a_tree_waits_a_day_for_its_first_snapshot() {
    let tree = |age, needed, named| is_tree_without_snapshot(&kept(KeptAs::Tree, age, needed, named), NOW);
    assert!(tree(NEW_TREE_SECONDS, true, false));
    assert!(!tree(NEW_TREE_SECONDS - 1, true, false), "its snapshot may be on the way");
    assert!(tree(0, true, true), "its snapshot was there");
    assert!(!tree(NEW_TREE_SECONDS, false, false), "it is known already");
    assert!(!is_tree_without_snapshot(&kept(KeptAs::Map, NOW, true, false), NOW));
}

#[test]
fn a_state_waits_an_hour_for_its_head() {
    let map = |age, needed| is_map_without_head(&kept(KeptAs::Map, age, needed, false), NOW);
    assert!(map(LOOK_SECONDS, true));
    assert!(!map(LOOK_SECONDS - 1, true) && !map(LOOK_SECONDS, false));
    assert!(!is_map_without_head(&kept(KeptAs::Tree, NOW, true, false), NOW));
}
