#![no_main]
// The daemon's own file: it is private to its crate, and linking all of libp2p would make this slow.
#![allow(dead_code, unreachable_pub)]

use chordage_api::name::{LABEL_MAX, PATH_MAX};
use libfuzzer_sys::fuzz_target;

use crate::content::{Content, Target};

#[path = "../../node/src/names/content.rs"]
mod content;

// What the record of a stranger's name says, and where a path leads there. The path stands behind the first zero byte
// of the input.
fuzz_target!(|bytes: &[u8]| {
    let (path, value) = match bytes.iter().position(|byte| *byte == 0) {
        Some(end) => (&bytes[..end], &bytes[end + 1..]),
        None => (&[][..], bytes),
    };
    let Some(content) = Content::decode(value) else { return };
    for (path, target) in &content.entries {
        assert!(path.len() <= PATH_MAX && path.split('/').all(|label| label.len() <= LABEL_MAX));
        assert!(path.chars().chain(target.text().chars()).all(|shown| !shown.is_control()));
        assert!(content.find(path).is_some_and(|(found, rest)| found == target && rest.is_empty()));
    }
    if let Ok(path) = core::str::from_utf8(path) {
        if let Some((target, rest)) = content.find(path) {
            assert!(path.ends_with(rest) && (rest.is_empty() || matches!(target, Target::Delegate(_))));
        }
        let _ = content.has_below(path);
    }
    assert_eq!(Content::decode(&content.encode()), Some(content));
});
