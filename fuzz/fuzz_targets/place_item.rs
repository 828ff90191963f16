#![no_main]

use chordage_dht::{LISTING_BYTES_MAX, Listing, TOPIC_BYTES_MAX, TopicMessage};
use libfuzzer_sys::fuzz_target;

// What programs leave at places for others: a listing of a service, or a message of a topic. What decodes is within the
// limits, no longer than it says, and the same after another round, so that what was signed is what others check.
fuzz_target!(|bytes: &[u8]| {
    if let Ok(listing) = postcard::from_bytes::<Listing>(bytes) {
        assert!(listing.statement().body.len() <= LISTING_BYTES_MAX);
        assert_eq!(listing.is_withdrawn(), listing.statement().body.is_empty());
        let encoded = postcard::to_allocvec(&listing).expect("it is in memory");
        assert!(encoded.len() <= listing.encoded_len());
        let again: Listing = postcard::from_bytes(&encoded).expect("our own encoding");
        assert_eq!(again, listing);
        assert_eq!(again.statement().signed_bytes(&[7; 16]), listing.statement().signed_bytes(&[7; 16]));
    }
    if let Ok(message) = postcard::from_bytes::<TopicMessage>(bytes) {
        assert!(message.statement().body.len() <= TOPIC_BYTES_MAX);
        let encoded = postcard::to_allocvec(&message).expect("it is in memory");
        assert!(encoded.len() <= message.encoded_len());
        let again: TopicMessage = postcard::from_bytes(&encoded).expect("our own encoding");
        assert_eq!(again, message);
        assert_eq!(again.statement().signed_bytes(&[7; 16]), message.statement().signed_bytes(&[7; 16]));
    }
});
