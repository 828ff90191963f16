//! What is lost when a store is opened: segments that are gone, or shorter than the index says.
//!
//! The shards that lay there are dropped from the index at once. Otherwise the store would count them as held until
//! somebody reads them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::index::SegmentStats;
use super::record::{Location, segment_name};
use super::types::ShardKey;
use super::{ShardStore, Uncheckpointed, Writer};
use crate::files::Files;

/// Shards that are looked at, and dropped, in one change of the index.
const STEP_SHARDS: usize = 4096;

/// What was damaged or lost when a store was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// The index was lost or damaged, and was made again from the segments.
    pub index_rebuilt: bool,
    /// Names of segment files that are gone, and shards with them.
    pub missing: Vec<String>,
    /// Names of segment files that have lost their ends.
    pub short: Vec<String>,
    /// Shards that lay there. They are no longer held, and are listed as [unmended](ShardStore::list_unmended).
    pub shards: u64,
}

/// Segments that are not as the index says.
#[derive(Debug, Default)]
pub(super) struct Suspects {
    missing: BTreeSet<u32>,
    /// With their lengths.
    short: BTreeMap<u32, u64>,
}

impl Suspects {
    /// Compares what the index says of segments with their files. `on_disk` is sorted.
    pub(super) fn find(
        files: &dyn Files,
        known: &BTreeMap<u32, SegmentStats>,
        on_disk: &[u32],
    ) -> io::Result<Self> {
        let mut suspects = Self::default();
        for (&segment, stats) in known {
            let size = match on_disk.binary_search(&segment) {
                Ok(_) => files.open(&segment_name(segment))?.map(|file| file.size()).transpose()?,
                Err(_) => None,
            };
            match size {
                // One in which nothing lived was removed, and a crash made the index forget that.
                None if stats.live == 0 => {}
                None => drop(suspects.missing.insert(segment)),
                Some(size) if size < stats.len => drop(suspects.short.insert(segment, size)),
                Some(_) => {}
            }
        }
        Ok(suspects)
    }

    fn are_none(&self) -> bool {
        self.missing.is_empty() && self.short.is_empty()
    }

    fn have(&self, location: Location) -> bool {
        let end = u64::from(location.offset) + location.bare_len() as u64;
        self.missing.contains(&location.segment)
            || self.short.get(&location.segment).is_some_and(|size| *size < end)
    }
}

impl ShardStore {
    /// Returns what was found damaged or lost when the store was opened, and forgets it: a second call returns nothing.
    pub fn take_recovered(&self) -> Recovered {
        std::mem::take(&mut *super::locked(&self.recovered))
    }

    /// Drops the shards of `suspects` from the index, durably.
    pub(super) fn drop_lost(&self, writer: &mut Writer, suspects: &Suspects) -> io::Result<()> {
        if suspects.are_none() {
            return Ok(());
        }
        let mut missing = BTreeSet::new();
        let mut full = false;
        let mut after = None;
        loop {
            let listed = self.with_index(|index| index.list(after, STEP_SHARDS))?;
            let lost: Vec<(ShardKey, Location)> =
                listed.iter().copied().filter(|(_, location)| suspects.have(*location)).collect();
            super::locked(&self.recovered).shards += lost.len() as u64;
            missing.extend(lost.iter().map(|(_, at)| at.segment).filter(|at| suspects.missing.contains(at)));
            if !full {
                full = self.unless_full(writer, |store, writer| store.drop_step(writer, suspects, &lost))?;
            }
            if full {
                // The next change drops them, or the next start finds them again.
                lost.iter().for_each(|(key, _)| self.put_in_quarantine(*key));
            }
            after = listed.last().map(|(key, _)| *key);
            if listed.len() < STEP_SHARDS {
                break;
            }
        }
        if !full {
            self.unless_full(writer, |store, writer| store.settle(writer, suspects))?;
        }
        let mut recovered = super::locked(&self.recovered);
        recovered.missing = missing.into_iter().map(segment_name).collect();
        recovered.short = suspects.short.keys().copied().map(segment_name).collect();
        Ok(())
    }

    /// Makes a change; returns `true` if the disk was too full for it. The index is then as it was before.
    fn unless_full(
        &self,
        writer: &mut Writer,
        change: impl FnOnce(&Self, &mut Writer) -> io::Result<()>,
    ) -> io::Result<bool> {
        match change(self, writer) {
            Err(error) if error.kind() == io::ErrorKind::StorageFull => self.reopen(writer).map(|()| true),
            result => result.map(|()| false),
        }
    }

    fn drop_step(
        &self,
        writer: &mut Writer,
        suspects: &Suspects,
        lost: &[(ShardKey, Location)],
    ) -> io::Result<()> {
        if lost.is_empty() {
            return Ok(());
        }
        let mut state = writer.state();
        let mut changed: BTreeMap<u32, SegmentStats> = BTreeMap::new();
        for (_, location) in lost {
            state.shards = state.shards.saturating_sub(1);
            state.payload_bytes = state.payload_bytes.saturating_sub(location.payload_len.into());
            if suspects.short.contains_key(&location.segment)
                && let Some(stats) = writer.segments.get(&location.segment)
            {
                let stats = changed.entry(location.segment).or_insert(*stats);
                stats.live = stats.live.saturating_sub(location.record_len());
            }
        }
        self.change_index(&mut writer.broken, true, |tables| {
            for (key, _) in lost {
                tables.remove(*key)?;
                tables.miss(*key)?;
            }
            for (segment, stats) in &changed {
                tables.set_segment(*segment, *stats)?;
            }
            tables.set_state(state)
        })?;
        writer.segments.extend(changed);
        (writer.shards, writer.payload_bytes) = (state.shards, state.payload_bytes);
        writer.uncheckpointed = Uncheckpointed::default();
        Ok(())
    }

    /// Makes the index say of the segments what is true now, so that the next start does not find them again.
    fn settle(&self, writer: &mut Writer, suspects: &Suspects) -> io::Result<()> {
        let state = writer.state();
        let mut changed: BTreeMap<u32, SegmentStats> = BTreeMap::new();
        for (&segment, &len) in &suspects.short {
            if let Some(stats) = writer.segments.get(&segment) {
                changed.insert(segment, SegmentStats { len, ..*stats });
            }
        }
        let (emptied, changed): (BTreeMap<_, _>, BTreeMap<_, _>) =
            changed.into_iter().partition(|(_, stats)| stats.live == 0);
        self.change_index(&mut writer.broken, true, |tables| {
            for segment in suspects.missing.iter().chain(emptied.keys()) {
                tables.remove_segment(*segment)?;
            }
            for (segment, stats) in &changed {
                tables.set_segment(*segment, *stats)?;
            }
            tables.set_state(state)
        })?;
        writer.segments.extend(changed);
        writer.uncheckpointed = Uncheckpointed::default();
        emptied.keys().try_for_each(|segment| self.remove_segment(writer, *segment))
    }
}
