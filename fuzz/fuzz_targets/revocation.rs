#![no_main]
// The daemon's own files: they are private to its crate, and linking all of libp2p would make this slow.
#![allow(dead_code, unreachable_pub)]

use libfuzzer_sys::fuzz_target;

use crate::network::genesis::Genesis;
use crate::network::revocation::{REASON_MAX, Revocation};
use crate::network::revocations::{REVOCATIONS_MAX, Revocations};
use crate::network::succession::Trusted;

#[path = "../../node/src/network/mod.rs"]
mod network;

/// Whose network it is: nobody here has its key.
const GENESIS: &[u8] = include_bytes!("../seeds/genesis/private");

fn check(revocation: &Revocation) {
    let reason = revocation.reason();
    assert!(reason.len() <= REASON_MAX && !reason.chars().any(char::is_control));
}

// What strangers say of who is out: it can be shown and encodes to the same bytes. It revokes nobody unless a network
// key has signed it, as in the seeds.
fuzz_target!(|bytes: &[u8]| {
    let trusted = Trusted::of(&Genesis::decode(GENESIS).expect("our own"));
    if let Ok(revocation) = Revocation::decode(bytes) {
        check(&revocation);
        assert_eq!(revocation.encode(), bytes);
    }
    if let Ok(list) = Revocations::decode(bytes) {
        assert!(list.len() <= REVOCATIONS_MAX);
        list.iter().for_each(check);
        let mut revocations = Revocations::default();
        let merged = revocations.merge(list.clone(), &trusted);
        assert_eq!(merged.refused + revocations.len(), list.len());
        assert_eq!(merged.refused == 0, revocations.encode() == bytes);
        for revocation in &list {
            let is_kept = revocations.about(revocation.subject()).any(|kept| kept == revocation);
            assert_eq!(is_kept, revocation.verify(&trusted).is_ok());
        }
        let digest = revocations.digest();
        assert!(revocations.merge(list.into_iter().rev(), &trusted).subjects.is_empty());
        assert_eq!(revocations.digest(), digest);
    }
});
