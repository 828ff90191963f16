//! One bar with bytes, rate and time left.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::charset::Charset;
use crate::human;
use crate::width;

/// How a long transfer shows that it lives. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    doing: Doing,
}

/// What is being done, and when something moved last.
#[derive(Clone, Debug)]
struct Doing(Arc<Mutex<Now>>);

#[derive(Debug)]
struct Now {
    verb: &'static str,
    /// Why nothing moves, if that is known.
    because: Option<String>,
    moved: Instant,
}

/// A bar of fewer cells shows nothing.
const CELLS_MIN: usize = 4;

/// After so long nothing moves, and nobody knows how long the rest will take.
const STILL: Duration = Duration::from_secs(5);

impl Doing {
    fn begin(&self, verb: &'static str) {
        *self.get() = Now { verb, because: None, moved: Instant::now() };
    }

    fn moves(&self) {
        self.get().moved = Instant::now();
    }

    fn get(&self) -> MutexGuard<'_, Now> {
        // It is valid whoever panics.
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
        let doing = Doing(Arc::new(Mutex::new(Now { verb, because: None, moved: Instant::now() })));
        bar.set_style(style(&doing));
        if visible {
            // So that time goes on even when nothing arrives.
            bar.enable_steady_tick(Duration::from_millis(250));
        }
        Progress { bar, doing }
    }

    /// So many bytes more.
    pub(crate) fn advance(&self, bytes: u64) {
        self.doing.moves();
        self.bar.inc(bytes);
    }

    /// The whole turned out to be so many bytes.
    pub(crate) fn set_total(&self, total: u64) {
        self.bar.set_length(total);
    }

    /// Another phase has begun.
    pub(crate) fn phase(&self, verb: &'static str) {
        self.doing.begin(verb);
        self.bar.tick();
    }

    /// Whether nothing has moved for a while.
    pub(crate) fn is_still(&self) -> bool {
        self.doing.get().moved.elapsed() >= STILL
    }

    /// Says why nothing moves, or again what is being done.
    pub(crate) fn because(&self, reason: Option<String>) {
        self.doing.get().because = reason;
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

/// The whole line is ours, so that it is as wide as everything else that the program shows.
fn style(doing: &Doing) -> ProgressStyle {
    let (doing, charset) = (doing.clone(), Charset::of_locale());
    let style =
        ProgressStyle::with_template("{line}").expect("the template is a constant and covered by a test");
    style.with_key("line", move |state: &ProgressState, out: &mut dyn fmt::Write| {
        let now = doing.get();
        let line = Line {
            verb: now.because.as_deref().unwrap_or(now.verb),
            done: state.pos(),
            total: state.len(),
            per_second: state.per_sec(),
            elapsed: state.elapsed(),
            left: left(now.moved.elapsed(), state.eta()),
        };
        // A bar that cannot be drawn is no reason to end.
        let _ = out.write_str(&line.drawn(width::columns(io::stderr()), charset));
    })
}

/// What is shown at one moment.
struct Line<'a> {
    verb: &'a str,
    done: u64,
    total: Option<u64>,
    per_second: f64,
    elapsed: Duration,
    left: String,
}

impl Line<'_> {
    /// Of at most so many columns: first the bar becomes shorter, then the end is cut off.
    fn drawn(&self, columns: usize, charset: Charset) -> String {
        let (verb, done) = (self.verb, human::bytes(self.done));
        let rate = human::rate(self.per_second as u64, 1.0);
        let line = match self.total {
            Some(total) => {
                let numbers = format!("{done}/{} {rate} {}", human::bytes(total), self.left);
                let cells = columns.saturating_sub(verb.len() + numbers.len() + 2);
                match cells >= CELLS_MIN {
                    true => format!("{verb} {} {numbers}", bar(self.done, total, cells, charset)),
                    false => format!("{verb} {numbers}"),
                }
            }
            None => {
                let spinner = char::from(b"|/-\\"[(self.elapsed.as_millis() / 250 % 4) as usize]);
                format!("{spinner} {verb} {done} {rate} {:#}", HumanDuration(self.elapsed))
            }
        };
        line.chars().take(columns).collect()
    }
}

fn bar(done: u64, total: u64, cells: usize, charset: Charset) -> String {
    let full = (cells as f64 * (done as f64 / total.max(1) as f64).min(1.0)) as usize;
    let cell =
        |index| if index < full { charset.pick('#', '\u{2588}') } else { charset.pick('-', '\u{2591}') };
    (0..cells).map(cell).collect()
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

    fn line(done: u64, total: Option<u64>) -> Line<'static> {
        let elapsed = Duration::from_millis(1300);
        Line { verb: "storing", done, total, per_second: 3e6, elapsed, left: "5s left".to_owned() }
    }

    #[test]
    fn it_is_as_wide_as_there_are_columns() {
        for done in [0, 1 << 20, 64 << 20, 65 << 20] {
            for columns in 20..200 {
                let bar = line(done, Some(64 << 20)).drawn(columns, Charset::Unicode);
                let width = bar.chars().count();
                assert!(
                    width <= columns && (columns < 60 || width == columns),
                    "{width} of {columns}: {bar}"
                );
                assert!(line(done, None).drawn(columns, Charset::Unicode).len() <= columns);
            }
        }
    }

    #[test]
    fn the_bar_grows_with_what_is_done() {
        let full =
            |done| bar(done, 8, 10, Charset::Unicode).chars().filter(|cell| *cell == '\u{2588}').count();
        assert_eq!(bar(4, 8, 10, Charset::Ascii), "#####-----");
        assert_eq!([0, 4, 8, 9].map(full), [0, 5, 10, 10]);
        assert_eq!(bar(0, 0, 4, Charset::Ascii).chars().count(), 4, "of nothing");
    }

    #[test]
    fn the_template_is_valid() {
        let progress = Progress::new("reading", None, false);
        progress.set_total(10);
        progress.advance(5);
        progress.clear();
    }
}
