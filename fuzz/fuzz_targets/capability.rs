#![no_main]

use chordage_api::volume::Capability;
use libfuzzer_sys::fuzz_target;

// What opens a volume prints as the same text, but for case and surrounding white space, and is never shown by
// accident.
fuzz_target!(|text: &str| {
    match text.parse::<Capability>() {
        Ok(capability) => {
            assert_eq!(capability.to_string(), text.trim().to_ascii_lowercase());
            assert!(format!("{capability:?}").len() < 25);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
