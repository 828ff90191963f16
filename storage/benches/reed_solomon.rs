//! Our Reed-Solomon loops against those of `reed-solomon-erasure`, which make the same bytes:
//!
//! ```text
//!  cargo bench -p chordage-storage --bench reed_solomon
//! ```
//! Chunks of 2 MiB, one thread. Each round runs every variant once before the next round, so that whatever else
//! the machine does strikes all alike; medians of the rounds are printed, in MB/s of user data.

#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;
use std::time::Instant;

use chordage_storage::{ErasureCodec, Redundancy, ReedSolomon};
use reed_solomon_erasure::galois_8;

/// A sealed pack of common length. (Shards whose length is nearly a power of two contend for the same cache lines.)
const CHUNK: usize = 2_190_023;
const ROUNDS: usize = 41;

struct Stripe {
    code: &'static str,
    redundancy: Redundancy,
    ours: ReedSolomon,
    portable: ReedSolomon,
    theirs: galois_8::ReedSolomon,
    shard_len: usize,
    bytes: Vec<u8>,
}

impl Stripe {
    fn new(code: &'static str) -> Self {
        let redundancy: Redundancy = code.parse().unwrap();
        let (k, n) = (usize::from(redundancy.k()), usize::from(redundancy.n()));
        let shard_len = CHUNK.div_ceil(k);
        let mut bytes = vec![0u8; shard_len * n];
        blake3::Hasher::new().finalize_xof().fill(&mut bytes[..k * shard_len]);
        let theirs = galois_8::ReedSolomon::new(k, n - k).unwrap();
        Self {
            code,
            redundancy,
            ours: ReedSolomon::new(redundancy),
            portable: ReedSolomon::portable(redundancy),
            theirs,
            shard_len,
            bytes,
        }
    }

    fn encode_ours(&mut self) {
        self.ours.encode(&mut self.bytes, self.shard_len).unwrap();
    }

    fn encode_portable(&mut self) {
        self.portable.encode(&mut self.bytes, self.shard_len).unwrap();
    }

    fn encode_theirs(&mut self) {
        let (data, parity) = self.bytes.split_at_mut(usize::from(self.redundancy.k()) * self.shard_len);
        let data: Vec<&[u8]> = data.chunks_exact(self.shard_len).collect();
        let mut parity: Vec<&mut [u8]> = parity.chunks_exact_mut(self.shard_len).collect();
        self.theirs.encode_sep(&data, &mut parity).unwrap();
    }

    /// Half of the data shards are lost.
    fn rebuild(&mut self, codec: fn(&Self) -> &ReedSolomon) {
        let bytes = &mut std::mem::take(&mut self.bytes);
        let codec = codec(self);
        let k = usize::from(self.redundancy.k());
        let (lost, rest) = bytes.split_at_mut(k / 2 * self.shard_len);
        let present: Vec<(u8, &[u8])> =
            (k as u8 / 2..).zip(rest.chunks_exact(self.shard_len)).take(k).collect();
        let mut wanted: Vec<(u8, &mut [u8])> = (0u8..).zip(lost.chunks_exact_mut(self.shard_len)).collect();
        codec.rebuild(&present, &mut wanted).unwrap();
        self.bytes = std::mem::take(bytes);
    }

    fn rebuild_ours(&mut self) {
        self.rebuild(|stripe| &stripe.ours);
    }

    fn rebuild_portable(&mut self) {
        self.rebuild(|stripe| &stripe.portable);
    }

    fn rebuild_theirs(&mut self) {
        let (lost, k) = (usize::from(self.redundancy.k()) / 2, usize::from(self.redundancy.k()));
        let shards = self.bytes.chunks_exact_mut(self.shard_len).enumerate();
        let mut shards: Vec<(&mut [u8], bool)> =
            shards.map(|(i, shard)| (shard, (lost..lost + k).contains(&i))).collect();
        self.theirs.reconstruct_data(&mut shards).unwrap();
    }
}

fn main() {
    let mut stripes = ["4/6", "4/10", "8/20", "16/40"].map(Stripe::new);
    type Variant = (&'static str, fn(&mut Stripe));
    let variants: [Variant; 6] = [
        ("encode, ours", Stripe::encode_ours),
        ("encode, portable", Stripe::encode_portable),
        ("encode, theirs", Stripe::encode_theirs),
        ("rebuild k/2, ours", Stripe::rebuild_ours),
        ("rebuild k/2, portable", Stripe::rebuild_portable),
        ("rebuild k/2, theirs", Stripe::rebuild_theirs),
    ];
    let mut times = vec![vec![]; stripes.len() * variants.len()];
    for round in 0..ROUNDS {
        for (s, stripe) in stripes.iter_mut().enumerate() {
            for turn in 0..variants.len() {
                // The first one finds the caches cold: each time another.
                let v = (round + turn) % variants.len();
                let (_, run) = variants[v];
                let before = Instant::now();
                run(black_box(stripe));
                times[s * variants.len() + v].push(before.elapsed());
            }
        }
    }
    println!("| code | {} |", variants.map(|(name, _)| name).join(" | "));
    for (s, stripe) in stripes.iter().enumerate() {
        let medians = (0..variants.len()).map(|v| {
            let times = &mut times[s * variants.len() + v];
            times.sort_unstable();
            format!("{:.0}", CHUNK as f64 / times[ROUNDS / 2].as_secs_f64() / 1e6)
        });
        println!("| {} | {} |", stripe.code, medians.collect::<Vec<_>>().join(" | "));
    }
}
