#![no_main]
// The daemon's own files: they are private to its crate, and linking all of libp2p would make this slow.
#![allow(dead_code, unreachable_pub)]

use chordage_dht::AnyMetric;
use libfuzzer_sys::fuzz_target;

use crate::network::genesis::{Genesis, GenesisError, ID_BITS_MAX, Kind};
use crate::network::is_name;

#[path = "../../node/src/network/mod.rs"]
mod network;

// What a stranger says of a network: it is within the limits, nothing in it moves a terminal's cursor, and it encodes
// to the same bytes. Whether its key has signed it changes nothing of that.
fuzz_target!(|bytes: &[u8]| {
    let Ok(genesis) = Genesis::parse(bytes) else {
        assert!(Genesis::decode(bytes).is_err());
        return;
    };
    let founding = genesis.founding();
    assert!(is_name(&founding.name));
    assert!(founding.metric != AnyMetric::Classic);
    assert!(!matches!(founding.kind, Kind::Open { id_bits } if id_bits > ID_BITS_MAX));
    assert_eq!(genesis.encode(), bytes);
    assert_eq!(genesis.fingerprint().0, genesis.id()[..16]);
    match Genesis::decode(bytes) {
        Ok(decoded) => assert_eq!(decoded, genesis),
        Err(error) => assert_eq!(error, GenesisError::BadSignature),
    }
});
