//! What a volume of files keeps of each: everything that a file system knows, and where the content lies.
//!
//! ```text
//!  version 1 │ kind │ mode │ uid │ gid │ user │ group │ mtime s (zigzag) │ mtime ns │ link group, 0 for none
//!  │ number of attributes │ for each: name │ value
//!  │ file:    size │ number of segments, 0 for a file without holes │ for each: zeros before it │ length
//!  │          number of pieces │ for each: chunk, zigzag difference to the one before │ offset │ length
//!  │ symlink: target     │ device: major │ minor                    (numbers are varints, texts have their length before them)
//! ```

use crate::chunk::ChunkRef;
use crate::manifest::{Metadata, decode_extent, encode_extent, is_target};
use crate::pack::Place;
use crate::path::{EntryPath, PathError};
use crate::varint::{Malformed, Reader, put_varint, unzigzag, zigzag};

use super::value::Value;

const VERSION: u8 = 1;
/// Longest name of a user or group, in bytes.
const MAX_OWNER_LEN: usize = 255;
/// Extended attributes of a file, together with their names, in bytes: as many as Linux lists.
const MAX_XATTRS_LEN: usize = 1 << 20;

/// What something in a tree is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeKind {
    /// A directory.
    Directory,
    /// A regular file.
    File(Content),
    /// A symbolic link to any bytes but NUL, 1 to 4,096 of them.
    Symlink(Vec<u8>),
    /// A named pipe.
    Fifo,
    /// A character device.
    CharDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
}

/// The content of a file.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Content {
    /// Length of the file, holes included.
    pub size: u64,
    /// Where there is data: offset and length, ascending. `None`: everywhere.
    pub segments: Option<Vec<(u64, u64)>>,
    /// The data, in order.
    pub pieces: Vec<Piece>,
}

/// A run of bytes inside a chunk's plaintext.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The chunk.
    pub chunk: ChunkRef,
    /// Where in its plaintext the run begins.
    pub offset: u32,
    /// Length of the run; not 0.
    pub len: u32,
}

/// An entry of a tree of files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileNode {
    /// What it is.
    pub kind: NodeKind,
    /// Mode and time of last modification.
    pub metadata: Metadata,
    /// Number of its owner.
    pub uid: u32,
    /// Number of its group.
    pub gid: u32,
    /// Name of its owner; empty if it had none.
    pub user: Vec<u8>,
    /// Name of its group; empty if it had none.
    pub group: Vec<u8>,
    /// Extended attributes, ACLs among them: names ascend.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Those with the same number in a tree are one file with several names; 0: it has only this one.
    pub link_group: u64,
}

/// Why something is not an entry of a tree of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FileNodeError {
    /// It was written by a newer version.
    #[error("an entry is of version {0}, which is newer than this program")]
    Version(u8),
    /// It breaks the format's rules.
    #[error("an entry is malformed: {0}")]
    Malformed(&'static str),
}

impl From<Malformed> for FileNodeError {
    fn from(Malformed(what): Malformed) -> Self {
        Self::Malformed(what)
    }
}

/// The key of a path: components with a zero byte between them, so that keys order as [`EntryPath`] does.
pub fn key_of(path: &EntryPath) -> Vec<u8> {
    path.as_bytes().iter().map(|byte| if *byte == b'/' { 0 } else { *byte }).collect()
}

/// The path of a key.
pub fn path_of(key: &[u8]) -> Result<EntryPath, PathError> {
    if key.contains(&b'/') {
        return Err(PathError::ForbiddenByte);
    }
    EntryPath::new(key.iter().map(|byte| if *byte == 0 { b'/' } else { *byte }).collect::<Vec<u8>>())
}

impl FileNode {
    /// Whether a volume can hold it.
    pub fn check(&self) -> Result<(), FileNodeError> {
        let refuse = |what| Err(FileNodeError::Malformed(what));
        if !self.metadata.is_valid() {
            return refuse("a mode or time is out of range");
        }
        if self.user.len() > MAX_OWNER_LEN || self.group.len() > MAX_OWNER_LEN {
            return refuse("the name of an owner is too long");
        }
        let xattrs: usize = self.xattrs.iter().map(|(name, value)| name.len() + value.len()).sum();
        if xattrs > MAX_XATTRS_LEN {
            return refuse("it has too many extended attributes");
        }
        if !self.xattrs.is_sorted_by(|(a, _), (b, _)| a < b)
            || self.xattrs.iter().any(|(name, _)| name.is_empty())
        {
            return refuse("extended attributes are out of order");
        }
        match &self.kind {
            NodeKind::Symlink(target) if !is_target(target) => {
                refuse("a symbolic link has an impossible target")
            }
            NodeKind::File(content) => content.check().map_err(FileNodeError::from),
            _ => Ok(()),
        }
    }

    /// As a value of a map.
    pub fn to_value(&self) -> Value {
        let mut out = vec![VERSION, self.kind.code()];
        put_varint(&mut out, self.metadata.mode.into());
        put_varint(&mut out, self.uid.into());
        put_varint(&mut out, self.gid.into());
        put_text(&mut out, &self.user);
        put_text(&mut out, &self.group);
        put_varint(&mut out, zigzag(self.metadata.mtime_s));
        put_varint(&mut out, self.metadata.mtime_ns.into());
        put_varint(&mut out, self.link_group);
        put_varint(&mut out, self.xattrs.len() as u64);
        for (name, value) in &self.xattrs {
            put_text(&mut out, name);
            put_text(&mut out, value);
        }
        let mut chunks = Vec::new();
        match &self.kind {
            NodeKind::Directory | NodeKind::Fifo => {}
            NodeKind::Symlink(target) => put_text(&mut out, target),
            NodeKind::CharDevice { major, minor } | NodeKind::BlockDevice { major, minor } => {
                put_varint(&mut out, (*major).into());
                put_varint(&mut out, (*minor).into());
            }
            NodeKind::File(content) => content.encode(&mut out, &mut chunks),
        }
        Value { bytes: out, chunks }
    }

    /// Reads a value.
    pub fn from_value(value: &Value) -> Result<Self, FileNodeError> {
        let mut reader = Reader { rest: &value.bytes };
        let version = reader.byte()?;
        if version != VERSION {
            return Err(FileNodeError::Version(version));
        }
        let code = reader.byte()?;
        let mode = reader.varint_u32()?;
        let (uid, gid) = (reader.varint_u32()?, reader.varint_u32()?);
        let (user, group) = (read_text(&mut reader)?, read_text(&mut reader)?);
        let metadata = Metadata { mode, mtime_s: unzigzag(reader.varint()?), mtime_ns: reader.varint_u32()? };
        let link_group = reader.varint()?;
        let count = reader.varint()?;
        let mut xattrs = Vec::new();
        // Each takes two bytes or more, so that this ends with the bytes, however large the count.
        for _ in 0..count {
            xattrs.push((read_text(&mut reader)?, read_text(&mut reader)?));
        }
        let kind = match code {
            0 => NodeKind::Directory,
            1 => NodeKind::File(Content::decode(&mut reader, &value.chunks)?),
            2 => NodeKind::Symlink(read_text(&mut reader)?),
            3 => NodeKind::Fifo,
            4 => NodeKind::CharDevice { major: reader.varint_u32()?, minor: reader.varint_u32()? },
            5 => NodeKind::BlockDevice { major: reader.varint_u32()?, minor: reader.varint_u32()? },
            _ => return Err(FileNodeError::Malformed("it is of no known kind")),
        };
        if !reader.rest.is_empty() {
            return Err(FileNodeError::Malformed("something follows its end"));
        }
        let node = Self { kind, metadata, uid, gid, user, group, xattrs, link_group };
        node.check()?;
        Ok(node)
    }
}

impl NodeKind {
    fn code(&self) -> u8 {
        match self {
            NodeKind::Directory => 0,
            NodeKind::File(_) => 1,
            NodeKind::Symlink(_) => 2,
            NodeKind::Fifo => 3,
            NodeKind::CharDevice { .. } => 4,
            NodeKind::BlockDevice { .. } => 5,
        }
    }
}

impl Content {
    /// Bytes of data: the length without holes.
    pub fn data_len(&self) -> u64 {
        match &self.segments {
            None => self.size,
            Some(segments) => segments.iter().fold(0, |sum: u64, (_, len)| sum.saturating_add(*len)),
        }
    }

    fn check(&self) -> Result<(), Malformed> {
        let mut end = 0u64;
        for (index, (offset, len)) in self.segments.iter().flatten().enumerate() {
            if *len == 0 || (index > 0 && *offset < end) {
                return Err(Malformed("the data of a sparse file is out of order"));
            }
            end = offset.checked_add(*len).ok_or(Malformed("a file is too large"))?;
        }
        if end > self.size {
            return Err(Malformed("the data of a sparse file goes on behind its end"));
        }
        let mut sum = 0u64;
        for piece in &self.pieces {
            let fits = piece.offset.checked_add(piece.len).is_some_and(|end| end <= piece.chunk.plain_len);
            if piece.len == 0 || !fits {
                return Err(Malformed("a piece lies outside of its chunk"));
            }
            sum = sum.checked_add(piece.len.into()).ok_or(Malformed("a file is too large"))?;
        }
        if sum != self.data_len() {
            return Err(Malformed("the pieces of a file do not add up to its data"));
        }
        Ok(())
    }

    fn encode(&self, out: &mut Vec<u8>, chunks: &mut Vec<ChunkRef>) {
        put_varint(out, self.size);
        // A file that is one hole has no segments either, and no pieces.
        let segments = self.segments.as_deref().unwrap_or_default();
        put_varint(out, if self.segments.is_some() { segments.len() as u64 + 1 } else { 0 });
        let mut end = 0;
        for (offset, len) in segments {
            put_varint(out, offset - end);
            put_varint(out, *len);
            end = offset + len;
        }
        put_varint(out, self.pieces.len() as u64);
        let mut previous = 0;
        let mut places = std::collections::BTreeMap::new();
        for piece in &self.pieces {
            let next = places.len() as u32; // a file has fewer pieces than MAX_VALUE_LEN
            let chunk = *places.entry(piece.chunk.encode()).or_insert_with(|| {
                chunks.push(piece.chunk);
                next
            });
            encode_extent(out, previous, Place { chunk, offset: piece.offset, len: piece.len });
            previous = chunk;
        }
    }

    fn decode(reader: &mut Reader<'_>, chunks: &[ChunkRef]) -> Result<Self, Malformed> {
        let size = reader.varint()?;
        let count = reader.varint()?;
        let mut segments = (count > 0).then(Vec::new);
        let mut end = 0u64;
        for _ in 1..count {
            let (gap, len) = (reader.varint()?, reader.varint()?);
            let offset = end.checked_add(gap).ok_or(Malformed("a file is too large"))?;
            end = offset.checked_add(len).ok_or(Malformed("a file is too large"))?;
            segments.iter_mut().for_each(|segments| segments.push((offset, len)));
        }
        let count = reader.varint()?;
        let (mut pieces, mut previous) = (Vec::new(), 0);
        for _ in 0..count {
            let Place { chunk, offset, len } = decode_extent(reader, previous)?;
            previous = chunk;
            let chunk = chunks.get(chunk as usize).ok_or(Malformed("a piece lies in no chunk"))?;
            pieces.push(Piece { chunk: *chunk, offset, len });
        }
        Ok(Self { size, segments, pieces })
    }
}

fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    put_varint(out, text.len() as u64);
    out.extend_from_slice(text);
}

fn read_text(reader: &mut Reader<'_>) -> Result<Vec<u8>, Malformed> {
    let len = usize::try_from(reader.varint()?).map_err(|_| Malformed("it ends too early"))?;
    Ok(reader.bytes(len)?.to_vec())
}
