//! Lookups that somebody waits for.

use std::collections::BTreeMap;

use chordage_dht::{Lookup, LookupError, LookupId};
use tokio::sync::oneshot;

/// To whom an outcome goes.
type Reply = oneshot::Sender<Result<Lookup, LookupError>>;

/// Those under way. Bounded by the overlay, which refuses more than it can do.
#[derive(Default)]
pub(super) struct Lookups {
    waiting: BTreeMap<LookupId, Reply>,
    next: u64,
}

impl Lookups {
    /// A name for another one.
    pub(super) fn begin(&mut self, reply: Reply) -> LookupId {
        let id = LookupId(self.next);
        self.next += 1;
        self.waiting.retain(|_, waiting| !waiting.is_closed());
        self.waiting.insert(id, reply);
        id
    }

    /// One has ended.
    pub(super) fn end(&mut self, id: LookupId, outcome: Result<Lookup, LookupError>) {
        if let Some(reply) = self.waiting.remove(&id) {
            // Whoever asked may have stopped waiting.
            let _ = reply.send(outcome);
        }
    }
}
