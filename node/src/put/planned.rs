//! What was found of files that a put is about to say are unchanged, so that it is not looked up once more for each.
//!
//! Only where they lie: whether their chunks are still stored is asked of
//! [`RecentAnswers`](crate::leases::RecentAnswers) again.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chordage_storage::catalog::KnownFile;
use chordage_storage::{Fingerprint, Redundancy};
use tokio::time::Instant;

/// How long a plan is kept. The put follows the question at once, or does its own looking up.
const KEPT: Duration = Duration::from_secs(30);
/// Extents that are kept, some 150 bytes each; every file has at least one, or counts as one.
const EXTENTS_MAX: usize = 1 << 15;

/// Files that were said to be unchanged a moment ago.
#[derive(Default)]
pub(crate) struct Planned {
    plans: Mutex<Plans>,
}

/// A lookup table and the order in which to forget; the order of the table is never used.
#[derive(Default)]
struct Plans {
    files: HashMap<Fingerprint, (Redundancy, KnownFile)>,
    oldest_first: VecDeque<(Instant, Fingerprint)>,
    extents: usize,
}

impl Planned {
    /// A put with this redundancy will probably ask for the file next. What does not fit is not kept.
    pub(super) fn remember(
        &self,
        now: Instant,
        redundancy: Redundancy,
        fingerprint: Fingerprint,
        file: KnownFile,
    ) {
        let mut plans = self.plans();
        plans.forget_until(now);
        if plans.extents + cost(&file) > EXTENTS_MAX || plans.oldest_first.len() >= EXTENTS_MAX {
            return;
        }
        plans.take(&fingerprint);
        plans.extents += cost(&file);
        plans.files.insert(fingerprint, (redundancy, file));
        plans.oldest_first.push_back((now, fingerprint));
    }

    /// Where the file lies, if that was found out a moment ago. Only once: it is forgotten then.
    pub(super) fn take(
        &self,
        now: Instant,
        redundancy: Redundancy,
        fingerprint: &Fingerprint,
    ) -> Option<KnownFile> {
        let mut plans = self.plans();
        plans.forget_until(now);
        let (for_redundancy, file) = plans.take(fingerprint)?;
        (for_redundancy == redundancy).then_some(file)
    }

    fn plans(&self) -> MutexGuard<'_, Plans> {
        // No code panics while holding the lock, and all halves are valid at every point.
        self.plans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Plans {
    fn take(&mut self, fingerprint: &Fingerprint) -> Option<(Redundancy, KnownFile)> {
        let taken = self.files.remove(fingerprint)?;
        self.extents -= cost(&taken.1);
        Some(taken)
    }

    fn forget_until(&mut self, now: Instant) {
        while let Some((at, oldest)) = self.oldest_first.front().copied()
            && (now.duration_since(at) >= KEPT || !self.files.contains_key(&oldest))
        {
            self.oldest_first.pop_front();
            self.take(&oldest);
        }
    }
}

fn cost(file: &KnownFile) -> usize {
    file.extents.len().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(size: u64) -> KnownFile {
        KnownFile { size, extents: Vec::new(), ageing: false }
    }

    fn name(number: u32) -> Fingerprint {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&number.to_le_bytes());
        Fingerprint(bytes)
    }

    #[test]
    fn a_plan_is_good_once_for_its_redundancy_and_for_a_moment() {
        let (planned, now) = (Planned::default(), Instant::now());
        let [code, other] = [4, 5].map(|k| Redundancy::new(k, 6).expect("valid"));
        for number in 0..3 {
            planned.remember(now, code, name(number), file(number.into()));
        }
        assert_eq!(planned.take(now, code, &name(1)), Some(file(1)));
        assert_eq!(planned.take(now, code, &name(1)), None);
        assert_eq!(planned.take(now, other, &name(2)), None);
        assert_eq!(planned.take(now + KEPT, code, &name(0)), None);
        assert_eq!(planned.plans().extents, 0);
    }

    #[test]
    fn what_is_kept_is_bounded_whoever_asks_and_never_puts() {
        let (planned, now) = (Planned::default(), Instant::now());
        let code = Redundancy::new(4, 6).expect("valid");
        for number in 0..EXTENTS_MAX as u32 + 100 {
            planned.remember(now, code, name(number), file(1));
            // Asked for again and again.
            planned.remember(now, code, name(0), file(1));
        }
        let plans = planned.plans();
        assert!(plans.extents <= EXTENTS_MAX && plans.files.len() == plans.extents);
        assert!(plans.oldest_first.len() <= EXTENTS_MAX);
    }
}
