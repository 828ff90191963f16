#![no_main]
// The daemon's own file: it is private to its crate, and linking all of libp2p would make this slow.
#![allow(dead_code, unreachable_pub)]

use chordage_api::service::{ATTRS_BYTES_MAX, ATTRS_MAX, HOST_BYTES_MAX, Host};
use libfuzzer_sys::fuzz_target;

use crate::content::Content;

#[path = "../../node/src/services/content.rs"]
mod content;

// What a stranger's listing says of a service: it is within the limits, nothing in it moves a terminal's cursor, and it
// says the same after another round.
fuzz_target!(|bytes: &[u8]| {
    let Some(content) = Content::decode(bytes) else { return };
    assert!(content.addr.port() != 0);
    if let Host::Name(name) = content.addr.host() {
        assert!(!name.is_empty() && name.len() <= HOST_BYTES_MAX);
    }
    assert!(content.attrs.len() <= ATTRS_MAX);
    assert!(content.attrs.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>() <= ATTRS_BYTES_MAX);
    let shown = content.attrs.iter().flat_map(|(key, value)| key.chars().chain(value.chars()));
    assert!(shown.chain(content.addr.to_string().chars()).all(|shown| !shown.is_control()));
    assert_eq!(Content::decode(&content.encode()), Some(content));
});
