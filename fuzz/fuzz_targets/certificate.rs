#![no_main]
// The daemon's own files: they are private to its crate, and linking all of libp2p would make this slow.
#![allow(dead_code, unreachable_pub)]

use libfuzzer_sys::fuzz_target;

use crate::network::certificate::{CertificateError, Chain, DELEGATE_VALIDITY_MAX, VALIDITY_MAX};
use crate::network::genesis::Genesis;
use crate::network::succession::{Succession, Trusted};

#[path = "../../node/src/network/mod.rs"]
mod network;

/// Whose network it is: nobody here has its key.
const GENESIS: &[u8] = include_bytes!("../seeds/genesis/private");

// What a stranger shows to be let in, or says of the network's keys: it is within the limits and encodes to the same
// bytes. It comes to something only if a network key has signed it, as in the seeds; then nothing in them has been
// changed.
fuzz_target!(|bytes: &[u8]| {
    let mut trusted = Trusted::of(&Genesis::decode(GENESIS).expect("our own"));
    if let Ok(chain) = Chain::decode(bytes) {
        assert_eq!(chain.encode(), bytes);
        let certificate = chain.certificate();
        let (from, until) = certificate.validity();
        let max = if certificate.rights().delegate { DELEGATE_VALIDITY_MAX } else { VALIDITY_MAX };
        assert!(from < until && until - from <= max);
        assert!((from..until).contains(&certificate.half_life()));
        let verify = |trusted: &Trusted, proved, now| chain.verify(trusted, proved, now, &|_, _| false);
        for now in [0, from, until, u64::MAX] {
            if let Ok(admitted) = verify(&trusted, certificate.subject(), now) {
                assert!(now < admitted.until && admitted.until <= until);
                assert!(
                    admitted.subject == *certificate.subject() && admitted.rights == certificate.rights()
                );
                assert!(!admitted.rights.delegate || chain.proof().is_none());
                let root = chain.proof().unwrap_or(certificate).issuer();
                assert!(trusted.is_network_key(root));
                assert_eq!(verify(&trusted, &[0; 32], now), Err(CertificateError::NotTheSubject));
                assert!(chain.verify(&trusted, certificate.subject(), now, &|_, _| true).is_err());
            }
        }
    }
    if let Ok(succession) = Succession::decode(bytes) {
        assert_eq!(succession.encode(), bytes);
        let before = trusted.clone();
        match trusted.succeed(&succession) {
            Ok(is_news) => assert!(is_news && trusted.succeed(&succession) == Ok(false)),
            Err(_) => assert_eq!(trusted, before),
        }
    }
});
