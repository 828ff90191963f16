//! A watchdog ends the daemon unless it hears of it in time, so it hears of it only after the driver's loop went round.

use std::ffi::OsString;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// How often the driver's loop shows that it goes round.
const BEAT: Duration = Duration::from_secs(1);

/// How often to feed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Watchdog {
    /// Between two times that it is fed.
    pause: Duration,
}

impl Watchdog {
    /// As `WATCHDOG_USEC` asks for, if it is meant for this process (`WATCHDOG_PID`).
    pub(super) fn wanted(microseconds: Option<OsString>, process: Option<OsString>) -> Option<Watchdog> {
        let number = |text: OsString| text.to_str()?.parse::<u64>().ok();
        if process.is_some_and(|process| number(process) != Some(u64::from(std::process::id()))) {
            return None;
        }
        let limit = number(microseconds?).filter(|limit| *limit > 0)?;
        // In the first half of the time: the other is for a busy machine. It is fed at a beat, which may be a second
        // away.
        Some(Watchdog { pause: (Duration::from_micros(limit) / 2).saturating_sub(BEAT) })
    }

    /// Feeds it at beats of the driver's loop, until there is no such loop.
    pub(super) async fn feed(self, mut beats: watch::Receiver<()>, mut feed: impl FnMut()) {
        let mut fed: Option<Instant> = None;
        while beats.changed().await.is_ok() {
            if fed.is_none_or(|at| at.elapsed() >= self.pause) {
                fed = Some(Instant::now());
                feed();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn it_is_fed_in_half_of_the_time_and_only_by_the_process_it_is_for() {
        let wanted = |microseconds: Option<&str>, process: Option<&str>| {
            let watchdog = Watchdog::wanted(microseconds.map(OsString::from), process.map(OsString::from));
            watchdog.map(|watchdog| watchdog.pause.as_millis())
        };
        let own = std::process::id().to_string();
        assert_eq!(wanted(Some("60000000"), Some(&own)), Some(29_000));
        assert_eq!(wanted(Some("60000000"), None), Some(29_000));
        assert_eq!(wanted(Some("2000000"), None), Some(0), "at every beat");
        assert_eq!(wanted(Some("60000000"), Some("1")), None);
        assert_eq!(wanted(Some("60000000"), Some("")), None);
        for none in [None, Some("0"), Some(""), Some("soon"), Some("-1")] {
            assert_eq!(wanted(none, None), None, "{none:?}");
        }
    }

    #[tokio::test]
    async fn it_is_fed_by_the_loop_and_by_nothing_else() {
        let (beat, beats) = watch::channel(());
        let fed = Cell::new(0);
        let mut feeding = Box::pin(Watchdog { pause: Duration::ZERO }.feed(beats, || fed.set(fed.get() + 1)));
        for beaten in 1..=3 {
            beat.send_replace(());
            // A loop that hangs: however much time passes, the same beat counts once.
            assert!(tokio::time::timeout(Duration::from_millis(50), &mut feeding).await.is_err());
            assert_eq!(fed.get(), beaten);
        }
        drop(beat);
        feeding.await;
        assert_eq!(fed.get(), 3);
    }

    #[tokio::test]
    async fn beats_in_between_are_not_passed_on() {
        let (beat, beats) = watch::channel(());
        let fed = Cell::new(0);
        let feeding = Watchdog { pause: Duration::from_secs(3600) }.feed(beats, || fed.set(fed.get() + 1));
        let beating = async {
            for _ in 0..5 {
                beat.send_replace(());
                tokio::task::yield_now().await;
            }
            drop(beat);
        };
        tokio::join!(feeding, beating);
        assert_eq!(fed.get(), 1);
    }
}
