//! The stages of storing and reading, each alone, on one thread: `cargo bench -p chordage-storage`.
//!
//! Throughput is in bytes of plaintext, except for shard hashes and the store, where it is bytes of shards.

#![allow(clippy::unwrap_used, missing_docs)]

use bytes::Bytes;
use chordage_storage::{
    ChunkRef, ChunkSink, Cipher, Coder, Compression, ConvergenceSecret, EncodeParams, ErasureCodec, Metadata,
    ObjectWriter, Pack, Redundancy, ReedSolomon, ShardHash, ShardPut, ShardStore, StoreConfig, decode_chunk,
    encode_chunk, rebuild_shards,
};
use divan::Bencher;
use divan::counter::BytesCount;

const CHUNK: usize = 2 << 20;
const CODES: [&str; 5] = ["1/3", "4/6", "4/10", "8/20", "16/40"];

fn main() {
    divan::main();
}

fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut out = vec![0u8; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut out);
    out
}

/// Text that compresses about as well as source code.
fn text(len: usize) -> Vec<u8> {
    let words =
        ["let", "fn", "match", "self", "return", "(", ")", "{", "}\n", ";\n", "value", "index", "&mut"];
    let dice = noise(len, 7);
    let mut out = Vec::with_capacity(len + 16);
    for die in dice {
        if out.len() >= len {
            break;
        }
        out.extend(words[usize::from(die) % words.len()].as_bytes());
        out.push(b' ');
    }
    out.truncate(len);
    out
}

fn params(code: &str) -> EncodeParams {
    EncodeParams::new(code.parse().unwrap(), ConvergenceSecret::new([1; 32]))
}

/// Takes packs and forgets them: what remains is cutting, hashing pieces and copying.
#[derive(Default)]
struct Nowhere {
    pending: usize,
}

impl ChunkSink for Nowhere {
    type Error = std::convert::Infallible;

    fn submit(&mut self, pack: Pack) -> Result<(), Self::Error> {
        divan::black_box(&pack);
        self.pending += 1;
        Ok(())
    }

    fn barrier(&mut self) -> Result<Vec<ChunkRef>, Self::Error> {
        let mut some = [1u8; ChunkRef::ENCODED_LEN];
        some[64..].copy_from_slice(&[1, 0, 0, 0, 1, 1]);
        let reference = ChunkRef::decode(&some).unwrap();
        Ok(vec![reference; std::mem::take(&mut self.pending)])
    }
}

/// One large file through the writer.
#[divan::bench]
fn cut_and_pack(bencher: Bencher<'_, '_>) {
    let file = noise(32 << 20, 1);
    let secret = ConvergenceSecret::new([1; 32]);
    bencher.counter(BytesCount::of_slice(&file)).bench_local(|| {
        let mut writer = ObjectWriter::file(Nowhere::default(), &secret, Metadata::default()).unwrap();
        writer.write(&file).unwrap();
        writer.finish().unwrap().link
    });
}

/// Compressing, sealing, coding and hashing a chunk that does not compress.
#[divan::bench(args = CODES)]
fn encode(bencher: Bencher<'_, '_>, code: &str) {
    let (pack, params, mut coder) = (Pack::from(noise(CHUNK, 1)), params(code), Coder::new());
    bencher
        .counter(BytesCount::of_slice(&pack[..]))
        .with_inputs(|| pack.clone())
        .bench_local_values(|pack| encode_chunk(pack, &params, &mut coder));
}

/// The same for text.
#[divan::bench]
fn encode_text(bencher: Bencher<'_, '_>) {
    let (pack, params, mut coder) = (Pack::from(text(CHUNK)), params("4/10"), Coder::new());
    bencher
        .counter(BytesCount::of_slice(&pack[..]))
        .with_inputs(|| pack.clone())
        .bench_local_values(|pack| encode_chunk(pack, &params, &mut coder));
}

/// Sealing: the rest of encoding is small when one shard is the chunk.
#[divan::bench(args = [Cipher::Aes256Gcm, Cipher::ChaCha20Poly1305])]
fn key_and_seal(bencher: Bencher<'_, '_>, cipher: &Cipher) {
    let params = EncodeParams { cipher: *cipher, compression: Compression::Off, ..params("1/1") };
    let (pack, mut coder) = (Pack::from(noise(CHUNK, 1)), Coder::new());
    bencher
        .counter(BytesCount::of_slice(&pack[..]))
        .with_inputs(|| pack.clone())
        .bench_local_values(|pack| encode_chunk(pack, &params, &mut coder));
}

#[divan::bench(args = CODES)]
fn reed_solomon_encode(bencher: Bencher<'_, '_>, code: &str) {
    let redundancy: Redundancy = code.parse().unwrap();
    let codec = ReedSolomon::new(redundancy);
    let shard_len = CHUNK / usize::from(redundancy.k());
    let mut stripe = noise(shard_len * usize::from(redundancy.n()), 1);
    bencher.counter(BytesCount::new(CHUNK)).bench_local(|| codec.encode(&mut stripe, shard_len));
}

fn encoded(code: &str) -> (chordage_storage::EncodedChunk, Vec<(u8, Bytes)>) {
    let chunk = encode_chunk(Pack::from(noise(CHUNK, 1)), &params(code), &mut Coder::new()).unwrap();
    let shards = (0u8..).zip(chunk.shards.iter().cloned()).collect();
    (chunk, shards)
}

/// Reading when all data shards are there.
#[divan::bench(args = CODES)]
fn decode(bencher: Bencher<'_, '_>, code: &str) {
    let (chunk, shards) = encoded(code);
    let some = shards[..usize::from(chunk.descriptor.redundancy().k())].to_vec();
    let mut coder = Coder::new();
    bencher
        .counter(BytesCount::new(CHUNK))
        .bench_local(|| decode_chunk(&chunk.reference, &chunk.descriptor, some.clone(), &mut coder));
}

/// Reading when half of the data shards are lost.
#[divan::bench(args = ["4/6", "4/10", "8/20", "16/40"])]
fn decode_half_lost(bencher: Bencher<'_, '_>, code: &str) {
    let (chunk, shards) = encoded(code);
    let k = usize::from(chunk.descriptor.redundancy().k());
    let some = shards[k / 2..k / 2 + k].to_vec();
    let mut coder = Coder::new();
    bencher
        .counter(BytesCount::new(CHUNK))
        .bench_local(|| decode_chunk(&chunk.reference, &chunk.descriptor, some.clone(), &mut coder));
}

/// Rebuilding all that may be missing at the repair threshold.
#[divan::bench(args = ["4/10", "8/20", "16/40"])]
fn rebuild(bencher: Bencher<'_, '_>, code: &str) {
    let (chunk, shards) = encoded(code);
    let redundancy = chunk.descriptor.redundancy();
    let missing: Vec<u8> = (0..redundancy.n() - redundancy.repair_threshold()).collect();
    let present = &shards[missing.len()..];
    let mut coder = Coder::new();
    bencher
        .counter(BytesCount::new(CHUNK))
        .bench_local(|| rebuild_shards(&chunk.descriptor, present, &missing, &mut coder));
}

#[divan::bench(args = [26 << 10, 128 << 10, 512 << 10])]
fn shard_hash(bencher: Bencher<'_, '_>, len: usize) {
    let shard = noise(len, 1);
    bencher.counter(BytesCount::new(len)).bench_local(|| ShardHash::of(&shard));
}

/// Batches of 64 shards, each durable.
#[divan::bench(args = [26 << 10, 256 << 10], sample_count = 12, sample_size = 1)]
fn store_put(bencher: Bencher<'_, '_>, len: usize) {
    let directory = tempfile::tempdir_in(".").unwrap();
    let store = ShardStore::open(directory.path(), StoreConfig::with_quota(64 << 30)).unwrap();
    let mut seed = 0;
    let params = EncodeParams { compression: Compression::Off, ..params("1/1") };
    let mut coder = Coder::new();
    let batch = move || -> Vec<ShardPut> {
        let put = |_| {
            seed += 1;
            let chunk = encode_chunk(Pack::from(noise(len, seed)), &params, &mut coder).unwrap();
            let descriptor = chunk.descriptor.encode();
            ShardPut { chunk: chunk.reference.id, descriptor, index: 0, payload: chunk.shards[0].clone() }
        };
        (0..64).map(put).collect()
    };
    bencher.counter(BytesCount::new(64 * len)).with_inputs(batch).bench_local_refs(|puts| {
        assert!(store.put_batch(puts).iter().all(Result::is_ok));
    });
}
