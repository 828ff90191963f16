//! One subnet may not fill what a holder can keep, in whatever way it brings its records.

use chordage_dht::{NetGroup, PeerInfo, Write};

use super::*;

/// Honest nodes, each in a subnet of its own. Those after them share one.
const HONEST: u32 = 12;

fn group_of(peer: &PeerInfo) -> NetGroup {
    let Some((number, _)) = peer.addrs().first().and_then(|address| address.as_bytes().split_first_chunk())
    else {
        return NetGroup::default();
    };
    let number = u32::from_be_bytes(*number);
    NetGroup { subnet: 1 + number.min(HONEST), site: 0 }
}

/// A network of honest nodes, two more in one subnet, and a client.
fn world() -> World {
    let mut world = World::new(91, AnyMetric::Ring, config());
    world.grouping = Some(group_of);
    for node in 0..HONEST as usize + 2 {
        world.add();
        world.join(node, &[0]);
        world.run_until(Duration::from_secs(10), |world| world.is_joined(node));
    }
    world.add_client();
    world.run(Duration::from_secs(30));
    world
}

/// A large record of an owner who has many.
fn large(number: u32) -> Held {
    let name = RecordName::new(Namespace::NAMES, [9; 32], &number.to_be_bytes()).unwrap();
    let (valid_until, value) = (u64::MAX, vec![0; 4096]);
    let statement = Statement { name, seq: 1, valid_until, ttl: 300, previous: None, value };
    Held { record: Arc::new(statement.signed(Signature([0; 64])).unwrap()), ballot: Default::default() }
}

impl World {
    /// What a node says to a request of another, at once or once its disk has written. Nothing else in the network
    /// happens.
    fn answer(&mut self, node: usize, from: usize, request: RecordRequest) -> Option<RecordResponse> {
        let from = self.peer(from);
        let message = Message::Request(CallId(1), Request::Record(request));
        let (mut rng, mut out) = (ChaCha8Rng::seed_from_u64(1), Vec::new());
        let it = &mut self.nodes[node];
        it.dht.handle(self.now, &mut rng, Input::Message { from, message }, &mut out);
        let mut answer = None;
        while let Some(output) = out.pop() {
            match output {
                Output::KeepRecord { held, subnet, write } => {
                    it.disk.insert(*held.record.address(), (held, subnet));
                    it.dht.handle(self.now, &mut rng, Input::RecordKept { write, kept: true }, &mut out);
                }
                Output::Send {
                    message: Message::Response(CallId(1), Response::Record(response)), ..
                } => {
                    answer = Some(response);
                }
                _ => {}
            }
        }
        answer
    }

    /// One node brings records to another until it is refused. Returns why, and how many the other keeps.
    fn fill(&mut self, node: usize, from: usize, numbers: std::ops::Range<u32>) -> (Refusal, usize) {
        for number in numbers {
            let Held { record, ballot } = large(number);
            let request = RecordRequest::Write { record, write: Write::Repair(ballot), region: 0 };
            match self.answer(node, from, request) {
                Some(RecordResponse::Stored { .. }) => {}
                Some(RecordResponse::Refused { why, .. }) => {
                    return (why, self.nodes[node].dht.records_kept().0);
                }
                other => panic!("{other:?}"),
            }
        }
        panic!("it takes everything");
    }
}

#[test]
fn one_subnet_cannot_fill_the_store_of_a_holder() {
    let mut world = world();
    let (first, second, client) = (HONEST as usize, HONEST as usize + 1, HONEST as usize + 2);
    let holder = world.region(1).into_iter().find(|node| *node < first).unwrap();
    let (why, kept) = world.fill(holder, first, 0..10_000);
    assert_eq!(why, Refusal::SubnetFull);
    let bytes = world.nodes[holder].dht.records_kept().1;
    assert!(kept > 3_000 && bytes <= 16 << 20, "{kept} records, {bytes} bytes");

    // Nor does another node of it get more in, a restart, or giving instead of writing.
    assert_eq!(world.fill(holder, second, 10_000..10_001), (Refusal::SubnetFull, kept));
    world.restart(holder, &[0]);
    world.run_until(Duration::from_secs(10), |world| world.is_joined(holder));
    assert_eq!(world.nodes[holder].dht.records_kept().0, kept);
    assert_eq!(world.fill(holder, second, 10_000..10_001), (Refusal::SubnetFull, kept));
    let taken = world.answer(holder, second, RecordRequest::Give((10_000..10_003).map(large).collect()));
    assert_eq!((taken, world.nodes[holder].dht.records_kept().0), (Some(RecordResponse::Taken), kept));

    // All clients together have a share too, and what is there may be said again by anybody.
    let (why, kept) = world.fill(holder, client, 20_000..40_000);
    let bytes = world.nodes[holder].dht.records_kept().1;
    assert_eq!(why, Refusal::SubnetFull);
    assert!(bytes > 47 << 20 && bytes <= 48 << 20, "{kept} records, {bytes} bytes");
    let Held { record, ballot } = large(0);
    let again = RecordRequest::Write { record, write: Write::Repair(ballot), region: 0 };
    assert!(matches!(world.answer(holder, client, again), Some(RecordResponse::Stored { .. })));

    // Everybody else is served as if nothing were.
    world.run(Duration::from_secs(90));
    world.update(holder + 1, 1, b"value").unwrap();
    let kept: Vec<Option<u64>> = world.region(1).iter().map(|node| world.seq_at(*node, 1)).collect();
    assert_eq!(kept, [Some(1); 9]);
    assert_eq!(world.read(second, 1), 1);
}
