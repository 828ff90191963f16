//! Waiting for a condition, with a deadline and a memory of what was still missing.

use std::fmt::Display;
use std::time::Duration;

use tokio::time::Instant;

/// The first pause between two looks; it doubles up to [`POLL_MAX`], so that quick things are seen quickly
/// and slow ones do not cost the processor that they are waiting for.
const POLL_MIN: Duration = Duration::from_millis(5);
const POLL_MAX: Duration = Duration::from_millis(100);

/// The condition did not become true in time.
#[derive(Debug, thiserror::Error)]
#[error("{what}: not after {:.1} s; {missing}", waited.as_secs_f64())]
pub struct WaitError {
    /// What was waited for.
    pub what: String,
    /// What was still missing at the last look.
    pub missing: String,
    /// How long it was waited for.
    pub waited: Duration,
}

/// Looks again and again until `look` gives a value, or the time is up. What `look` gives as its error is
/// what is still missing; the last one is reported.
pub async fn wait_until<T, M, F>(
    what: &str,
    at_most: Duration,
    mut look: impl FnMut() -> F,
) -> Result<T, WaitError>
where
    M: Display,
    F: Future<Output = Result<T, M>>,
{
    let started = Instant::now();
    let deadline = started + at_most;
    let mut pause = POLL_MIN;
    let mut missing = "nobody has looked yet".to_string();
    loop {
        match tokio::time::timeout_at(deadline, look()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(reason)) => missing = reason.to_string(),
            Err(_) => missing.push_str(" (and the last look did not return)"),
        }
        if Instant::now() + pause >= deadline {
            return Err(WaitError { what: what.to_string(), missing, waited: started.elapsed() });
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(POLL_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};

    #[tokio::test(start_paused = true)]
    async fn a_condition_that_comes_true_gives_its_value() {
        let mut looks = 0;
        let value = wait_until("counting", Duration::from_secs(5), || {
            looks += 1;
            ready(if looks < 7 { Err(format!("{looks} of 7")) } else { Ok(looks) })
        })
        .await
        .expect("comes true");
        assert_eq!(value, 7);
    }

    #[tokio::test(start_paused = true)]
    async fn a_condition_that_never_comes_says_what_is_missing() {
        let error = wait_until("two daemons", Duration::from_secs(3), || ready(Err::<(), _>("1 of 2")))
            .await
            .expect_err("never");
        assert_eq!(error.missing, "1 of 2");
        assert!(error.waited <= Duration::from_secs(3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_hangs_does_not_outlast_the_deadline() {
        let error = wait_until("a silent daemon", Duration::from_secs(3), pending::<Result<(), &str>>)
            .await
            .expect_err("never");
        assert!(error.to_string().contains("did not return"), "{error}");
    }
}
