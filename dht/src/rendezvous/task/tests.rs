#![allow(clippy::unwrap_used)]

use alloc::{sync::Arc, vec};

use super::{super::samples::*, *};
use crate::rendezvous::{GONE_AFTER, HEADS_PER_PAGE, Head, Item, ItemKind, Listing, Stamp};

const NOW: Time = secs(100);

fn begun(work: Work, nodes: core::ops::Range<u8>) -> Task {
    let mut task = Task::new(place(1), work, secs(200));
    assert_eq!(task.next(NOW), Next::Wait, "until it knows whom to ask");
    task.begin(nodes.map(at));
    task
}

fn spread(known: impl IntoIterator<Item = u8>) -> Work {
    let known = known.into_iter().map(|number| peer(number).id()).collect();
    Work::Spread(Spread { item: Item::Listing(listing(1, 1, b"x")), known })
}

fn listings() -> Work {
    Work::Survey(Survey::of_listings(false, BTreeSet::new()))
}

impl Task {
    /// Everything to be done until it waits.
    fn steps(&mut self, now: Time) -> Vec<Next> {
        let mut steps = Vec::new();
        loop {
            match self.next(now) {
                Next::Wait => return steps,
                step => {
                    let over = matches!(step, Next::Done | Next::Found(_));
                    steps.push(step);
                    if over {
                        return steps;
                    }
                }
            }
        }
    }

    fn say(&mut self, from: u8, response: RendezvousResponse) {
        self.answered(peer(from).id_ref(), response, &[], NOW);
    }

    fn tell(&mut self, from: u8, heads: &[(ItemId, u32)], ready: bool) {
        let heads = heads.iter().map(|(id, age)| Head { id: *id, age: *age }).collect();
        self.say(from, RendezvousResponse::Heads { heads, more: false, ready, region: vec![] });
    }
}

fn kept() -> RendezvousResponse {
    RendezvousResponse::Kept { region: vec![] }
}

fn refused(why: Rejection) -> RendezvousResponse {
    RendezvousResponse::Refused { why, region: vec![] }
}

fn id(listing: &Arc<Listing>) -> ItemId {
    Item::Listing(listing.clone()).id()
}

/// What was found, as provider, number of the version and age.
fn sightings(steps: &[Next]) -> Vec<(u8, u64, i64)> {
    match steps {
        [Next::Found(Ok(found))] => {
            found.iter().map(|one| (one.id.by[1], one.id.seq, 100_000 - one.heard_at)).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_item_is_handed_to_nine_and_those_who_have_it_get_a_word() {
    let mut task = begun(spread([2, 4]), 0..12);
    let steps = task.steps(NOW);
    let expected = (0..9).map(|number| match number {
        2 | 4 => Next::Renew(peer(number)),
        _ => Next::Keep(peer(number)),
    });
    assert_eq!(steps, expected.collect::<Vec<_>>());
    task.say(2, RendezvousResponse::Unknown { region: vec![] });
    assert_eq!(task.steps(NOW), [Next::Keep(peer(2))], "it has forgotten it");
    let Work::Spread(spread) = &task.work else { panic!() };
    assert_eq!(spread.known, [peer(4).id()].into());
}

#[test]
fn a_majority_counts_after_a_moment_in_which_all_may_answer() {
    let mut task = begun(spread([]), 0..9);
    task.steps(NOW);
    (0..4).for_each(|from| task.say(from, kept()));
    assert!(task.steps(NOW).is_empty() && task.again_at.is_none());
    task.say(4, kept());
    assert!(task.steps(NOW).is_empty());
    assert_eq!(task.again_at, Some(NOW + GRACE));
    task.say(5, kept());
    assert!(!task.woken());
    assert_eq!(task.steps(NOW + GRACE), [Next::Kept(Ok(KeptBy { stored: 6, of: 9 }))]);
    // The others are waited for, so that it is known who has it.
    task.say(6, kept());
    task.silent(peer(7).id_ref());
    assert!(task.steps(NOW + GRACE).is_empty());
    task.say(8, refused(Rejection::Full));
    assert_eq!(task.steps(NOW + GRACE), [Next::Done]);
    let Work::Spread(spread) = &task.work else { panic!() };
    assert_eq!(spread.known.len(), 7);
    assert!(task.has_missed() && task.out_of_time().is_none());
}

#[test]
fn when_all_have_answered_nobody_waits() {
    let mut task = begun(spread([]), 0..3);
    task.steps(NOW);
    (0..3).for_each(|from| task.say(from, kept()));
    assert_eq!(task.steps(NOW), [Next::Kept(Ok(KeptBy { stored: 3, of: 3 })), Next::Done]);
}

#[test]
fn what_a_majority_cannot_keep_is_refused_and_else_tried_again() {
    let mut task = begun(spread([]), 0..9);
    task.steps(NOW);
    (0..4).for_each(|from| task.say(from, refused(Rejection::Full)));
    (4..9).for_each(|from| task.silent(peer(from).id_ref()));
    assert!(task.steps(NOW).is_empty());
    assert_eq!(task.again_at, Some(NOW + 2 * AGAIN_MIN), "those who are silent could keep it");
    assert!(task.woken() && task.steps(NOW).is_empty());
    task.begin((0..9).map(at));
    assert_eq!(task.steps(NOW).len(), 9, "all are asked again");
    (0..5).for_each(|from| task.say(from, refused(Rejection::Full)));
    (5..9).for_each(|from| task.say(from, kept()));
    assert_eq!(task.steps(NOW)[0], Next::Kept(Err(RendezvousError::Refused(Rejection::Full))));

    let mut task = begun(spread([]), 0..9);
    task.steps(NOW);
    task.say(0, kept());
    let unknown = RendezvousError::Unknown { stored: 1, needed: 5, of: 9 };
    assert_eq!(task.out_of_time(), Some(Next::Kept(Err(unknown))));
    assert_eq!(task.out_of_time(), None, "once");
}

#[test]
fn nobody_at_all_is_no_majority() {
    for work in [spread([]), listings()] {
        let mut task = begun(work, 0..0);
        assert!(task.steps(NOW).is_empty() && task.again_at.is_some());
    }
}

#[test]
fn the_heads_of_a_majority_are_united() {
    let (a, b, c) = (listing(1, 1, b"a"), listing(2, 1, b"b"), listing(3, 1, b"c"));
    let mut task = begun(listings(), 0..9);
    assert_eq!(task.steps(NOW), (0..9).map(|number| Next::Ask(peer(number), None)).collect::<Vec<_>>());
    task.tell(0, &[(id(&a), 3000)], true);
    task.tell(1, &[(id(&a), 1000), (id(&b), 14_999)], true);
    // As good as gone.
    task.tell(2, &[(id(&c), GONE_AFTER.as_millis() as u32)], true);
    task.tell(3, &[], true);
    assert!(task.steps(NOW).is_empty());
    task.tell(4, &[], true);
    let steps = task.steps(NOW);
    assert_eq!(steps, [Next::Fetch(peer(0), vec![id(&a)]), Next::Fetch(peer(1), vec![id(&b)])]);
    task.say(0, RendezvousResponse::Items(vec![Item::Listing(a)]));
    assert!(task.steps(NOW).is_empty());
    task.say(1, RendezvousResponse::Items(vec![Item::Listing(b)]));
    assert_eq!(sightings(&task.steps(NOW)), [(1, 1, 1000), (2, 1, 14_999)]);
}

/// Those who have just come may lack what others have: they do not make a majority while others may answer.
#[test]
fn newcomers_make_a_majority_only_with_all_who_answer() {
    let a = listing(1, 1, b"a");
    let mut task = begun(listings(), 0..9);
    task.steps(NOW);
    (0..6).for_each(|from| task.tell(from, &[], false));
    assert!(task.steps(NOW).is_empty());
    task.tell(6, &[(id(&a), 0)], true);
    task.silent(peer(7).id_ref());
    assert!(task.steps(NOW).is_empty());
    task.silent(peer(8).id_ref());
    assert_eq!(task.steps(NOW), [Next::Fetch(peer(6), vec![id(&a)])]);
}

#[test]
fn what_the_asker_has_is_not_fetched() {
    let (a, b) = (listing(1, 1, b"a"), listing(1, 2, b"b"));
    let survey = Survey::of_listings(true, [id(&a)].into());
    let mut task = begun(Work::Survey(survey), 0..1);
    task.steps(NOW);
    task.tell(0, &[(id(&a), 5)], true);
    assert_eq!(sightings(&task.clone().steps(NOW)), [(1, 1, 5)]);
    // A newer version of it is.
    task.tell(0, &[(id(&b), 5)], true);
    assert_eq!(task.steps(NOW), [Next::Fetch(peer(0), vec![id(&b)])]);
}

/// Somebody says that a listing has a higher number, or is withdrawn, and has nothing to show for it.
#[test]
fn what_nobody_can_show_does_not_count() {
    let (a, made_up) = (listing(1, 1, b"a"), listing(1, 9, b""));
    for silent in [false, true] {
        let mut task = begun(listings(), 0..3);
        task.steps(NOW);
        task.tell(0, &[(id(&made_up), 0)], true);
        task.tell(1, &[(id(&a), 7)], true);
        task.tell(2, &[(id(&a), 8)], true);
        assert_eq!(task.steps(NOW), [Next::Fetch(peer(0), vec![id(&made_up)])]);
        if silent {
            task.silent(peer(0).id_ref());
        } else {
            // It has another one to show, which nobody has asked for.
            task.say(0, RendezvousResponse::Items(vec![Item::Listing(listing(2, 9, b"x"))]));
        }
        assert_eq!(task.steps(NOW), [Next::Fetch(peer(1), vec![id(&a)])]);
        task.say(1, RendezvousResponse::Items(vec![Item::Listing(a.clone())]));
        assert_eq!(sightings(&task.steps(NOW)), [(1, 1, 7)]);
    }
}

#[test]
fn items_of_another_place_or_kind_or_an_older_version_do_not_count() {
    let a = listing(1, 5, b"a");
    let elsewhere = sign(statement(2, 1, 0, 5, b"a"));
    for wrong in
        [Item::Listing(elsewhere), Item::Listing(listing(1, 4, b"a")), Item::Message(message(1, 1, 5, b"a"))]
    {
        let mut task = begun(listings(), 0..1);
        task.steps(NOW);
        task.tell(0, &[(id(&a), 7)], true);
        task.steps(NOW);
        task.say(0, RendezvousResponse::Items(vec![wrong]));
        assert_eq!(sightings(&task.steps(NOW)), []);
    }
    // A newer one than it has said does.
    let mut task = begun(listings(), 0..1);
    task.steps(NOW);
    task.tell(0, &[(id(&a), 7)], true);
    task.steps(NOW);
    task.say(0, RendezvousResponse::Items(vec![Item::Listing(listing(1, 6, b"b"))]));
    assert_eq!(sightings(&task.steps(NOW)), [(1, 6, 7)]);
}

#[test]
fn many_items_are_fetched_from_several_at_the_same_time_until_all_are_there() {
    let all: Vec<_> = (0..100).map(|provider| listing(provider, 1, b"x")).collect();
    let heads: Vec<_> = all.iter().map(|listing| (id(listing), 0)).collect();
    let mut task = begun(listings(), 0..2);
    task.steps(NOW);
    (0..2).for_each(|from| task.tell(from, &heads, true));
    let mut asked = 0;
    loop {
        let steps = task.steps(NOW);
        if let [Next::Found(Ok(found))] = &steps[..] {
            assert!(found.len() == 100 && found.iter().all(|one| one.item.is_some()));
            break;
        }
        for step in steps {
            let Next::Fetch(from, wanted) = step else { panic!("{step:?}") };
            assert!(wanted.len() <= 32);
            asked += 1;
            // As many as fit.
            let items = all.iter().filter(|one| wanted.contains(&id(one))).take(20);
            task.say(
                from.public_key()[0],
                RendezvousResponse::Items(items.cloned().map(Item::Listing).collect()),
            );
        }
    }
    assert!(asked >= 5, "{asked}");
}

#[test]
fn pages_are_asked_for_until_the_last_but_not_for_ever() {
    let mut task = begun(listings(), 0..1);
    assert_eq!(task.steps(NOW), [Next::Ask(peer(0), None)]);
    for page in 0..4 {
        let heads: Vec<Head> = (0..=HEADS_PER_PAGE as u16)
            .map(|provider| Head { id: id(&listing(page * 1000 + provider, 1, b"x")), age: 0 })
            .collect();
        let last = heads[HEADS_PER_PAGE].id;
        task.say(0, RendezvousResponse::Heads { heads, more: true, ready: true, region: vec![] });
        let steps = task.steps(NOW);
        if page < 3 {
            assert_eq!(steps, [Next::Ask(peer(0), Some(last))]);
        } else {
            assert!(matches!(steps[..], [Next::Fetch(..)]), "{steps:?}");
        }
    }
    let Work::Survey(survey) = &task.work else { panic!() };
    assert_eq!(survey.wanted().len(), 1024, "no more than a page of each");
}

#[test]
fn of_messages_the_newest_that_are_wanted_are_fetched_and_none_up_to_the_last_forgotten() {
    let all: Vec<_> = (1..=10).map(|seq| message(1, 20 - seq as u16, seq, b"x")).collect();
    let ids: Vec<ItemId> = all.iter().map(|message| Item::Message(message.clone()).id()).collect();
    let floor = Some(Stamp::of(&all[3]));
    let survey = Survey::of_messages([ids[8]].into(), floor, 3);
    assert_eq!(survey.kind, ItemKind::Message);
    let mut task = begun(Work::Survey(survey), 0..1);
    task.steps(NOW);
    let heads: Vec<_> = ids.iter().map(|id| (*id, 0)).collect();
    task.tell(0, &heads, true);
    assert_eq!(task.steps(NOW), [Next::Fetch(peer(0), vec![ids[9], ids[7]])]);
    let items = [9, 7].map(|one| Item::Message(all[one].clone()));
    task.say(0, RendezvousResponse::Items(items.into()));
    let steps = task.steps(NOW);
    let [Next::Found(Ok(found))] = &steps[..] else { panic!("{steps:?}") };
    let mut seqs: Vec<(u64, bool)> = found.iter().map(|one| (one.id.seq, one.item.is_some())).collect();
    seqs.sort_unstable();
    assert_eq!(seqs, [(5, false), (6, false), (7, false), (8, true), (9, false), (10, true)]);
}

#[test]
fn answers_to_something_else_are_none() {
    let mut task = begun(listings(), 0..1);
    task.steps(NOW);
    task.say(0, kept());
    assert!(task.has_missed() && task.steps(NOW).is_empty());
    let unheard = RendezvousError::NoMajority { heard: 0, needed: 1, of: 1 };
    assert_eq!(task.out_of_time(), Some(Next::Found(Err(unheard))));
}
