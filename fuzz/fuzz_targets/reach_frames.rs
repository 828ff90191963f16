#![no_main]
// The daemon's own file: it is private to its crate, and linking all of libp2p would make this slow.
#![allow(dead_code, unreachable_pub)]

use libfuzzer_sys::fuzz_target;

use crate::frames::{AVOIDED_MAX, FRAME_MAX, Reply, Request, TESTED_MAX, WITNESSES_MAX};

#[path = "../../node/src/reachability/frames.rs"]
mod frames;

// What strangers ask about reachability, and what others answer: what is understood is within the limits, and is
// understood again as the same.
fuzz_target!(|bytes: &[u8]| {
    if bytes.len() as u64 > FRAME_MAX {
        return;
    }
    if let Ok(request) = Request::decode(bytes) {
        match &request {
            Request::See => {}
            Request::Test { at, avoid, by } => {
                assert!(at.len() <= TESTED_MAX && avoid.len() <= AVOIDED_MAX);
                assert!((1..=WITNESSES_MAX).contains(&usize::from(*by)));
            }
            Request::Dial { at, .. } => assert!(at.len() <= TESTED_MAX),
        }
        assert_eq!(Request::decode(&request.encode()), Ok(request));
    }
    if let Ok(reply) = Reply::decode(bytes) {
        match &reply {
            Reply::Seen { .. } | Reply::Busy => {}
            Reply::Tested { tests, .. } => {
                assert!(tests.len() <= WITNESSES_MAX);
                assert!(tests.iter().all(|test| test.outcomes.len() <= TESTED_MAX));
            }
            Reply::Dialled(outcomes) => assert!(outcomes.len() <= TESTED_MAX),
        }
        assert_eq!(Reply::decode(&reply.encode()), Ok(reply));
    }
});
