use proptest::prelude::*;

use super::*;
use crate::members::tests::{gone, joined, peer};

const LATER: Duration = Duration::from_secs(600);

fn said(number: u32, seq: u64, dead: bool) -> News {
    if dead { gone(number, seq) } else { joined(number, seq) }
}

fn listed(view: &View) -> Vec<(NodeId, u64)> {
    view.entries().iter().map(|entry| (entry.peer().id(), entry.peer().seq())).collect()
}

#[test]
fn a_version_that_is_gone_does_not_come_back_and_a_newer_one_does() {
    let mut view = View::new(100);
    assert_eq!(view.take(&joined(1, 5), Time::ZERO, true), Taken::New);
    assert_eq!(view.take(&joined(1, 5), Time::ZERO, true), Taken::Known);
    assert_eq!(view.take(&gone(1, 5), Time::ZERO, true), Taken::New);
    assert_eq!(view.take(&joined(1, 5), Time::ZERO, true), Taken::Old);
    assert_eq!(view.take(&joined(1, 6), Time::ZERO, true), Taken::New);
    // Replayed.
    assert_eq!(view.take(&gone(1, 5), Time::ZERO, true), Taken::Old);
    assert_eq!(listed(&view), [(peer(1, 6).id(), 6)]);
}

#[test]
fn nobody_is_buried_unheard_of_or_ahead_of_time() {
    let mut view = View::new(100);
    assert_eq!(view.take(&gone(1, 5), Time::ZERO, true), Taken::Old);
    assert_eq!(view.take(&joined(1, 5), Time::ZERO, true), Taken::New);
    assert_eq!(view.take(&gone(1, u64::MAX), Time::ZERO, true), Taken::Old);
    assert_eq!(view.len(), 1);
}

#[test]
fn old_news_are_none() {
    let mut view = View::new(100);
    view.take(&joined(1, 5), Time::ZERO, true);
    let later = Time::ZERO + LATER;
    assert_eq!(view.take(&joined(1, 5), later, true), Taken::Old);
    view.take(&gone(1, 5), later, true);
    assert_eq!(view.take(&gone(1, 5), later, true), Taken::Known);
    assert_eq!(view.take(&gone(1, 5), later + LATER, true), Taken::Old);
}

#[test]
fn versions_in_a_hurry_are_refused_unless_a_comparison_brings_them() {
    let mut view = View::new(100);
    view.take(&joined(1, 1), Time::ZERO, true);
    assert_eq!(view.take(&joined(1, 2), Time::ZERO, true), Taken::Refused);
    assert_eq!(view.take(&joined(1, 2), Time::ZERO, false), Taken::New);
    assert_eq!(view.take(&joined(1, 3), Time::ZERO + RECORD_EVERY, true), Taken::New);
}

#[test]
fn a_full_list_takes_nobody_new() {
    let mut view = View::new(2);
    for number in 0..2 {
        assert_eq!(view.take(&joined(number, 1), Time::ZERO, true), Taken::New);
    }
    assert_eq!(view.take(&joined(2, 1), Time::ZERO, true), Taken::Refused);
    assert_eq!(view.take(&joined(1, 2), Time::ZERO + LATER, true), Taken::New);
    assert_eq!(view.len(), 2);
}

proptest! {
    /// Whoever has heard that everybody was there and then the same news, in whatever order, lists the same.
    #[test]
    fn the_order_of_news_does_not_matter(
        news in prop::collection::vec((0u32..8, 1u64..4, any::<bool>()), 1..40), seed in any::<u64>()
    ) {
        let mut first = View::new(100);
        let mut second = first.clone();
        let all: Vec<News> = news.iter().map(|(number, seq, dead)| said(*number, *seq, *dead)).collect();
        // That a version existed is known before that it is gone: the one who says so has listed it.
        let mut shuffled: Vec<&News> = all.iter().collect();
        shuffled.sort_by_key(|news| (matches!(news, News::Gone { .. }), news.about().1, seed ^ u64::from_be_bytes(news.id().0)));
        let mut sorted: Vec<&News> = all.iter().collect();
        sorted.sort_by_key(|news| (matches!(news, News::Gone { .. }), news.about().1));
        for _ in 0..2 {
            for (a, b) in sorted.iter().zip(&shuffled) {
                first.take(a, Time::ZERO, false);
                second.take(b, Time::ZERO, false);
            }
        }
        prop_assert_eq!(listed(&first), listed(&second));
        prop_assert_eq!(first.digests(64), second.digests(64));
    }

    #[test]
    fn digests_follow_the_list(
        news in prop::collection::vec((0u32..64, 1u64..4, any::<bool>()), 0..200), power in 0u32..11
    ) {
        let mut view = View::new(40);
        for (number, seq, dead) in news {
            view.take(&said(number, seq, dead), Time::ZERO, false);
        }
        let mut fresh = View::new(40);
        for entry in view.entries() {
            fresh.take(&News::Member(entry.announcement.clone()), Time::ZERO, false);
        }
        let count = 1 << power;
        prop_assert_eq!(view.digests(count), fresh.digests(count));
        let in_arcs: usize = (0..count).map(|arc| view.in_arc(arc, count).len()).sum();
        prop_assert_eq!(in_arcs, view.len());
        prop_assert!(view.entries().is_sorted_by_key(|entry| entry.peer().id()));
    }

    #[test]
    fn whoever_lies_between_two_is_found(low in 0u32..64, high in 0u32..64) {
        let mut view = View::new(100);
        for number in 0..64 {
            view.take(&joined(number, 1), Time::ZERO, false);
        }
        let (low, high) = (peer(low, 1).id(), peer(high, 1).id());
        let found: Vec<NodeId> = view.between(&low, &high).map(|entry| entry.peer().id()).collect();
        let is_between = |id: &NodeId| if low < high { *id > low && *id < high } else { *id > low || *id < high };
        let mut expected: Vec<NodeId> = (0..64).map(|number| peer(number, 1).id()).filter(is_between).collect();
        expected.sort_unstable();
        let mut sorted = found;
        sorted.sort_unstable();
        prop_assert_eq!(sorted, expected);
    }
}
