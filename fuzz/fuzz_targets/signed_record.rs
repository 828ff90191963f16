#![no_main]

use chordage_dht::{Record, SALT_BYTES_MAX, SEQ_MAX, VALUE_BYTES_MAX};
use libfuzzer_sys::fuzz_target;

// What decodes is within the limits, and is the same version at the same address after another round: else what its
// owner has signed would not be what others check.
fuzz_target!(|bytes: &[u8]| {
    let Ok(record) = postcard::from_bytes::<Record>(bytes) else { return };
    let statement = record.statement();
    assert!(statement.value.len() <= VALUE_BYTES_MAX && statement.name.salt().len() <= SALT_BYTES_MAX);
    assert!(record.seq() <= SEQ_MAX);
    let encoded = postcard::to_allocvec(&record).expect("it is in memory");
    assert!(encoded.len() <= record.encoded_len());
    let again: Record = postcard::from_bytes(&encoded).expect("our own encoding");
    assert_eq!(again, record);
    assert_eq!((again.hash(), again.address()), (record.hash(), record.address()));
    let signed = |record: &Record| record.statement().signed_bytes(&[7; 16]);
    assert_eq!(signed(&again), signed(&record));
});
