//! Putting shards: check, append, sync, enter in the index, acknowledge.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use super::index::SegmentStats;
use super::record::{
    ALIGNMENT, Location, RECORD_HEADER_LEN, SEGMENT_HEADER_LEN, encode_header, segment_header, segment_name,
};
use super::types::{InvalidShard, PutError, PutOutcome, ShardKey, ShardPut};
use super::{Active, ShardStore, Uncheckpointed, Writer};
use crate::descriptor::Descriptor;
use crate::files::StoreFile;

/// What a shard adds to the index in the long run: 47 bytes, in pages that are half to two thirds full, twice, since
/// redb keeps the old pages until the new ones are durable.
const INDEX_BYTES: u64 = 256;
/// What a shard may add to the index at the next checkpoint: a page of its own. All shards together add no more pages
/// than the index already has.
const INDEX_PAGE: u64 = 4096;
/// Puts leave a sixteenth of the quota free, but not more than this: a deletion adds to the index before it makes
/// room.
const MAX_RESERVE: u64 = 4 << 20;

/// A record to be appended.
pub(super) struct NewRecord<'a> {
    pub(super) key: ShardKey,
    pub(super) descriptor: &'a [u8],
    pub(super) payload: &'a [u8],
}

impl NewRecord<'_> {
    fn location(&self, segment: u32, offset: u64) -> Location {
        Location {
            segment,
            offset: offset as u32, // segments are at most 1 GiB and a record begins inside
            descriptor_len: self.descriptor.len() as u16, // verified: at most MAX_DESCRIPTOR_LEN
            payload_len: self.payload.len() as u32, // verified: at most a sealed chunk
        }
    }

    fn len(&self) -> u64 {
        self.location(0, 0).record_len()
    }
}

/// Where appended records went, and what the writer will look like once the index knows.
pub(super) struct Appended {
    pub(super) locations: Vec<(ShardKey, Location)>,
    pub(super) segments: Vec<(u32, SegmentStats)>,
    pub(super) active: Option<Active>,
    pub(super) next_segment: u32,
    pub(super) bytes: u64,
}

/// Why an append failed. After a failed sync nobody knows what the disk has of a file's end (Rebello et al., "Can
/// Applications Recover from fsync Failures?", USENIX ATC 2020), so the next append goes into a new segment.
struct AppendFailure {
    error: io::Error,
    in_sync: bool,
}

impl From<io::Error> for AppendFailure {
    fn from(error: io::Error) -> Self {
        Self { error, in_sync: false }
    }
}

/// Consecutive records of one segment.
struct Run<'a> {
    segment: u32,
    /// `None` for a segment that is yet to be created.
    file: Option<Arc<dyn StoreFile>>,
    /// The segment begins with this run.
    new: bool,
    start: u64,
    end: u64,
    records: Vec<(&'a NewRecord<'a>, Location)>,
}

impl ShardStore {
    /// Stores shards; each has its own result, in the same order. Every shard is verified against its descriptor,
    /// and that against the chunk. What is reported as stored or held is durable: a crash cannot take it back.
    /// One sync serves the whole batch, so that larger batches are faster.
    pub fn put_batch(&self, puts: &[ShardPut]) -> Vec<Result<PutOutcome, PutError>> {
        let mut results: Vec<Option<Result<PutOutcome, PutError>>> =
            puts.iter().map(|put| verify(put).err().map(|invalid| Err(invalid.into()))).collect();
        let mut writer = self.lock_writer();
        let mut failure = self.put_verified(&mut writer, puts, &mut results).err().map(PutError::from);
        drop(writer);
        // Last of all, since the directory may go while the batch is written.
        if let Err(removed) = self.check_in_place().map_err(PutError::from) {
            results
                .iter_mut()
                .filter(|result| matches!(result, Some(Ok(_))))
                .for_each(|result| *result = None);
            failure = Some(removed);
        }
        let unless_done = failure.map_or(Ok(PutOutcome::AlreadyHeld), Err);
        results.into_iter().map(|result| result.unwrap_or_else(|| unless_done.clone())).collect()
    }

    /// Fills in the results that are still open, except those of shards that the batch has twice.
    fn put_verified(
        &self,
        writer: &mut Writer,
        puts: &[ShardPut],
        results: &mut [Option<Result<PutOutcome, PutError>>],
    ) -> io::Result<()> {
        self.mend(writer)?;
        let chunks: Vec<_> = puts.iter().map(|put| put.chunk).collect();
        let held = self.with_index(|index| index.locations(&chunks))?;
        let quota = self.quota();
        let index_bytes = self.with_index(super::Index::disk_bytes)?;
        let reserve = (quota / 16).min(MAX_RESERVE);
        // What the index will take at the next checkpoint, if that comes after so many more shards.
        let index_after = |more: u64| {
            let records = writer.uncheckpointed.records + more;
            index_bytes + (records * INDEX_PAGE).min(index_bytes) + records * INDEX_BYTES
        };
        let mut segment_bytes = writer.segment_bytes().saturating_add(reserve);

        // What the store and the disk have room for together. It is asked for once: the batch is small.
        let disk = writer.segment_bytes().saturating_add(reserve + index_bytes).saturating_add(self.room()?);

        let mut accepted = Vec::new();
        let mut keys = BTreeSet::new();
        for (i, put) in puts.iter().enumerate() {
            if results[i].is_some() {
                continue;
            }
            let key = ShardKey { chunk: put.chunk, index: put.index };
            let location =
                held[i].iter().find(|(index, _)| *index == put.index).map(|(_, location)| *location);
            // If it is in the index but not where the index says, the new record takes its place.
            if location.map_or(Ok(false), |location| self.has_record(key, location))? {
                results[i] = Some(Ok(PutOutcome::AlreadyHeld));
            } else if !keys.contains(&key) {
                let record = NewRecord { key, descriptor: &put.descriptor, payload: &put.payload };
                let needed = record.len();
                let used = segment_bytes.saturating_add(index_after(accepted.len() as u64 + 1));
                if used.saturating_add(needed) > quota {
                    results[i] = Some(Err(PutError::Quota { needed, used: used.min(quota), quota }));
                } else if used.saturating_add(needed) > disk {
                    results[i] = Some(Err(PutError::NoSpace));
                } else {
                    segment_bytes += needed;
                    keys.insert(key);
                    accepted.push((i, record));
                }
            }
        }
        if accepted.is_empty() {
            return Ok(());
        }
        let (positions, records): (Vec<usize>, Vec<NewRecord<'_>>) = accepted.into_iter().unzip();
        let appended = self.append(writer, &records)?;
        self.enter(writer, appended)?;
        for i in positions {
            results[i] = Some(Ok(PutOutcome::Stored));
        }
        self.update_usage(writer)
    }

    /// Appends records and syncs them. They do not count until [`enter`](Self::enter) has put them into the index. On
    /// success `writer` is unchanged. After an error it does not use the numbers of the new segments again, and it has
    /// no active segment if the sync failed or the append could not be undone.
    pub(super) fn append(&self, writer: &mut Writer, records: &[NewRecord<'_>]) -> io::Result<Appended> {
        let mut next_segment = writer.next_segment;
        let mut runs: Vec<Run<'_>> = Vec::new();
        if let Some(active) = &writer.active {
            let Active { segment, file, tail } = active.clone();
            runs.push(Run { segment, file: Some(file), new: false, start: tail, end: tail, records: vec![] });
        }
        for record in records {
            let fits = runs.last().is_some_and(|run| {
                run.end + record.len() <= self.config.segment_bytes || run.end <= SEGMENT_HEADER_LEN
            });
            if !fits {
                let (segment, start) = (next_segment, SEGMENT_HEADER_LEN);
                next_segment += 1;
                runs.push(Run { segment, file: None, new: true, start, end: start, records: vec![] });
            }
            if let Some(run) = runs.last_mut() {
                run.records.push((record, record.location(run.segment, run.end)));
                run.end += record.len();
            }
        }
        runs.retain(|run| !run.records.is_empty());
        if let Err(failure) = self.write_runs(&mut runs) {
            writer.next_segment = next_segment;
            if !self.undo(&runs) || failure.in_sync {
                writer.active = None;
            }
            return Err(failure.error);
        }

        let stats = |run: &Run<'_>| {
            let old = writer.segments.get(&run.segment).copied().unwrap_or_default();
            let added: u64 = run.records.iter().map(|(_, location)| location.record_len()).sum();
            (run.segment, SegmentStats { len: run.end, live: old.live.saturating_add(added), ..old })
        };
        let active = runs
            .last()
            .and_then(|run| Some(Active { segment: run.segment, file: run.file.clone()?, tail: run.end }));
        Ok(Appended {
            segments: runs.iter().map(stats).collect(),
            active,
            next_segment,
            bytes: runs.iter().map(|run| run.end - run.start).sum(),
            locations: runs
                .iter()
                .flat_map(|run| run.records.iter().map(|(record, location)| (record.key, *location)))
                .collect(),
        })
    }

    fn write_runs(&self, runs: &mut [Run<'_>]) -> Result<(), AppendFailure> {
        let padding = [0u8; ALIGNMENT as usize];
        for run in &mut *runs {
            let file = match &run.file {
                Some(file) => Arc::clone(file),
                None => self.files.create(&segment_name(run.segment))?,
            };
            run.file = Some(Arc::clone(&file));
            let segment_header = segment_header(run.segment);
            let headers: Vec<[u8; RECORD_HEADER_LEN]> = run
                .records
                .iter()
                .map(|(record, location)| {
                    encode_header(&record.key.chunk, record.key.index, *location, record.descriptor)
                })
                .collect();
            let mut parts: Vec<&[u8]> = Vec::with_capacity(4 * run.records.len() + 1);
            if run.new {
                parts.push(&segment_header);
            }
            for ((record, location), header) in run.records.iter().zip(&headers) {
                let pad = location.record_len() - location.bare_len() as u64;
                parts.extend([&header[..], record.descriptor, record.payload, &padding[..pad as usize]]);
            }
            file.write_all_at(&parts, if run.new { 0 } else { run.start })?;
            file.sync().map_err(|error| AppendFailure { error, in_sync: true })?;
            if run.new {
                self.files.sync_directory()?;
            }
        }
        Ok(())
    }

    /// Durably removes what a failed append may have written, so that a crash does not bring back shards that were
    /// reported as not stored. Returns whether that worked. What remains otherwise was never acknowledged.
    fn undo(&self, runs: &[Run<'_>]) -> bool {
        let undo = |run: &Run<'_>| match &run.file {
            Some(_) if run.new => {
                self.files.remove(&segment_name(run.segment)).and_then(|()| self.files.sync_directory())
            }
            Some(file) => file.set_size(run.start).and_then(|()| file.sync()),
            None => Ok(()),
        };
        // All of them, even if one fails.
        runs.iter().map(undo).fold(true, |undone, result| undone & result.is_ok())
    }

    /// Enters appended records in the index. A record of a shard that the index has already (a move) takes the
    /// old one's place.
    pub(super) fn enter(&self, writer: &mut Writer, appended: Appended) -> io::Result<()> {
        let Appended { mut locations, segments, active, next_segment, bytes } = appended;
        // Sorted keys are an order of magnitude cheaper to insert.
        locations.sort_unstable_by_key(|(key, _)| *key);
        let uncheckpointed = Uncheckpointed {
            bytes: writer.uncheckpointed.bytes + bytes,
            records: writer.uncheckpointed.records + locations.len() as u64,
        };
        let durable = uncheckpointed.is_due(&self.config);
        let checkpoint = active.as_ref().map_or((next_segment, 0), |active| (active.segment, active.tail));
        let mut state = writer.state();
        state.next_segment = next_segment;
        (state.checkpoint_segment, state.checkpoint_offset) = checkpoint;
        let mut changed: BTreeMap<u32, SegmentStats> = segments.into_iter().collect();
        let before = &writer.segments;
        self.change_index(&mut writer.broken, durable, |tables| {
            for (key, location) in &locations {
                state.shards = state.shards.saturating_add(1);
                state.payload_bytes = state.payload_bytes.saturating_add(location.payload_len.into());
                if let Some(old) = tables.get(*key)? {
                    state.shards -= 1;
                    state.payload_bytes = state.payload_bytes.saturating_sub(old.payload_len.into());
                    let of_old = before.get(&old.segment).copied().unwrap_or_default();
                    let stats = changed.entry(old.segment).or_insert(of_old);
                    stats.live = stats.live.saturating_sub(old.record_len());
                }
                tables.insert(*key, *location)?;
            }
            for (segment, stats) in &changed {
                tables.set_segment(*segment, *stats)?;
            }
            tables.set_state(state)
        })?;
        writer.segments.extend(changed);
        writer.active = active;
        writer.next_segment = next_segment;
        writer.shards = state.shards;
        writer.payload_bytes = state.payload_bytes;
        writer.uncheckpointed = if durable { Uncheckpointed::default() } else { uncheckpointed };
        Ok(())
    }
}

fn verify(put: &ShardPut) -> Result<(), InvalidShard> {
    let descriptor = Descriptor::decode(&put.descriptor)?;
    if Descriptor::id_of(&put.descriptor) != put.chunk {
        return Err(InvalidShard::WrongChunk);
    }
    Ok(descriptor.verify_shard(put.index, &put.payload)?)
}
