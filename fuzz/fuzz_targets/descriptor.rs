#![no_main]

use chordage_storage::{ChunkRef, Descriptor};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(descriptor) = Descriptor::decode(bytes) {
        assert_eq!(&descriptor.encode()[..], bytes);
        assert_eq!(descriptor.id(), Descriptor::id_of(bytes));
        let k = usize::from(descriptor.redundancy().k());
        assert!(descriptor.shard_len() * k >= descriptor.sealed_len());
        assert!(descriptor.verify_shard(0, bytes).is_err());
    }
    if let Some(encoded) = bytes.first_chunk()
        && let Some(reference) = ChunkRef::decode(encoded)
    {
        assert_eq!(&reference.encode(), encoded);
    }
});
