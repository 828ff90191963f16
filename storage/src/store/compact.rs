//! Compaction: moving what lives out of segments that are mostly dead.
//!
//! Where the file system punches holes there is little left to gain; without holes, this is how space comes back.

use std::io;

use super::delete::Why;
use super::put::NewRecord;
use super::record::{RecordHeader, SEGMENT_HEADER_LEN, segment_name};
use super::scan::{Visit, read_verified, scan};
use super::types::{ChangeError, Compacted, ShardKey};
use super::{ShardStore, Uncheckpointed, Writer};

/// Bytes of records that move in one step.
const STEP_BYTES: usize = 8 << 20;

impl ShardStore {
    /// Moves the live records out of the segment that wastes most space, and removes that segment. This happens only if
    /// the segment wastes at least half of what it takes on disk and the quota and the disk have room for the records.
    /// It may be the active segment, which is closed first: a small store has no other. Call this when the store is
    /// idle, until it reports no segments.
    /// Other writers get their turn between steps of 8 MiB.
    pub fn compact(&self) -> Result<Compacted, ChangeError> {
        let mut writer = self.lock_writer();
        self.mend(&mut writer)?;
        let Some(segment) = self.most_wasteful(&writer)? else { return Ok(Compacted::default()) };
        let freed = writer.segments.get(&segment).map_or(0, |stats| stats.disk_bytes());
        drop(writer);

        let mut done = Compacted { segments: 0, moved_bytes: 0, freed_bytes: 0 };
        let mut from = 0;
        loop {
            let mut writer = self.lock_writer();
            self.mend(&mut writer)?;
            if !writer.segments.contains_key(&segment) {
                return Ok(done); // emptied by deletions meanwhile
            }
            // Each time, since an index that was opened anew appends where it did before.
            writer.active.take_if(|active| active.segment == segment);
            let (next, moved) = self.move_some(&mut writer, segment, from)?;
            done.moved_bytes += moved;
            match next {
                Some(next) => from = next,
                None => {
                    self.drop_emptied(&mut writer, segment)?;
                    self.update_usage(&writer)?;
                    done.segments = 1;
                    done.freed_bytes = freed.saturating_sub(done.moved_bytes);
                    return Ok(done);
                }
            }
        }
    }

    fn most_wasteful(&self, writer: &Writer) -> io::Result<Option<u32>> {
        let active = writer.active.as_ref().map(|active| active.segment);
        let taken = self.with_index(super::Index::disk_bytes)?.saturating_add(writer.segment_bytes());
        let room = self.quota().saturating_sub(taken).min(self.room()?);
        let waste = writer.segments.iter().map(|(segment, stats)| {
            // What lives in the active one moves into a new one, which has a header and whole blocks, too.
            let needed = if Some(*segment) == active { stats.alone() } else { stats.live };
            (stats.disk_bytes().saturating_sub(needed), *segment, *stats)
        });
        let worth = waste.filter(|(waste, _, stats)| {
            (stats.live == 0 || waste * 2 >= stats.disk_bytes()) && *waste > 0 && stats.live <= room
        });
        Ok(worth.max_by_key(|(waste, segment, _)| (*waste, *segment)).map(|(_, segment, _)| segment))
    }

    /// Moves records from `from` on, up to a step's worth; returns where to go on, and the bytes moved.
    fn move_some(&self, writer: &mut Writer, segment: u32, from: u64) -> io::Result<(Option<u64>, u64)> {
        let Some(file) = self.segment_file(segment)? else { return Ok((None, 0)) };
        let mut headers: Vec<RecordHeader> = Vec::new();
        let mut bytes = 0;
        let mut next = None;
        scan(&*file, segment, from.max(SEGMENT_HEADER_LEN), |header| {
            if bytes >= STEP_BYTES {
                next = Some(u64::from(header.location.offset));
                return Ok(Visit::Stop);
            }
            // The dead too: the index may still have one, if a crash cut its deletion short.
            bytes += header.location.bare_len();
            headers.push(*header);
            Ok(Visit::Whole)
        })?;

        let chunks: Vec<_> = headers.iter().map(|header| header.chunk).collect();
        let places = self.with_index(|index| index.locations(&chunks))?;
        let mut living = Vec::new();
        let mut damaged = Vec::new();
        for (header, places) in headers.iter().zip(places) {
            let key = ShardKey { chunk: header.chunk, index: header.index };
            if !places.contains(&(header.index, header.location)) {
                continue;
            }
            match read_verified(&*file, header)? {
                Some((descriptor, payload)) => living.push((key, descriptor, payload)),
                None => damaged.push(key),
            }
        }
        let records: Vec<NewRecord<'_>> = living
            .iter()
            .map(|(key, descriptor, payload)| NewRecord { key: *key, descriptor, payload })
            .collect();
        let mut moved = 0;
        if !records.is_empty() {
            let appended = self.append(writer, &records)?;
            moved = appended.bytes;
            self.enter(writer, appended)?;
        }
        if !damaged.is_empty() {
            self.delete_locked(writer, &damaged, Why::Damaged)?;
        }
        Ok((next, moved))
    }

    /// Removes a segment from which everything was moved, once the index is durable without it.
    fn drop_emptied(&self, writer: &mut Writer, segment: u32) -> io::Result<()> {
        let state = writer.state();
        if writer.segments.get(&segment).is_some_and(|stats| stats.live > 0) {
            return Err(io::Error::other(format!(
                "{} still holds shards that a scan does not find",
                segment_name(segment)
            )));
        }
        self.change_index(&mut writer.broken, true, |tables| {
            tables.remove_segment(segment)?;
            tables.set_state(state)
        })?;
        writer.uncheckpointed = Uncheckpointed::default();
        self.remove_segment(writer, segment)?;
        self.files.sync_directory()
    }
}
