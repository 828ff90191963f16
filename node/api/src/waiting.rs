//! How long a client waits for the head of an answer.

use std::time::Duration;

use hyper::Response;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};

use super::client_error::{ClientError, describe};
use super::upload::Flow;

/// Waits for the head of an answer, for as long as the daemon may be silent. While a body is being sent, that is
/// counted from the last frame that was taken, and only while the daemon is the one that does not move.
pub(super) async fn wait_for_head(
    answering: impl Future<Output = hyper::Result<Response<Incoming>>>,
    silent_max: Duration,
    flow: Option<&Flow>,
) -> Result<Response<Incoming>, ClientError> {
    let answered = match flow {
        Some(flow) => while_it_moves(answering, silent_max, flow).await,
        None => tokio::time::timeout(silent_max, answering).await.ok(),
    };
    let answered = answered.ok_or(ClientError::Stalled { after: silent_max })?;
    answered.map_err(|error| ClientError::Lost(describe(&error)))
}

/// `None`: nothing moved for so long.
async fn while_it_moves<F: Future>(answering: F, silent_max: Duration, flow: &Flow) -> Option<F::Output> {
    let mut answering = std::pin::pin!(answering);
    loop {
        let silent_since = Instant::now();
        let moves_or_answers = async {
            tokio::select! {
                biased;
                answer = &mut answering => Some(answer),
                () = flow.moved() => None,
            }
        };
        let mut moves_or_answers = std::pin::pin!(moves_or_answers);
        let outcome = match timeout_at(silent_since + silent_max, &mut moves_or_answers).await {
            Ok(outcome) => outcome,
            // The next to move is whoever feeds the body, who may take any time.
            Err(_) if flow.starved() => moves_or_answers.await,
            Err(_) => return None,
        };
        if outcome.is_some() {
            return outcome;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::time::{sleep, timeout};

    use super::*;

    const SILENT_MAX: Duration = Duration::from_secs(120);
    const LITTLE: Duration = Duration::from_millis(1);

    #[tokio::test(start_paused = true)]
    async fn silence_is_counted_from_the_last_frame_and_once() {
        let (began, flow) = (Instant::now(), Flow::default());
        let feeding = async {
            for _ in 0..3 {
                sleep(Duration::from_secs(100)).await;
                flow.took_a_frame();
            }
        };
        let (outcome, ()) = tokio::join!(while_it_moves(pending::<()>(), SILENT_MAX, &flow), feeding);
        assert_eq!(outcome, None);
        let took = began.elapsed();
        assert!(took >= Duration::from_secs(420) && took < Duration::from_secs(420) + 5 * LITTLE, "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_may_take_any_time_and_the_daemon_not() {
        let flow = Flow::default();
        flow.starves();
        let mut waiting = Box::pin(while_it_moves(pending::<()>(), SILENT_MAX, &flow));
        assert!(timeout(SILENT_MAX * 5, &mut waiting).await.is_err(), "the source is waited for");
        flow.took_a_frame();
        let began = Instant::now();
        assert_eq!(waiting.await, None);
        assert!(began.elapsed() <= SILENT_MAX + 5 * LITTLE);
    }
}
