#![no_main]
// The daemon's own files: they are private to its crate, and linking all of libp2p would make this slow.
#![allow(dead_code, unreachable_pub)]

use bytes::Bytes;
use futures::executor::block_on;
use futures::io::Cursor;
use libfuzzer_sys::fuzz_target;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::frame::{PAYLOAD_MAX, ShardFrame, read_shard, write_shard};
use crate::protocol::{Answer, Call, Reply, Request, split_payload};

#[path = "../../node/src/wire/frame.rs"]
mod frame;
#[path = "../../node/src/shards/protocol.rs"]
mod protocol;
#[path = "../../node/src/store/mine.rs"]
mod mine;

mod store {
    pub(crate) use crate::mine::Mine;
}

/// Reads frames to the end; each says the same after another round.
fn read_all<H>(bytes: &[u8], mut look: impl FnMut(&H, &Bytes))
where
    H: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
{
    let mut reader = Cursor::new(bytes);
    while let Ok(Some((head, payload))) = block_on(read_shard::<_, H>(&mut reader)) {
        assert!(payload.len() <= PAYLOAD_MAX);
        look(&head, &payload);
        let mut written = Vec::new();
        let frame = ShardFrame { head, payload: vec![payload] };
        block_on(write_shard(&mut written, &frame)).expect("what could be read is within the limits");
        let again = block_on(read_shard::<_, H>(&mut Cursor::new(&written)));
        let (head, payload) = again.expect("our own frame").expect("one frame");
        assert_eq!((&head, &[payload][..]), (&frame.head, &frame.payload[..]));
    }
}

// What a stranger sends over a shard stream, as a question and as an answer.
fuzz_target!(|bytes: &[u8]| {
    read_all::<Call>(bytes, |call, payload| {
        if let Request::Put { descriptor_len, .. } = call.request
            && let Some((descriptor, shard)) = split_payload(payload.clone(), descriptor_len)
        {
            assert_eq!(descriptor.len() + shard.len(), payload.len());
        }
    });
    read_all::<Answer>(bytes, |answer, payload| match &answer.reply {
        Reply::Shard { descriptor_len, .. } => drop(split_payload(payload.clone(), *descriptor_len)),
        Reply::Held(sets) => sets.iter().for_each(|set| assert!(set.iter().all(|index| set.contains(index)))),
        _ => {}
    });
});
