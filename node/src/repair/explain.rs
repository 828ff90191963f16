//! What is known of an object's chunks, from whoever looks after them, and what will be done about it.

use std::collections::BTreeMap;
use std::pin::pin;

use chordage_api::types::{ChunkExplained, ChunkNeed, Explanation, HolderId, ShardExplained, ShardWord};
use chordage_dht::Peer;
use chordage_storage::repair::{
    Answer, ChunkRecord, Holder, Lane, Moment, Need, RISK_FLOOR, ShardState, Sight, assess, yearly_loss,
};
use chordage_storage::{ChunkId, ChunkRef, Redundancy};
use futures::stream::StreamExt;
use tokio::time::Instant;

use super::short::holder;
use super::survey::Questions;
use super::{Inner, Repairer, now};
use crate::address::api_id;
use crate::get::GetError;
use crate::holders::{ByPeer, limits};
use crate::shards::RECORDS_MAX;

/// Chunks that are surveyed together.
const ROUND: usize = 512;

/// What the leader of a chunk said of it, with times as they are on our clock.
struct Account {
    leader: Peer,
    record: ChunkRecord,
}

impl Repairer {
    /// Asks for everything that is known of `chunks`; details of the `most` worst off.
    pub(crate) async fn explain(
        &self,
        chunks: Vec<ChunkRef>,
        fallback: Redundancy,
        most: usize,
    ) -> Result<Explanation, GetError> {
        let inner = &self.inner;
        let mut arcs = inner.placement.arcs().await.ok_or(GetError::Interrupted)?;
        let churn = inner.state().stats.churn;
        let repair_hours =
            (inner.patience.lost_after.as_secs_f64() + inner.config.survey_seconds as f64) / 3600.0;
        let mut explanation = Explanation {
            unknown: None,
            chunks: 0,
            whole: 0,
            waiting: 0,
            to_repair: 0,
            hang_on_one_zone: 0,
            unreadable: 0,
            loss_per_year: 0.0,
            loss_is_floor: false,
            node_loss_per_month: churn.per_hour() * 720.0,
            observed_node_hours: churn.node_hours,
            observed_losses: churn.losses,
            kept: None,
            found_at_start: Vec::new(),
            worst: Vec::new(),
        };
        // ln of the probability that everything survives the year.
        let mut survival = 0.0f64;
        for round in chunks.chunks(ROUND) {
            let mut windows = BTreeMap::new();
            let mut questions = Questions::default();
            for chunk in round {
                let redundancy = chunk.redundancy.unwrap_or(fallback);
                let window =
                    arcs.window(&inner.placement, chunk.id, redundancy).await.ok_or(GetError::Interrupted)?;
                window.iter().for_each(|peer| questions.add(peer, chunk.id));
                windows.insert(chunk.id, window);
            }
            let mut answers = questions.ask(inner).await;
            let mut accounts = accounts(inner, &windows, &answers).await;
            for chunk in round {
                let redundancy = chunk.redundancy.unwrap_or(fallback);
                let answers = answers.remove(&chunk.id).unwrap_or_default();
                let explained = explain(inner, chunk.id, redundancy, &answers, accounts.remove(&chunk.id));
                explanation.chunks += 1;
                if explained.present >= explained.k && explained.present_without_a_zone < explained.k {
                    explanation.hang_on_one_zone += 1;
                }
                *match explained.need {
                    ChunkNeed::Nothing => &mut explanation.whole,
                    ChunkNeed::Wait => &mut explanation.waiting,
                    ChunkNeed::Unreadable => &mut explanation.unreadable,
                    _ => &mut explanation.to_repair,
                } += 1;
                survival += (-yearly_loss(redundancy, explained.present, churn, repair_hours)).ln_1p();
                explanation.worst.push(explained);
            }
            // The worst first; equal ones by address, so that the answer does not depend on who was quickest.
            explanation.worst.sort_by(|a, b| {
                let margin = |chunk: &ChunkExplained| i16::from(chunk.present) - i16::from(chunk.k);
                margin(a).cmp(&margin(b)).then_with(|| a.chunk.cmp(&b.chunk))
            });
            explanation.worst.truncate(most);
        }
        let loss = -survival.exp_m1();
        explanation.loss_is_floor = loss <= RISK_FLOOR * (explanation.chunks.max(1) as f64) * 1.001;
        explanation.loss_per_year = loss.clamp(RISK_FLOOR, 1.0);
        Ok(explanation)
    }
}

/// Asks the first holder of each chunk that answers for what it has written down, and then the second.
async fn accounts(
    inner: &Inner,
    windows: &BTreeMap<ChunkId, Vec<Peer>>,
    answers: &BTreeMap<ChunkId, Vec<(Peer, Answer)>>,
) -> BTreeMap<ChunkId, Account> {
    let mut accounts = BTreeMap::new();
    for place in 0..2 {
        let mut by_peer = ByPeer::default();
        for (chunk, window) in windows.iter().filter(|(chunk, _)| !accounts.contains_key(*chunk)) {
            let holds = |peer: &&Peer| {
                let of = answers.get(chunk).map(Vec::as_slice).unwrap_or_default();
                of.iter().any(|(other, answer)| {
                    other.id() == peer.id() && answer.held.is_some_and(|held| !held.is_empty())
                })
            };
            if let Some(peer) = window.iter().filter(holds).nth(place) {
                by_peer.add(peer, *chunk);
            }
        }
        let mut asked = pin!(by_peer.ask(|(peer, chunks)| async move {
            let records = records(inner, &peer, &chunks).await;
            (peer, chunks, records)
        }));
        while let Some((leader, chunks, records)) = asked.next().await {
            for (chunk, record) in chunks.into_iter().zip(records) {
                if let Some(record) = record {
                    accounts.insert(chunk, Account { leader: leader.clone(), record });
                }
            }
        }
    }
    accounts
}

/// The records of one node, in order, moved onto our clock; shorter if it stops answering.
async fn records(inner: &Inner, peer: &Peer, chunks: &[ChunkId]) -> Vec<Option<ChunkRecord>> {
    let mut found = Vec::with_capacity(chunks.len());
    for part in chunks.chunks(RECORDS_MAX) {
        let records = if inner.placement.is_local(peer) {
            let part = part.to_vec();
            let ask = move |ledger: &chordage_storage::repair::Ledger| {
                part.iter().map(|chunk| ledger.get(chunk)).collect::<Result<Vec<_>, _>>()
            };
            inner.ledger(ask).await
        } else {
            let deadline = Instant::now() + limits::HELD_FOR_REPAIR;
            let answer = inner.holders.client.records(peer, part, deadline).await.ok();
            answer.map(|(theirs, records)| {
                let ours = now();
                records
                    .into_iter()
                    .map(|bytes| Some(ChunkRecord::decode(&bytes)?.on_another_clock(theirs, ours)))
                    .collect()
            })
        };
        let Some(records) = records else { break };
        found.extend(records);
    }
    found
}

fn explain(
    inner: &Inner,
    chunk: ChunkId,
    redundancy: Redundancy,
    answers: &[(Peer, Answer)],
    account: Option<Account>,
) -> ChunkExplained {
    let now = now();
    let leader = account.as_ref().map(|account| api_id(account.leader.id()));
    let surveyed = account.as_ref().map(|account| account.record.surveyed()).filter(|at| *at > Moment(0));
    // A record that was made for another code is a lie, and as good as none.
    let record = account.map(|account| account.record).filter(|record| record.redundancy() == redundancy);
    let mut record = record.unwrap_or_else(|| ChunkRecord::new(redundancy, 0, now));
    let heard: Vec<Answer> = answers.iter().map(|(_, answer)| *answer).collect();
    record.observe(now, &heard, |_| None);
    let census = record.census(now, &inner.patience);
    let (need, when) = match assess(&record, now, &inner.patience) {
        Need::Nothing => (ChunkNeed::Nothing, None),
        Need::Wait(until) => (ChunkNeed::Wait, Some(until.since(now).as_secs_f64())),
        // Not `Unknown`: it has just been surveyed.
        Need::Unreadable | Need::Unknown => (ChunkNeed::Unreadable, None),
        Need::Repair { lane: Lane::Urgent, .. } => (ChunkNeed::RepairUrgent, None),
        Need::Repair { lane: Lane::Normal, .. } => (ChunkNeed::Repair, None),
        Need::Repair { lane: Lane::Restore, .. } => (ChunkNeed::Restore, None),
    };
    let known = |short: Holder| answers.iter().map(|(peer, _)| peer).find(|peer| holder(peer) == short);
    let name = |short: Holder| match known(short) {
        Some(peer) => HolderId::Whole(api_id(peer.id())),
        None => HolderId::Beginning(short.0),
    };
    let zone = |short: Holder| known(short).and_then(|peer| peer.zone()).map(ToString::to_string);
    let shards = record.sights().iter().zip(0u8..).map(|(sight, index)| {
        let (holder, since) = match *sight {
            Sight::Held(by) => (Some(by), None),
            Sight::Missing { by, since, .. } => (Some(by), Some(since)),
            Sight::Never(since) => (None, Some(since)),
        };
        ShardExplained {
            index,
            state: match record.state(index, now, &inner.patience) {
                ShardState::Present => ShardWord::Present,
                ShardState::Silent => ShardWord::Silent,
                ShardState::Suspect => ShardWord::Suspect,
                ShardState::Lost => ShardWord::Lost,
            },
            holder: holder.map(name),
            zone: holder.and_then(zone),
            missing_seconds: since.map(|since| now.since(since).as_secs_f64()),
        }
    });
    let shards: Vec<ShardExplained> = shards.collect();
    ChunkExplained {
        chunk: chunk.into(),
        k: redundancy.k(),
        n: redundancy.n(),
        present: census.present,
        present_without_a_zone: census.present.saturating_sub(most_in_a_zone(&shards)),
        silent: census.silent,
        suspect: census.suspect,
        lost: census.lost,
        repairs_at: redundancy.repair_threshold(),
        leader,
        surveyed_seconds_ago: surveyed.map(|at| now.since(at).as_secs_f64()),
        need,
        changes_in_seconds: when,
        shards,
    }
}

/// How many shards that are there fail together with the largest zone.
fn most_in_a_zone(shards: &[ShardExplained]) -> u8 {
    let mut zones: BTreeMap<&str, u8> = BTreeMap::new();
    for zone in shards
        .iter()
        .filter(|shard| shard.state == ShardWord::Present)
        .filter_map(|shard| shard.zone.as_deref())
    {
        *zones.entry(zone).or_default() += 1;
    }
    zones.into_values().max().unwrap_or(0)
}
