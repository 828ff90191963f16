//! What a subscriber of a topic has told its caller: each message once, in the order in which they come; those that
//! were kept before in the order of their times.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    vec::Vec,
};

use super::{Item, PER_TOPIC, Stamp, Survey, TopicMessage, task::Sighting};

/// Messages that are remembered as told. Of more, the oldest are forgotten, and what is older than they counts as told.
const REMEMBERED: usize = 1024;

/// See the module's description.
#[derive(Debug, Clone)]
pub(crate) struct Subscription {
    /// How many of those that were kept before are told.
    last: u16,
    begun: bool,
    /// Those that came before it was known what was kept before.
    early: BTreeMap<Stamp, Arc<TopicMessage>>,
    told: BTreeSet<Stamp>,
    /// What is not above this counts as told.
    floor: Option<Stamp>,
}

impl Subscription {
    pub(crate) fn new(last: u16) -> Self {
        Self { last, begun: false, early: BTreeMap::new(), told: BTreeSet::new(), floor: None }
    }

    /// What to ask of those who keep the topic.
    pub(crate) fn survey(&self) -> Survey {
        let newest = if self.begun { usize::MAX } else { self.last.into() };
        let known = self.told.iter().chain(self.early.keys());
        Survey::of_messages(known.map(|stamp| stamp.item()).collect(), self.floor, newest)
    }

    /// A message has been pushed. Returns whether it is to be told now.
    pub(crate) fn pushed(&mut self, message: &Arc<TopicMessage>) -> bool {
        let stamp = Stamp::of(message);
        if self.begun {
            return self.tell(stamp);
        }
        self.early.insert(stamp, message.clone());
        if self.early.len() > PER_TOPIC {
            self.early.pop_first();
        }
        false
    }

    /// Takes in what a survey has found. Returns the messages that are to be told.
    pub(crate) fn take_in(&mut self, found: &[Sighting]) -> Vec<Arc<TopicMessage>> {
        let mut new = core::mem::take(&mut self.early);
        for Sighting { id, item, .. } in found {
            if let Some(Item::Message(message)) = item {
                new.insert(Stamp::from(id), message.clone());
            }
        }
        self.begun = true;
        let tell: Vec<_> = new.into_iter().filter(|(stamp, _)| self.tell(*stamp)).collect();
        // What was kept before and is not wanted is never told.
        for Sighting { id, .. } in found {
            self.tell(Stamp::from(id));
        }
        tell.into_iter().map(|(_, message)| message).collect()
    }

    /// Remembers a message as told. Returns whether it was not.
    fn tell(&mut self, stamp: Stamp) -> bool {
        if self.floor.is_some_and(|floor| stamp <= floor) || !self.told.insert(stamp) {
            return false;
        }
        if self.told.len() > REMEMBERED {
            self.floor = self.told.pop_first();
        }
        true
    }
}

#[cfg(test)]
mod tests;
