//! What is measured: five kinds of lookup, each from a random node for a random key, and whether the answer is right.

use chordage_dht::{AnyMetric, Confirm, Key, Lookup, LookupOptions};
use libp2p::PeerId;
use rand_chacha::ChaCha12Rng;
use rand_core::Rng;
use serde::{Deserialize, Serialize};

use crate::chordage::ChordageNetwork;
use crate::kad::{Found, KadNetwork};

/// Nodes that a closest-nodes lookup names: Kademlia's k.
pub(crate) const CLOSEST: usize = 20;
/// Records that are stored for kad to fetch.
const RECORDS: usize = 256;

/// Whose nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Side {
    Kad,
    Chordage,
}

/// One kind of lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    pub(crate) fn side(self) -> Side {
        match self {
            Work::KadClosest | Work::KadGet => Side::Kad,
            Work::ChordageClosestHeard | Work::ChordageClosest | Work::ChordageOwner => Side::Chordage,
        }
    }

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

/// A record that kad is to fetch.
pub(crate) struct Stored {
    key: [u8; 32],
    value: Vec<u8>,
    /// Nodes that do not hold it.
    askers: Vec<usize>,
}

/// The network of one side.
pub(crate) enum Network {
    Kad(KadNetwork, Vec<Stored>),
    Chordage(ChordageNetwork),
}

/// What is asked of whom: chosen before the clock starts.
pub(crate) struct Question {
    node: usize,
    key: [u8; 32],
    record: usize,
}

impl Network {
    /// Starts `count` nodes; stores what kad is to fetch.
    pub(crate) async fn start(
        side: Side,
        count: usize,
        metric: AnyMetric,
        rng: &mut ChaCha12Rng,
    ) -> Result<Network, String> {
        if side == Side::Chordage {
            return Ok(Network::Chordage(ChordageNetwork::start(count, metric).await?));
        }
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
        Ok(Network::Kad(kad, records))
    }

    /// Something to ask.
    pub(crate) fn question(&self, work: Work, rng: &mut ChaCha12Rng) -> Question {
        let key = random_key(rng);
        match self {
            Network::Kad(kad, records) => {
                let record = below(rng, records.len());
                let node = match work {
                    Work::KadGet => records[record].askers[below(rng, records[record].askers.len())],
                    _ => below(rng, kad.len()),
                };
                Question { node, key, record }
            }
            Network::Chordage(network) => {
                let mut node = below(rng, network.len());
                if work == Work::ChordageOwner {
                    // The owner itself need not ask anybody: that would flatter us.
                    let owner = network.truly_closest(&Key::from_bytes(key), 1);
                    while owner.first() == Some(&network.id(node)) {
                        node = below(rng, network.len());
                    }
                }
                Question { node, key, record: 0 }
            }
        }
    }

    /// Asks it. The answer is checked later, when the clock has stopped. `None`: no answer, or not this side's work.
    pub(crate) async fn ask(&self, work: Work, question: &Question) -> Option<Answer> {
        let Question { node, key, record } = question;
        match (self, work) {
            (Network::Kad(kad, _), Work::KadClosest) => kad.closest(*node, key).await.map(Answer::Peers),
            (Network::Kad(kad, records), Work::KadGet) => {
                kad.get(*node, &records[*record].key).await.map(Answer::Record)
            }
            (Network::Chordage(network), _) => {
                let (want, heard) = match work {
                    Work::ChordageClosestHeard => (CLOSEST, CLOSEST),
                    Work::ChordageClosest => (CLOSEST, 3),
                    Work::ChordageOwner => (1, 1),
                    Work::KadClosest | Work::KadGet => return None,
                };
                let confirm = Confirm::Answered(heard);
                let options = LookupOptions { want, confirm, ..LookupOptions::default() };
                network.lookup(*node, Key::from_bytes(*key), options).await.map(Answer::Lookup)
            }
            (Network::Kad(..), _) => None,
        }
    }

    /// Compares an answer with what is so.
    pub(crate) fn check(&self, work: Work, question: &Question, answer: Option<Answer>) -> Outcome {
        match (self, answer) {
            (Network::Kad(kad, _), Some(Answer::Peers(found))) => {
                let truth = kad.truly_closest(&question.key, Some(question.node), CLOSEST);
                Outcome { right: found.value.as_ref() == Some(&truth), requests: found.requests }
            }
            (Network::Kad(_, records), Some(Answer::Record(found))) => {
                let right = found.value.as_ref() == Some(&records[question.record].value);
                Outcome { right, requests: found.requests }
            }
            (Network::Chordage(network), Some(Answer::Lookup(found))) => {
                let want = if work == Work::ChordageOwner { 1 } else { CLOSEST };
                let truth = network.truly_closest(&Key::from_bytes(question.key), want);
                let right = found.closest.iter().map(|peer| peer.id()).eq(truth);
                Outcome { right, requests: found.messages }
            }
            _ => FAILED,
        }
    }
}

/// What came back.
pub(crate) enum Answer {
    Peers(Found<Vec<PeerId>>),
    Record(Found<Vec<u8>>),
    Lookup(Lookup),
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
