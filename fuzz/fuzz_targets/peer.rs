#![no_main]

use chordage_dht::{NodeId, PeerInfo};
use libfuzzer_sys::fuzz_target;

// A record's id is its key's, whatever the bytes say.
fuzz_target!(|bytes: &[u8]| {
    if let Ok(peer) = PeerInfo::decode(bytes) {
        assert_eq!(peer.id(), NodeId::from_public_key(peer.public_key()));
        assert!(peer.addrs().len() <= 8);
        let mut encoded = Vec::new();
        peer.encode(&mut encoded);
        assert_eq!(PeerInfo::decode(&encoded).expect("our own encoding"), peer);
    }
});
