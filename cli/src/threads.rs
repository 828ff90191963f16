//! The threads that a daemon cannot do without: there before it says that it is ready, or it does not start. With a
//! limit on threads (`ulimit -u`, a service's `TasksMax`) it could not get them later.

use std::io;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};

use crate::error::CliError;
use crate::exit::ExitStatus;

/// Threads for work that blocks, such as reading what is put. More come with more work, where the system gives them.
/// Design: some puts and gets at a time and the books that each asks meanwhile.
const BLOCKING: usize = 8;
/// Those that the daemon starts by itself: the writer and a reader of shards, a coder, and one that waits for the end
/// of standard input.
const OTHERS: usize = 4;
/// Tokio ends idle threads after this, and panics where it has none left and gets none: for ever, in effect.
const KEPT: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
/// How long a thread may take to begin on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A runtime with so many threads of its own (with 1: the caller's), and those for work that blocks.
pub(crate) fn runtime(threads: usize) -> io::Result<Runtime> {
    let own = if threads == 1 { 0 } else { threads };
    spare(own + BLOCKING + OTHERS)?;
    let mut builder = match threads {
        1 => Builder::new_current_thread(),
        threads => {
            let mut builder = Builder::new_multi_thread();
            builder.worker_threads(threads);
            builder
        }
    };
    let runtime = builder.thread_keep_alive(KEPT).enable_all().build()?;
    at_once(BLOCKING, |work| {
        drop(runtime.spawn_blocking(work));
        Ok(())
    })?;
    Ok(runtime)
}

/// A daemon that gets no threads.
pub(crate) fn refused(error: &io::Error) -> CliError {
    CliError::new(
        ExitStatus::Internal,
        "threads",
        format!("the system does not give as many threads as a daemon needs: {error}"),
    )
    .state("no daemon was started")
    .hint(HINT)
}

/// What to do about it.
pub(crate) const HINT: &str = "raise the limit on processes and threads (ulimit -u; TasksMax of a systemd service; pids.max of a \
                               container), or end other programs of this user";

/// Whether so many threads can be had. Asked first, because Tokio panics where it gets none.
fn spare(count: usize) -> io::Result<()> {
    let before = running();
    at_once(count, |work| thread::Builder::new().spawn(work).map(drop))?;
    // They count until the system has cleared them away.
    let until = Instant::now() + PATIENCE;
    while running() > before && Instant::now() < until {
        thread::yield_now();
    }
    Ok(())
}

/// Threads of this process; 0 where the system does not say.
fn running() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}

/// Has so many threads run at the same time, once.
fn at_once(count: usize, start: impl Fn(Box<dyn FnOnce() + Send>) -> io::Result<()>) -> io::Result<()> {
    let gate = Arc::new(RwLock::new(()));
    let closed = gate.write().unwrap_or_else(PoisonError::into_inner);
    let (here, come): (Sender<()>, Receiver<()>) = mpsc::channel();
    for _ in 0..count {
        let (gate, here) = (gate.clone(), here.clone());
        start(Box::new(move || {
            let _ = here.send(());
            drop(gate.read());
        }))?;
    }
    for _ in 0..count {
        come.recv_timeout(PATIENCE).map_err(|_| io::Error::other(format!("{count} do not run at a time")))?;
    }
    drop(closed);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_cannot_be_had_is_told() {
        let left = std::cell::Cell::new(3);
        let refused = at_once(4, |work| {
            left.set(left.get() - 1);
            if left.get() == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { spawned(work) }
        });
        assert_eq!(refused.expect_err("the third").kind(), io::ErrorKind::WouldBlock);
        at_once(20, spawned).expect("there are");
    }

    fn spawned(work: Box<dyn FnOnce() + Send>) -> io::Result<()> {
        thread::Builder::new().spawn(work).map(drop)
    }
}
