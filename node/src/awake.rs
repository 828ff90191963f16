//! Time as this process has lived it. A process that was stopped, starved by its machine, or on a machine that slept,
//! has asked nobody meanwhile and heard nobody: what it waited for gets that time again, and nobody else is blamed.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{self, Duration};

use rustix::time::{ClockId, clock_gettime};
use tokio::time::error::Elapsed;
use tokio::time::{Instant, sleep};

/// How often it is noted that the process runs.
const TICK: Duration = Duration::from_millis(500);
/// A gap of so long is sleep; shorter ones are what a busy machine does, and what time limits allow for.
const SLEEP_MIN: Duration = Duration::from_secs(3);

static WATCH: Mutex<Watch> = Mutex::new(Watch { seen: None, slept: Slept::NEVER, kept_by: 0 });

/// How this process has slept since it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slept {
    /// How often.
    pub(crate) times: u64,
    /// How much of it time limits count. They do not count what the whole machine slept.
    pub(crate) counted: Duration,
}

impl Slept {
    const NEVER: Slept = Slept { times: 0, counted: Duration::ZERO };
}

/// A moment on both clocks: the one that time limits follow, and the one that goes on while the machine sleeps.
#[derive(Clone, Copy)]
struct Seen {
    limits: time::Instant,
    machine: Duration,
}

impl Seen {
    fn now() -> Self {
        let machine = clock_gettime(ClockId::Boottime);
        let machine = Duration::try_from(machine).unwrap_or_default();
        Seen { limits: time::Instant::now(), machine }
    }
}

struct Watch {
    /// When the process ran last, as far as was noted.
    seen: Option<Seen>,
    slept: Slept,
    /// Daemons of this process that note it.
    kept_by: u32,
}

impl Watch {
    fn look(&mut self, now: Seen) {
        let Some(seen) = self.seen.filter(|_| self.kept_by > 0) else { return };
        let counted = now.limits.saturating_duration_since(seen.limits);
        let gap = counted.max(now.machine.saturating_sub(seen.machine));
        if gap >= SLEEP_MIN {
            self.slept.times += 1;
            self.slept.counted += counted;
            tracing::warn!(
                seconds = gap.as_secs(),
                "the daemon was not run for a while; what it waited for gets that time again"
            );
        }
        self.seen = Some(now);
    }
}

/// How this process has slept.
pub(crate) fn slept() -> Slept {
    let mut watch = watch();
    // Under the lock, so that two never look in the wrong order.
    watch.look(Seen::now());
    watch.slept
}

/// Notes that the process runs, until dropped.
pub(crate) async fn keep_watch() {
    let _keeper = Keeper::new();
    loop {
        sleep(TICK).await;
        let _ = slept();
    }
}

/// `future`, if it ends by then; each time that the process sleeps meanwhile, so much later.
pub(crate) async fn timeout_at<F: Future>(deadline: Instant, future: F) -> Result<F::Output, Elapsed> {
    let before = slept().counted;
    let mut future = std::pin::pin!(future);
    let mut extended = deadline;
    loop {
        let ended = tokio::time::timeout_at(extended, &mut future).await;
        let later = deadline + (slept().counted - before);
        if ended.is_ok() || later <= extended {
            return ended;
        }
        extended = later;
    }
}

/// The same for so long from now.
pub(crate) async fn timeout<F: Future>(limit: Duration, future: F) -> Result<F::Output, Elapsed> {
    timeout_at(Instant::now() + limit, future).await
}

struct Keeper;

impl Keeper {
    fn new() -> Keeper {
        let mut watch = watch();
        watch.kept_by += 1;
        if watch.kept_by == 1 {
            watch.seen = Some(Seen::now());
        }
        Keeper
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        watch().kept_by -= 1;
    }
}

fn watch() -> MutexGuard<'static, Watch> {
    // Every change is of one field at a time and leaves the others right.
    WATCH.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_gap_is_sleep_and_a_short_one_or_one_that_nobody_watched_is_not() {
        let mut now = Seen::now();
        let mut watch = Watch { seen: Some(now), slept: Slept::NEVER, kept_by: 1 };
        let mut after = |watch: &mut Watch, limits: Duration, machine: Duration| {
            now = Seen { limits: now.limits + limits, machine: now.machine + machine };
            watch.look(now);
            (watch.slept.times, watch.slept.counted)
        };
        let none = Duration::ZERO;
        assert_eq!(after(&mut watch, TICK, TICK), (0, none));
        assert_eq!(after(&mut watch, SLEEP_MIN / 2, SLEEP_MIN / 2), (0, none));
        assert_eq!(after(&mut watch, 4 * SLEEP_MIN, 4 * SLEEP_MIN), (1, 4 * SLEEP_MIN), "it stood still");
        assert_eq!(after(&mut watch, none, none), (1, 4 * SLEEP_MIN), "it is counted once");
        assert_eq!(after(&mut watch, TICK, 9 * SLEEP_MIN), (2, 4 * SLEEP_MIN + TICK), "the machine slept");
        watch.kept_by = 0;
        assert_eq!(after(&mut watch, 9 * SLEEP_MIN, 9 * SLEEP_MIN), (2, 4 * SLEEP_MIN + TICK));
    }
}
