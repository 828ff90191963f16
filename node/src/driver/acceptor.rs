//! Who serves the streams that others open, class by class. The driver knows only that somebody does.

use crate::wire::GuardedStream;

/// Takes over a stream of whoever has proven this key on its connection. It may not block: the driver calls it.
pub(crate) type Acceptor = Box<dyn Fn([u8; 32], GuardedStream) + Send + Sync>;

/// One for each class that others serve.
pub(crate) struct Acceptors {
    /// Serves shards.
    pub(crate) shards: Acceptor,
    /// Serves what members of a private network ask; none in an open one.
    pub(crate) papers: Option<Acceptor>,
}
