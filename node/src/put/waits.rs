//! For whom puts wait: a holder that does not acknowledge is why a put takes long, and its user wants to know which.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chordage_api::types::WaitedFor;
use chordage_dht::NodeId;
use tokio::time::Instant;

use crate::address::api_id;

/// What takes less is not worth a word.
const WORTH_SAYING: Duration = Duration::from_secs(2);

/// Shards that were sent and are not acknowledged yet. Bounded by what puts may have under way.
#[derive(Debug, Default)]
pub(crate) struct Waits {
    sent: Mutex<Sent>,
}

#[derive(Debug, Default)]
struct Sent {
    count: u64,
    /// The holder, a number that tells its shards apart, and since when.
    since: BTreeMap<(NodeId, u64), Instant>,
}

/// One shard, until dropped.
pub(super) struct Wait<'a> {
    waits: &'a Waits,
    key: (NodeId, u64),
}

impl Waits {
    /// A shard is being sent to `holder`.
    pub(super) fn begin(&self, holder: NodeId) -> Wait<'_> {
        let mut sent = self.lock();
        sent.count += 1;
        let key = (holder, sent.count);
        sent.since.insert(key, Instant::now());
        Wait { waits: self, key }
    }

    /// Who has not acknowledged for a while, and for how long.
    pub(super) fn long(&self) -> Vec<WaitedFor> {
        let mut longest = BTreeMap::<NodeId, Duration>::new();
        for ((holder, _), since) in &self.lock().since {
            let waited = longest.entry(*holder).or_default();
            *waited = since.elapsed().max(*waited);
        }
        let long = longest.into_iter().filter(|(_, waited)| *waited >= WORTH_SAYING);
        long.map(|(id, waited)| WaitedFor { id: api_id(id), seconds: waited.as_secs() }).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Sent> {
        // Every change is one insertion or removal.
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.waits.lock().since.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_takes_long_is_named_with_the_longest_wait() {
        let waits = Waits::default();
        let [slow, other] = [1, 2].map(|byte| NodeId::from_bytes([byte; 32]));
        let _first = waits.begin(slow);
        let done = waits.begin(other);
        tokio::time::advance(Duration::from_secs(3)).await;
        let _second = waits.begin(slow);
        drop(done);
        let _new = waits.begin(other);
        assert_eq!(waits.long(), [WaitedFor { id: api_id(slow), seconds: 3 }]);
    }
}
