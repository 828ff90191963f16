//! Opening: the format, the index, and the end of the log.

use std::io;
use std::sync::Arc;

use super::index::{Index, SegmentStats, State};
use super::lost::Suspects;
use super::record::{Location, RecordHeader, SEGMENT_HEADER_LEN, segment_name, segment_of};
use super::scan::{Visit, read_verified, scan};
use super::types::{OpenError, ShardKey, StoreConfig};
use super::{Active, Writer};
use crate::database::is_damaged;
use crate::files::{Files, StoreFile};

const FORMAT_FILE: &str = "format";
const INDEX_FILE: &str = "index.redb";
/// The newest format known: the layout of the directory, its segments and its index.
const FORMAT: u32 = 1;
const FORMAT_PREFIX: &str = "chordage shard store, format ";
/// The file is one short line.
const MAX_FORMAT_LEN: u64 = 64;

/// Reads the format file, or writes it if the store is new.
pub(super) fn check_format(files: &dyn Files) -> Result<(), OpenError> {
    let ours = format!("{FORMAT_PREFIX}{FORMAT}\n");
    let text = match files.open(FORMAT_FILE)? {
        Some(file) => read_text(&*file)?,
        None => String::new(),
    };
    if text == ours {
        return Ok(());
    }
    // A crash while the store is created can leave only the beginning of the text. There are no segments yet then.
    if ours.starts_with(&text) && !files.names()?.iter().any(|name| segment_of(name).is_some()) {
        let file = files.create(FORMAT_FILE)?;
        file.write_all_at(&[ours.as_bytes()], 0)?;
        file.sync()?;
        files.sync_directory()?;
        return Ok(());
    }
    let format = text.strip_prefix(FORMAT_PREFIX).and_then(|rest| rest.strip_suffix('\n')?.parse().ok());
    match format {
        Some(found) if found > FORMAT => Err(OpenError::NewerFormat { found, supported: FORMAT }),
        _ => Err(OpenError::NotAStore),
    }
}

fn read_text(file: &dyn StoreFile) -> Result<String, OpenError> {
    let size = file.size()?;
    if size > MAX_FORMAT_LEN {
        return Err(OpenError::NotAStore);
    }
    let mut bytes = vec![0u8; size as usize];
    file.read_exact_at(&mut bytes, 0)?;
    // Zeros are what a crash can leave of a file whose length reached the disk before its bytes.
    let text = String::from_utf8(bytes).map_err(|_| OpenError::NotAStore)?;
    Ok(text.trim_matches('\0').to_owned())
}

/// A store's index and counters, as they are after opening it.
pub(super) struct Opened {
    pub(super) index: Index,
    pub(super) writer: Writer,
    pub(super) suspects: Suspects,
    /// The index was made again from the segments.
    pub(super) rebuilt: bool,
}

/// Opens the index and enters what the log has behind its checkpoint. If the index is damaged, it is replaced by a new
/// one, made from the segments: they have all shards. The list of unmended shards is only in the index, and is lost.
pub(super) fn recover(files: &dyn Files, config: &StoreConfig) -> io::Result<Opened> {
    match read_everything(files, config) {
        Err(error) if is_damaged(&error) => {
            remove_index(files)?;
            Ok(Opened { rebuilt: true, ..read_everything(files, config)? })
        }
        result => result,
    }
}

/// Removes a damaged index.
pub(super) fn remove_index(files: &dyn Files) -> io::Result<()> {
    files.remove(INDEX_FILE)
}

fn read_everything(files: &dyn Files, config: &StoreConfig) -> io::Result<Opened> {
    let file = files.open(INDEX_FILE)?;
    // An index file without a state row is not damaged: the process ended before the first checkpoint made one durable.
    // Reading all segments then does not count as rebuilding a lost index.
    let was_there = file.as_ref().map_or(Ok(0), |file| file.size())? > 0;
    let file = file.map_or_else(|| create_index_file(files), Ok)?;
    let index = Index::open(file, config.index_cache_bytes)?;
    let mut on_disk: Vec<u32> = files.names()?.iter().filter_map(|name| segment_of(name)).collect();
    on_disk.sort_unstable();

    let known = index.state()?;
    // Without a state the index is new: all segments there are have to be read.
    let rebuilding = known.is_none();
    let (state, segments) = known.unwrap_or_default();
    let suspects = Suspects::find(files, &segments, &on_disk)?;
    let mut writer = Writer {
        next_segment: state.next_segment,
        segments: segments.into_iter().filter(|(id, _)| on_disk.binary_search(id).is_ok()).collect(),
        shards: state.shards,
        payload_bytes: state.payload_bytes,
        ..Writer::default()
    };
    for segment in on_disk.iter().copied().filter(|segment| *segment >= state.checkpoint_segment) {
        let from = if segment == state.checkpoint_segment { state.checkpoint_offset } else { 0 };
        let Some(file) = files.open(&segment_name(segment))? else { continue };
        writer.next_segment = writer.next_segment.max(segment.saturating_add(1));
        if file.size()? < from {
            // The file has lost its end, and the index still lists the shards that lay there until `drop_lost` drops
            // them. A record appended now could take the place of one of those, so nothing is appended here.
            writer.active = None;
            continue;
        }
        let from = from.max(SEGMENT_HEADER_LEN);
        let tail = read_log(&index, &mut writer, segment, &file, from, rebuilding)?;
        writer.active = (tail < config.segment_bytes).then_some(Active { segment, file, tail });
    }
    // A store without segments has nothing that an index could be made of: it is new.
    let rebuilt = !was_there && !on_disk.is_empty();
    Ok(Opened { index, writer, suspects, rebuilt })
}

fn create_index_file(files: &dyn Files) -> io::Result<Arc<dyn StoreFile>> {
    let file = files.create(INDEX_FILE)?;
    files.sync_directory()?;
    Ok(file)
}

/// Enters the records of one segment from `from` on into the index; returns where the segment ends.
fn read_log(
    index: &Index,
    writer: &mut Writer,
    segment: u32,
    file: &Arc<dyn StoreFile>,
    from: u64,
    durable: bool,
) -> io::Result<u64> {
    let mut whole: Vec<(ShardKey, Location)> = Vec::new();
    let tail = scan(&**file, segment, from, |header: &RecordHeader| {
        if header.dead {
            return Ok(Visit::Whole);
        }
        if read_verified(&**file, header)?.is_none() {
            return Ok(Visit::Torn);
        }
        whole.push((ShardKey { chunk: header.chunk, index: header.index }, header.location));
        Ok(Visit::Whole)
    })?;
    if file.size()? > tail {
        // What a crash left behind the last whole record was never acknowledged.
        file.set_size(tail)?;
    }
    let old = writer.segments.get(&segment).copied().unwrap_or_default();
    if whole.is_empty() && old.len == tail {
        return Ok(tail);
    }
    // Sorted keys are an order of magnitude cheaper to insert.
    whole.sort_unstable_by_key(|(key, _)| *key);
    let mut stats = SegmentStats { len: tail, ..old };
    let segments = &writer.segments;
    let (mut shards, mut payload_bytes) = (writer.shards, writer.payload_bytes);
    let next_segment = writer.next_segment.max(segment.saturating_add(1));
    index.write(durable, |tables| {
        for (key, location) in &whole {
            let known = tables.get(*key)?;
            // A record of a shard that the index has elsewhere is what an interrupted compaction leaves.
            if known.is_some_and(|known| known.segment == segment || segments.contains_key(&known.segment)) {
                continue;
            }
            tables.insert(*key, *location)?;
            stats.live = stats.live.saturating_add(location.record_len());
            if known.is_none() {
                shards = shards.saturating_add(1);
                payload_bytes = payload_bytes.saturating_add(location.payload_len.into());
            }
        }
        tables.set_segment(segment, stats)?;
        tables.set_state(State {
            checkpoint_segment: segment,
            checkpoint_offset: tail,
            next_segment,
            shards,
            payload_bytes,
        })
    })?;
    writer.segments.insert(segment, stats);
    (writer.shards, writer.payload_bytes) = (shards, payload_bytes);
    writer.uncheckpointed.bytes += tail.saturating_sub(from);
    writer.uncheckpointed.records += whole.len() as u64;
    Ok(tail)
}
