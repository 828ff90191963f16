//! Watching records: those who keep one tell of its changes, and every half minute the watcher asks all the same. What
//! is told to the caller is what a majority holds, each version once.

use core::time::Duration;

use super::{Dht, Turn, record_state::Watch};
use crate::{
    Key, Time,
    io::Output,
    message::{Message, Notice},
    metric::Metric,
    records::{Found, Goal, Held, Operation, OperationError, OperationId, Outcome},
};

/// Records that one node watches.
const WATCHES_MAX: usize = 1024;
/// Between two questions, in case nobody tells.
const RENEW_EVERY: Duration = Duration::from_secs(30);
/// Before a question that nobody answered is asked again.
const AGAIN: Duration = Duration::from_secs(5);
/// How long the news of a change is waited for from others, so that one question serves for all.
const TOGETHER: Duration = Duration::from_millis(10);
/// How long news wait for the end of a question under way.
const BUSY: Duration = Duration::from_millis(50);
/// How long a question may take.
const WITHIN: Duration = Duration::from_secs(20);

impl<M: Metric> Dht<M> {
    pub(super) fn start_watch(&mut self, turn: &mut Turn<'_>, id: OperationId, address: Key) {
        let watches = &mut self.records_mut().watches;
        if watches.len() >= WATCHES_MAX {
            turn.out.push(Output::OperationFinished { id, outcome: Err(OperationError::Busy) });
            return;
        }
        watches.insert(id, Watch { address, told: None, due: Some(turn.now) });
    }

    /// Asks again where it is time to.
    pub(super) fn renew_watches(&mut self, turn: &mut Turn<'_>) {
        loop {
            let Some(records) = &mut self.records else { return };
            let due = records.watches.iter().find(|(_, watch)| watch.is_due(turn.now)).map(|(id, _)| *id);
            let Some(id) = due else { return };
            let running = records.find(id).is_some();
            let Some(watch) = records.watches.get_mut(&id) else { return };
            // None while the question is under way; who has news meanwhile is heard after it.
            watch.due = running.then_some(turn.now + BUSY);
            if !running {
                let operation = Operation::new(id, watch.address, Goal::Watch, turn.now, turn.now + WITHIN);
                let serial = records.add(operation);
                self.locate(turn, serial);
            }
        }
    }

    /// A question of a watch has been answered, or not. Returns whether there is such a watch.
    pub(super) fn watch_answered(
        &mut self,
        turn: &mut Turn<'_>,
        id: OperationId,
        outcome: &Result<Outcome, OperationError>,
    ) -> bool {
        let wait = turn.around(if outcome.is_ok() { RENEW_EVERY } else { AGAIN });
        let Some(watch) = self.records_mut().watches.get_mut(&id) else { return false };
        let at = turn.now + wait;
        watch.due = Some(watch.due.map_or(at, |due| due.min(at)));
        if let Ok(Outcome::Found(Found { held: Some(held), .. })) = outcome
            && held.replaces(watch.told.as_ref())
        {
            watch.told = Some(held.clone());
            turn.out.push(Output::Watched { id, held: held.clone() });
        }
        true
    }

    /// Somebody says that a record has changed.
    pub(super) fn record_news(&mut self, now: Time, held: &Held) {
        let Some(records) = &mut self.records else { return };
        let concerned = records.watches.values_mut().filter(|watch| watch.address == *held.record.address());
        for watch in concerned.filter(|watch| held.replaces(watch.told.as_ref())) {
            // A question that is under way may have come too early.
            watch.due = Some(watch.due.map_or(now + TOGETHER, |due| due.min(now + TOGETHER)));
        }
    }

    /// A record that is kept here has changed: whoever watches it is told.
    pub(super) fn tell_watchers(&mut self, turn: &mut Turn<'_>, held: &Held) {
        self.record_news(turn.now, held);
        let watchers = self.records_mut().watchers.told(held.record.address(), turn.now);
        for watcher in watchers {
            turn.send(&watcher, Message::Notice(Notice::RecordChanged(held.clone())));
        }
    }
}
