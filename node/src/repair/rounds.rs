//! The rounds: again and again through everything that is held, arc by arc, spread over the time between surveys.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chordage_api::types::DaemonRole;
use chordage_dht::Peer;
use chordage_storage::repair::{Answer, ChunkRecord, Holder, Job, Moment, Need, assess, is_at_risk};
use chordage_storage::{ChunkId, ShardKey, ShardSet};
use tokio::time::{Instant, sleep, sleep_until};

use super::choice::shown;
use super::rebuild::free_to_take;
use super::short::holder;
use super::stats::Tally;
use super::survey::Questions;
use super::{Inner, now};
use crate::placement::Arcs;

/// Shards that are looked at together. This bounds the memory of a round.
const BATCH: usize = 512;
/// Holders that are not a chunk's leader survey it in every so-manieth round.
const SELDOM: u64 = 8;
/// The first round begins after this at the latest: a daemon that has just started has better things to do.
const FIRST_MAX: Duration = Duration::from_secs(60);
/// How often a daemon that is part of no network looks whether it has become so.
const JOIN_PATIENCE: Duration = Duration::from_secs(60);

pub(super) async fn run(inner: Arc<Inner>) {
    let period = Duration::from_secs(inner.config.survey_seconds);
    // At a time of its own, so that daemons started together do not survey together.
    let share = u32::from(inner.placement.local.as_bytes()[0]) + 1;
    sleep(period.min(FIRST_MAX) / 2 + period.min(FIRST_MAX) * share / 512).await;
    let mut round = 0;
    let mut part = inner.part.clone();
    loop {
        if part.wait_for(|part| *part == DaemonRole::Member).await.is_err() {
            return;
        }
        if !inner.placement.driver.joined_within(JOIN_PATIENCE).await {
            continue;
        }
        let next = Instant::now() + period;
        count_churn(&inner);
        let shards = inner.holders.store.shards().usage().shards;
        let pause = period * u32::try_from(BATCH).unwrap_or(u32::MAX)
            / u32::try_from(shards).unwrap_or(u32::MAX).max(1);
        if let Some(tally) = walk(&inner, round, pause.min(period)).await {
            let mut state = inner.state();
            state.stats.rounds += 1;
            state.stats.last_round = tally;
            round += 1;
        }
        inner.ledger(|ledger| ledger.flush()).await;
        sleep_until(next).await;
    }
}

/// Notes for how long how many neighbours were watched, and which of those that went have not come back.
fn count_churn(inner: &Inner) {
    let now = now();
    let mut state = inner.state();
    let before = std::mem::replace(&mut state.stats.churn_counted, now);
    if before == Moment(0) {
        return;
    }
    let hours = now.since(before).as_secs_f64() / 3600.0;
    let lost = |since: &Moment| {
        let at = since.after(inner.patience.lost_after);
        before < at && at <= now
    };
    let losses = state.gone.values().filter(|since| lost(since)).count() as u64;
    let neighbours = state.neighbours.len() as f64;
    state.stats.churn.node_hours += neighbours * hours;
    state.stats.churn.losses += losses;
}

/// One round. `None` if it could not be finished.
async fn walk(inner: &Inner, round: u64, pause: Duration) -> Option<Tally> {
    let mut arcs = inner.placement.arcs().await?;
    let mut tally = Tally::default();
    let mut after: Option<ShardKey> = None;
    loop {
        let shards = inner.holders.store.list(after, BATCH).await.ok()?;
        let Some((last, _)) = shards.last().copied() else { return Some(tally) };
        let full = shards.len() == BATCH;
        let mut chunks: Vec<ChunkId> = shards.into_iter().map(|(key, _)| key.chunk).collect();
        chunks.dedup();
        // A chunk whose first shards ended the last batch has been looked at.
        if let Some(seen) = after {
            chunks.retain(|chunk| *chunk != seen.chunk);
        }
        batch(inner, &mut arcs, round, after.map(|key| key.chunk), chunks, &mut tally).await?;
        after = Some(last);
        if full {
            sleep(pause).await;
        }
    }
}

/// A chunk in a batch.
struct Watched {
    record: ChunkRecord,
    /// In rendezvous order.
    window: Vec<Peer>,
    /// Whether somebody can take a shard, as of the survey.
    has_place: bool,
}

async fn batch(
    inner: &Inner,
    arcs: &mut Arcs,
    round: u64,
    after: Option<ChunkId>,
    chunks: Vec<ChunkId>,
    tally: &mut Tally,
) -> Option<()> {
    let (Some(&first), Some(&last)) = (chunks.first(), chunks.last()) else { return Some(()) };
    let mut records = inner.ledger(move |ledger| ledger.range(&after.unwrap_or(first), &last)).await?;
    if let Some(after) = after {
        records.remove(&after);
    }
    let unknown: Vec<ChunkId> = chunks.iter().filter(|chunk| !records.contains_key(chunk)).copied().collect();
    let mut changes: BTreeMap<ChunkId, Option<ChunkRecord>> = BTreeMap::new();
    // Chunks of which nothing is held any more are none of our business.
    changes.extend(records.keys().filter(|id| chunks.binary_search(id).is_err()).map(|id| (*id, None)));
    changes.keys().for_each(|id| inner.forget(id));
    for (chunk, descriptor) in
        unknown.iter().zip(inner.holders.store.descriptors(unknown.clone()).await.ok()?)
    {
        // Deleted or damaged since it was listed: no matter.
        let Some(descriptor) = descriptor else { continue };
        let shard_len = u32::try_from(descriptor.shard_len()).unwrap_or(u32::MAX);
        let record = ChunkRecord::new(descriptor.redundancy(), shard_len, now());
        changes.insert(*chunk, Some(record.clone()));
        records.insert(*chunk, record);
    }

    let gone = inner.state().gone.clone();
    let mut due: BTreeMap<ChunkId, Watched> = BTreeMap::new();
    for chunk in chunks {
        let Some(record) = records.remove(&chunk) else { continue };
        tally.chunks += 1;
        let window = arcs.window(&inner.placement, chunk, record.redundancy()).await?;
        let rank = rank(inner, &record, &window, &gone);
        let doubts = inner.state().looks.doubts(&chunk);
        if rank == 0 || doubts || round % SELDOM == rank % SELDOM {
            due.insert(chunk, Watched { record, window, has_place: false });
        } else {
            count(inner, chunk, tally, &record, &assess(&record, now(), &inner.patience));
        }
    }
    survey(inner, &mut due, &gone).await;
    for (chunk, watched) in due {
        changes.insert(chunk, Some(watched.record.clone()));
        consider(inner, chunk, &watched, tally);
    }
    inner
        .ledger(move |ledger| ledger.write(changes.iter().map(|(chunk, record)| (chunk, record.as_ref()))))
        .await
}

/// How many live holders come before us in the chunk's order: the leader's rank is 0. Before anybody was asked,
/// everybody in the window may be a holder.
fn rank(inner: &Inner, record: &ChunkRecord, window: &[Peer], gone: &BTreeMap<Holder, Moment>) -> u64 {
    let holders: Vec<Holder> = record.holders().collect();
    let before = window.iter().take_while(|peer| !inner.placement.is_local(peer));
    before
        .map(holder)
        .filter(|peer| (holders.is_empty() || holders.contains(peer)) && !gone.contains_key(peer))
        .count() as u64
}

/// Asks the holders of each chunk, and where not all of them show their shards, everybody in the window.
async fn survey(inner: &Inner, due: &mut BTreeMap<ChunkId, Watched>, gone: &BTreeMap<Holder, Moment>) {
    let mut first = Questions::default();
    for (chunk, Watched { record, window, .. }) in due.iter() {
        let holders: Vec<Holder> = record.holders().collect();
        let known = |peer: &&Peer| holders.contains(&holder(peer)) || inner.placement.is_local(peer);
        window.iter().filter(known).for_each(|peer| first.add(peer, *chunk));
    }
    let mut answers = first.ask(inner).await;
    let mut second = Questions::default();
    for (chunk, Watched { record, window, .. }) in due.iter() {
        let answered = answers.get(chunk).map(Vec::as_slice).unwrap_or_default();
        if shown(answered).len() < usize::from(record.redundancy().n()) {
            let new = |peer: &&Peer| !answered.iter().any(|(other, _)| other.id() == peer.id());
            window.iter().filter(new).for_each(|peer| second.add(peer, *chunk));
        }
    }
    for (chunk, more) in second.ask(inner).await {
        answers.entry(chunk).or_default().extend(more);
    }
    let now = now();
    for (chunk, watched) in due.iter_mut() {
        let answers = answers.remove(chunk).unwrap_or_default();
        let redundancy = watched.record.redundancy();
        let whole = shown(&answers).len() >= usize::from(redundancy.n());
        if !whole {
            let window = watched.window.clone();
            let free = free_to_take(inner, *chunk, redundancy, window, &answers, now);
            watched.has_place = !free.is_empty();
        }
        let answers: Vec<Answer> = answers.into_iter().map(|(_, answer)| answer).collect();
        let mut state = inner.state();
        // What is said by those who are not believed counts for nothing, and is not waited for either.
        let heard = |peer: &Peer| {
            let holder = holder(peer);
            let said = answers.iter().any(|answer| answer.holder == holder && answer.held.is_some());
            said || state.standings.distrusts(holder, now)
        };
        let answered = watched.window.iter().all(heard);
        state.looks.note(*chunk, whole, answered);
        drop(state);
        watched.record.observe(now, &answers, |holder| gone.get(&holder).copied());
    }
}

/// Queues what has to be done.
fn consider(inner: &Inner, chunk: ChunkId, watched: &Watched, tally: &mut Tally) {
    let Watched { record, window, has_place } = watched;
    let now = now();
    let need = assess(record, now, &inner.patience);
    count(inner, chunk, tally, record, &need);
    let Need::Repair { lane, wanted } = need else {
        // What was to be repaired came back, or another holder has repaired it.
        inner.settle(&chunk, need == Need::Nothing);
        return;
    };
    if !has_place {
        tally.homeless += 1;
        return;
    }
    let redundancy = record.redundancy();
    let rank = rank(inner, record, window, &BTreeMap::new());
    let turn = Duration::from_secs(inner.config.turn_seconds);
    let shards = u64::from(redundancy.k() - 1) + wanted.len() as u64;
    inner.offer_again(Job {
        chunk,
        lane,
        margin: record.census(now, &inner.patience).present.saturating_sub(redundancy.k()),
        not_before: now.after(turn * u32::try_from(rank).unwrap_or(u32::MAX)),
        bytes: shards * u64::from(record.shard_len()),
        damaged: ShardSet::EMPTY,
    });
}

/// Notes what is known of a chunk. Repair begins when it is time for it; that something is lost is only said when it is
/// sure.
fn count(inner: &Inner, chunk: ChunkId, tally: &mut Tally, record: &ChunkRecord, need: &Need) {
    tally.at_risk += u64::from(is_at_risk(record, now(), &inner.patience));
    let sure = inner.state().looks.agree(&chunk);
    match need {
        Need::Nothing => {}
        Need::Wait(_) | Need::Repair { .. } if sure => tally.degraded += 1,
        Need::Unreadable if sure => tally.unreadable += 1,
        Need::Wait(_) | Need::Repair { .. } | Need::Unreadable | Need::Unknown => tally.not_known_yet += 1,
    }
}
