//! Waiting while keys are tried on all cores: a line on the terminal that lives, and an end with Ctrl-C.

use std::io;
use std::time::{Duration, Instant};

use chordage_node::access::{AccessError, Trying};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::{MissedTickBehavior, interval};

use crate::human;
use crate::interrupt::Interrupt;
use crate::printer::Printer;
use crate::width;

/// How often the line on the terminal changes.
const TICK: Duration = Duration::from_millis(250);

/// Waits for what tries keys, or asks somebody, until it ends. It is told to by an interrupt, and ends soon then.
pub(crate) async fn watched<T>(
    work: impl Future<Output = Result<T, AccessError>>,
    trying: &Trying,
    printer: &Printer,
    mut interrupt: Interrupt,
) -> Result<T, AccessError> {
    let bar = ProgressBar::no_length();
    let visible = printer.shows_progress();
    bar.set_draw_target(if visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() });
    bar.set_style(ProgressStyle::with_template("{msg}").expect("the template is a constant"));
    let (started, mut work, mut tick) = (Instant::now(), std::pin::pin!(work), interval(TICK));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            ended = &mut work => {
                bar.finish_and_clear();
                return ended;
            }
            () = interrupt.wait() => trying.stop(),
            _ = tick.tick() => {
                if trying.tried() > 0 {
                    let line = said(trying.tried(), trying.expected(), started.elapsed());
                    bar.set_message(line.chars().take(width::columns(io::stderr())).collect::<String>());
                }
            }
        }
    }
}

/// How far it is. Chance has no memory: after as many tries as are expected, as many are still to be expected.
fn said(tried: u64, expected: u64, elapsed: Duration) -> String {
    let rate = (tried as f64 / elapsed.as_secs_f64().max(0.001)).max(1.0);
    let usual = human::seconds(expected as f64 / rate);
    format!(
        "trying keys for {}: {tried} so far, one in {expected} will do, which takes {usual} on average",
        human::seconds(elapsed.as_secs() as f64)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_how_many_and_how_long_that_usually_takes() {
        let line = said(100_000, 1 << 18, Duration::from_secs(4));
        assert!(line.contains("100000 so far") && line.contains("one in 262144"), "{line}");
        assert!(line.contains("takes 10 s") || line.contains("takes 10.5 s"), "{line}");
        assert!(said(0, 1, Duration::ZERO).contains("0 so far"));
    }
}
