#![no_main]

use std::sync::Arc;

use chordage_dht::{Address, AnyMetric, Config, Dht, Input, Message, Output, PeerInfo, Time};
use libfuzzer_sys::fuzz_target;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

fn peer(key: u8) -> PeerInfo {
    let addr = Address::new(&[key]).expect("one byte");
    PeerInfo::new([key; 32], vec![addr], 1).expect("one address")
}

// A joined node is told things by strangers, one after the other: a sender, a length, a message, the time it takes.
// It neither panics nor grows: tables, calls and answers stay within their limits.
fuzz_target!(|bytes: &[u8]| {
    let mut rng = ChaCha8Rng::from_seed([7; 32]);
    let mut out = Vec::new();
    let mut node = Dht::new(peer(0), AnyMetric::Ring, Config { records: true, ..Config::tiny() });
    let mut now = 0u64;
    node.handle(Time::from_micros(now), &mut rng, Input::Join { seeds: Vec::new() }, &mut out);
    let mut rest = bytes;
    while let [sender, wait, len, tail @ ..] = rest {
        let (body, next) = tail.split_at(tail.len().min(usize::from(*len)));
        rest = next;
        now += u64::from(*wait) * 100_000;
        let time = Time::from_micros(now);
        if let Ok(message) = Message::decode(body) {
            out.clear();
            let from = Arc::new(peer(sender | 1));
            node.handle(time, &mut rng, Input::Message { from, message }, &mut out);
            assert!(out.len() <= 256, "{} outputs for one message", out.len());
            for output in &out {
                if let Output::Send { message, .. } = output {
                    let mut encoded = Vec::new();
                    message.encode(&mut encoded);
                    assert!(encoded.len() <= 16 * 1024);
                }
            }
        }
        if node.next_timeout().is_some_and(|at| at <= time) {
            node.handle(time, &mut rng, Input::Timeout, &mut out);
        }
        let status = node.status();
        assert!(node.records_kept().0 <= bytes.len() / 100, "no record came from nowhere");
        let items = node.listings_kept().0 + node.messages_kept().0;
        assert!(items <= bytes.len() / 100, "nothing listed or published came from nowhere");
        assert!(status.leaf_set <= 4 && status.calls <= 1024, "{status:?}");
    }
});
