use super::{super::samples::*, *};

fn sent(at: u64) -> Arc<TopicMessage> {
    message(1, at as u16 % 3, at, b"x")
}

/// These were found; all but `unfetched` were fetched.
fn found(fetched: &[u64], unfetched: &[u64]) -> Vec<Sighting> {
    let sighting = |at: &u64, with: bool| {
        let item = Item::Message(sent(*at));
        Sighting { id: item.id(), heard_at: 0, item: with.then_some(item) }
    };
    fetched
        .iter()
        .map(|at| sighting(at, true))
        .chain(unfetched.iter().map(|at| sighting(at, false)))
        .collect()
}

fn seqs(told: &[Arc<TopicMessage>]) -> Vec<u64> {
    told.iter().map(|message| message.seq()).collect()
}

#[test]
fn what_was_kept_before_is_told_in_order_and_the_rest_never() {
    let mut subscription = Subscription::new(2);
    // Whatever is pushed meanwhile is new.
    assert!(!subscription.pushed(&sent(30)) && !subscription.pushed(&sent(20)));
    let told = subscription.take_in(&found(&[21, 30], &[1, 2, 20]));
    assert_eq!(seqs(&told), [20, 21, 30]);
    for old in [1, 2, 20, 21, 30] {
        assert!(!subscription.pushed(&sent(old)), "{old}");
    }
    assert!(subscription.take_in(&found(&[1, 2, 30], &[])).is_empty());
}

#[test]
fn each_is_told_once_however_it_comes() {
    let mut subscription = Subscription::new(0);
    assert!(subscription.take_in(&[]).is_empty());
    assert!(subscription.pushed(&sent(5)) && !subscription.pushed(&sent(5)));
    // A lower number comes late, and is as new.
    assert_eq!(seqs(&subscription.take_in(&found(&[7, 5, 4], &[]))), [4, 7]);
    assert!(!subscription.pushed(&sent(7)) && !subscription.pushed(&sent(4)));
}

#[test]
fn what_is_forgotten_is_not_told_again() {
    let mut subscription = Subscription::new(0);
    subscription.take_in(&[]);
    for at in 10..10 + 1030 {
        assert!(subscription.pushed(&sent(at)));
    }
    assert_eq!(subscription.told.len(), 1024);
    for at in [1, 10, 15, 16, 500, 1039] {
        assert!(!subscription.pushed(&sent(at)), "{at}");
    }
    assert!(subscription.pushed(&sent(2000)));
}

#[test]
fn of_what_comes_too_early_the_newest_are_remembered() {
    let mut subscription = Subscription::new(0);
    (0..100).for_each(|at| assert!(!subscription.pushed(&sent(at))));
    assert_eq!(seqs(&subscription.take_in(&[])), (36..100).collect::<Vec<_>>());
}
