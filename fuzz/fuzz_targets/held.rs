#![no_main]

use chordage_dht::Held;
use libfuzzer_sys::fuzz_target;

// What decodes is itself, in the order of versions too, and means the same after another round.
fuzz_target!(|bytes: &[u8]| {
    let Ok(held) = postcard::from_bytes::<Held>(bytes) else { return };
    assert!(held.order(&held).is_eq());
    let encoded = postcard::to_allocvec(&held).expect("it is in memory");
    let again: Held = postcard::from_bytes(&encoded).expect("our own encoding");
    assert_eq!(again, held);
    assert!(again.order(&held).is_eq());
});
