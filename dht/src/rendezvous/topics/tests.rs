#![allow(clippy::unwrap_used)]

use alloc::vec;

use super::{super::samples::*, *};

/// Microseconds since 1970 at the beginning of these tests.
const BEGAN: u64 = 1_700_000_000_000_000;

impl Topics {
    fn keep_at(&mut self, message: &Arc<TopicMessage>, at: Time) -> Result<bool, Rejection> {
        self.keep(message, at, BEGAN + at.as_micros())
    }

    fn seqs(&self, topic: u8) -> Vec<u64> {
        self.heads(&place(topic)).iter().map(|head| head.id.seq - BEGAN).collect()
    }
}

fn sent(publisher: u16, at: u64) -> Arc<TopicMessage> {
    message(1, publisher, BEGAN + at, b"x")
}

#[test]
fn a_message_is_kept_once_for_an_hour() {
    let mut topics = Topics::default();
    assert_eq!(topics.keep_at(&sent(1, 5), secs(10)), Ok(true));
    assert_eq!(topics.keep_at(&sent(1, 5), secs(20)), Ok(false), "it is known");
    assert_eq!(topics.keep_at(&message(1, 1, BEGAN + 5, b"y"), secs(20)), Err(Rejection::Superseded));
    assert_eq!(topics.keep_at(&sent(2, 5), secs(20)), Ok(true), "somebody else's");
    assert_eq!(topics.get(&place(1), &Stamp::of(&sent(1, 5))), Some(&sent(1, 5)));
    topics.forget_ended(secs(3609));
    assert_eq!((topics.size().0, topics.next_due()), (2, Some(secs(3610))));
    topics.forget_ended(secs(3610));
    assert_eq!(topics.size().0, 1);
    topics.forget_ended(secs(3620));
    assert_eq!((topics.size(), topics.next_due()), ((0, 0), None));
    assert!(topics.topics.is_empty() && topics.per_publisher.is_empty());
}

#[test]
fn neither_old_messages_are_kept_nor_those_from_the_future() {
    let mut topics = Topics::default();
    let now = secs(4000);
    let (hour, five_minutes) = (3_600_000_000, 300_000_000);
    let at = |seq| message(1, 1, seq, b"x");
    let unix = BEGAN + now.as_micros();
    assert_eq!(topics.keep_at(&at(unix - hour), now), Err(Rejection::Expired));
    assert_eq!(topics.keep_at(&at(unix - hour + 1), now), Ok(true));
    assert_eq!(topics.keep_at(&at(unix + five_minutes + 1), now), Err(Rejection::Ahead));
    assert_eq!(topics.keep_at(&at(unix + five_minutes), now), Ok(true));
    assert_eq!(topics.keep_at(&at(u64::MAX), now), Err(Rejection::Ahead));
    assert_eq!(topics.keep(&at(u64::MAX), now, u64::MAX - 1), Ok(true), "no sum overflows");
}

#[test]
fn the_last_of_a_topic_stay() {
    let mut topics = Topics::default();
    for at in 1..=100 {
        topics.keep_at(&sent(at as u16 % 10, at), secs(0)).unwrap();
    }
    assert_eq!(topics.seqs(1), (37..=100).collect::<Vec<_>>());
    assert_eq!(topics.keep_at(&sent(99, 36), secs(0)), Err(Rejection::Displaced));
    assert_eq!(topics.keep_at(&message(2, 99, BEGAN, b"x"), secs(0)), Ok(true), "another topic has room");
    assert_eq!(topics.size().0, 65);
}

#[test]
fn one_publisher_has_half_of_a_topic() {
    let mut topics = Topics::default();
    (1..=20).for_each(|at| assert_eq!(topics.keep_at(&sent(7, at), secs(0)), Ok(true)));
    (100..200).for_each(|at| assert_eq!(topics.keep_at(&sent(1, at), secs(0)), Ok(true)));
    let expected: Vec<u64> = (1..=20).chain(168..200).collect();
    assert_eq!(topics.seqs(1), expected, "its own oldest go first");
    assert_eq!(topics.keep_at(&sent(1, 150), secs(0)), Err(Rejection::Displaced));
}

#[test]
fn one_publisher_has_so_many_in_all() {
    let mut topics = Topics::default();
    let of = |topic, at| message(topic, 1, BEGAN + at, b"x");
    for topic in 0..32 {
        (0..40).for_each(|at| assert_eq!(topics.keep_at(&of(topic, at), secs(0)), Ok(true)));
    }
    assert_eq!(topics.size().0, 1024);
    assert_eq!(topics.keep_at(&of(40, 1), secs(0)), Err(Rejection::SenderFull));
    assert_eq!(topics.keep_at(&of(3, 50), secs(0)), Ok(true), "an older one of its own goes");
    assert_eq!(topics.keep_at(&message(40, 2, BEGAN, b"x"), secs(0)), Ok(true));
}

#[test]
fn there_are_so_many_topics_and_bytes() {
    let mut topics = Topics::default();
    let topic = |number: u16, publisher, body: &[u8]| {
        let mut place = [0; 32];
        place[..2].copy_from_slice(&number.to_be_bytes());
        let statement = message(1, publisher, BEGAN, body).statement().clone();
        let statement = super::super::TopicStatement { place: Key::from_bytes(place), ..statement };
        Arc::new(statement.signed(crate::Signature([0; 64])).unwrap())
    };
    for number in 0..4096 {
        topics.keep_at(&topic(number, number, b"x"), secs(0)).unwrap();
    }
    assert_eq!(topics.keep_at(&topic(4096, 1, b"x"), secs(0)), Err(Rejection::Full));
    assert_eq!(topics.keep_at(&topic(4095, 1, b"x"), secs(0)), Ok(true), "a topic that there is");

    let (mut topics, body) = (Topics::default(), vec![1; super::super::TOPIC_BYTES_MAX]);
    let mut kept = 0;
    for number in 0..4096 {
        for publisher in 0..4 {
            let outcome = topics.keep_at(&topic(number, publisher * 5000 + number, &body), secs(0));
            kept += usize::from(outcome.is_ok());
            assert!(outcome.is_ok() || outcome == Err(Rejection::Full));
        }
    }
    assert_eq!((kept, topics.size().0), (BYTES_MAX / (4096 + 150), kept));
    topics.forget_ended(secs(3600));
    assert_eq!(topics.size(), (0, 0));
}
