//! Topics: publishing and subscribing.

use chordage_dht::{Message, Notice, Rejection, RendezvousNotice, TopicMessage, TopicStatement};

use super::*;

impl World {
    /// A message that a node publishes now.
    fn message(&self, node: usize, at: u8, body: &[u8]) -> Arc<TopicMessage> {
        let (place, publisher) = (place(at), *self.peer(node).public_key());
        let statement = TopicStatement { place, publisher, seq: self.now.as_micros(), body: body.to_vec() };
        Arc::new(statement.signed(Signature([0; 64])).unwrap())
    }

    fn start_publishing(&mut self, node: usize, message: Arc<TopicMessage>) -> OperationId {
        let (id, deadline) = (self.next_id(), DEADLINE);
        self.wants(node, RendezvousInput::Publish { id, message, deadline });
        id
    }

    fn published(&mut self, id: OperationId) -> Result<KeptBy, RendezvousError> {
        loop {
            let found = self.told.iter().find_map(|(_, told)| match told {
                RendezvousOutput::Published { id: other, outcome } if *other == id => Some(outcome),
                _ => None,
            });
            if let Some(outcome) = found {
                return outcome.clone();
            }
            assert!(self.step(), "nothing happens any more");
        }
    }

    fn publish(&mut self, node: usize, at: u8, body: u8) {
        let id = self.start_publishing(node, self.message(node, at, &[body]));
        let kept = self.published(id).unwrap_or_else(|error| panic!("{error}; seed {}", self.seed));
        assert!(kept.stored * 2 > kept.of);
    }

    fn subscribe(&mut self, node: usize, at: u8, last: u16) -> OperationId {
        let id = self.next_id();
        self.wants(node, RendezvousInput::Subscribe { id, place: place(at), last });
        id
    }

    /// What a subscriber has been told, in that order.
    fn heard(&self, subscription: OperationId) -> Vec<u8> {
        let heard = self.told.iter().filter_map(|(_, told)| match told {
            RendezvousOutput::TopicMessage { id, message } if *id == subscription => {
                Some(message.statement().body[0])
            }
            _ => None,
        });
        heard.collect()
    }
}

#[test]
fn every_subscriber_hears_every_message_once_in_order_and_soon() {
    for (metric, seed) in METRICS.into_iter().zip([341, 342]) {
        let mut world = World::settled(seed, metric, config(), 30);
        let client = world.joined_client();
        let nodes = [world.holders(1)[0], world.far_from(1)[0], client, world.far_from(1)[1]];
        let subscriptions: Vec<_> = nodes.iter().map(|node| world.subscribe(*node, 1, 0)).collect();
        world.run(SECOND);
        for body in 0..100 {
            world.publish(nodes[usize::from(body) % 4], 1, body);
            world.run(Duration::from_millis(500));
            for (node, subscription) in nodes.iter().zip(&subscriptions) {
                let all: Vec<u8> = (0..=body).collect();
                assert_eq!(world.heard(*subscription), all, "at {node}, {metric}, seed {seed}");
            }
        }
        world.publish(3, 2, 1);
        world.run(Duration::from_secs(60));
        assert!(subscriptions.iter().all(|subscription| world.heard(*subscription).len() == 100));
        world.input(client, Input::CancelOperation(subscriptions[2]));
        world.publish(3, 1, 100);
        world.run(SECOND);
        let heard: Vec<usize> = subscriptions.iter().map(|id| world.heard(*id).len()).collect();
        assert_eq!(heard, [101, 101, 100, 101], "{metric}");
    }
}

#[test]
fn who_comes_late_is_told_the_last_ones_that_it_wants() {
    let mut world = World::settled(343, AnyMetric::Ring, config(), 30);
    let client = world.joined_client();
    for body in 0..50 {
        world.publish(usize::from(body) % 7, 1, body);
    }
    world.run(SECOND);
    for (last, expected) in [(0, 50..50), (3, 47..50), (1000, 0..50)] {
        for node in [client, world.holders(1)[1], world.far_from(1)[0]] {
            let subscription = world.subscribe(node, 1, last);
            world.run(Duration::from_secs(20));
            assert_eq!(world.heard(subscription), expected.clone().collect::<Vec<_>>(), "{last} at {node}");
        }
    }
    // An hour later nobody keeps them any more.
    world.run(Duration::from_secs(3600));
    assert!(world.nodes.iter().all(|node| node.dht.messages_kept() == (0, 0)));
    let subscription = world.subscribe(client, 1, 10);
    world.run(SECOND);
    assert!(world.heard(subscription).is_empty());
}

/// Nothing is lost between the question what was kept before and the first push.
#[test]
fn what_is_published_while_a_subscription_begins_is_told_or_was_there_before() {
    let mut world = World::settled(344, AnyMetric::Xor, config(), 30);
    let (publisher, subscriber) = (world.far_from(1)[0], world.far_from(1)[1]);
    let subscription = world.subscribe(subscriber, 1, 64);
    for body in 0..60 {
        let message = world.message(publisher, 1, &[body]);
        world.start_publishing(publisher, message);
        world.run(Duration::from_millis(7));
    }
    world.run(Duration::from_secs(1));
    let mut heard = world.heard(subscription);
    heard.sort_unstable();
    // Half of a topic is the most that one publisher has.
    let missing: Vec<u8> = (0..60).filter(|body| !heard.contains(body)).collect();
    assert!(missing.iter().all(|body| *body < 28), "{missing:?}");
    assert!(heard.windows(2).all(|two| two[0] != two[1]));
}

/// A tenth of all messages gets lost, and two of those who keep the topic end.
#[test]
fn messages_arrive_whatever_gets_lost_and_whoever_dies() {
    for (metric, seed) in METRICS.into_iter().zip([345, 346]) {
        let mut world = World::settled(seed, metric, config(), 40);
        let client = world.joined_client();
        world.weather.lost_per_mille = 100;
        let nodes = [client, world.far_from(1)[0], world.far_from(1)[1]];
        let subscriptions: Vec<_> = nodes.iter().map(|node| world.subscribe(*node, 1, 0)).collect();
        world.run(Duration::from_secs(5));
        for body in 0..60 {
            if body == 20 || body == 40 {
                world.kill(world.holders(1)[2]);
            }
            world.publish(nodes[1 + usize::from(body) % 2], 1, body);
            world.run(Duration::from_millis(300));
        }
        world.run(Duration::from_secs(40));
        for subscription in subscriptions {
            let mut heard = world.heard(subscription);
            heard.sort_unstable();
            assert_eq!(heard, (0..60).collect::<Vec<_>>(), "{metric}, seed {seed}");
        }
    }
}

#[test]
fn the_publisher_is_told_why_a_message_is_not_kept() {
    let mut world = World::settled(347, AnyMetric::Ring, config(), 20);
    let future = TopicStatement { seq: u64::MAX, ..world.message(3, 1, b"x").statement().clone() };
    let id = world.start_publishing(3, Arc::new(future.signed(Signature([0; 64])).unwrap()));
    assert_eq!(world.published(id), Err(RendezvousError::Refused(Rejection::Ahead)));
    let publisher = world.far_from(1)[0];
    for other in (0..20).filter(|node| *node != publisher) {
        world.nodes[other].frozen = true;
    }
    let (id, message, deadline) = (world.next_id(), world.message(publisher, 1, b"x"), 2 * SECOND);
    world.wants(publisher, RendezvousInput::Publish { id, message, deadline });
    let unknown = RendezvousError::Unknown { stored: 0, needed: 5, of: 9 };
    assert_eq!(world.published(id), Err(unknown));
}

/// Somebody repeats what was published long ago.
#[test]
fn what_nobody_keeps_any_more_is_not_told_as_new() {
    let mut world = World::settled(348, AnyMetric::Ring, config(), 3);
    let (old, subscription) = (world.message(0, 1, b"x"), world.subscribe(1, 1, 0));
    let push = |world: &mut World, message: &Arc<TopicMessage>| {
        let message = Message::Notice(Notice::Rendezvous(RendezvousNotice::Message(message.clone())));
        let from = world.peer(2);
        world.input(1, Input::Message { from, message });
    };
    world.run(Duration::from_secs(7300));
    push(&mut world, &old);
    assert!(world.heard(subscription).is_empty());
    let new = world.message(0, 1, b"y");
    push(&mut world, &new);
    assert_eq!(world.heard(subscription), *b"y");
}

#[test]
fn a_network_of_one_hears_itself() {
    let mut world = World::settled(349, AnyMetric::Ring, config(), 1);
    let subscription = world.subscribe(0, 1, 0);
    world.run(SECOND);
    world.publish(0, 1, b'x');
    assert_eq!(world.heard(subscription), *b"x", "and at once");
}
