//! Who serves the streams that others open, class by class. The driver knows only that somebody does.

use chordage_dht::NodeId;

use crate::wire::GuardedStream;

/// Takes over a stream of whoever has proven this key on its connection. It may not block: the driver calls it.
pub(crate) type Acceptor = Box<dyn Fn(NodeId, GuardedStream) + Send + Sync>;
