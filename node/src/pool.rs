//! Threads for blocking work: few, named, always the same.
//!
//! Tokio's blocking threads would do, but it has as many as there is work waiting, and gives work to any of them. Each
//! thread that ever made a large buffer keeps a heap of its own in glibc, with holes the size of the largest buffers.
//! So the number of threads bounds that of heaps; what it saved when it was measured was little (see
//! docs/benchmarks.md).

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, oneshot};

type Job<W> = Box<dyn FnOnce(&mut W) + Send>;

/// Runs work on threads that each keep a workspace `W`. Cheap to clone; the threads end with the last clone.
pub(crate) struct Pool<W> {
    shared: Arc<Shared<W>>,
    places: Arc<Semaphore>,
    _end: Arc<End<W>>,
}

struct Shared<W> {
    name: &'static str,
    threads_max: usize,
    state: Mutex<State<W>>,
    /// There is a job, or the end.
    news: Condvar,
}

struct State<W> {
    /// At most as many as there are threads: more do not get a place.
    jobs: VecDeque<Job<W>>,
    threads: usize,
    idle: usize,
    ended: bool,
    /// The last thread that was asked for could not be had.
    refused: bool,
}

/// Tells the threads when the last handle is gone.
struct End<W>(Arc<Shared<W>>);

impl<W> Drop for End<W> {
    fn drop(&mut self) {
        self.0.lock().ended = true;
        self.0.news.notify_all();
    }
}

impl<W> Clone for Pool<W> {
    fn clone(&self) -> Self {
        Pool { shared: self.shared.clone(), places: self.places.clone(), _end: self._end.clone() }
    }
}

impl<W: Default + 'static> Pool<W> {
    /// One thread, so that there is always one, and more up to so many when there is work for them.
    pub(crate) fn new(name: &'static str, threads_max: usize) -> io::Result<Self> {
        let state = State { jobs: VecDeque::new(), threads: 1, idle: 0, ended: false, refused: false };
        let shared = Arc::new(Shared { name, threads_max, state: Mutex::new(state), news: Condvar::new() });
        shared.start()?;
        Ok(Pool {
            places: Arc::new(Semaphore::new(threads_max)),
            _end: Arc::new(End(shared.clone())),
            shared,
        })
    }

    /// Runs `work` when a thread is free for it; begun, it is done even if nobody waits any more. `None` if it
    /// panicked.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut W) -> T + Send + 'static,
    ) -> Option<T> {
        let place = self.places.clone().acquire_owned().await.ok()?;
        let (reply, answer) = oneshot::channel();
        self.shared.begin(Box::new(move |workspace| {
            let result = work(workspace);
            drop(place);
            // Nobody may wait any more.
            let _ = reply.send(result);
        }));
        answer.await.ok()
    }
}

impl<W: Default + 'static> Shared<W> {
    fn begin(self: &Arc<Self>, job: Job<W>) {
        let mut state = self.lock();
        state.jobs.push_back(job);
        if state.idle < state.jobs.len() && state.threads < self.threads_max {
            match self.start() {
                Ok(()) => {
                    state.threads += 1;
                    state.refused = false;
                }
                // Those that there are do the work.
                Err(error) if !std::mem::replace(&mut state.refused, true) => {
                    tracing::warn!(%error, name = self.name, threads = state.threads, "no further thread can be had");
                }
                Err(_) => {}
            }
        }
        drop(state);
        self.news.notify_one();
    }

    fn start(self: &Arc<Self>) -> io::Result<()> {
        let shared = self.clone();
        std::thread::Builder::new().name(self.name.to_owned()).spawn(move || shared.work()).map(drop)
    }

    fn work(&self) {
        let mut workspace = W::default();
        let mut state = self.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                if catch_unwind(AssertUnwindSafe(|| job(&mut workspace))).is_err() {
                    // The panic has been reported; whatever it left half done is not used again.
                    workspace = W::default();
                }
                state = self.lock();
            } else if state.ended {
                return;
            } else {
                state.idle += 1;
                state = self.news.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
            }
        }
    }
}

impl<W> Shared<W> {
    fn lock(&self) -> MutexGuard<'_, State<W>> {
        // Jobs run outside the lock, and nothing that is done under it panics half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn no_more_threads_than_allowed_do_all_the_work_and_keep_their_workspaces() {
        let pool = Pool::<usize>::new("test", 2).expect("a thread");
        let (busy, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let jobs = (0..50usize).map(|number| {
            let (busy, most) = (busy.clone(), most.clone());
            pool.run(move |done: &mut usize| {
                most.fetch_max(busy.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                *done += 1;
                std::thread::yield_now();
                busy.fetch_sub(1, Ordering::SeqCst);
                (number, *done)
            })
        });
        let results: Vec<_> = futures::future::join_all(jobs).await.into_iter().flatten().collect();
        assert_eq!(
            results.iter().map(|(number, _)| *number).collect::<Vec<_>>(),
            (0..50).collect::<Vec<_>>()
        );
        assert!(most.load(Ordering::SeqCst) <= 2);
        assert!(results.iter().any(|(_, done)| *done >= 25), "one of two did at least half");
    }

    #[tokio::test]
    async fn a_panic_is_the_end_of_its_work_only() {
        let pool = Pool::<Vec<u8>>::new("test", 1).expect("a thread");
        assert_eq!(pool.run(|kept| kept.push(1)).await, Some(()));
        assert_eq!(
            pool.run(|_| if true {
                panic!("as the test wants")
            })
            .await,
            None
        );
        assert_eq!(pool.run(|kept| kept.len()).await, Some(0));
    }
}
