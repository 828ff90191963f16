//! For tests: a holder that takes shards as it should, and lies to who asks for them. All else of its daemon is as it
//! is.

use bytes::Bytes;

use super::protocol::Reply;

/// What whoever asks for a shard gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lie {
    /// The shard with one wrong bit.
    WrongBytes,
    /// A descriptor of something else.
    WrongDescriptor,
    /// A shard with a number that no chunk has.
    WrongNumber,
    /// The answer to another kind of question.
    WrongAnswer,
    /// Nothing, ever.
    Silence,
}

/// What is sent instead of `reply`; `None` for nothing.
pub(super) fn told(lie: Option<Lie>, reply: Reply, mut payload: Vec<Bytes>) -> Option<(Reply, Vec<Bytes>)> {
    let (Some(lie), Reply::Shard { index, descriptor_len }) = (lie, &reply) else {
        return Some((reply, payload));
    };
    let spoilt = |bytes: &Bytes| {
        let mut bytes = bytes.to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        Bytes::from(bytes)
    };
    let (index, descriptor_len) = (*index, *descriptor_len);
    match lie {
        Lie::WrongBytes => payload[1] = spoilt(&payload[1]),
        Lie::WrongDescriptor => payload[0] = spoilt(&payload[0]),
        Lie::WrongNumber => return Some((Reply::Shard { index: index | 0x80, descriptor_len }, payload)),
        Lie::WrongAnswer => return Some((Reply::Stored { already: true }, Vec::new())),
        Lie::Silence => return None,
    }
    Some((reply, payload))
}
