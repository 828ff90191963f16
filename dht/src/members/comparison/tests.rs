use proptest::prelude::*;

use super::*;
use crate::{
    Time,
    members::{
        tests::{gone, joined, peer},
        view::Taken,
    },
};

/// Compares until it is over. Returns how many records were sent either way.
fn compare(asker: &mut View, other: &mut View, size: usize) -> usize {
    let (mut comparison, mut digests) = Comparison::new(peer(0, 1), Scope::Everybody, asker, size);
    let mut records_sent = 0;
    for _ in 0..1000 {
        let (arcs, more) = differences(other, &digests).unwrap();
        for news in comparison.differences(asker, &arcs, more) {
            other.take(&news, Time::ZERO, false);
            records_sent += 1;
        }
        loop {
            match comparison.next(asker) {
                Next::Records(wanted) => {
                    let answer = records(|prefix| other.get(prefix), &wanted);
                    records_sent += answer.len();
                    let take = |news: &News| asker.take(news, Time::ZERO, false) == Taken::New;
                    comparison.received(take_records(&answer, take));
                }
                Next::Compare(again) => {
                    digests = again;
                    break;
                }
                Next::Done => return records_sent,
            }
        }
    }
    panic!("does not end");
}

fn view(news: impl Iterator<Item = News>) -> View {
    let mut view = View::new(10_000);
    for news in news {
        view.take(&news, Time::ZERO, false);
    }
    view
}

#[test]
fn an_empty_list_is_filled_and_never_again() {
    let mut other = view((0..3000).map(|number| joined(number, 1)));
    let mut asker = View::new(10_000);
    assert_eq!(compare(&mut asker, &mut other, 3000), 3000);
    assert_eq!(asker.len(), 3000);
    assert_eq!(compare(&mut asker, &mut other, 3000), 0);
    other.take(&joined(7, 2), Time::ZERO, false);
    assert_eq!(compare(&mut asker, &mut other, 3000), 1);
}

#[test]
fn the_dead_are_not_brought_back() {
    let mut asker = view((0..100).map(|number| joined(number, 1)));
    let mut other = asker.clone();
    other.take(&gone(5, 1), Time::ZERO, false);
    asker.take(&gone(6, 1), Time::ZERO, false);
    for _ in 0..2 {
        compare(&mut asker, &mut other, 100);
    }
    compare(&mut other, &mut asker, 100);
    assert_eq!((asker.len(), other.len()), (98, 98));
}

#[test]
fn numbers_of_digests_that_make_no_sense_are_not_answered() {
    let view = view((0..10).map(|number| joined(number, 1)));
    for count in [0, 3, 1000, 2048] {
        assert!(differences(&view, &alloc::vec![Digest([0; 8]); count]).is_none(), "{count}");
    }
}

proptest! {
    #[test]
    fn two_lists_become_one(
        ours in prop::collection::vec((0u32..200, 1u64..3), 0..200),
        theirs in prop::collection::vec((0u32..200, 1u64..3), 0..200),
    ) {
        let told = |told: &[(u32, u64)]| told.iter().map(|(number, seq)| joined(*number, *seq)).collect::<Vec<_>>();
        let mut asker = view(told(&ours).into_iter());
        let mut other = view(told(&theirs).into_iter());
        compare(&mut asker, &mut other, 200);
        let list = |view: &View| {
            view.entries().iter().map(|entry| (entry.peer().id(), entry.peer().seq())).collect::<Vec<_>>()
        };
        prop_assert_eq!(list(&asker), list(&other));
    }

    #[test]
    fn strangers_claims_do_no_harm(
        arcs in prop::collection::vec((any::<u16>(), prop::collection::vec((any::<[u8; 8]>(), any::<u64>()), 0..20)), 0..20),
        more in any::<bool>(),
    ) {
        let asker = view((0..50).map(|number| joined(number, 1)));
        let (mut comparison, _) = Comparison::new(peer(0, 1), Scope::Everybody, &asker, 50);
        let claims: Vec<ArcMembers> = arcs
            .into_iter()
            .map(|(arc, members)| ArcMembers {
                arc,
                members: members.into_iter().map(|(prefix, seq)| (IdPrefix(prefix), seq)).collect(),
            })
            .collect();
        comparison.differences(&asker, &claims, more);
        // It asks for what there is not, and then is over.
        let mut steps = 0;
        while let Next::Records(_) = comparison.next(&asker) {
            comparison.received(take_records(&[], |_| false));
            steps += 1;
            prop_assert!(steps < 100);
        }
        prop_assert_eq!(comparison.next(&asker), Next::Done);
        prop_assert_eq!(asker.len(), 50);
    }
}
