#![no_main]

use chordage_dht::Message;
use libfuzzer_sys::fuzz_target;

// What decodes is within the limits and says the same after another round.
fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = Message::decode(bytes) {
        for record in message.records() {
            assert!(record.statement().value.len() <= 4096 && record.statement().name.salt().len() <= 64);
        }
        assert!(message.listings().all(|listing| listing.statement().body.len() <= 1024));
        assert!(message.topic_messages().all(|message| message.statement().body.len() <= 4096));
        let mut encoded = Vec::new();
        message.encode(&mut encoded);
        assert!(encoded.len() <= 16 * 1024);
        let again = Message::decode(&encoded).expect("our own encoding");
        let mut twice = Vec::new();
        again.encode(&mut twice);
        assert_eq!(twice, encoded);
    }
});
