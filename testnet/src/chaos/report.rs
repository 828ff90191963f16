//! What a run came to.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Fault;

/// What a run came to. Everything in the second half has to be 0.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ChaosReport {
    /// The seed.
    pub seed: u64,
    /// How long it took in all.
    pub seconds: f64,
    /// Storms, each followed by healing.
    pub storms: u64,
    /// Faults, by kind.
    pub faults: BTreeMap<Fault, u64>,
    /// Bytes flipped on disks.
    pub flipped_bytes: u64,
    /// Packets that were lost.
    pub lost_packets: u64,
    /// Books that were damaged, by name.
    pub damaged_books: BTreeMap<&'static str, u64>,
    /// Daemons that were killed or drained and replaced by new ones.
    pub replaced: u64,
    /// The longest time from the end of a storm until every object was whole.
    pub heal_seconds_max: f64,
    /// Objects acknowledged.
    pub objects: u64,
    /// Their bytes.
    pub object_bytes: u64,
    /// Objects forgotten before the end.
    pub forgotten: u64,
    /// Gets that brought every byte.
    pub gets: u64,
    /// Operations of clients that ended with an error that says why, by its code. In a storm that may be.
    pub refused: BTreeMap<String, u64>,
    /// The slowest put or get.
    pub operation_seconds_max: f64,
    /// Gets that brought other bytes than were put.
    pub altered: u64,
    /// Objects that could not be read when everything had healed.
    pub lost: u64,
    /// Puts and gets that did not end within their time.
    pub late: u64,
    /// Puts and gets that ended without saying why.
    pub unexplained: u64,
    /// 1 if shards were stored when everything had been forgotten and every lease had ended.
    pub left: u64,
    /// What is needed to look into what went wrong.
    pub findings: Vec<String>,
}

impl ChaosReport {
    /// Whether everything was as it has to be.
    pub fn is_good(&self) -> bool {
        self.altered + self.lost + self.late + self.unexplained + self.left == 0
    }
}
