//! A network in memory: keeps the shards of every chunk, and reads objects back from some of them.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::collections::BTreeMap;

use bytes::Bytes;
use chordage_storage::{
    ChunkId, ChunkRef, ChunkSink, Coder, ConvergenceSecret, Descriptor, EncodeParams, EncodedChunk, Entry,
    EntryKind, FileEntry, Link, Manifest, ManifestError, ManifestLoader, Pack, Redundancy, Step,
    decode_chunk, encode_chunk,
};

pub fn secret() -> ConvergenceSecret {
    ConvergenceSecret::new([42; 32])
}

/// Deterministic bytes that do not compress.
pub fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut out = vec![0u8; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut out);
    out
}

pub struct Network {
    params: EncodeParams,
    coder: Coder,
    pub chunks: BTreeMap<ChunkId, (Descriptor, Vec<Bytes>)>,
    pending: Vec<ChunkRef>,
    pub submitted: usize,
    /// Fails the submission of this number, counted from 0.
    pub fail_at: Option<usize>,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("no more chunks")]
pub struct Full;

impl Network {
    pub fn new(redundancy: &str) -> Self {
        let redundancy: Redundancy = redundancy.parse().unwrap();
        Self {
            params: EncodeParams::new(redundancy, secret()),
            coder: Coder::new(),
            chunks: BTreeMap::new(),
            pending: vec![],
            submitted: 0,
            fail_at: None,
        }
    }

    pub fn put_raw(&mut self, plain: Vec<u8>) -> ChunkRef {
        let chunk = encode_chunk(Pack::from(plain), &self.params, &mut self.coder).unwrap();
        self.keep(chunk)
    }

    fn keep(&mut self, chunk: EncodedChunk) -> ChunkRef {
        self.chunks.insert(chunk.reference.id, (chunk.descriptor, chunk.shards));
        chunk.reference
    }

    /// Reads a chunk from its last k shards.
    pub fn fetch(&mut self, chunk: &ChunkRef) -> Bytes {
        let (descriptor, shards) = &self.chunks[&chunk.id];
        let n = shards.len();
        let last = (0u8..).zip(shards.iter().cloned()).skip(n - usize::from(descriptor.redundancy().k()));
        decode_chunk(chunk, descriptor, last.collect(), &mut self.coder).unwrap()
    }

    pub fn try_load(&mut self, link: &Link) -> Result<Manifest, ManifestError> {
        let mut loader = ManifestLoader::new(link)?;
        for _round in 0..3 {
            match loader.step() {
                Step::Ready(manifest) => return Ok(manifest),
                Step::Fetch(chunks) => {
                    for chunk in chunks {
                        let plain = self.fetch(&chunk);
                        loader.provide(&chunk.id, plain)?;
                    }
                }
            }
        }
        panic!("the loader wants a third round");
    }

    pub fn load(&mut self, link: &Link) -> Manifest {
        self.try_load(link).unwrap()
    }

    pub fn read(&mut self, manifest: &Manifest, file: &FileEntry, range: std::ops::Range<u64>) -> Vec<u8> {
        let mut out = vec![];
        for extent in manifest.extents(file, range) {
            let plain = self.fetch(&extent.chunk);
            out.extend_from_slice(&plain[extent.offset as usize..][..extent.len as usize]);
        }
        out
    }
}

impl ChunkSink for Network {
    type Error = Full;

    fn submit(&mut self, pack: Pack) -> Result<(), Full> {
        if self.fail_at == Some(self.submitted) {
            return Err(Full);
        }
        self.submitted += 1;
        let chunk = encode_chunk(pack, &self.params, &mut self.coder).unwrap();
        let reference = self.keep(chunk);
        self.pending.push(reference);
        Ok(())
    }

    fn barrier(&mut self) -> Result<Vec<ChunkRef>, Full> {
        Ok(std::mem::take(&mut self.pending))
    }
}

pub fn file_of(entry: &Entry) -> FileEntry {
    match &entry.kind {
        EntryKind::File(file) => *file,
        other => panic!("{:?} is {other:?}", entry.path),
    }
}
