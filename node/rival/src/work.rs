//! What is measured: five kinds of lookup, each from a random node for a random key, and whether the answer is right.

use std::sync::Arc;

use chordage_dht::{AnyMetric, Confirm, Key, LookupOptions};
use rand_chacha::ChaCha12Rng;
use rand_core::Rng;
use serde::Serialize;

use crate::chordage::ChordageNetwork;
use crate::kad::KadNetwork;

/// Nodes that a closest-nodes lookup names: Kademlia's k.
pub(crate) const CLOSEST: usize = 20;
/// Records that are stored for kad to fetch.
const RECORDS: usize = 256;

/// One kind of lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Work {
    /// kad `get_closest_peers`: the 20 nearest, all of which have answered.
    KadClosest,
    /// Ours, exactly as demanding: the 20 nearest, all of which have answered.
    ChordageClosestHeard,
    /// Ours as the overlay does it by default: the 20 nearest, the nearest 3 of which have answered.
    ChordageClosest,
    /// kad `get_record` of a stored record, until the first copy, by a node that does not hold one.
    KadGet,
    /// Ours: the node nearest the key, which has answered, by another node.
    ChordageOwner,
}

/// In the order in which they take turns, so that whatever drifts hits both sides alike.
pub(crate) const ALL: [Work; 5] =
    [Work::KadClosest, Work::ChordageClosestHeard, Work::ChordageClosest, Work::KadGet, Work::ChordageOwner];

/// Ours beside the nearest thing kad has.
pub(crate) const PAIRS: [(Work, Work); 3] = [
    (Work::ChordageClosestHeard, Work::KadClosest),
    (Work::ChordageClosest, Work::KadClosest),
    (Work::ChordageOwner, Work::KadGet),
];

impl Work {
    pub(crate) fn title(self) -> &'static str {
        match self {
            Work::KadClosest => "kad: 20 closest, 20 heard",
            Work::ChordageClosestHeard => "chordage: 20 closest, 20 heard",
            Work::ChordageClosest => "chordage: 20 closest, 3 heard",
            Work::KadGet => "kad: get record",
            Work::ChordageOwner => "chordage: owner, heard",
        }
    }
}

/// How one lookup went.
#[derive(Clone, Copy)]
pub(crate) struct Outcome {
    /// Whether the answer is what somebody who sees everything would have said.
    pub(crate) right: bool,
    pub(crate) requests: u32,
}

const FAILED: Outcome = Outcome { right: false, requests: 0 };

struct Stored {
    key: [u8; 32],
    value: Vec<u8>,
    /// Nodes that do not hold it.
    askers: Vec<usize>,
}

/// Both networks, side by side.
pub(crate) struct Networks {
    kad: KadNetwork,
    chordage: ChordageNetwork,
    records: Vec<Stored>,
}

/// What is asked of whom: chosen before the clock starts.
pub(crate) struct Question {
    node: usize,
    key: [u8; 32],
    record: usize,
}

impl Networks {
    /// Starts both with `count` nodes each and stores what kad is to fetch.
    pub(crate) async fn start(
        count: usize,
        metric: AnyMetric,
        rng: &mut ChaCha12Rng,
    ) -> Result<Arc<Networks>, String> {
        let kad = KadNetwork::start(count).await?;
        let mut records = Vec::with_capacity(RECORDS);
        while records.len() < RECORDS {
            let (key, node) = (random_key(rng), below(rng, count));
            let value = random_key(rng).to_vec();
            if !kad.put(node, &key, value.clone()).await {
                return Err("kad could not store a record".to_owned());
            }
            let holders = kad.truly_closest(&key, Some(node), CLOSEST);
            let askers =
                (0..count).filter(|asker| *asker != node && !holders.contains(&kad.peer(*asker))).collect();
            records.push(Stored { key, value, askers });
        }
        let chordage = ChordageNetwork::start(count, metric).await?;
        Ok(Arc::new(Networks { kad, chordage, records }))
    }

    /// Something to ask.
    pub(crate) fn question(&self, work: Work, rng: &mut ChaCha12Rng) -> Question {
        let mut question = Question {
            node: below(rng, self.kad.len().min(self.chordage.len())),
            key: random_key(rng),
            record: below(rng, self.records.len()),
        };
        match work {
            Work::KadGet => {
                let askers = &self.records[question.record].askers;
                question.node = askers[below(rng, askers.len())];
            }
            // The owner itself need not ask anybody: that would flatter us.
            Work::ChordageOwner => {
                let owner = self.chordage.truly_closest(&Key::from_bytes(question.key), 1);
                while owner.first() == Some(&self.chordage.id(question.node)) {
                    question.node = below(rng, self.chordage.len());
                }
            }
            _ => {}
        }
        question
    }

    /// Asks it. The answer is checked later, when the clock has stopped.
    pub(crate) async fn ask(&self, work: Work, question: &Question) -> Answer {
        let Question { node, key, record } = question;
        let ours = |want, heard| {
            let confirm = Confirm::Answered(heard);
            let options = LookupOptions { want, confirm, ..LookupOptions::default() };
            self.chordage.lookup(*node, Key::from_bytes(*key), options)
        };
        match work {
            Work::KadClosest => Answer::Peers(self.kad.closest(*node, key).await),
            Work::KadGet => Answer::Record(self.kad.get(*node, &self.records[*record].key).await),
            Work::ChordageClosestHeard => Answer::Lookup(ours(CLOSEST, CLOSEST).await),
            Work::ChordageClosest => Answer::Lookup(ours(CLOSEST, 3).await),
            Work::ChordageOwner => Answer::Lookup(ours(1, 1).await),
        }
    }

    /// Compares an answer with what is so.
    pub(crate) fn check(&self, work: Work, question: &Question, answer: Answer) -> Outcome {
        match answer {
            Answer::Peers(Some(found)) => {
                let truth = self.kad.truly_closest(&question.key, Some(question.node), CLOSEST);
                Outcome { right: found.value.as_ref() == Some(&truth), requests: found.requests }
            }
            Answer::Record(Some(found)) => {
                let right = found.value.as_ref() == Some(&self.records[question.record].value);
                Outcome { right, requests: found.requests }
            }
            Answer::Lookup(Some(found)) => {
                let want = if work == Work::ChordageOwner { 1 } else { CLOSEST };
                let truth = self.chordage.truly_closest(&Key::from_bytes(question.key), want);
                let right = found.closest.iter().map(|peer| peer.id()).eq(truth);
                Outcome { right, requests: found.messages }
            }
            Answer::Peers(None) | Answer::Record(None) | Answer::Lookup(None) => FAILED,
        }
    }
}

/// What came back.
pub(crate) enum Answer {
    Peers(Option<crate::kad::Found<Vec<libp2p::PeerId>>>),
    Record(Option<crate::kad::Found<Vec<u8>>>),
    Lookup(Option<chordage_dht::Lookup>),
}

fn random_key(rng: &mut ChaCha12Rng) -> [u8; 32] {
    let mut key = [0; 32];
    rng.fill_bytes(&mut key);
    key
}

/// A number below `bound`, which is far too small for the bias to matter.
fn below(rng: &mut ChaCha12Rng, bound: usize) -> usize {
    (rng.next_u64() % bound as u64) as usize
}
