#![no_main]

use std::time::Duration;

use chordage_storage::repair::{ChunkRecord, Moment, Need, Patience, assess};
use libfuzzer_sys::fuzz_target;

// Records come from other nodes when a chunk is explained.
fuzz_target!(|bytes: &[u8]| {
    let Some(record) = ChunkRecord::decode(bytes) else { return };
    assert_eq!(record.encode(), bytes);
    let patience = Patience {
        suspect_after: Duration::from_secs(1),
        lost_after: Duration::from_secs(2),
        restore_after: Duration::from_secs(3),
    };
    for now in [0, 5000, u64::MAX] {
        let record = record.clone().on_another_clock(Moment(now), Moment(7000));
        if let Need::Repair { wanted, .. } = assess(&record, Moment(7000), &patience) {
            assert!(wanted.iter().all(|index| *index < record.redundancy().n()));
        }
    }
});
