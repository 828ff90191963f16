//! Renewing what is kept, again and again, in the order of addresses, spread over a part of the time between renewals.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use chordage_storage::ChunkId;
use chordage_storage::lease::{Claim, NeededChunk};
use chordage_storage::repair::Moment;
use tokio::time::{Instant, sleep, sleep_until};

use super::Leases;
use super::{Question, Windows, ask_holders};
use crate::clock::wall_clock;
use crate::datadir::DataDir;
use crate::store::CHUNKS_MAX;

/// The file in the data directory with the place.
const PLACE_FILE: &str = "renewed";
/// How often the place is written down at most; what was renewed since is renewed again after a crash.
const REMEMBER_EVERY: Duration = Duration::from_secs(60);
/// A pass takes at most this share of the time between passes, so that what fails has time to be tried again.
const SHARE: u32 = 4;
/// After a failure.
const TRY_AGAIN: Duration = Duration::from_secs(10);
/// How long a daemon that has just started may take to be part of its network.
const JOIN_PATIENCE: Duration = Duration::from_secs(60);

/// A pass through everything that is kept: when it began, in seconds since 1970, and the last chunk that it renewed, or
/// `None` for a pass that has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Place {
    began: u64,
    after: Option<ChunkId>,
}

/// Renews, for ever.
pub(super) async fn run(leases: &Leases, dir: &Arc<DataDir>) {
    let period = Duration::from_secs(leases.keeping.config().renew_seconds.into());
    let place = dir.read(PLACE_FILE).ok().flatten().unwrap_or_default();
    let place = parse(&String::from_utf8_lossy(&place));
    let (mut next, mut after) = (Instant::now() + wait(place, seconds(), period), place.after);
    if place.after.is_none() {
        leases.keeping.counters().renewed_at.store(place.began, Relaxed);
        sleep_until(next).await;
    }
    loop {
        while !leases.placement.driver.joined_within(JOIN_PATIENCE).await {
            tracing::debug!("waits for the network in order to renew what is kept");
        }
        next = next.max(Instant::now()) + period;
        let began = seconds();
        pass(leases, dir, began, std::mem::take(&mut after), period).await;
        remember(dir, Place { began, after: None }).await;
        leases.keeping.counters().renewed_at.store(seconds(), Relaxed);
        sleep_until(next).await;
    }
}

/// How long until the next pass. A clock that was set back cannot say, so that it is due.
fn wait(place: Place, now: u64, period: Duration) -> Duration {
    match now.checked_sub(place.began) {
        Some(ago) => period.saturating_sub(Duration::from_secs(ago)),
        None => Duration::ZERO,
    }
}

async fn pass(leases: &Leases, dir: &Arc<DataDir>, began: u64, mut after: Option<ChunkId>, period: Duration) {
    let keeping = &leases.keeping;
    let mut remembered = Instant::now();
    let (mut renewed, mut unreadable) = (0, 0);
    let all = keeping.totals().await.map_or(1, |(_, chunks)| chunks.max(1));
    loop {
        let Ok(chunks) = keeping.book(move |book| book.chunks(after, CHUNKS_MAX)).await else {
            sleep(TRY_AGAIN).await;
            continue;
        };
        let Some(last) = chunks.last() else { break };
        let last = last.chunk;
        let count = chunks.len() as u64;
        let Some(short) = renew(leases, chunks).await else {
            sleep(TRY_AGAIN).await;
            continue;
        };
        renewed += count;
        unreadable += short;
        after = Some(last);
        if remembered.elapsed() >= REMEMBER_EVERY {
            remember(dir, Place { began, after }).await;
            remembered = Instant::now();
        }
        let share = (period / SHARE).as_secs_f64() * count as f64 / all as f64;
        if count == CHUNKS_MAX as u64 {
            sleep(Duration::from_secs_f64(share)).await;
        }
    }
    keeping.counters().unreadable_chunks.store(unreadable, Relaxed);
    if unreadable > 0 {
        tracing::warn!(renewed, unreadable, "renewed what is kept; of some chunks nobody has shown a shard");
    } else if renewed > 0 {
        tracing::info!(renewed, "renewed what is kept");
    }
}

/// Renews some chunks; of how many nobody showed a shard. `None` if nobody could be asked at all.
async fn renew(leases: &Leases, chunks: Vec<NeededChunk>) -> Option<u64> {
    let keeping = &leases.keeping;
    let mut windows = Windows::new(leases).await?;
    let now = wall_clock();
    // What is retained for as long is asked for together; mostly that is everything.
    let mut by_retention: BTreeMap<u32, Vec<(ChunkId, u8)>> = BTreeMap::new();
    for chunk in chunks {
        by_retention.entry(left(chunk.retained_until, now)).or_default().push((chunk.chunk, chunk.n));
    }
    let mut short = 0;
    for (retain_seconds, chunks) in by_retention {
        let (claim, said) = (keeping.claim(retain_seconds), keeping.said());
        let asked = windows.of(&chunks).await?;
        let held = ask_holders(&leases.holders, asked, Question::Claim { claim, said, soon: false }).await;
        let nobody: Vec<(ChunkId, u8)> = chunks
            .iter()
            .filter(|(chunk, _)| held.get(chunk).is_none_or(|held| *held == 0))
            .copied()
            .collect();
        if nobody.is_empty() || retain_seconds == 0 {
            short += nobody.len() as u64;
            continue;
        }
        // With a clock that is wrong, or stricter holders, more may be asked for than is granted. Retention cannot be
        // shortened by asking for less.
        let claim = Claim { retain_seconds: 0, ..claim };
        let asked = windows.of(&nobody).await?;
        let held = ask_holders(&leases.holders, asked, Question::Claim { claim, said, soon: false }).await;
        short += held.values().filter(|held| **held == 0).count() as u64;
    }
    Some(short)
}

pub(super) fn left(until: Moment, now: Moment) -> u32 {
    u32::try_from(until.since(now).as_millis().div_ceil(1000)).unwrap_or(u32::MAX)
}

fn seconds() -> u64 {
    wall_clock().0 / 1000
}

async fn remember(dir: &Arc<DataDir>, place: Place) {
    let (dir, text) = (dir.clone(), shown(place));
    let written = tokio::task::spawn_blocking(move || dir.write(PLACE_FILE, text.as_bytes()));
    if let Ok(Err(error)) = written.await {
        tracing::warn!(%error, "how far renewals are cannot be remembered");
    }
}

/// The place as the file has it.
fn shown(place: Place) -> String {
    format!("{} {}\n", place.began, place.after.map_or("-".to_owned(), |chunk| chunk.to_string()))
}

/// What cannot be read is a pass that never was.
fn parse(text: &str) -> Place {
    let mut words = text.split_ascii_whitespace();
    let began = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
    Place { began, after: words.next().and_then(ChunkId::from_hex) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_found_again_and_a_damaged_one_means_that_renewals_are_due() {
        for place in [Place { began: 7, after: Some(ChunkId([9; 32])) }, Place { began: 12, after: None }] {
            assert_eq!(parse(&shown(place)), place);
        }
        let period = Duration::from_secs(100);
        assert_eq!(wait(parse("zz"), 1_000, period), Duration::ZERO);
        assert_eq!(wait(parse("950 -"), 1_000, period), Duration::from_secs(50));
        assert_eq!(wait(parse("2000 -"), 1_000, period), Duration::ZERO, "the clock was set back");
    }
}
