//! The messages that one node keeps, in memory: the last ones of each topic.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    vec::Vec,
};
use core::time::Duration;

use super::{Head, ItemId, Rejection, TopicMessage};
use crate::{Key, Time};

/// How long a message is kept, and how old one may be.
const KEPT_FOR: Duration = Duration::from_secs(3600);
/// How far the time of a message may be ahead of the holder's clock. Whoever could choose more would keep others out of
/// a topic.
const AHEAD_MAX: Duration = Duration::from_secs(300);
/// Messages of one topic.
pub(crate) const PER_TOPIC: usize = 64;
/// Messages of one publisher in a topic.
const PER_PUBLISHER_AND_TOPIC: usize = PER_TOPIC / 2;
/// Messages of one publisher in all.
const PER_PUBLISHER: u16 = 1024;
/// Topics.
const TOPICS_MAX: usize = 4096;
/// Bytes of all messages.
const BYTES_MAX: usize = 32 << 20;

/// What a message is called in its topic, in the order in which messages are told: by time, then by publisher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stamp {
    pub(crate) seq: u64,
    pub(crate) publisher: [u8; 32],
}

impl Stamp {
    pub(crate) fn of(message: &TopicMessage) -> Self {
        Self { seq: message.seq(), publisher: message.statement().publisher }
    }

    pub(crate) fn item(self) -> ItemId {
        ItemId { by: self.publisher, number: 0, seq: self.seq }
    }
}

impl From<&ItemId> for Stamp {
    fn from(id: &ItemId) -> Self {
        Self { seq: id.seq, publisher: id.by }
    }
}

/// See the module's description.
#[derive(Debug, Clone, Default)]
pub(crate) struct Topics {
    topics: BTreeMap<Key, BTreeMap<Stamp, (Arc<TopicMessage>, Time)>>,
    ends: BTreeSet<(Time, Key, Stamp)>,
    per_publisher: BTreeMap<[u8; 32], u16>,
    bytes: usize,
}

/// Whether a message is so old that nobody keeps it any more, even if its publisher's clock and this node's differ by
/// as long again: whoever sends it now repeats it.
pub(crate) fn is_past(message: &TopicMessage, unix_micros: u64) -> bool {
    message.seq().saturating_add(2 * KEPT_FOR.as_micros() as u64) <= unix_micros
}

impl Topics {
    /// Takes a message in. Returns whether it is new. `unix_micros`: microseconds since 1970.
    pub(crate) fn keep(
        &mut self,
        message: &Arc<TopicMessage>,
        now: Time,
        unix_micros: u64,
    ) -> Result<bool, Rejection> {
        let (topic, stamp) = (*message.place(), Stamp::of(message));
        if stamp.seq > unix_micros.saturating_add(AHEAD_MAX.as_micros() as u64) {
            return Err(Rejection::Ahead);
        }
        if stamp.seq.saturating_add(KEPT_FOR.as_micros() as u64) <= unix_micros {
            return Err(Rejection::Expired);
        }
        let kept = self.topics.get(&topic);
        if let Some((same, _)) = kept.and_then(|kept| kept.get(&stamp)) {
            return if same == message { Ok(false) } else { Err(Rejection::Superseded) };
        }
        let displaced = self.displaced(&topic, stamp)?;
        let freed = displaced.map_or(0, |stamp| self.len_of(&topic, &stamp));
        if (kept.is_none() && self.topics.len() >= TOPICS_MAX)
            || self.bytes - freed + message.encoded_len() > BYTES_MAX
        {
            return Err(Rejection::Full);
        }
        let own_goes = displaced.is_some_and(|displaced| displaced.publisher == stamp.publisher);
        let published = self.per_publisher.get(&stamp.publisher).copied().unwrap_or(0);
        if published >= PER_PUBLISHER && !own_goes {
            return Err(Rejection::SenderFull);
        }
        if let Some(displaced) = displaced {
            self.remove(&topic, &displaced);
        }
        self.bytes += message.encoded_len();
        *self.per_publisher.entry(stamp.publisher).or_default() += 1;
        self.ends.insert((now + KEPT_FOR, topic, stamp));
        self.topics.entry(topic).or_default().insert(stamp, (message.clone(), now + KEPT_FOR));
        Ok(true)
    }

    /// Which message goes if this one comes: of a publisher that has its part of the topic its own oldest one, of a
    /// full topic the oldest. One that would go itself is not kept.
    fn displaced(&self, topic: &Key, stamp: Stamp) -> Result<Option<Stamp>, Rejection> {
        let Some(kept) = self.topics.get(topic) else { return Ok(None) };
        let mut own = kept.keys().filter(|kept| kept.publisher == stamp.publisher);
        let oldest_own = own.next();
        let goes = if oldest_own.is_some() && 1 + own.count() >= PER_PUBLISHER_AND_TOPIC {
            oldest_own
        } else if kept.len() >= PER_TOPIC {
            kept.keys().next()
        } else {
            None
        };
        match goes {
            Some(goes) if *goes > stamp => Err(Rejection::Displaced),
            goes => Ok(goes.copied()),
        }
    }

    fn len_of(&self, topic: &Key, stamp: &Stamp) -> usize {
        let kept = self.topics.get(topic).and_then(|kept| kept.get(stamp));
        kept.map_or(0, |(message, _)| message.encoded_len())
    }

    /// What is kept of a topic, in short.
    pub(crate) fn heads(&self, topic: &Key) -> Vec<Head> {
        let kept = self.topics.get(topic).into_iter().flat_map(BTreeMap::keys);
        kept.map(|stamp| Head { id: stamp.item(), age: 0 }).collect()
    }

    /// A message that is kept.
    pub(crate) fn get(&self, topic: &Key, stamp: &Stamp) -> Option<&Arc<TopicMessage>> {
        self.topics.get(topic).and_then(|kept| kept.get(stamp)).map(|(message, _)| message)
    }

    /// Forgets what has been kept for long enough.
    pub(crate) fn forget_ended(&mut self, now: Time) {
        while let Some((end, topic, stamp)) = self.ends.first().copied()
            && end <= now
        {
            self.remove(&topic, &stamp);
        }
    }

    /// When the next is forgotten.
    pub(crate) fn next_due(&self) -> Option<Time> {
        self.ends.first().map(|(end, ..)| *end)
    }

    /// How many messages are kept, and about how many bytes they take.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.ends.len(), self.bytes)
    }

    fn remove(&mut self, topic: &Key, stamp: &Stamp) {
        let Some(kept) = self.topics.get_mut(topic) else { return };
        let Some((message, end)) = kept.remove(stamp) else { return };
        if kept.is_empty() {
            self.topics.remove(topic);
        }
        self.ends.remove(&(end, *topic, *stamp));
        self.bytes -= message.encoded_len();
        if let Some(count) = self.per_publisher.get_mut(&stamp.publisher) {
            *count -= 1;
            if *count == 0 {
                self.per_publisher.remove(&stamp.publisher);
            }
        }
    }
}

#[cfg(test)]
mod tests;
