//! What was found lately, for as long as it may be used. Pure.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Answers that are kept at most.
const KEPT_MAX: usize = 1024;

/// What is kept of each `K`.
pub(super) struct Cache<K, V> {
    kept: BTreeMap<K, Kept<V>>,
}

struct Kept<V> {
    value: V,
    until: Instant,
}

impl<K: Ord + Clone, V: Clone> Cache<K, V> {
    pub(super) fn new() -> Self {
        Cache { kept: BTreeMap::new() }
    }

    /// What is known and may still be used, with the seconds that are left of that.
    pub(super) fn fresh(&self, key: &K, now: Instant) -> Option<(V, u32)> {
        let kept = self.kept.get(key)?;
        let left = kept.until.saturating_duration_since(now);
        // Rounded up, as otherwise the last second would say 0, which means not to be kept at all.
        let seconds = u32::try_from(left.as_millis().div_ceil(1000)).unwrap_or(u32::MAX);
        (seconds > 0).then(|| (kept.value.clone(), seconds))
    }

    /// What was known, if it has not been out of date for longer than this.
    pub(super) fn stale(&self, key: &K, now: Instant, for_at_most: Duration) -> Option<V> {
        let kept = self.kept.get(key)?;
        (now.saturating_duration_since(kept.until) <= for_at_most).then(|| kept.value.clone())
    }

    /// Keeps an answer for so many seconds. One that is to be used only once is not kept.
    pub(super) fn put(&mut self, key: K, value: V, seconds: u32, now: Instant) {
        if seconds == 0 {
            self.kept.remove(&key);
            return;
        }
        if self.kept.len() >= KEPT_MAX && !self.kept.contains_key(&key) {
            // What has ended, or ends first, is worth least.
            let first = self.kept.iter().min_by_key(|(_, kept)| kept.until).map(|(key, _)| key.clone());
            first.and_then(|key| self.kept.remove(&key));
        }
        self.kept.insert(key, Kept { value, until: now + Duration::from_secs(seconds.into()) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_used_for_its_time_and_a_while_longer_if_nothing_better_is_there() {
        let (mut cache, now) = (Cache::new(), Instant::now());
        let after = |seconds: f64| now + Duration::from_secs_f64(seconds);
        cache.put("a", 7, 60, now);
        assert_eq!(cache.fresh(&"a", after(0.0)), Some((7, 60)));
        assert_eq!(cache.fresh(&"a", after(59.5)), Some((7, 1)));
        assert_eq!(cache.fresh(&"a", after(60.0)), None);
        let while_longer = Duration::from_secs(30);
        assert_eq!(cache.stale(&"a", after(90.0), while_longer), Some(7));
        assert_eq!(cache.stale(&"a", after(90.1), while_longer), None);
        cache.put("a", 8, 0, now);
        assert_eq!(cache.stale(&"a", now, while_longer), None);
    }

    #[test]
    fn only_so_many_are_kept_and_those_that_last_longest() {
        let (mut cache, now) = (Cache::new(), Instant::now());
        for key in 0..KEPT_MAX as u32 * 2 {
            cache.put(key, (), 1000 + key, now);
        }
        assert_eq!(cache.kept.len(), KEPT_MAX);
        assert!(cache.fresh(&0, now).is_none() && cache.fresh(&2000, now).is_some());
        cache.put(2000, (), 1, now);
        assert_eq!(cache.kept.len(), KEPT_MAX, "who has a place needs no other's");
    }
}
