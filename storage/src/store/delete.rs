//! Deleting shards and giving their space back.

use std::collections::BTreeMap;
use std::io;

use super::index::SegmentStats;
use super::record::{DEAD, STATE_AT, segment_name};
use super::types::{ChangeError, ShardKey};
use super::{ShardStore, Uncheckpointed, Writer};
use crate::files::StoreFile;

/// Deletions in one transaction: enough to share its syncs, few enough that the pages of the index that it copies
/// fit into what the quota keeps free for them.
const MAX_BATCH: usize = 512;
/// Holes begin and end at multiples of this; it is the block size of the common file systems.
const BLOCK: u64 = 4096;

/// Why shards are deleted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// Nobody wants them.
    Unwanted,
    /// They are damaged, and missed.
    Damaged,
}

impl ShardStore {
    /// Deletes shards; returns how many of them were held. When this returns they stay deleted, also after a crash, and
    /// their space is given back as far as the file system can. One that an interrupted compaction has left twice comes
    /// back if the index is lost before a compaction has removed the other copy.
    pub fn delete(&self, shards: &[ShardKey]) -> Result<usize, ChangeError> {
        let mut writer = self.lock_writer();
        self.mend(&mut writer)?;
        let deleted = self.delete_locked(&mut writer, shards, Why::Unwanted)?;
        self.update_usage(&writer)?;
        Ok(deleted)
    }

    pub(super) fn delete_locked(
        &self,
        writer: &mut Writer,
        shards: &[ShardKey],
        why: Why,
    ) -> io::Result<usize> {
        let mut deleted = 0;
        for batch in shards.chunks(MAX_BATCH) {
            deleted += match self.delete_batch(writer, batch, why) {
                Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                    self.make_room(batch)?;
                    self.reopen(writer)?;
                    self.delete_batch(writer, batch, why)?
                }
                result => result?,
            };
            self.give_space_back(writer)?;
        }
        Ok(deleted)
    }

    /// Removes shards from the index, durably. The same transaction remembers which space is to be given back, and
    /// moves the checkpoint behind all records so far: none of them can come back by reading the log again.
    fn delete_batch(&self, writer: &mut Writer, shards: &[ShardKey], why: Why) -> io::Result<usize> {
        let chunks: Vec<_> = shards.iter().map(|shard| shard.chunk).collect();
        let held = self.with_index(|index| index.locations(&chunks))?;
        let any = shards.iter().zip(&held).any(|(shard, held)| held.iter().any(|(i, _)| *i == shard.index));
        if !any {
            return Ok(0);
        }
        let mut state = writer.state();
        let mut changed: BTreeMap<u32, SegmentStats> = BTreeMap::new();
        let segments = &writer.segments;
        let count = self.change_index(&mut writer.broken, true, |tables| {
            let mut count = 0;
            for shard in shards {
                let Some(location) = tables.remove(*shard)? else { continue };
                if why == Why::Damaged {
                    tables.miss(*shard)?;
                }
                count += 1;
                state.shards = state.shards.saturating_sub(1);
                state.payload_bytes = state.payload_bytes.saturating_sub(location.payload_len.into());
                if let Some(stats) = segments.get(&location.segment) {
                    let stats = changed.entry(location.segment).or_insert(*stats);
                    stats.live = stats.live.saturating_sub(location.record_len());
                    tables.add_pending(location.segment, location.offset, location.record_len())?;
                }
            }
            for (segment, stats) in &changed {
                tables.set_segment(*segment, *stats)?;
            }
            tables.set_state(state)?;
            Ok(count)
        })?;
        writer.segments.extend(changed);
        (writer.shards, writer.payload_bytes) = (state.shards, state.payload_bytes);
        writer.uncheckpointed = Uncheckpointed::default();
        Ok(count)
    }

    /// Gives the shards' space back before the index is changed, for a disk so full that even the index cannot record
    /// the deletion. The shards are quarantined: if the deletion then fails all the same, they count as damaged.
    fn make_room(&self, shards: &[ShardKey]) -> io::Result<()> {
        let chunks: Vec<_> = shards.iter().map(|shard| shard.chunk).collect();
        let held = self.with_index(|index| index.locations(&chunks))?;
        for (shard, held) in shards.iter().zip(held) {
            for (_, location) in held.iter().filter(|(index, _)| *index == shard.index) {
                self.put_in_quarantine(*shard);
                if let Some(file) = self.segment_file(location.segment)? {
                    let record = [(location.offset, location.record_len())];
                    mark_dead(&*file, &record)?;
                    // A put must not take what is left of it for the shard, also after a crash.
                    file.sync()?;
                    punch(&*file, &record)?;
                }
            }
        }
        Ok(())
    }

    /// Punches out what deletions left, and removes segments in which nothing lives. Doing it twice does no harm,
    /// so that what a crash interrupts is done again when the store is opened.
    pub(super) fn give_space_back(&self, writer: &mut Writer) -> io::Result<()> {
        loop {
            let active = writer.active.as_ref().map(|active| active.segment);
            let mut stats = writer.segments.clone();
            let mut removed = Vec::new();
            let done = self.change_index(&mut writer.broken, false, |tables| {
                let pending = tables.pending(MAX_BATCH)?;
                let mut by_segment: BTreeMap<u32, Vec<(u32, u64)>> = BTreeMap::new();
                for (segment, offset, len) in &pending {
                    by_segment.entry(*segment).or_default().push((*offset, *len));
                }
                for (segment, records) in by_segment {
                    if let Some(stats) = stats.get_mut(&segment) {
                        if stats.live == 0 && Some(segment) != active {
                            removed.push(segment);
                            tables.remove_segment(segment)?;
                        } else if let Some(file) = self.segment_file(segment)? {
                            mark_dead(&*file, &records)?;
                            stats.punched = stats.punched.saturating_add(punch(&*file, &records)?);
                            tables.set_segment(segment, *stats)?;
                        }
                    }
                    for (offset, _) in records {
                        tables.remove_pending(segment, offset)?;
                    }
                }
                Ok(pending.len() < MAX_BATCH)
            })?;
            writer.segments = stats;
            for segment in removed {
                self.remove_segment(writer, segment)?;
            }
            if done {
                return Ok(());
            }
        }
    }

    /// Removes a segment's file. Nothing in the durable index refers to it.
    pub(super) fn remove_segment(&self, writer: &mut Writer, segment: u32) -> io::Result<()> {
        self.forget_segment(segment);
        writer.active.take_if(|active| active.segment == segment);
        self.files.remove(&segment_name(segment))?;
        writer.segments.remove(&segment);
        Ok(())
    }
}

/// Marks records as dead, so that a rebuild of the index does not bring them back. Punching does not always erase a
/// record: a hole covers whole blocks only, and some file systems cannot punch holes.
fn mark_dead(file: &dyn StoreFile, records: &[(u32, u64)]) -> io::Result<()> {
    // A segment that has lost its end must not grow again: nothing is there to be marked.
    let size = file.size()?;
    let states = records.iter().map(|(offset, _)| u64::from(*offset) + STATE_AT);
    let mut there = states.filter(|at| at + DEAD.len() as u64 <= size);
    there.try_for_each(|at| file.write_all_at(&[&DEAD], at))
}

/// Gives the space of dead records back to the file system; returns the number of bytes that were punched out.
fn punch(file: &dyn StoreFile, records: &[(u32, u64)]) -> io::Result<u64> {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for (offset, len) in records {
        let (start, end) = (u64::from(*offset), u64::from(*offset) + len);
        match ranges.last_mut() {
            Some(last) if last.1 == start => last.1 = end,
            _ => ranges.push((start, end)),
        }
    }
    let mut punched = 0;
    for (start, end) in ranges {
        let (start, end) = (start.next_multiple_of(BLOCK), end / BLOCK * BLOCK);
        if start < end && file.punch_hole(start, end - start)? {
            punched += end - start;
        }
    }
    Ok(punched)
}
