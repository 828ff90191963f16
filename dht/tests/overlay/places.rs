//! Places where programs meet, in whole overlays: live services that are listed, and topics.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chordage_dht::{
    AnyMetric, Config, Input, KeptBy, Key, Listing, ListingId, ListingStatement, OperationId,
    RendezvousError, RendezvousInput, RendezvousOutput, Seen, Signature, Time,
};

use crate::world::World;

mod bounds;
mod listings;
mod topics;
mod watches;

const METRICS: [AnyMetric; 2] = [AnyMetric::Ring, AnyMetric::Xor];
const DEADLINE: Duration = Duration::from_secs(20);
const SECOND: Duration = Duration::from_secs(1);

fn config() -> Config {
    Config { records: true, ..Config::default() }
}

fn place(number: u8) -> Key {
    Key::from_bytes(*blake3::hash(&[number]).as_bytes())
}

impl World {
    fn next_id(&mut self) -> OperationId {
        self.next_lookup += 1;
        OperationId(self.next_lookup)
    }

    fn wants(&mut self, node: usize, input: RendezvousInput) {
        self.input(node, Input::Rendezvous(input));
    }

    /// One version of a listing of a node's own.
    fn listing(&self, node: usize, at: u8, number: u16, seq: u64, body: &[u8]) -> Arc<Listing> {
        let id = ListingId { provider: *self.peer(node).public_key(), number };
        let (place, body) = (place(at), body.to_vec());
        let statement = ListingStatement { place, id, seq, valid_until: 1_000_000, body };
        Arc::new(statement.signed(Signature([0; 64])).unwrap())
    }

    fn start_registering(&mut self, node: usize, at: u8, number: u16, seq: u64) -> OperationId {
        let id = self.next_id();
        let listing = self.listing(node, at, number, seq, b"here");
        let withdrawal = self.listing(node, at, number, seq + 1, b"");
        self.wants(node, RendezvousInput::Register { id, listing, withdrawal });
        id
    }

    fn registered(&self, id: OperationId) -> Option<Result<KeptBy, RendezvousError>> {
        let mut told = self.told.iter().filter_map(|(_, told)| match told {
            RendezvousOutput::Registered { id: other, outcome } if *other == id => Some(outcome.clone()),
            _ => None,
        });
        let outcome = told.next();
        assert!(told.next().is_none(), "told twice, seed {}", self.seed);
        outcome
    }

    /// Registers listing 0 of a node and waits until a majority keeps it.
    fn register(&mut self, node: usize, at: u8, seq: u64) -> OperationId {
        let id = self.start_registering(node, at, 0, seq);
        self.run_until(DEADLINE, |world| world.registered(id).is_some());
        let kept = self.registered(id).unwrap();
        assert!(kept.is_ok(), "{kept:?}, seed {}", self.seed);
        id
    }

    /// Whether it was told that a registration has been taken back.
    fn is_withdrawn(&self, registration: OperationId) -> bool {
        self.told
            .iter()
            .any(|(_, told)| matches!(told, RendezvousOutput::Withdrawn { id, .. } if *id == registration))
    }

    fn find(&mut self, node: usize, at: u8) -> Result<Vec<Seen>, RendezvousError> {
        let (id, deadline) = (self.next_id(), DEADLINE);
        self.wants(node, RendezvousInput::FindListings { id, place: place(at), deadline });
        loop {
            let found = self.told.iter().find_map(|(_, told)| match told {
                RendezvousOutput::ListingsFound { id: other, outcome } if *other == id => Some(outcome),
                _ => None,
            });
            if let Some(found) = found {
                return found.clone();
            }
            assert!(self.step(), "nothing happens any more");
        }
    }

    /// The nodes whose listings are found.
    fn found(&mut self, node: usize, at: u8) -> Vec<usize> {
        let found = self.find(node, at);
        let found = found.unwrap_or_else(|error| panic!("{error}; seed {}", self.seed));
        found.iter().map(|seen| self.provider(&seen.listing.id())).collect()
    }

    fn provider(&self, id: &ListingId) -> usize {
        let is_it = |node: &usize| *self.peer(*node).public_key() == id.provider;
        (0..self.nodes.len()).find(is_it).expect("a node of this world")
    }

    fn watch_listings(&mut self, node: usize, at: u8) -> OperationId {
        let id = self.next_id();
        self.wants(node, RendezvousInput::WatchListings { id, place: place(at) });
        id
    }

    /// What a watcher believes to be there after all that it has been told, and whether it is suspected; none before it
    /// has been told anything.
    fn believed(&self, watch: OperationId) -> Option<BTreeMap<usize, bool>> {
        let mut believed = None::<BTreeMap<usize, bool>>;
        for (_, told) in &self.told {
            if let RendezvousOutput::ListingsChanged { id, changed, gone } = told
                && *id == watch
            {
                let believed = believed.get_or_insert_default();
                for seen in changed {
                    believed.insert(self.provider(&seen.listing.id()), seen.suspect);
                }
                for id in gone {
                    assert!(believed.remove(&self.provider(id)).is_some(), "nothing goes twice");
                }
            }
        }
        believed
    }

    /// When a watcher was told that something is gone.
    fn gone_at(&self, watch: OperationId) -> Vec<Time> {
        let gone = self.told.iter().filter(|(_, told)| {
            matches!(told, RendezvousOutput::ListingsChanged { id, gone, .. } if *id == watch && !gone.is_empty())
        });
        gone.map(|(at, _)| *at).collect()
    }

    /// A client that has found the network.
    fn joined_client(&mut self) -> usize {
        let client = self.add_client();
        self.join(client, &[0]);
        self.run_until(DEADLINE, |world| world.is_joined(client));
        self.run(5 * SECOND);
        client
    }

    /// The nodes that ought to keep a place, nearest first.
    fn holders(&self, at: u8) -> Vec<usize> {
        let ids = self.truth(&place(at), 9);
        ids.iter().map(|id| (0..self.nodes.len()).find(|node| self.id(*node) == *id).unwrap()).collect()
    }

    /// Nodes that keep no part of a place.
    fn far_from(&self, at: u8) -> Vec<usize> {
        let holders = self.holders(at);
        self.live().into_iter().filter(|node| !holders.contains(node) && !self.is_client(*node)).collect()
    }
}
