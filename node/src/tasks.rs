//! Tasks that run as long as the daemon does, and what becomes of them when one ends although nobody asked it to.
//!
//! Without an essential one there is no daemon: its end is told to whoever runs the daemon, which ends the process. One
//! in the background that panics is started again after a pause, which grows, and the status says so.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chordage_api::types::RestartedTask;
use futures::FutureExt;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// Before a task is started again; twice as long after each further panic.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
/// The longest pause. A task that ran for longer is taken to be well again.
const PAUSE_MAX: Duration = Duration::from_secs(5 * 60);
/// How long the quiet end of a thread waits for a cause that is told.
const CAUSE_WITHIN: Duration = Duration::from_millis(500);

/// An essential task has ended, and with it the daemon.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the task `{task}` has ended: {reason}")]
pub struct Fault {
    /// Its name.
    pub task: &'static str,
    /// Why it ended.
    pub reason: String,
}

/// Watches the tasks of one daemon. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Tasks {
    inner: Arc<Inner>,
}

struct Inner {
    /// Cancelled when tasks are asked to end.
    leaving: CancellationToken,
    /// For tests: the task of this name panics.
    panics: Option<String>,
    /// The first pause.
    pause: Duration,
    fault: watch::Sender<Option<Fault>>,
    restarted: Mutex<BTreeMap<&'static str, Restarts>>,
}

struct Restarts {
    count: u64,
    last_reason: String,
}

impl Tasks {
    /// Tasks that end when `leaving` is cancelled; that of the name `panics` panics whenever it starts.
    pub(crate) fn new(leaving: CancellationToken, panics: Option<String>) -> Tasks {
        Tasks::with_pause(leaving, panics, PAUSE_FIRST)
    }

    fn with_pause(leaving: CancellationToken, panics: Option<String>, pause: Duration) -> Tasks {
        let (fault, _) = watch::channel(None);
        Tasks { inner: Arc::new(Inner { leaving, panics, pause, fault, restarted: Mutex::default() }) }
    }

    /// `work`, whose end is the daemon's unless the daemon leaves.
    pub(crate) async fn essential(self, name: &'static str, work: impl Future<Output = ()>) {
        let work = async {
            self.panic_if_asked(name);
            work.await;
        };
        let ended = AssertUnwindSafe(work).catch_unwind().await;
        self.ended(name, ended);
    }

    /// The same for the work of a thread.
    pub(crate) fn essential_thread(&self, name: &'static str, work: impl FnOnce()) {
        let ended = catch_unwind(AssertUnwindSafe(|| {
            self.panic_if_asked(name);
            work();
        }));
        // A thread ends when nobody sends it anything any more, which a task that panics lets go of before its own end
        // is known.
        let told = std::time::Instant::now() + CAUSE_WITHIN;
        while ended.is_ok() && self.unasked(Ok(())).is_some() && std::time::Instant::now() < told {
            std::thread::sleep(CAUSE_WITHIN / 100);
        }
        self.ended(name, ended);
    }

    /// Runs what `work` makes until it ends or the daemon leaves, and makes it again after a panic.
    pub(crate) fn background<F>(&self, name: &'static str, mut work: impl FnMut() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send,
    {
        let tasks = self.clone();
        let again = async move {
            let mut pause = tasks.inner.pause;
            loop {
                let begun = Instant::now();
                let run = async {
                    tasks.panic_if_asked(name);
                    work().await;
                };
                let Err(panic) = AssertUnwindSafe(run).catch_unwind().await else { return };
                if begun.elapsed() > PAUSE_MAX {
                    pause = tasks.inner.pause;
                }
                tasks.note(name, reason(&*panic), pause);
                sleep(pause).await;
                pause = longer(pause);
            }
        };
        tokio::spawn(self.inner.leaving.clone().run_until_cancelled_owned(again));
    }

    /// Waits until an essential task has ended.
    pub(crate) async fn failed(&self) -> Fault {
        let mut watched = self.inner.fault.subscribe();
        loop {
            if let Some(fault) = watched.borrow_and_update().clone() {
                return fault;
            }
            // Never fails: the sender is held here.
            let _ = watched.changed().await;
        }
    }

    /// The essential task that has ended, if one has.
    pub(crate) fn fault(&self) -> Option<Fault> {
        self.inner.fault.borrow().clone()
    }

    /// Which tasks had to be started again.
    pub(crate) fn restarted(&self) -> Vec<RestartedTask> {
        let restarted = self.restarts();
        let told = restarted.iter().map(|(name, restarts)| RestartedTask {
            name: (*name).to_owned(),
            restarts: restarts.count,
            last_reason: restarts.last_reason.clone(),
        });
        told.collect()
    }

    fn ended(&self, task: &'static str, ended: Result<(), Box<dyn Any + Send>>) {
        let Some(reason) = self.unasked(ended) else { return };
        let fault = Fault { task, reason };
        tracing::error!("{fault}");
        // The first is the cause; what ends after it may be a consequence.
        self.inner.fault.send_if_modified(|first| {
            let is_first = first.is_none();
            first.get_or_insert(fault);
            is_first
        });
    }

    /// Why a task ended, if there was no reason for it to.
    fn unasked(&self, ended: Result<(), Box<dyn Any + Send>>) -> Option<String> {
        match ended {
            Err(panic) => Some(reason(&*panic)),
            Ok(()) if self.inner.leaving.is_cancelled() => None,
            // The daemon is being taken apart, and has said why: that has to stay its last word.
            Ok(()) if self.fault().is_some() => None,
            Ok(()) => Some("nobody asked it to".to_owned()),
        }
    }

    fn note(&self, name: &'static str, last_reason: String, pause: Duration) {
        tracing::error!(task = name, reason = %last_reason, ?pause, "a task ended; it is started again after a pause");
        let mut restarted = self.restarts();
        let restarts = restarted.entry(name).or_insert(Restarts { count: 0, last_reason: String::new() });
        restarts.count += 1;
        restarts.last_reason = last_reason;
    }

    fn panic_if_asked(&self, name: &str) {
        assert!(self.inner.panics.as_deref() != Some(name), "debug_panic_task asks for it");
    }

    fn restarts(&self) -> MutexGuard<'_, BTreeMap<&'static str, Restarts>> {
        // Each change leaves it whole.
        self.inner.restarted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn longer(pause: Duration) -> Duration {
    (pause * 2).min(PAUSE_MAX)
}

/// What a panic says.
fn reason(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("it panicked: {}", text.as_deref().unwrap_or("without a word"))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    use tokio::sync::Notify;

    use super::*;

    fn tasks() -> Tasks {
        Tasks::with_pause(CancellationToken::new(), None, Duration::from_millis(1))
    }

    #[tokio::test]
    async fn a_task_that_panics_is_started_again_until_it_works() {
        let tasks = tasks();
        let (starts, works) = (Arc::new(AtomicU32::new(0)), Arc::new(Notify::new()));
        let (counted, done) = (starts.clone(), works.clone());
        tasks.background("flaky", move || {
            let (start, works) = (counted.fetch_add(1, Relaxed), done.clone());
            async move {
                assert!(start >= 4, "start {start}");
                works.notify_one();
            }
        });
        works.notified().await;
        let [flaky] = &tasks.restarted()[..] else { panic!("{:?}", tasks.restarted()) };
        assert_eq!((flaky.name.as_str(), flaky.restarts), ("flaky", 4));
        assert_eq!(flaky.last_reason, "it panicked: start 3");
        assert_eq!((starts.load(Relaxed), tasks.fault()), (5, None));
    }

    #[test]
    fn pauses_grow_up_to_a_bound() {
        let mut pause = PAUSE_FIRST;
        let mut seconds = Vec::new();
        for _ in 0..11 {
            seconds.push(pause.as_secs());
            pause = longer(pause);
        }
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
    }

    #[tokio::test]
    async fn a_task_that_always_panics_is_not_started_again_when_the_daemon_leaves() {
        let tasks = tasks();
        let alive = Arc::new(());
        let held = alive.clone();
        tasks.background("broken", move || {
            let _held = &held;
            async { panic!("always") }
        });
        while tasks.restarted().is_empty() {
            tokio::task::yield_now().await;
        }
        tasks.inner.leaving.cancel();
        while Arc::strong_count(&alive) > 1 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn the_end_of_an_essential_task_that_nobody_asked_for_is_told_with_the_first_cause() {
        let tasks = tasks();
        assert_eq!(tasks.unasked(Ok(())).as_deref(), Some("nobody asked it to"));
        tasks.clone().essential("first", async { panic!("as the test wants") }).await;
        tasks.clone().essential("second", async { panic!("as a consequence") }).await;
        let fault = Fault { task: "first", reason: "it panicked: as the test wants".to_owned() };
        assert_eq!(tasks.failed().await, fault);
        assert_eq!(tasks.unasked(Ok(())), None, "its end is the consequence");
        assert_eq!(fault.to_string(), "the task `first` has ended: it panicked: as the test wants");

        // A thread ends because what fed it has panicked, which is told a moment later.
        let tasks = self::tasks();
        let thread = tasks.clone();
        let ended = std::thread::spawn(move || thread.essential_thread("fed", || {}));
        tasks.clone().essential("feeding", async { panic!("as the test wants") }).await;
        ended.join().unwrap();
        assert_eq!(tasks.failed().await.task, "feeding");

        let asked = self::tasks();
        asked.inner.leaving.cancel();
        asked.essential_thread("third", || {});
        assert_eq!(asked.fault(), None);
        asked.essential_thread("fourth", || panic!("even then"));
        assert_eq!(asked.fault().map(|fault| fault.task), Some("fourth"));
    }
}
