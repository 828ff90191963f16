//! Signed records in whole overlays: who keeps them, and who may read and change them.

use std::{sync::Arc, time::Duration};

use chordage_dht::{
    AnyMetric, CallId, Config, Consistency, Found, Goal, Held, Input, Key, Message, Namespace,
    OperationError, OperationId, Outcome, Output, Record, RecordName, RecordRequest, RecordResponse, Refusal,
    Request, Response, Signature, Statement, Stored,
};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

use crate::world::World;

mod large;
mod readiness;
mod subnets;
mod upkeep;
mod watches;
mod writers;

const METRICS: [AnyMetric; 2] = [AnyMetric::Ring, AnyMetric::Xor];
/// Longer than anything here takes that is to go well.
const DEADLINE: Duration = Duration::from_secs(20);
const QUORUM: Goal = Goal::Read(Consistency::Quorum);

fn config() -> Config {
    Config { records: true, ..Config::default() }
}

fn name(owner: u8) -> RecordName {
    RecordName::new(Namespace::NAMES, [owner; 32], b"test").unwrap()
}

fn address(owner: u8) -> Key {
    name(owner).address()
}

/// What an owner says after the version that is held.
fn next_version(owner: u8, current: Option<&Held>, value: &[u8]) -> Arc<Record> {
    let statement = Statement {
        name: name(owner),
        seq: current.map_or(1, |held| held.record.seq() + 1),
        valid_until: u64::MAX,
        ttl: 300,
        previous: current.map(|held| held.record.hash()),
        value: value.to_vec(),
    };
    Arc::new(statement.signed(Signature([0; 64])).unwrap())
}

impl World {
    fn operate(&mut self, node: usize, address: Key, goal: Goal) -> OperationId {
        let id = OperationId(self.next_lookup);
        self.next_lookup += 1;
        self.input(node, Input::StartOperation { id, address, goal, deadline: DEADLINE });
        id
    }

    /// Says what is to follow, once the operation asks.
    fn decide(&mut self, id: OperationId, next: impl FnOnce(Option<&Held>) -> Option<Arc<Record>>) {
        while !self.undecided.contains_key(&id) {
            assert!(!self.operated.contains_key(&id), "{:?}; seed {}", self.operated[&id], self.seed);
            assert!(self.step(), "nothing happens any more");
        }
        let (node, current) = self.undecided.remove(&id).unwrap();
        self.input(node, Input::Decided { id, record: next(current.as_ref()) });
    }

    fn outcome(&mut self, id: OperationId) -> Result<Outcome, OperationError> {
        loop {
            if let Some(outcome) = self.operated.remove(&id) {
                return outcome;
            }
            assert!(self.step(), "nothing happens any more");
        }
    }

    /// A node writes the next version of an owner's record. Afterwards those that were slow have it too.
    fn update(&mut self, node: usize, owner: u8, value: &[u8]) -> Result<Stored, OperationError> {
        let id = self.operate(node, address(owner), Goal::Update);
        self.decide(id, |current| Some(next_version(owner, current, value)));
        match self.outcome(id)? {
            Outcome::Stored(stored) => {
                self.run(Duration::from_secs(1));
                Ok(stored)
            }
            other => panic!("nobody else writes: {other:?}"),
        }
    }

    fn read_as(&mut self, node: usize, owner: u8, consistency: Consistency) -> Result<Found, OperationError> {
        let id = self.operate(node, address(owner), Goal::Read(consistency));
        match self.outcome(id)? {
            Outcome::Found(found) => Ok(found),
            other => panic!("a read ends as one: {other:?}"),
        }
    }

    /// The number of the version that a majority holds; 0 if it holds none.
    fn read(&mut self, node: usize, owner: u8) -> u64 {
        let found = self.read_as(node, owner, Consistency::Quorum);
        let found = found.unwrap_or_else(|error| panic!("{error}; seed {}", self.seed));
        found.held.map_or(0, |held| held.record.seq())
    }

    /// The nodes that ought to keep a record, nearest first.
    fn region(&self, owner: u8) -> Vec<usize> {
        let ids = self.truth(&address(owner), 9);
        ids.iter().map(|id| (0..self.nodes.len()).find(|node| self.id(*node) == *id).unwrap()).collect()
    }

    fn seq_at(&self, node: usize, owner: u8) -> Option<u64> {
        let mut held = self.nodes[node].dht.records();
        held.find(|held| *held.record.address() == address(owner)).map(|held| held.record.seq())
    }

    /// What a node would answer now to somebody who asks what it holds: whether it would know of something newer, and
    /// the number of what it holds.
    fn says(&self, node: usize, asker: usize, owner: u8) -> (bool, Option<u64>) {
        let mut dht = self.nodes[node].dht.clone();
        let request = RecordRequest::Read { address: address(owner), prepare: None, region: 0 };
        let message = Message::Request(CallId(1), Request::Record(request));
        let (mut rng, mut out) = (ChaCha8Rng::seed_from_u64(1), Vec::new());
        dht.handle(self.now, &mut rng, Input::Message { from: self.peer(asker), message }, &mut out);
        let answer = out.into_iter().find_map(|output| match output {
            Output::Send {
                message:
                    Message::Response(CallId(1), Response::Record(RecordResponse::State { ready, held, .. })),
                ..
            } => Some((ready, held.map(|held| held.record.seq()))),
            _ => None,
        });
        answer.expect("members answer")
    }

    /// What every node was told to keep is what it keeps.
    fn assert_disks_are_right(&self) {
        for node in &self.nodes {
            let kept: Vec<&Held> = node.dht.records().collect();
            let on_disk: Vec<&Held> = node.disk.values().map(|(held, _)| held).collect();
            assert_eq!(on_disk, kept, "seed {}", self.seed);
        }
    }
}
