//! Whoever changes a volume is answered, whatever becomes of the others, and overwrites nothing that it has not seen.

use std::sync::atomic::{AtomicUsize, Ordering};

use chordage_api::volume::Capability;
use chordage_dht::AnyMetric;
use chordage_storage::volume::Value;

use super::super::keys::VolumeKeys;
use super::super::view::tests::{Memory, reference};
use super::*;
use crate::network::NetworkFingerprint;

const SOON: Duration = Duration::from_secs(60);

fn pending(action: Action) -> (Pending, oneshot::Receiver<Result<Committed, VolumesError>>) {
    let (done, answer) = oneshot::channel();
    (Pending { action, keys: 1, done }, answer)
}

fn nothing() -> Action {
    Box::new(|_| Ok(()))
}

fn put(key: &'static str) -> Action {
    Box::new(move |view| {
        view.put(key.into(), Value::default());
        Ok(())
    })
}

fn fails_after(key: &'static str) -> Action {
    Box::new(move |view| {
        view.put(key.into(), Value::default());
        Err(VolumesError::Conflict(key.to_owned()))
    })
}

async fn answered(batch: Vec<Pending>) {
    tokio::task::yield_now().await;
    let seq = batch.len() as u64;
    for Pending { done, .. } in batch {
        let _ = done.send(Ok(Committed { seq, state: PublishState::Stored }));
    }
}

async fn lost(batch: Vec<Pending>) {
    drop(batch);
}

#[test]
fn a_change_that_fails_leaves_nothing_and_alone_is_told() {
    let (mut batch, mut answers): (Vec<_>, Vec<_>) =
        [put("a"), fails_after("b"), put("c"), fails_after("d")].map(pending).into_iter().unzip();
    let mut memory = Memory::default();
    let mut view = View::new(None, &mut memory);
    let failures = make_all(&mut view, &mut batch);
    assert_eq!(view.into_changes().into_keys().collect::<Vec<_>>(), [b"a", b"c"]);
    let rest = tell(batch, failures);
    assert_eq!(rest.len(), 2);
    let told: Vec<bool> = answers.iter_mut().map(|answer| matches!(answer.try_recv(), Ok(Err(_)))).collect();
    assert_eq!(told, [false, true, false, true]);
}

#[tokio::test]
async fn changes_that_wait_are_stored_together() {
    let queue = Arc::new(Queue::default());
    let turn = queue.turn.clone().lock_owned().await;
    let waiting: Vec<_> =
        (0..TOGETHER_MAX + 10).map(|_| tokio::spawn(queue.clone().store((nothing(), 1), answered))).collect();
    while queue.pending.lock().unwrap().len() < waiting.len() {
        tokio::task::yield_now().await;
    }
    drop(turn);
    let mut together = Vec::new();
    for waiting in waiting {
        let outcome = tokio::time::timeout(SOON, waiting).await.unwrap().unwrap();
        together.push(outcome.unwrap().seq as usize);
    }
    together.sort_unstable();
    assert_eq!(
        (together[0], together[9], together[10]),
        (10, 10, TOGETHER_MAX),
        "no more at once than allowed"
    );
}

#[test]
fn few_changes_of_many_keys_are_stored_together() {
    let queue = Queue::default();
    let third = KEYS_TOGETHER_MAX / 3;
    let many = [third, third, third, third, KEYS_TOGETHER_MAX + 1, third];
    for keys in many {
        let (done, _) = oneshot::channel();
        queue.push(Pending { action: nothing(), keys, done });
    }
    let taken: Vec<usize> = std::iter::repeat_with(|| queue.take().len()).take(5).collect();
    assert_eq!(taken, [3, 1, 1, 1, 0], "what is more than is stored together is stored alone");
}

#[tokio::test]
async fn whoever_waits_is_answered_though_many_before_have_left() {
    let queue = Arc::new(Queue::default());
    let turn = queue.turn.clone().lock_owned().await;
    let mut left: Vec<_> =
        (0..TOGETHER_MAX + 10).map(|_| Box::pin(queue.clone().store((nothing(), 1), answered))).collect();
    for left in &mut left {
        assert!(futures::poll!(left).is_pending());
    }
    drop(left);
    let mut waiting = Box::pin(queue.clone().store((nothing(), 1), answered));
    assert!(futures::poll!(&mut waiting).is_pending());
    drop(turn);
    assert_eq!(tokio::time::timeout(SOON, waiting).await.unwrap().unwrap().seq, 11);
    assert!(queue.take().is_empty());
}

#[tokio::test]
async fn a_batch_that_is_lost_leaves_nobody_waiting() {
    let queue = Arc::new(Queue::default());
    let all = (0..5).map(|_| queue.clone().store((nothing(), 1), lost));
    for outcome in tokio::time::timeout(SOON, futures::future::join_all(all)).await.unwrap() {
        assert!(matches!(outcome, Err(VolumesError::Stopped)));
    }
}

#[tokio::test]
async fn what_was_begun_goes_on_when_its_request_ends() {
    let queue = Arc::new(Queue::default());
    let (began, goes_on) = (Arc::new(tokio::sync::Notify::new()), Arc::new(tokio::sync::Notify::new()));
    let ended = Arc::new(AtomicUsize::new(0));
    let (told, wait, count) = (began.clone(), goes_on.clone(), ended.clone());
    let work = move |batch| {
        let (told, wait, count) = (told.clone(), wait.clone(), count.clone());
        async move {
            told.notify_one();
            wait.notified().await;
            count.fetch_add(1, Ordering::SeqCst);
            answered(batch).await;
        }
    };
    let request = tokio::spawn(queue.clone().store((nothing(), 1), work.clone()));
    tokio::time::timeout(SOON, began.notified()).await.unwrap();
    let other = tokio::spawn(queue.clone().store((nothing(), 1), work));
    request.abort();
    assert!(request.await.unwrap_err().is_cancelled());
    goes_on.notify_one();
    tokio::time::timeout(SOON, began.notified()).await.unwrap();
    assert_eq!(
        ended.load(Ordering::SeqCst),
        1,
        "the change of the request that ended is stored before the next"
    );
    goes_on.notify_one();
    assert!(tokio::time::timeout(SOON, other).await.unwrap().unwrap().is_ok());
}

#[test]
fn a_change_follows_only_the_head_that_it_was_made_on() {
    let keys = VolumeKeys::of(&Capability::Write { secret: [1; 32] }).unwrap();
    let held = |name: &[u8], seen| {
        let root = MapRoot { chunk: reference(name), level: 0, keys: 1 };
        let record =
            head::next(&keys, NetworkFingerprint::of("a", AnyMetric::Ring), None, seen, &root).unwrap();
        Held { record, ballot: Default::default() }
    };
    let (base, other, newer) = (held(b"base", 5), held(b"other", 5), held(b"base", 6));
    assert!(may_follow(Some(&base), Some(&base)));
    assert!(!may_follow(Some(&other), Some(&base)), "another has written under the same number");
    assert!(!may_follow(Some(&newer), Some(&base)));
    assert!(!may_follow(Some(&base), None), "the first change of all found another before it");
    assert!(may_follow(None, Some(&base)), "those who keep it have lost it");
    assert!(may_follow(None, None));
}
