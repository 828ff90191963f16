#![no_main]

use chordage_storage::Link;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match text.parse::<Link>() {
        Ok(link) => assert_eq!(link.to_string(), text.trim().to_ascii_lowercase()),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
