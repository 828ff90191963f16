#![no_main]
// The daemon's own files: they are private to its crate, and linking all of libp2p would make this slow.
#![allow(dead_code, unreachable_pub)]

use chordage_dht::{Message, PeerInfo};
use futures::executor::block_on;
use futures::io::Cursor;
use libfuzzer_sys::fuzz_target;

use crate::frame::{DhtFrame, read_dht, write_dht};

#[path = "../../node/src/wire/frame.rs"]
mod frame;

// What comes in over an overlay stream, frame by frame as the daemon reads it: it ends, nothing is beyond the limits,
// and every frame can be sent on as it came.
fuzz_target!(|bytes: &[u8]| {
    let mut reader = Cursor::new(bytes);
    let mut read = 0;
    while let Ok(Some(frame)) = block_on(read_dht(&mut reader)) {
        let mut written = Vec::new();
        block_on(write_dht(&mut written, &frame)).expect("what could be read is within the limits");
        assert_eq!(written, bytes[read..read + written.len()]);
        read += written.len();
        match frame {
            DhtFrame::Record(body) => drop(PeerInfo::decode(&body)),
            DhtFrame::Message(body) => drop(Message::decode(&body)),
        }
    }
    assert!(read <= bytes.len());
});
