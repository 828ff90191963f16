#![no_main]

use chordage_storage::volume::MapRoot;
use libfuzzer_sys::fuzz_target;

// What a head says where its map begins, opened: it encodes to the same bytes.
fuzz_target!(|bytes: &[u8]| {
    if let Some(root) = MapRoot::decode(bytes) {
        assert_eq!(root.encode(), bytes);
    }
});
