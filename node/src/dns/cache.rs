//! What was found lately, for as long as it may be used. Pure.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::answer::Found;

/// Answers that are kept at most.
pub(super) const KEPT_MAX: usize = 1024;

/// What is kept of each `K`, with a `T` that says how it was found.
pub(super) struct Cache<K, T> {
    kept: BTreeMap<K, Kept<T>>,
}

struct Kept<T> {
    found: Found,
    until: Instant,
    how: T,
}

impl<K: Ord + Clone, T> Cache<K, T> {
    pub(super) fn new() -> Self {
        Cache { kept: BTreeMap::new() }
    }

    /// What is known, if it may still be used, with the time that is left of it.
    pub(super) fn get(
        &mut self,
        key: &K,
        now: Instant,
        is_current: impl FnOnce(&T) -> bool,
    ) -> Option<Found> {
        let kept = self.kept.get(key)?;
        let left = kept.until.saturating_duration_since(now);
        if left.is_zero() || !is_current(&kept.how) {
            self.kept.remove(key);
            return None;
        }
        // Rounded up, as otherwise the last second would say 0, which means not to be kept at all.
        let ttl = u32::try_from(left.as_millis().div_ceil(1000)).unwrap_or(u32::MAX);
        Some(Found { ttl, ..kept.found.clone() })
    }

    /// Keeps an answer for its time. One that is to be used only once is not kept.
    pub(super) fn put(&mut self, key: K, found: &Found, how: T, now: Instant) {
        if found.ttl == 0 {
            self.kept.remove(&key);
            return;
        }
        if self.kept.len() >= KEPT_MAX && !self.kept.contains_key(&key) {
            self.kept.retain(|_, kept| kept.until > now);
            if self.kept.len() >= KEPT_MAX {
                // What ends first is worth least.
                let first = self.kept.iter().min_by_key(|(_, kept)| kept.until).map(|(key, _)| key.clone());
                first.and_then(|key| self.kept.remove(&key));
            }
        }
        let until = now + Duration::from_secs(found.ttl.into());
        self.kept.insert(key, Kept { found: found.clone(), until, how });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_used_for_its_time_and_as_long_as_nothing_newer_is_known() {
        let (mut cache, now) = (Cache::new(), Instant::now());
        let after = |seconds: f64| now + Duration::from_secs_f64(seconds);
        let found = Found { ttl: 60, ..Found::empty() };
        cache.put("a", &found, 7, now);
        let ttl = |found: Option<Found>| found.map(|found| found.ttl);
        assert_eq!(ttl(cache.get(&"a", after(0.0), |how| *how == 7)), Some(60));
        assert_eq!(ttl(cache.get(&"a", after(59.5), |_| true)), Some(1));
        assert_eq!(ttl(cache.get(&"a", after(1.0), |how| *how == 8)), None, "something newer is known");
        cache.put("a", &found, 7, now);
        assert_eq!(ttl(cache.get(&"a", after(60.0), |_| true)), None);
        cache.put("a", &found, 7, now);
        cache.put("a", &Found { ttl: 0, ..Found::empty() }, 8, now);
        assert_eq!(ttl(cache.get(&"a", now, |_| true)), None);
    }

    #[test]
    fn only_so_many_are_kept_and_those_that_last_longest() {
        let (mut cache, now) = (Cache::new(), Instant::now());
        for key in 0..KEPT_MAX as u32 * 2 {
            cache.put(key, &Found { ttl: 1000 + key, ..Found::empty() }, (), now);
        }
        assert_eq!(cache.kept.len(), KEPT_MAX);
        assert!(cache.get(&0, now, |()| true).is_none() && cache.get(&2000, now, |()| true).is_some());
        let late = now + Duration::from_secs(10_000);
        cache.put(0, &Found { ttl: 1, ..Found::empty() }, (), late);
        assert_eq!(cache.kept.len(), 1, "what has ended makes room first");
    }
}
