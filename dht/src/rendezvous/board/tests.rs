#![allow(clippy::unwrap_used)]

use alloc::vec;

use super::{
    super::{ListingStatement, samples::*},
    *,
};

impl Board {
    fn keep_at(&mut self, listing: &Arc<Listing>, at: Time) -> Result<Change, Rejection> {
        self.keep(listing, 0, at, 1000)
    }

    fn ages(&self, now: Time) -> Vec<(u64, u32)> {
        let (heads, more) = self.heads(&place(1), None, 1000, now);
        assert!(!more);
        heads.iter().map(|head| (head.id.seq, head.age)).collect()
    }
}

fn id(provider: u16) -> ListingId {
    ListingId { provider: key(provider), number: 0 }
}

#[test]
fn a_provider_that_is_not_heard_is_suspected_and_then_gone() {
    let mut board = Board::default();
    assert_eq!(board.keep_at(&listing(1, 1, b"x"), secs(100)), Ok(Change::Place));
    assert_eq!(board.ages(secs(103)), [(1, 3000)]);
    assert!(board.look_through(secs(107)).is_empty());
    assert_eq!(board.next_due(), Some(secs(108)));
    assert_eq!(board.look_through(secs(108)), [place(1)].into(), "it is suspected");
    assert!(board.look_through(secs(114)).is_empty(), "that is told once");
    assert_eq!(board.next_due(), Some(secs(115)));
    assert_eq!(board.look_through(secs(115)), [place(1)].into(), "it is gone");
    assert_eq!((board.size(), board.next_due()), ((0, 0), None));
    assert!(board.per_provider.is_empty() && board.dues.is_empty());
}

#[test]
fn a_provider_that_is_heard_stays() {
    let mut board = Board::default();
    board.keep_at(&listing(1, 1, b"x"), secs(0)).unwrap();
    for at in (5..100).step_by(5) {
        assert_eq!(board.renew(&place(1), id(1), 1, secs(at)), Ok(Some(Change::Nothing)));
        assert!(board.look_through(secs(at)).is_empty());
    }
    // Announcing it again is as good; and after suspicion others hear that it is there again.
    assert_eq!(board.keep_at(&listing(1, 1, b"x"), secs(100)), Ok(Change::Nothing));
    assert_eq!(board.look_through(secs(108)), [place(1)].into());
    assert_eq!(board.renew(&place(1), id(1), 1, secs(109)), Ok(Some(Change::Place)));
    assert_eq!(board.ages(secs(109)), [(1, 0)]);
    assert!(board.look_through(secs(116)).is_empty(), "what it was suspected for is forgotten");
}

#[test]
fn a_node_that_has_slept_lets_go_at_once() {
    let mut board = Board::default();
    board.keep_at(&listing(1, 1, b"x"), secs(0)).unwrap();
    assert_eq!(board.look_through(secs(60)), [place(1)].into());
    assert_eq!(board.size(), (0, 0));
}

#[test]
fn the_newer_version_stays_and_an_unknown_one_is_not_renewed() {
    let mut board = Board::default();
    assert_eq!(board.renew(&place(1), id(1), 1, secs(0)), Ok(None));
    board.keep_at(&listing(1, 5, b"x"), secs(0)).unwrap();
    assert_eq!(board.renew(&place(1), id(1), 6, secs(1)), Ok(None), "it has to be announced");
    assert_eq!(board.renew(&place(1), id(1), 4, secs(1)), Err(Rejection::Superseded));
    assert_eq!(board.keep_at(&listing(1, 4, b"y"), secs(1)), Err(Rejection::Superseded));
    assert_eq!(
        board.keep_at(&listing(1, 5, b"y"), secs(1)),
        Err(Rejection::Superseded),
        "a number has one meaning"
    );
    assert_eq!(board.ages(secs(2)), [(5, 2000)], "none of these was a renewal");
    assert_eq!(board.keep_at(&listing(1, 7, b"y"), secs(2)), Ok(Change::Place));
    assert_eq!(board.get(&place(1), id(1)), Some(&listing(1, 7, b"y")));
    assert_eq!(board.size().0, 1);
}

#[test]
fn a_withdrawal_wins_over_what_comes_late_and_is_remembered_for_a_minute() {
    let mut board = Board::default();
    board.keep_at(&listing(1, 1, b"x"), secs(0)).unwrap();
    assert_eq!(board.keep_at(&listing(1, 2, b""), secs(1)), Ok(Change::Place));
    // One of which nothing was known, too; nobody has to be told of that.
    assert_eq!(board.keep_at(&listing(2, 2, b""), secs(1)), Ok(Change::Nothing));
    for provider in [1, 2] {
        assert_eq!(board.renew(&place(1), id(provider), 1, secs(2)), Err(Rejection::Superseded));
        assert_eq!(board.keep_at(&listing(provider, 1, b"x"), secs(50)), Err(Rejection::Superseded));
        assert_eq!(board.renew(&place(1), id(provider), 2, secs(50)), Ok(Some(Change::Nothing)));
    }
    assert_eq!(board.ages(secs(60)), [(2, 0), (2, 0)], "whoever asks is to know of it");
    assert!(board.look_through(secs(60)).is_empty());
    assert_eq!(board.size().0, 2);
    assert!(board.look_through(secs(61)).is_empty(), "nothing is listed or not listed because of that");
    assert_eq!(board.size(), (0, 0));
}

#[test]
fn what_expires_is_gone_at_that_time() {
    let mut board = Board::default();
    let expiring = |until| {
        let statement = ListingStatement { valid_until: until, ..statement(1, 1, 0, 1, b"x") };
        sign(statement)
    };
    assert_eq!(board.keep_at(&expiring(1000), secs(0)), Err(Rejection::Expired));
    board.keep_at(&expiring(1003), secs(0)).unwrap();
    assert!(board.look_through(secs(2)).is_empty());
    assert_eq!(board.look_through(secs(3)), [place(1)].into());
    assert_eq!(board.size().0, 0);
    // However far away that is.
    board.keep_at(&expiring(u64::MAX), secs(5)).unwrap();
}

#[test]
fn one_provider_has_so_many_at_a_place_and_in_all() {
    let mut board = Board::default();
    let mut keep = |at: u8, provider, number| {
        board.keep_at(&sign(statement(at, provider, number, 1, b"x")), secs(0)).err()
    };
    for number in 0..16 {
        assert_eq!(keep(1, 1, number), None);
    }
    assert_eq!(keep(1, 1, 16), Some(Rejection::SenderFull));
    assert_eq!(keep(1, 1, 15), None, "it has that one already");
    assert_eq!(keep(1, 2, 16), None);
    for at in 2..=16 {
        (0..16).for_each(|number| assert_eq!(keep(at, 1, number), None));
    }
    assert_eq!(keep(17, 1, 0), Some(Rejection::SenderFull));
    assert_eq!(keep(17, 2, 0), None);
}

#[test]
fn one_subnet_has_so_many_at_a_place() {
    let mut board = Board::default();
    let mut keep = |at, provider, subnet| {
        board.keep(&sign(statement(at, provider, 0, 1, b"x")), subnet, secs(0), 0).err()
    };
    for provider in 0..64 {
        assert_eq!(keep(1, provider, 7), None);
    }
    assert_eq!(keep(1, 64, 7), Some(Rejection::SubnetFull));
    assert_eq!(keep(1, 65, 8), None);
    assert_eq!(keep(2, 64, 7), None);
    (100..200).for_each(|provider| assert_eq!(keep(1, provider, 0), None, "no limit is known for these"));
}

#[test]
fn a_place_has_so_many_and_the_node_so_many() {
    let mut board = Board::default();
    for provider in 0..1024 {
        board.keep_at(&listing(provider, 1, b"x"), secs(0)).unwrap();
    }
    assert_eq!(board.keep_at(&listing(1024, 1, b"x"), secs(0)), Err(Rejection::Full));
    assert_eq!(board.keep_at(&listing(7, 2, b"y"), secs(0)), Ok(Change::Place), "it was there before");
    // Withdrawn ones take room until they are forgotten: else they would have no limit.
    board.keep_at(&listing(8, 2, b""), secs(0)).unwrap();
    assert_eq!(board.keep_at(&listing(1024, 1, b"x"), secs(0)), Err(Rejection::Full));
    for at in 2..=16 {
        for provider in 0..1024 {
            board.keep_at(&sign(statement(at, provider, 0, 1, b"x")), secs(0)).unwrap();
        }
    }
    let more = sign(statement(17, 1, 0, 1, b"x"));
    assert_eq!((board.size().0, board.keep_at(&more, secs(0))), (16_384, Err(Rejection::Full)));
    board.look_through(secs(100));
    assert_eq!(board.size(), (0, 0));
}

#[test]
fn listings_take_so_many_bytes() {
    let mut board = Board::default();
    let body = vec![1; super::super::LISTING_BYTES_MAX];
    let mut kept = 0;
    for at in 0..=255 {
        for provider in 0..64 {
            let outcome = board.keep_at(&sign(statement(at, provider, 0, 1, &body)), secs(0));
            kept += usize::from(outcome.is_ok());
            assert!(outcome.is_ok() || outcome == Err(Rejection::Full));
        }
    }
    assert_eq!((kept, board.size().0), (BYTES_MAX / (1024 + 160), kept));
    assert!(board.size().1 <= BYTES_MAX);
    // Nor does what is there grow.
    let mut board = Board { bytes: BYTES_MAX - 200, ..Board::default() };
    board.keep_at(&listing(1, 1, b"x"), secs(0)).unwrap();
    assert_eq!(board.keep_at(&listing(1, 2, &body), secs(0)), Err(Rejection::Full));
}

#[test]
fn heads_come_in_pages() {
    let mut board = Board::default();
    for provider in 0..10 {
        for number in 0..3 {
            board.keep_at(&sign(statement(1, provider, number, 4, b"x")), secs(0)).unwrap();
        }
    }
    board.keep_at(&sign(statement(2, 1, 0, 1, b"x")), secs(0)).unwrap();
    let (mut all, mut after) = (vec![], None);
    loop {
        let (heads, more) = board.heads(&place(1), after, 7, secs(1));
        assert_eq!(heads.len(), if more { 7 } else { 2 });
        after = heads.last().map(|head| head.id);
        all.extend(heads.iter().map(|head| head.id));
        if !more {
            break;
        }
    }
    let expected = (0..10).flat_map(|provider| (0..3).map(move |number| (provider, number)));
    let expected = expected.map(|(by, number)| ItemId { by: key(by), number, seq: 4 });
    assert_eq!(all, expected.collect::<Vec<_>>());
}

#[test]
fn clients_have_half_of_a_place_together() {
    let mut board = Board::default();
    let mut keep =
        |provider, subnet| board.keep(&sign(statement(1, provider, 0, 1, b"x")), subnet, secs(0), 0).err();
    for provider in 0..512 {
        assert_eq!(keep(provider, CLIENTS), None);
    }
    assert_eq!(keep(512, CLIENTS), Some(Rejection::SubnetFull));
    assert_eq!(keep(513, 7), None, "members have the other half");
}
