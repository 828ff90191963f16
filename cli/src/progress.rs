//! One bar with bytes, rate and time left.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

/// How a long transfer shows that it lives. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    moved: Moved,
    verb: Arc<Mutex<&'static str>>,
}

/// When something moved last.
#[derive(Clone, Debug)]
struct Moved(Arc<Mutex<Instant>>);

/// After so long nothing moves, and nobody knows how long the rest will take.
const STILL: Duration = Duration::from_secs(5);

impl Moved {
    fn now(&self) {
        *self.last() = Instant::now();
    }

    fn last(&self) -> MutexGuard<'_, Instant> {
        // An instant is valid whoever panics.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is said of the time left, of which `eta` is the estimate if everything moves.
fn left(still: Duration, eta: Duration) -> String {
    match still {
        still if still >= STILL => format!("nothing moves for {}", HumanDuration(still)),
        _ => format!("{eta:#} left", eta = HumanDuration(eta)),
    }
}

impl Progress {
    /// Without a total there is no bar and no time left, but bytes and rate.
    pub(crate) fn new(verb: &'static str, total: Option<u64>, visible: bool) -> Self {
        let bar = match total {
            Some(total) => ProgressBar::new(total),
            None => ProgressBar::no_length(),
        };
        let target =
            if visible { ProgressDrawTarget::stderr_with_hz(10) } else { ProgressDrawTarget::hidden() };
        bar.set_draw_target(target);
        let moved = Moved(Arc::new(Mutex::new(Instant::now())));
        bar.set_style(style(total.is_some(), &moved));
        bar.set_message(verb);
        if visible {
            // So that time goes on even when nothing arrives.
            bar.enable_steady_tick(Duration::from_millis(250));
        }
        Progress { bar, moved, verb: Arc::new(Mutex::new(verb)) }
    }

    /// So many bytes more.
    pub(crate) fn advance(&self, bytes: u64) {
        self.moved.now();
        self.bar.inc(bytes);
    }

    /// The whole turned out to be so many bytes.
    pub(crate) fn set_total(&self, total: u64) {
        self.bar.set_style(style(true, &self.moved));
        self.bar.set_length(total);
    }

    /// Another phase has begun.
    pub(crate) fn phase(&self, verb: &'static str) {
        self.moved.now();
        *self.verb() = verb;
        self.bar.set_message(verb);
    }

    /// Whether nothing has moved for a while.
    pub(crate) fn is_still(&self) -> bool {
        self.moved.last().elapsed() >= STILL
    }

    /// Says why nothing moves, or again what is being done.
    pub(crate) fn because(&self, reason: Option<String>) {
        match reason {
            Some(reason) => self.bar.set_message(reason),
            None => self.bar.set_message(*self.verb()),
        }
    }

    fn verb(&self) -> MutexGuard<'_, &'static str> {
        // A string is whole whoever panics.
        self.verb.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something else on the screen without tearing the bar.
    pub(crate) fn aside(&self, act: impl FnOnce()) {
        self.bar.suspend(act);
    }

    /// Takes the bar off the screen.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

fn style(with_total: bool, moved: &Moved) -> ProgressStyle {
    let template = if with_total {
        "{msg} {wide_bar} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {left}"
    } else {
        "{spinner} {msg} {binary_bytes} {binary_bytes_per_sec} {elapsed}"
    };
    let moved = moved.clone();
    let style =
        ProgressStyle::with_template(template).expect("the templates are constants and covered by a test");
    style.with_key("left", move |state: &ProgressState, out: &mut dyn fmt::Write| {
        // A bar that cannot be drawn is no reason to end.
        let _ = out.write_str(&left(moved.last().elapsed(), state.eta()));
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_time_is_promised_while_nothing_moves() {
        let eta = Duration::from_secs(90);
        assert!(left(Duration::ZERO, eta).ends_with(" left"));
        let said = left(STILL, eta);
        assert!(said.contains("nothing moves") && !said.contains("left"), "{said}");
    }

    #[test]
    fn both_templates_are_valid() {
        let progress = Progress::new("reading", None, false);
        progress.set_total(10);
        progress.advance(5);
        progress.clear();
    }
}
