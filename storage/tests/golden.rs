//! Golden vectors: bytes that version 1 of every format makes and reads, for ever.
//!
//! `golden/v1.txt` holds a name and a value on each line. If this test fails, either a change broke what people
//! have stored, or it made a new version of a format, which then needs a new file beside the old one.

#![allow(clippy::unwrap_used)]

mod harness;

use std::collections::BTreeMap;
use std::convert::Infallible;

use bytes::Bytes;
use chordage_storage::{
    ChunkId, ChunkKey, ChunkRef, ChunkSink, Cipher, Coder, Compression, ConvergenceSecret, Descriptor,
    EncodeParams, EncodedChunk, EntryPath, Link, ManifestLoader, Metadata, ObjectWriter, Pack, PutOutcome,
    ShardPut, ShardStore, Step, StoreConfig, decode_chunk, encode_chunk,
};
use data_encoding::HEXLOWER;
use harness::noise;

const VECTORS: &str = include_str!("golden/v1.txt");

fn vectors() -> BTreeMap<&'static str, &'static str> {
    VECTORS.lines().filter_map(|line| line.split_once(' ')).collect()
}

fn vector(name: &str) -> &'static str {
    vectors().get(name).copied().unwrap_or_else(|| panic!("no vector {name}"))
}

/// Collects what is made now and compares all of it at once.
#[derive(Default)]
struct Made(Vec<(String, String)>);

impl Made {
    fn text(&mut self, name: &str, value: &dyn ToString) {
        self.0.push((name.to_owned(), value.to_string()));
    }

    fn bytes(&mut self, name: &str, value: &[u8]) {
        self.text(name, &HEXLOWER.encode(value));
    }

    fn compare(self) {
        let vectors = vectors();
        let differing = self.0.iter().filter(|(name, value)| vectors.get(&name[..]) != Some(&&value[..]));
        let differing: Vec<String> = differing.map(|(name, value)| format!("{name} {value}")).collect();
        assert!(differing.is_empty(), "made now, but not as in the file:\n{}", differing.join("\n"));
    }
}

fn params(code: &str, cipher: Cipher) -> EncodeParams {
    let secret = ConvergenceSecret::new([42; 32]);
    // zstd promises to read its old output for ever, not to make the same again.
    EncodeParams { cipher, compression: Compression::Off, ..EncodeParams::new(code.parse().unwrap(), secret) }
}

fn chunk(len: usize, code: &str, cipher: Cipher) -> EncodedChunk {
    encode_chunk(Pack::from(noise(len, 1)), &params(code, cipher), &mut Coder::new()).unwrap()
}

struct Sink {
    params: EncodeParams,
    coder: Coder,
    chunks: Vec<(ChunkRef, Vec<u8>)>,
    returned: usize,
}

impl ChunkSink for Sink {
    type Error = Infallible;

    fn submit(&mut self, pack: Pack) -> Result<(), Infallible> {
        let plain = pack.to_vec();
        let chunk = encode_chunk(pack, &self.params, &mut self.coder).unwrap();
        self.chunks.push((chunk.reference, plain));
        Ok(())
    }

    fn barrier(&mut self) -> Result<Vec<ChunkRef>, Infallible> {
        let new = self.chunks[self.returned..].iter().map(|(reference, _)| *reference).collect();
        self.returned = self.chunks.len();
        Ok(new)
    }
}

fn path(text: &str) -> EntryPath {
    EntryPath::new(text).unwrap()
}

#[test]
fn chunks_are_made_as_ever() {
    let mut made = Made::default();
    let small = chunk(1000, "2/4", Cipher::Aes256Gcm);
    made.bytes("chunk.1000.aes.key", &small.reference.key.0);
    made.bytes("chunk.1000.aes.descriptor", &small.descriptor.encode());
    made.text("chunk.1000.aes.id", &small.reference.id);
    made.bytes("chunk.1000.aes.reference", &small.reference.encode());
    made.bytes("chunk.1000.aes.shard0.begin", &small.shards[0][..32]);
    made.bytes("chunk.1000.aes.shard3.begin", &small.shards[3][..32]);
    made.text("chunk.1000.chacha.id", &chunk(1000, "2/4", Cipher::ChaCha20Poly1305).reference.id);
    for code in ["1/1", "1/3", "3/6", "4/10", "8/20", "16/40", "128/128"] {
        let id = chunk(100_003, code, Cipher::Aes256Gcm).reference.id;
        made.text(&format!("chunk.100003.{}.id", code.replace('/', "of")), &id);
    }
    made.text("hash.of.shard", &chordage_storage::ShardHash::of(b"shard"));
    made.compare();

    let descriptor = HEXLOWER.decode(vector("chunk.1000.aes.descriptor").as_bytes()).unwrap();
    assert_eq!(Descriptor::decode(&descriptor), Ok(small.descriptor));
    let reference = HEXLOWER.decode(vector("chunk.1000.aes.reference").as_bytes()).unwrap();
    assert_eq!(ChunkRef::decode(reference[..].try_into().unwrap()), Some(small.reference));
}

/// A chunk that zstd 1.5.7 compressed, as one shard.
#[test]
fn compressed_chunks_are_read_as_ever() {
    let shard = Bytes::from(HEXLOWER.decode(vector("chunk.zstd.shard").as_bytes()).unwrap());
    let descriptor = HEXLOWER.decode(vector("chunk.zstd.descriptor").as_bytes()).unwrap();
    let key = HEXLOWER.decode(vector("chunk.zstd.key").as_bytes()).unwrap();
    let descriptor = Descriptor::decode(&descriptor).unwrap();
    let key = ChunkKey(key.try_into().unwrap());
    let reference = ChunkRef { id: descriptor.id(), key, plain_len: 9000, redundancy: None };
    descriptor.verify_shard(0, &shard).unwrap();
    let plain = decode_chunk(&reference, &descriptor, vec![(0, shard)], &mut Coder::new()).unwrap();
    assert_eq!(plain, b"tell me again ".repeat(643)[..9000]);
}

#[test]
fn links_are_written_and_read_as_ever() {
    let read = Link::Read { id: ChunkId([0xa5; 32]), key: ChunkKey([0x3c; 32]) };
    let mut made = Made::default();
    made.text("link.read", &read);
    made.text("link.verify", &read.to_verify());
    made.compare();
    assert_eq!(vector("link.read").parse(), Ok(read));
    assert_eq!(vector("link.verify").parse(), Ok(read.to_verify()));
}

#[test]
fn objects_are_written_and_read_as_ever() {
    let mut made = Made::default();
    let params = params("2/4", Cipher::Aes256Gcm);
    let secret = params.secret.clone();
    let sink = Sink { params, coder: Coder::new(), chunks: vec![], returned: 0 };
    let meta = |mode| Metadata { mode, mtime_s: 1_700_000_000, mtime_ns: 123_456_789 };
    let mut writer = ObjectWriter::tree(sink, &secret, meta(0o755)).unwrap();
    writer.directory(&path("d"), meta(0o700)).unwrap();
    for (name, seed) in [("d/one", 1), ("d/same", 1), ("large", 2)] {
        writer.begin_file(&path(name), meta(0o644)).unwrap();
        writer.write(&noise(if seed == 1 { 70_000 } else { 6 << 20 }, seed)).unwrap();
        writer.end_file().unwrap();
    }
    writer.symlink(&path("link"), b"d/one", Metadata { mtime_s: -1, ..meta(0o777) }).unwrap();
    let written = writer.finish().unwrap();
    let (root, root_plain) = written.sink.chunks.last().unwrap().clone();
    made.text("tree.link", &written.link);
    made.bytes("tree.root", &root_plain);
    let packs: Vec<String> =
        written.sink.chunks.iter().map(|(reference, _)| reference.plain_len.to_string()).collect();
    made.text("tree.chunk.lengths", &packs.join(","));
    made.compare();

    let link: Link = vector("tree.link").parse().unwrap();
    let plain = HEXLOWER.decode(vector("tree.root").as_bytes()).unwrap();
    let mut loader = ManifestLoader::new(&link).unwrap();
    loader.provide(&root.id, plain.into()).unwrap();
    let Step::Ready(manifest) = loader.step() else { panic!("the root is all there is") };
    assert_eq!(manifest.summary(), written.summary);
    let paths: Vec<String> = manifest.entries().map(|entry| entry.path.to_string()).collect();
    assert_eq!(paths, ["", "d", "d/one", "d/same", "large", "link"]);
}

#[test]
fn a_store_is_written_and_read_as_ever() {
    let chunk = chunk(1000, "2/4", Cipher::Aes256Gcm);
    let (id, descriptor) = (chunk.reference.id, chunk.descriptor.encode());
    let put = ShardPut { chunk: id, descriptor, index: 3, payload: chunk.shards[3].clone() };
    let directory = tempfile::tempdir().unwrap();
    let store = ShardStore::open(directory.path(), StoreConfig::with_quota(1 << 30)).unwrap();
    assert_eq!(store.put_batch(std::slice::from_ref(&put))[0].clone().unwrap(), PutOutcome::Stored);
    drop(store);
    let mut made = Made::default();
    made.bytes("store.segment", &std::fs::read(directory.path().join("segment-00000000")).unwrap());
    made.bytes("store.format", &std::fs::read(directory.path().join("format")).unwrap());
    made.compare();

    // A directory of old files, without an index.
    let old = tempfile::tempdir().unwrap();
    for (file, name) in [("segment-00000000", "store.segment"), ("format", "store.format")] {
        std::fs::write(old.path().join(file), HEXLOWER.decode(vector(name).as_bytes()).unwrap()).unwrap();
    }
    let store = ShardStore::open(old.path(), StoreConfig::with_quota(1 << 30)).unwrap();
    let held = store.get(&id).unwrap();
    assert_eq!((held.shards[0].index, &held.shards[0].payload), (3, &put.payload));
}
