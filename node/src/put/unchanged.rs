//! Which files need not be sent, because they are stored already: known by fingerprint, all their chunks just now
//! found to be stored as well as a put would store them.

use std::collections::BTreeMap;
use std::sync::Arc;

use chordage_storage::catalog::{KnownChunk, KnownFile, Snapshot};
use chordage_storage::{Fingerprint, Redundancy, Scatter};
use tokio::time::Instant;

use super::Putter;
use crate::leases::ask_recent;

/// Chunks whose standing is asked for together: bounds the memory for files of any size.
const CHUNKS_TOGETHER: usize = 4096;

/// The files of one round, and the chunks they lie in.
#[derive(Default)]
struct Round {
    /// With their positions in the question.
    files: Vec<(usize, KnownFile)>,
    chunks: BTreeMap<u64, KnownChunk>,
}

/// For each fingerprint whether its file is stored. What cannot be found out is not stored.
pub(super) async fn unchanged(
    putter: &Arc<Putter>,
    redundancy: Redundancy,
    fingerprints: Vec<Fingerprint>,
) -> Vec<bool> {
    let mut answers = vec![false; fingerprints.len()];
    let Some(catalog) = putter.catalog.clone() else { return answers };
    let mut scatter = Scatter::new();
    let mut rest = fingerprints;
    let mut at = 0;
    while !rest.is_empty() {
        let catalog = catalog.clone();
        let looking = tokio::task::spawn_blocking(move || {
            let round = catalog.snapshot().and_then(|snapshot| look_up(&snapshot, redundancy, &rest, at));
            (round, rest)
        });
        let Ok((round, asked)) = looking.await else { return answers };
        let (round, done) = match round {
            Ok(round) => round,
            Err(error) => {
                tracing::warn!(%error, "the catalog of earlier puts cannot be read");
                return answers;
            }
        };
        let references: Vec<_> = round.chunks.values().map(|chunk| chunk.reference).collect();
        ask_recent(&putter.leases, &references).await;
        let stored = |number: &u64| {
            let chunk = round.chunks.get(number);
            let shards = chunk.and_then(|chunk| putter.leases.recent.lately(&chunk.reference.id));
            shards.is_some_and(|shards| shards >= redundancy.write_quorum())
        };
        let now = Instant::now();
        for (position, file) in round.files {
            let mut numbers: Vec<u64> = file.extents.iter().map(|extent| extent.chunk.number).collect();
            numbers.dedup();
            let chunks = numbers.iter().filter_map(|number| round.chunks.get(number));
            answers[position] = numbers.iter().all(stored) && scatter.admits(file.size, chunks);
            if answers[position] {
                putter.planned.remember(now, redundancy, asked[position - at], file);
            }
        }
        rest = asked[done..].to_vec();
        at += done;
    }
    answers
}

/// Looks files up until there are chunks enough for one round; returns how many it looked at.
fn look_up(
    snapshot: &Snapshot,
    redundancy: Redundancy,
    fingerprints: &[Fingerprint],
    at: usize,
) -> std::io::Result<(Round, usize)> {
    let mut round = Round::default();
    for (done, fingerprint) in fingerprints.iter().enumerate() {
        if round.chunks.len() >= CHUNKS_TOGETHER {
            return Ok((round, done));
        }
        let Some(file) = snapshot.file(redundancy, fingerprint)? else { continue };
        round.chunks.extend(file.extents.iter().map(|extent| (extent.chunk.number, extent.chunk)));
        round.files.push((at + done, file));
    }
    Ok((round, fingerprints.len()))
}
