//! What listings leave out: extended attributes, and where files have holes. What was read lately stays in memory.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chordage_api::types::{VolumeEntryDetail, VolumeSegment, VolumeXattr};
use chordage_api::unhex;

use super::attributes::Item;
use super::inodes::Inside;
use super::source::{Source, Trouble};

/// Bytes that are kept, over all entries.
const KEPT_BYTES: usize = 8 << 20;
/// What an entry takes beside its attributes.
const OVERHEAD: usize = 256;

/// Details of an entry.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Detail {
    /// Names and values, in the order of the names.
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Where there is data; `None`: everywhere.
    pub(super) segments: Option<Vec<VolumeSegment>>,
}

impl Detail {
    fn of(detail: VolumeEntryDetail) -> Self {
        let xattr = |VolumeXattr { name, name_hex, value_hex }| {
            let name = name_hex.as_deref().and_then(unhex).unwrap_or_else(|| String::into_bytes(name));
            Some((name, unhex(&value_hex)?))
        };
        let mut xattrs: Vec<_> = detail.xattrs.into_iter().filter_map(xattr).collect();
        xattrs.retain(|(name, _)| !name.is_empty() && !name.contains(&0));
        Detail { xattrs, segments: detail.segments }
    }

    fn bytes(&self) -> usize {
        let xattrs: usize = self.xattrs.iter().map(|(name, value)| name.len() + value.len()).sum();
        let segments = self.segments.as_ref().map_or(0, Vec::len) * size_of::<VolumeSegment>();
        OVERHEAD + xattrs + segments
    }

    /// The value of an attribute.
    pub(super) fn xattr(&self, name: &[u8]) -> Option<&[u8]> {
        self.xattrs.iter().find(|(known, _)| known == name).map(|(_, value)| &value[..])
    }

    /// All names, each with a zero behind it.
    pub(super) fn names(&self) -> Vec<u8> {
        self.xattrs.iter().flat_map(|(name, _)| name.iter().copied().chain([0])).collect()
    }
}

/// Where data (or a hole) begins in a file of `size` bytes, at `from` or behind it; `None`: nowhere. The end is a hole.
pub(super) fn seek(segments: Option<&[VolumeSegment]>, size: u64, from: u64, data: bool) -> Option<u64> {
    if from >= size {
        return None;
    }
    let whole = [VolumeSegment { offset: 0, len: size }];
    let mut at = from;
    for VolumeSegment { offset, len } in segments.unwrap_or(&whole) {
        let end = offset.saturating_add(*len);
        if end <= at {
            continue;
        }
        match (data, *offset <= at) {
            (true, true) => return Some(at),
            (true, false) => return Some(*offset),
            (false, true) => at = end,
            (false, false) => break,
        }
    }
    if data { None } else { Some(at.min(size)) }
}

type Key = (Arc<str>, Vec<u8>);

#[derive(Debug, Default)]
struct Kept {
    details: BTreeMap<Key, Arc<Detail>>,
    oldest_first: VecDeque<Key>,
    bytes: usize,
}

/// See the module's description.
#[derive(Debug)]
pub(super) struct Details {
    source: Arc<Source>,
    kept: Mutex<Kept>,
}

impl Details {
    pub(super) fn new(source: Arc<Source>) -> Self {
        Details { source, kept: Mutex::default() }
    }

    /// Those of an entry.
    pub(super) async fn of(&self, inside: &Inside) -> Result<Arc<Detail>, Trouble> {
        let key = (inside.snapshot.clone(), inside.path.clone());
        if let Some(known) = self.lock().details.get(&key) {
            return Ok(known.clone());
        }
        let detail = Arc::new(Detail::of(self.source.entry(&inside.snapshot, &inside.path).await?));
        self.keep(key, &detail);
        Ok(detail)
    }

    /// What stat(2) says of an entry; `None` if it is of a kind that this program does not know.
    pub(super) async fn entry(&self, inside: &Inside) -> Result<Option<Arc<Item>>, Trouble> {
        let found = self.source.entry(&inside.snapshot, &inside.path).await?;
        let item = Item::of(&found.entry).map(Arc::new);
        if found.entry.xattrs > 0 || found.segments.is_some() {
            let detail = Arc::new(Detail::of(found));
            self.keep((inside.snapshot.clone(), inside.path.clone()), &detail);
        }
        Ok(item)
    }

    fn keep(&self, key: Key, detail: &Arc<Detail>) {
        let mut kept = self.lock();
        if kept.details.insert(key.clone(), detail.clone()).is_some() {
            return;
        }
        kept.bytes += detail.bytes();
        kept.oldest_first.push_back(key);
        while kept.bytes > KEPT_BYTES {
            let Some(oldest) = kept.oldest_first.pop_front() else { break };
            let gone = kept.details.remove(&oldest).map_or(0, |detail| detail.bytes());
            kept.bytes -= gone;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // Each change leaves it whole.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_and_holes_are_found() {
        let segment = |offset, len| VolumeSegment { offset, len };
        let segments = [segment(100, 50), segment(150, 50), segment(500, 100)];
        let find = |from, data| seek(Some(&segments), 1000, from, data);
        for (from, data, found) in [
            (0, true, Some(100)),
            (120, true, Some(120)),
            (200, true, Some(500)),
            (600, true, None),
            (0, false, Some(0)),
            (100, false, Some(200)),
            (550, false, Some(600)),
            (1000, false, None),
            (1000, true, None),
        ] {
            assert_eq!(find(from, data), found, "{from} {data}");
        }
        assert_eq!(seek(None, 10, 3, true), Some(3));
        assert_eq!(seek(None, 10, 3, false), Some(10));
        assert_eq!(seek(Some(&[]), 10, 3, true), None);
    }

    #[test]
    fn attributes_have_their_names() {
        let xattr = |name: &str, name_hex: Option<&str>, value: &str| VolumeXattr {
            name: name.to_owned(),
            name_hex: name_hex.map(str::to_owned),
            value_hex: value.to_owned(),
        };
        let entry = crate::backup::entry::tests::file("a", 0);
        let xattrs = vec![xattr("user.a", None, "00ff"), xattr("user.?", Some("757365722eff"), "")];
        let detail = Detail::of(VolumeEntryDetail { entry, xattrs, segments: None });
        assert_eq!(detail.names(), b"user.a\0user.\xff\0");
        assert_eq!(detail.xattr(b"user.a"), Some(&[0, 0xff][..]));
        assert_eq!((detail.xattr(b"user.\xff"), detail.xattr(b"user.b")), (Some(&[][..]), None));
    }
}
