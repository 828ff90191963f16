//! What a daemon says on its standard error and output. Where that goes may be full, slow or gone, and nothing that a
//! daemon does may wait for it or end by it: lines wait in a bounded queue for a thread of their own, and one that
//! cannot be written is dropped and counted.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Lines that may wait. Design: what a daemon with a verbose log says in a second or two.
const WAITING_MAX: usize = 4096;
/// Bytes that may wait.
const WAITING_BYTES_MAX: usize = 4 << 20;

/// Lines of this process that were dropped: it has one standard error and one standard output.
static LOST: AtomicU64 = AtomicU64::new(0);

/// Lines that could not be written since the process started.
pub fn lost() -> u64 {
    LOST.load(Relaxed)
}

/// Where a line goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// The queue. Cheap to clone; its thread ends with the process.
#[derive(Clone, Debug)]
pub struct Lines {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// There is a line.
    news: Condvar,
    /// There is none any more.
    done: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<(Stream, Vec<u8>)>,
    bytes: usize,
    /// One is being written.
    writing: bool,
}

impl Lines {
    /// Starts the thread that writes to this process's standard error and output.
    pub fn start() -> io::Result<Lines> {
        Lines::to(|stream, line| match stream {
            Stream::Out => {
                let mut out = io::stdout().lock();
                out.write_all(line).and_then(|()| out.flush())
            }
            Stream::Err => io::stderr().write_all(line),
        })
    }

    fn to(mut write: impl FnMut(Stream, &[u8]) -> io::Result<()> + Send + 'static) -> io::Result<Lines> {
        let lines = Lines { shared: Arc::default() };
        let shared = lines.shared.clone();
        std::thread::Builder::new().name("lines".to_owned()).spawn(move || {
            loop {
                let (stream, line) = shared.next();
                if write(stream, &line).is_err() {
                    LOST.fetch_add(1, Relaxed);
                }
            }
        })?;
        Ok(lines)
    }

    /// Says a line, which ends with its line feed. It never waits: what does not fit is dropped and counted.
    pub fn say(&self, stream: Stream, line: &[u8]) {
        let mut state = self.shared.lock();
        if state.waiting.len() >= WAITING_MAX || state.bytes + line.len() > WAITING_BYTES_MAX {
            drop(state);
            LOST.fetch_add(1, Relaxed);
            return;
        }
        state.bytes += line.len();
        state.waiting.push_back((stream, line.to_vec()));
        drop(state);
        self.shared.news.notify_one();
    }

    /// Waits until all that was said is written or dropped, but no longer than `patience`.
    pub fn flush(&self, patience: Duration) {
        let state = self.shared.lock();
        let busy = |state: &mut State| state.writing || !state.waiting.is_empty();
        // What is left then is lost with the process.
        drop(self.shared.done.wait_timeout_while(state, patience, busy));
    }
}

/// A line of the log comes in one call.
impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.say(Stream::Err, line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that is done under it panics half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the next line.
    fn next(&self) -> (Stream, Vec<u8>) {
        let mut state = self.lock();
        state.writing = false;
        if state.waiting.is_empty() {
            self.done.notify_all();
        }
        loop {
            if let Some((stream, line)) = state.waiting.pop_front() {
                state.bytes -= line.len();
                state.writing = true;
                return (stream, line);
            }
            state = self.news.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// What each may take, far more than needed.
    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn lines_come_in_order_and_those_that_fail_or_do_not_fit_are_counted() {
        // All in one test, because the count is the process's.
        let (written, seen) = mpsc::channel();
        let (go, gate) = mpsc::sync_channel::<()>(0);
        let lines = Lines::to(move |stream, line| {
            let _ = gate.recv();
            if line == b"bad\n" {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let _ = written.send((stream, line.to_vec()));
            Ok(())
        })
        .expect("a thread");
        let before = lost();
        lines.say(Stream::Out, b"first\n");
        lines.say(Stream::Err, b"bad\n");
        lines.say(Stream::Err, b"last\n");
        for _ in 0..3 {
            go.send(()).expect("it waits");
        }
        lines.flush(PATIENCE);
        let came: Vec<_> = seen.try_iter().collect();
        assert_eq!(came, [(Stream::Out, b"first\n".to_vec()), (Stream::Err, b"last\n".to_vec())]);
        assert_eq!(lost() - before, 1);

        // The writer stands still from here on: one line is with it, so many wait, and the rest does not fit.
        for _ in 0..WAITING_MAX + 10 {
            lines.say(Stream::Err, b"waits\n");
        }
        assert!((10..=11).contains(&(lost() - before)), "{}", lost() - before);
        lines.flush(Duration::from_millis(1));
        drop(go);
        lines.flush(PATIENCE);
        assert!(seen.try_iter().count() >= WAITING_MAX);
    }
}
