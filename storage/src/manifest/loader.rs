//! Loading a manifest without knowing how chunks are fetched.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::root::{Root, RootError, Stream};
use super::view::Manifest;
use crate::chunk::ChunkRef;
use crate::ids::ChunkId;
use crate::link::Link;
use crate::varint::Malformed;

/// Asks for chunks until it has the manifest:
///
/// ```text
///  loop { match loader.step() {
///      Step::Fetch(chunks) => for each: fetch, decode_chunk, loader.provide(&id, plain)?
///      Step::Ready(manifest) => break manifest
///  } }
/// ```
/// There are at most two rounds: the root, then all that it refers to.
pub struct ManifestLoader {
    root: ChunkRef,
    state: State,
}

/// What a [`ManifestLoader`] wants.
#[derive(Debug)]
pub enum Step {
    /// Chunks still to be provided, in any order; none twice.
    Fetch(Vec<ChunkRef>),
    /// The manifest, complete and checked.
    Ready(Manifest),
}

/// Why an object's manifest cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// The link does not carry the key.
    #[error("a verify link cannot be read")]
    NoKey,
    /// The chunk was not asked for, or was provided already. Nothing changed.
    #[error("chunk {0} is not part of this manifest, or came twice")]
    Unexpected(ChunkId),
    /// The chunk has another length than its reference says. Nothing changed.
    #[error("chunk {id} has {found} bytes instead of {expected}")]
    WrongLength {
        /// The chunk.
        id: ChunkId,
        /// Bytes that its reference promises.
        expected: u32,
        /// Bytes provided.
        found: usize,
    },
    /// The link leads to something else.
    #[error("the link leads to a chunk that is not the root of an object")]
    NotAManifest,
    /// Written by a newer version.
    #[error("manifest version {0} is not known")]
    UnsupportedVersion(u8),
    /// More than [`MAX_MANIFEST_LEN`](super::MAX_MANIFEST_LEN).
    #[error("the manifest would take {0} bytes, more than any may")]
    TooLarge(u64),
    /// It breaks the format's rules, so its writer was broken or lied.
    #[error("the manifest is malformed: {0}")]
    Malformed(&'static str),
}

impl From<Malformed> for ManifestError {
    fn from(Malformed(what): Malformed) -> Self {
        Self::Malformed(what)
    }
}

impl From<RootError> for ManifestError {
    fn from(error: RootError) -> Self {
        match error {
            RootError::NotAManifest => Self::NotAManifest,
            RootError::Version(version) => Self::UnsupportedVersion(version),
            RootError::TooLarge(len) => Self::TooLarge(len),
            RootError::Malformed(malformed) => malformed.into(),
        }
    }
}

enum State {
    Root,
    Streams { root: Box<Root>, arrived: BTreeMap<ChunkId, Bytes> },
    Ready(Manifest),
}

impl ManifestLoader {
    /// Begins with what a link says. A verify link has no key: [`ManifestError::NoKey`].
    pub fn new(link: &Link) -> Result<Self, ManifestError> {
        let Link::Read { id, key } = *link else { return Err(ManifestError::NoKey) };
        Ok(Self { root: ChunkRef { id, key, plain_len: 0, redundancy: None }, state: State::Root })
    }

    /// What is wanted next.
    pub fn step(&self) -> Step {
        match &self.state {
            State::Root => Step::Fetch(vec![self.root]),
            State::Streams { root, arrived } => Step::Fetch(missing(root, arrived).into_values().collect()),
            State::Ready(manifest) => Step::Ready(manifest.clone()),
        }
    }

    /// Takes a chunk that was asked for. After an error about the manifest itself (not
    /// [`Unexpected`](ManifestError::Unexpected) or [`WrongLength`](ManifestError::WrongLength)) there is no point
    /// in going on.
    pub fn provide(&mut self, id: &ChunkId, plain: Bytes) -> Result<(), ManifestError> {
        match &mut self.state {
            State::Root if *id == self.root.id => {
                let root = Root::decode(&plain)?;
                self.root.plain_len = plain.len() as u32; // decode_chunk bounds it
                self.state = State::Streams { root: Box::new(root), arrived: BTreeMap::new() };
            }
            State::Streams { root, arrived } => {
                let wanted = missing(root, arrived).remove(id).ok_or(ManifestError::Unexpected(*id))?;
                if plain.len() != wanted.plain_len as usize {
                    let (expected, found) = (wanted.plain_len, plain.len());
                    return Err(ManifestError::WrongLength { id: *id, expected, found });
                }
                arrived.insert(*id, plain);
            }
            State::Root | State::Ready(_) => return Err(ManifestError::Unexpected(*id)),
        }
        if let State::Streams { root, arrived } = &self.state
            && missing(root, arrived).is_empty()
        {
            let table = join(&root.table, arrived)?;
            let entries = join(&root.entries, arrived)?;
            self.state = State::Ready(Manifest::new(self.root, root, table, entries)?);
        }
        Ok(())
    }
}

impl std::fmt::Debug for ManifestLoader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ManifestLoader").field("root", &self.root).finish_non_exhaustive()
    }
}

fn chunks(stream: &Stream) -> &[ChunkRef] {
    match stream {
        Stream::Inline(_) => &[],
        Stream::Chunks(chunks) => chunks,
    }
}

/// Chunks of both streams that have not arrived. There are at most a few hundred.
fn missing(root: &Root, arrived: &BTreeMap<ChunkId, Bytes>) -> BTreeMap<ChunkId, ChunkRef> {
    let all = chunks(&root.table).iter().chain(chunks(&root.entries));
    all.filter(|chunk| !arrived.contains_key(&chunk.id)).map(|chunk| (chunk.id, *chunk)).collect()
}

fn join(stream: &Stream, arrived: &BTreeMap<ChunkId, Bytes>) -> Result<Bytes, Malformed> {
    let chunks = match stream {
        Stream::Inline(bytes) => return Ok(bytes.clone()),
        Stream::Chunks(chunks) => chunks,
    };
    let len: usize = chunks.iter().map(|chunk| chunk.plain_len as usize).sum();
    let mut joined = Vec::with_capacity(len);
    for chunk in chunks {
        match arrived.get(&chunk.id) {
            // One chunk may stand in a stream several times, but not with several lengths.
            Some(bytes) if bytes.len() == chunk.plain_len as usize => joined.extend_from_slice(bytes),
            _ => return Err(Malformed("one chunk is said to have two lengths")),
        }
    }
    Ok(joined.into())
}
