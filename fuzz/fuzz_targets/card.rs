#![no_main]
// The daemon's own files: they are private to its crate, and linking all of libp2p would make this slow.
#![allow(dead_code, unreachable_pub, unused_imports)]

use std::collections::BTreeSet;
use std::net::IpAddr;

use chordage_dht::AnyMetric;
use libfuzzer_sys::fuzz_target;
use libp2p::multiaddr::Protocol;

use crate::card::{Read, Reader};
use crate::network::NetworkFingerprint;

#[path = "../../node/src/address/peer.rs"]
mod address;
#[path = "../../node/src/lan/card.rs"]
mod card;
#[path = "../../node/src/network/mod.rs"]
mod network;

/// Addresses of a card that are read.
const ADDRESSES_MAX: usize = 16;

/// Strings behind their lengths, as they stand in a TXT record.
fn strings(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut strings = Vec::new();
    while let [len, tail @ ..] = bytes {
        let (string, rest) = tail.split_at(tail.len().min(usize::from(*len)));
        strings.push(string);
        bytes = rest;
    }
    strings
}

// What a stranger on the LAN says of itself: how many addresses it has, those, and the TXT record. Whoever is believed
// to be a daemon of this network has a few addresses, and is not this daemon.
fuzz_target!(|bytes: &[u8]| {
    let [count, rest @ ..] = bytes else { return };
    let (ips, text) = rest.split_at(rest.len().min(4 * usize::from(count % 32)));
    let ips: BTreeSet<IpAddr> = ips.as_chunks().0.iter().map(|ip: &[u8; 4]| IpAddr::from(*ip)).collect();
    let own = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp".parse().expect("a peer");
    let reader = Reader { network: NetworkFingerprint::of("a", AnyMetric::Ring), own };
    let strings = strings(text);
    let property = |name: &str| {
        let value = |string: &[u8]| string.strip_prefix(name.as_bytes())?.strip_prefix(b"=").map(<[u8]>::len);
        let found = strings.iter().find_map(|string| value(string).map(|len| &string[string.len() - len..]));
        found.and_then(|value| core::str::from_utf8(value).ok())
    };
    if let Read::Daemon(hint) = reader.read(property, &ips) {
        assert!(hint.peer != own && address::public_key(&hint.peer).is_some());
        assert!(!hint.addrs.is_empty() && hint.addrs.len() <= ADDRESSES_MAX);
        for addr in &hint.addrs {
            assert!(address::ip(addr).is_some_and(|ip| ips.contains(&ip)), "{addr}");
            let has_port = |part| !matches!(part, Protocol::Tcp(0) | Protocol::Udp(0));
            assert!(addr.iter().all(has_port), "{addr} has a port");
            assert!(address::to_address(addr).is_some(), "the overlay can carry {addr}");
        }
    }
});
