//! Entries of snapshots as people and programs see them.

use chordage_api::hex;
use chordage_api::types::{
    VolumeDevice, VolumeEntry, VolumeEntryDetail, VolumeEntryKind, VolumeSegment, VolumeXattr,
};
use chordage_storage::EntryPath;
use chordage_storage::volume::{Content, FileNode, NodeKind, Value, path_of};

use super::VolumesError;

/// Domain of the hash that tells whether contents are equal.
const CONTENT_CONTEXT: &str = "chordage 2026 content by place";

/// The entry with this key and value.
pub(super) fn described(key: &[u8], value: &Value) -> Result<VolumeEntry, VolumesError> {
    let path = path_of(key).map_err(|error| VolumesError::Malformed(error.to_string()))?;
    let node = FileNode::from_value(value).map_err(|error| VolumesError::Malformed(error.to_string()))?;
    Ok(entry(&path, &node))
}

/// All that is known of an entry.
pub(super) fn detailed(path: &EntryPath, node: &FileNode) -> VolumeEntryDetail {
    let xattr = |(name, value): &(Vec<u8>, Vec<u8>)| VolumeXattr {
        name: text(name),
        name_hex: unless_text(name),
        value_hex: hex(value),
    };
    let segments = match &node.kind {
        NodeKind::File(Content { segments: Some(segments), .. }) => {
            Some(segments.iter().map(|(offset, len)| VolumeSegment { offset: *offset, len: *len }).collect())
        }
        _ => None,
    };
    VolumeEntryDetail { entry: entry(path, node), xattrs: node.xattrs.iter().map(xattr).collect(), segments }
}

fn entry(path: &EntryPath, node: &FileNode) -> VolumeEntry {
    let mut entry = VolumeEntry {
        path: text(path.as_bytes()),
        path_hex: unless_text(path.as_bytes()),
        kind: VolumeEntryKind::Unknown,
        size: 0,
        mode: node.metadata.mode,
        uid: node.uid,
        gid: node.gid,
        user: text(&node.user),
        group: text(&node.group),
        mtime: node.metadata.mtime_s,
        mtime_nanos: node.metadata.mtime_ns,
        target: None,
        target_hex: None,
        device: None,
        data_bytes: None,
        xattrs: node.xattrs.len().try_into().unwrap_or(u32::MAX),
        link_group: Some(node.link_group).filter(|group| *group > 0),
        content: None,
    };
    let device = |major: &u32, minor: &u32| Some(VolumeDevice { major: *major, minor: *minor });
    entry.kind = match &node.kind {
        NodeKind::Directory => VolumeEntryKind::Directory,
        NodeKind::File(content) => {
            entry.size = content.size;
            entry.data_bytes = content.segments.is_some().then(|| content.data_len());
            entry.content = Some(content_tag(content));
            VolumeEntryKind::File
        }
        NodeKind::Symlink(target) => {
            (entry.target, entry.target_hex) = (Some(text(target)), unless_text(target));
            VolumeEntryKind::Symlink
        }
        NodeKind::Fifo => VolumeEntryKind::Fifo,
        NodeKind::CharDevice { major, minor } => {
            entry.device = device(major, minor);
            VolumeEntryKind::CharDevice
        }
        NodeKind::BlockDevice { major, minor } => {
            entry.device = device(major, minor);
            VolumeEntryKind::BlockDevice
        }
    };
    entry
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// In hexadecimal what is lost as text.
fn unless_text(bytes: &[u8]) -> Option<String> {
    std::str::from_utf8(bytes).is_err().then(|| hex(bytes))
}

/// A hash of where a content lies: nothing of it has to be read.
pub(super) fn content_tag(content: &Content) -> String {
    let mut hasher = blake3::Hasher::new_derive_key(CONTENT_CONTEXT);
    hasher.update(&content.size.to_le_bytes());
    for (offset, len) in content.segments.iter().flatten() {
        hasher.update(&offset.to_le_bytes()).update(&len.to_le_bytes());
    }
    hasher.update(&[0]);
    for piece in &content.pieces {
        hasher.update(&piece.chunk.id.0).update(&piece.offset.to_le_bytes()).update(&piece.len.to_le_bytes());
    }
    hex(hasher.finalize().as_bytes())
}
